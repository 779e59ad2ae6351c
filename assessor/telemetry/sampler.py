"""Sampling that works with activity IDs.

OpenTelemetry Python's TraceIdRatioBased compares the low 64 bits of the trace ID. In a UUID v4 the
highest two of those are always `10`, so with activity IDs it samples nothing at any ratio up to 0.5
and everything from 0.75 on. The low 56 bits are random (W3C trace context level 2), and every
process that sees the ID decides alike.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
)
from opentelemetry.trace import Link, SpanKind, TraceState, get_current_span
from opentelemetry.util.types import Attributes

_BITS: Final = 56
_MASK: Final = (1 << _BITS) - 1


class SamplerError(ValueError):
    """A sampler setting that names none."""

    def __init__(self, setting: str, expected: str, value: str) -> None:
        super().__init__(f"The setting {setting} must be {expected}; it is {value!r}.")
        self.setting = setting
        self.expected = expected
        self.value = value


class LowBitsRatio(Sampler):
    """Samples a share of all traces, decided by the low 56 bits of the trace ID alone."""

    def __init__(self, ratio: float) -> None:
        """Keeps the threshold.

        Raises:
            ValueError: it is no share.
        """
        if not 0 <= ratio <= 1:
            raise ValueError(f"a ratio lies between 0 and 1, not {ratio}")
        self._ratio = ratio
        self._threshold = round((1 - ratio) * (_MASK + 1))

    def should_sample(  # noqa: PLR0913, PLR0917 - the SDK's signature
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Returns the decision; it is the same for every span of a trace."""
        del name, kind, links, trace_state
        state = get_current_span(parent_context).get_span_context().trace_state
        if trace_id & _MASK >= self._threshold:
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, state)
        return SamplingResult(Decision.DROP, None, state)

    def get_description(self) -> str:
        """Returns the sampler's name with its ratio."""
        return f"LowBitsRatio{{{self._ratio}}}"


_SAMPLERS: Final[Mapping[str, Callable[[float], Sampler]]] = {
    "always_on": lambda _: ALWAYS_ON,
    "always_off": lambda _: ALWAYS_OFF,
    "traceidratio": LowBitsRatio,
    "parentbased_always_on": lambda _: ParentBased(ALWAYS_ON),
    "parentbased_always_off": lambda _: ParentBased(ALWAYS_OFF),
    "parentbased_traceidratio": lambda ratio: ParentBased(LowBitsRatio(ratio)),
}


def sampler_of(environment: Mapping[str, str]) -> Sampler:
    """Returns the sampler that OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG name.

    Raises:
        SamplerError: they name none.
    """
    name = environment.get("OTEL_TRACES_SAMPLER") or "parentbased_always_on"
    argument = environment.get("OTEL_TRACES_SAMPLER_ARG") or "1"
    make = _SAMPLERS.get(name.lower())
    if make is None:
        raise SamplerError("OTEL_TRACES_SAMPLER", f"one of {', '.join(_SAMPLERS)}", name)
    try:
        return make(float(argument))
    except ValueError as error:
        raise SamplerError("OTEL_TRACES_SAMPLER_ARG", "a number from 0 to 1", argument) from error
