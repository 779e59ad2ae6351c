"""Sampling by activity IDs: shares that hold, one decision for a trace, the standard variables."""

import math
import random
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, Sampler, TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    set_span_in_context,
)

from assessor.telemetry.context import trace_id_of
from assessor.telemetry.sampler import LowBitsRatio, SamplerError, sampler_of

IDS = 10_000
RATIOS = [0.01, 0.1, 0.25, 0.5, 0.75, 0.9]
DEVIATIONS = 5
"""One run in two million leaves these bounds by chance; the seed makes it none."""


def activity_ids(seed: int) -> list[str]:
    """Returns UUIDs of version 4, as ARM's activity IDs are."""
    source = random.Random(seed)
    return [str(uuid.UUID(int=source.getrandbits(128), version=4)) for _ in range(IDS)]


def decide(sampler: Sampler, trace_id: int, parent: Context | None = None) -> bool:
    result = sampler.should_sample(parent or Context(), trace_id, "assess_patches")
    return result.decision is Decision.RECORD_AND_SAMPLE


def parent(*, sampled: bool, remote: bool) -> Context:
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    context = SpanContext(1, 1, is_remote=remote, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(context), Context())


@pytest.mark.parametrize("ratio", RATIOS)
def test_each_ratio_samples_its_share_of_activity_ids(ratio: float) -> None:
    """Of 10,000 UUIDs, as many as a binomial distribution allows."""
    sampler = LowBitsRatio(ratio)

    sampled = sum(decide(sampler, trace_id_of(each)) for each in activity_ids(seed=1))

    assert abs(sampled - IDS * ratio) <= DEVIATIONS * math.sqrt(IDS * ratio * (1 - ratio))


@pytest.mark.parametrize(("ratio", "all_of_them"), [(0.25, False), (0.5, False), (0.75, True)])
def test_the_sdks_own_ratio_sampler_does_not_do(ratio: float, all_of_them: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """It decides on bits that are fixed in a UUID. Should this fail, LowBitsRatio can go."""
    sampler = TraceIdRatioBased(ratio)

    decisions = {decide(sampler, trace_id_of(each)) for each in activity_ids(seed=2)}

    assert decisions == {all_of_them}


@given(st.uuids(version=4), st.floats(0, 1), st.floats(0, 1))
def test_what_a_small_ratio_samples_a_greater_one_samples_too(
    activity_id: uuid.UUID, one: float, other: float
) -> None:
    """So workers with different ratios still share the traces of the smaller one."""
    low, high = sorted((one, other))

    assert decide(LowBitsRatio(low), activity_id.int) <= decide(LowBitsRatio(high), activity_id.int)


@given(st.uuids(version=4))
def test_the_ends_of_the_scale_are_all_and_none(activity_id: uuid.UUID) -> None:
    assert decide(LowBitsRatio(1), activity_id.int)
    assert not decide(LowBitsRatio(0), activity_id.int)


@given(st.uuids(version=4), st.integers(0, 2**72 - 1))
def test_the_low_56_bits_alone_decide(activity_id: uuid.UUID, high: int) -> None:
    """As every level 2 sampler does, so that others that see the trace decide alike."""
    sampler = LowBitsRatio(0.5)
    other = high << 56 | activity_id.int & (2**56 - 1)

    assert decide(sampler, activity_id.int) == decide(sampler, other)


@pytest.mark.parametrize("ratio", [-0.1, 1.1, math.nan])
def test_a_ratio_that_is_none_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        LowBitsRatio(ratio)


@pytest.mark.parametrize("remote", [True, False])
@pytest.mark.parametrize("sampled", [True, False])
def test_a_parents_decision_is_honoured(sampled: bool, remote: bool) -> None:  # noqa: FBT001 - parameters of the case
    """Whatever the ratio says about the trace ID."""
    never = sampler_of({"OTEL_TRACES_SAMPLER": "parentbased_always_off"})
    ratio = sampler_of(
        {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}
    )
    above = parent(sampled=sampled, remote=remote)

    assert decide(never, 1, above) is sampled
    assert decide(ratio, 1, above) is sampled


@pytest.mark.parametrize(
    ("environment", "description"),
    [
        ({}, "ParentBased{root:AlwaysOnSampler"),
        ({"OTEL_TRACES_SAMPLER": ""}, "ParentBased{root:AlwaysOnSampler"),
        ({"OTEL_TRACES_SAMPLER": "always_off"}, "AlwaysOffSampler"),
        ({"OTEL_TRACES_SAMPLER": "ALWAYS_ON"}, "AlwaysOnSampler"),
        (
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"},
            "LowBitsRatio{0.25}",
        ),
        (
            {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"},
            "ParentBased{root:LowBitsRatio{0.5}",
        ),
        ({"OTEL_TRACES_SAMPLER": "traceidratio"}, "LowBitsRatio{1.0}"),
    ],
)
def test_the_standard_variables_name_the_sampler(
    environment: dict[str, str], description: str
) -> None:
    assert sampler_of(environment).get_description().startswith(description)


@pytest.mark.parametrize(
    ("environment", "setting"),
    [
        ({"OTEL_TRACES_SAMPLER": "jaeger_remote"}, "OTEL_TRACES_SAMPLER"),
        (
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "half"},
            "OTEL_TRACES_SAMPLER_ARG",
        ),
        (
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"},
            "OTEL_TRACES_SAMPLER_ARG",
        ),
    ],
)
def test_a_sampler_that_there_is_not_stops_the_app(
    environment: dict[str, str], setting: str
) -> None:
    """With a line that names the setting, as for the app's own settings."""
    with pytest.raises(SamplerError) as refused:
        sampler_of(environment)

    assert refused.value.setting == setting
    assert repr(environment[setting]) in str(refused.value)
