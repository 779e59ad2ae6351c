"""A local Azure Functions host around Microsoft's own Python worker runtime.

Two processes, as in Azure: the host (`localcloud.host.host.FunctionsHost`) pulls triggers and
settles them; the language worker (`python -m localcloud.host.worker`, a child process) runs the
function app inside `azure_functions_runtime`. This package imports nothing by itself, so that the
worker process holds only what the app brings.

What the real host does and this one leaves out: HTTP and every trigger but Service Bus, timers and
Event Grid (others are indexed and reported as not served), output bindings, sessions and batches,
scale-out, placeholder mode, several worker processes, function keys, and gRPC (JSON frames on a
socket pair stand in).
"""
