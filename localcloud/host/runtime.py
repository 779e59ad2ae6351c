"""The seam to Microsoft's worker runtime, `azure_functions_runtime`; used in the worker process.

The runtime indexes the app through names that the real worker takes from protobuf (`protos`).
Only three of them are used on that way; plain classes stand in. Left out: HTTP streaming, deferred
(SDK-type) bindings, return values and outputs, which the runtime's own code hands back and this
host does not pass on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import azure_functions_runtime as runtime
from azure_functions_runtime import handle_event, native_invocation, otel
from azure_functions_runtime.bindings import datumdef, meta
from azure_functions_runtime.utils import app_setting_manager, constants

from localcloud.host.datum import Datum
from localcloud.host.wire import IndexedFunction, Invoke, Invoked


@dataclass(frozen=True)
class _BindingInfo:
    """Stands in for the protobuf message; numbers as in FunctionRpc.proto."""

    inout: ClassVar[int] = 2
    out: ClassVar[int] = 1
    undefined: ClassVar[int] = 0

    type: str = ""
    data_type: int | None = None
    direction: int = 0


@dataclass(frozen=True)
class _FunctionMetadata:
    """Stands in for RpcFunctionMetadata."""

    name: str
    function_id: str
    raw_bindings: list[str]
    managed_dependency_enabled: bool = False
    directory: str = ""
    script_file: str = ""
    entry_point: str = ""
    is_proxy: bool = False
    language: str = ""
    bindings: Mapping[str, _BindingInfo] = field(default_factory=dict)
    retry_options: object = None
    properties: Mapping[str, str] = field(default_factory=dict)


_PROTOS = SimpleNamespace(
    BindingInfo=_BindingInfo,
    RpcFunctionMetadata=_FunctionMetadata,
    RpcRetryOptions=SimpleNamespace,  # a bag of fields; this host reads none of them
)


def start() -> None:
    """Do what the real worker does at WorkerInitRequest before it indexes."""
    handle_event.protos = _PROTOS
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
    indexed: list[_FunctionMetadata] | None = handle_event._metadata_result  # noqa: SLF001 - where the runtime leaves it
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
    ok, _, _, error, _ = await native_invocation.invocation_request_native(
        request.invocation_id,
        request.function_id,
        [(name, _to_runtime(datum)) for name, datum in request.inputs.items()],
        {name: _to_runtime(datum) for name, datum in request.trigger_metadata.items()},
        trace_parent=request.trace_parent,
        trace_state=request.trace_state,
    )
    return Invoked(request.invocation_id, None if ok else (error or "the function failed"))


def current_invocation_id() -> str | None:
    """Say which invocation the running code belongs to.

    Returns:
        Its ID; None outside of any.
    """
    value: str | None = runtime.invocation_id_cv.get()
    return value


def _to_runtime(datum: Datum) -> Any:  # noqa: ANN401 - the runtime has no types
    return datumdef.Datum(datum.value, datum.kind)
