"""The shapes that Microsoft's worker runtime takes from protobuf, where the real worker has them.

Plain classes stand in: for indexing, BindingInfo and RpcFunctionMetadata; for an invocation, what
`handle_event.invocation_request` reads of InvocationRequest and makes of InvocationResponse. Left
out: outputs and return values, whose shapes the runtime never asks for here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import ClassVar

from localcloud.host.datum import Datum
from localcloud.host.wire import Invoke


@dataclass(frozen=True)
class _BindingInfo:
    """BindingInfo; numbers as in FunctionRpc.proto."""

    inout: ClassVar[int] = 2
    out: ClassVar[int] = 1
    undefined: ClassVar[int] = 0

    type: str = ""
    data_type: int | None = None
    direction: int = 0


@dataclass(frozen=True)
class FunctionMetadata:
    """RpcFunctionMetadata."""

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


@dataclass(frozen=True)
class _RpcException:
    """RpcException."""

    message: str
    stack_trace: str = ""


@dataclass(frozen=True)
class _StatusResult:
    """StatusResult; numbers as in FunctionRpc.proto."""

    Failure: ClassVar[int] = 0
    Success: ClassVar[int] = 1

    status: int
    exception: _RpcException | None = None


@dataclass(frozen=True)
class InvocationResponse:
    """InvocationResponse."""

    invocation_id: str
    result: _StatusResult
    return_value: object = None
    output_data: object = ()

    @property
    def error(self) -> str | None:
        """What the function raised; None when it succeeded."""
        exception = self.result.exception
        return None if exception is None else exception.message or "the function failed"


PROTOS = SimpleNamespace(
    BindingInfo=_BindingInfo,
    RpcFunctionMetadata=FunctionMetadata,
    RpcRetryOptions=SimpleNamespace,  # a bag of fields; this host reads none of them
    InvocationResponse=InvocationResponse,
    StatusResult=_StatusResult,
    RpcException=_RpcException,
)
"""What the runtime knows as `protos`."""


class _OneOf:
    """A protobuf message with one field set, of those that exclude each other."""

    def __init__(self, field: str, value: object, **others: object) -> None:
        self._field = field
        for each, content in {field: value, **others}.items():
            setattr(self, each, content)

    def WhichOneof(self, group: str) -> str:  # noqa: N802, ARG002 - protobuf's name; one group only
        """The field that is set."""
        return self._field


def invocation_request(request: Invoke) -> SimpleNamespace:
    """An invocation as `handle_event.invocation_request` wants it: within its StreamingMessage."""
    return SimpleNamespace(
        request=SimpleNamespace(
            invocation_request=SimpleNamespace(
                invocation_id=request.invocation_id,
                function_id=request.function_id,
                input_data=[
                    _OneOf("data", _typed_data(datum), name=name)
                    for name, datum in request.inputs.items()
                ],
                trigger_metadata={
                    name: _typed_data(datum) for name, datum in request.trigger_metadata.items()
                },
                trace_context=SimpleNamespace(
                    trace_parent=request.trace_parent,
                    trace_state=request.trace_state,
                    attributes={},
                ),
                retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
            )
        )
    )


def _typed_data(datum: Datum) -> _OneOf:
    return _OneOf(datum.kind, datum.value)
