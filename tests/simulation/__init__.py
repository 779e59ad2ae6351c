"""The app's own code on a bus, an ARM and a clock that are simulated, in one process.

    fleet ─── the VMs, and how long each of their assessments takes
    clock ─── an event loop whose time jumps to whatever is due next
    bus ───── queues and topics in memory
    endpoint ─ what a call of ARM costs: time, and tokens of ARM's buckets
    arm, listing ─ the app's ports to ARM, on the local cloud's ARM
    workers ─ the app, put together as its worker does it, and who takes messages from the bus
    rounds ── what became of the requests
    world ─── all of it; runs rounds of requests and tells what became of them

Real are the domain, its messages to the byte, and ARM's documented buckets as the local cloud has
them. Simulated are time, transport and whatever waits. So a fleet's night takes seconds, and the
same seed gives the same numbers on any machine.
"""
