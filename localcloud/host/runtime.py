"""The seam to Microsoft's worker runtime, `azure_functions_runtime`; used in the worker process.

As in Azure's worker, a function with a deferred binding goes through the runtime's
`handle_event.invocation_request`, any other through its `native_invocation`, which takes none. Left
out: HTTP streaming, return values and outputs, which the runtime's own code hands back and this
host does not pass on.
"""

from pathlib import Path
from typing import Any

import azure_functions_runtime as runtime
from azure_functions_runtime import handle_event, native_invocation, otel
from azure_functions_runtime.bindings import datumdef, meta
from azure_functions_runtime.utils import app_setting_manager, constants

from localcloud.host.datum import Datum
from localcloud.host.wire import IndexedFunction, Invoke, Invoked
from localcloud.host.worker_protocol import (
    PROTOS,
    FunctionMetadata,
    InvocationResponse,
    invocation_request,
)


def start() -> None:
    """Do what the real worker does at WorkerInitRequest before it indexes."""
    handle_event.protos = PROTOS
    if app_setting_manager.is_envvar_true(constants.PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY):
        otel.initialize_azure_monitor()
    if app_setting_manager.is_envvar_true(constants.PYTHON_ENABLE_OPENTELEMETRY):
        otel.otel_manager.set_otel_libs_available(True)
        otel.update_opentelemetry_status()
    meta.load_binding_registry()
    runtime.start_threadpool_executor()


def stop() -> None:
    """Wait for the thread pool of synchronous functions and end it."""
    runtime.stop_threadpool_executor()


def index(app_directory: Path) -> tuple[IndexedFunction, ...]:
    """Import and index the app in a directory, which must be on `sys.path`.

    Returns:
        Its functions.

    Raises:
        FileNotFoundError: There is no function_app.py.
        Exception: Whatever the app or the runtime raised.
    """
    handle_event.load_function_metadata(str(app_directory), caller_info="worker_init_request")
    indexed: list[FunctionMetadata] | None = handle_event._metadata_result  # noqa: SLF001 - where the runtime leaves it
    if indexed is None:
        script: str = app_setting_manager.get_app_setting(
            constants.PYTHON_SCRIPT_FILE_NAME, constants.PYTHON_SCRIPT_FILE_NAME_DEFAULT
        )
        if not (app_directory / script).exists():
            raise FileNotFoundError(f"no {script} in {app_directory.name}")
        return ()
    return tuple(
        IndexedFunction(each.name, each.function_id, tuple(each.raw_bindings)) for each in indexed
    )


async def invoke(request: Invoke) -> Invoked:
    """Run one invocation through the runtime.

    Returns:
        How it ended.
    """
    function = handle_event._functions.get_function(request.function_id)  # noqa: SLF001 - as Azure's worker asks
    if function is not None and function.deferred_bindings_enabled:
        return Invoked(request.invocation_id, (await _invoke_deferred(request)).error)
    ok, _, _, error, _ = await native_invocation.invocation_request_native(
        request.invocation_id,
        request.function_id,
        [(name, _to_runtime(datum)) for name, datum in request.inputs.items()],
        {name: _to_runtime(datum) for name, datum in request.trigger_metadata.items()},
        trace_parent=request.trace_parent,
        trace_state=request.trace_state,
    )
    return Invoked(request.invocation_id, None if ok else (error or "the function failed"))


async def _invoke_deferred(request: Invoke) -> InvocationResponse:
    # The worker marks the invocation's task; here it is this variable that marks its log.
    token = runtime.invocation_id_cv.set(request.invocation_id)
    try:
        response: InvocationResponse = await handle_event.invocation_request(
            invocation_request(request)
        )
    finally:
        runtime.invocation_id_cv.reset(token)
    return response


def current_invocation_id() -> str | None:
    """Say which invocation the running code belongs to.

    Returns:
        Its ID; None outside of any.
    """
    value: str | None = runtime.invocation_id_cv.get()
    return value


def _to_runtime(datum: Datum) -> Any:  # noqa: ANN401 - the runtime has no types
    return datumdef.Datum(datum.value, datum.kind)
