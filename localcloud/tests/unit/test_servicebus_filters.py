"""Correlation filters: equality of everything they name."""

from hypothesis import given
from hypothesis import strategies as st

from localcloud.servicebus.filters import CorrelationFilter, Filter, Rule, RuleSet, TrueFilter
from localcloud.tests.unit.servicebus_messages import message

# The SDK sends a plain int as 32 bits.
_INTEGERS = st.integers(-(2**31), 2**31 - 1)
_VALUES = st.one_of(st.booleans(), _INTEGERS, st.text(max_size=20), st.floats(width=64))
_PROPERTIES = st.dictionaries(st.text(min_size=1, max_size=10), _VALUES, min_size=1, max_size=5)


def _rules(*filters: Filter) -> RuleSet:
    return RuleSet(Rule(str(number), each) for number, each in enumerate(filters))


def _is_same(left: object, right: object) -> bool:
    return isinstance(left, bool) == isinstance(right, bool) and left == right


@given(_PROPERTIES, st.data())
def test_a_filter_over_some_of_a_messages_properties_matches(
    properties: dict[str, object], data: st.DataObject
) -> None:
    """What a filter doesn't name is of no concern to it, unless a value isn't equal to itself."""
    names = data.draw(st.sets(st.sampled_from(sorted(properties))))
    chosen = {name: properties[name] for name in names}
    expected = all(_is_same(value, value) for value in chosen.values())
    assert CorrelationFilter({}, chosen).matches(message(application_properties=properties)) == (
        expected
    )


@given(_PROPERTIES, st.data())
def test_one_different_value_is_enough_not_to_match(
    properties: dict[str, object], data: st.DataObject
) -> None:
    """All named properties must be equal, in value and in kind."""
    name = data.draw(st.sampled_from(sorted(properties)))
    other = data.draw(_VALUES.filter(lambda value: not _is_same(value, properties[name])))
    wanted = {**properties, name: other}
    assert not CorrelationFilter({}, wanted).matches(message(application_properties=properties))


def test_a_property_that_is_not_there_does_not_match() -> None:
    """Absence equals nothing."""
    assert not CorrelationFilter({}, {"type": "A"}).matches(message())
    assert not CorrelationFilter({"correlation_id": "c"}, {}).matches(message())


def test_standard_and_application_properties_must_both_match() -> None:
    """One filter is a conjunction; case matters."""
    rule = CorrelationFilter({"correlation_id": "c"}, {"type": "A"})
    assert rule.matches(message(correlation_id="c", application_properties={"type": "A"}))
    assert not rule.matches(message(correlation_id="C", application_properties={"type": "A"}))
    assert not rule.matches(message(correlation_id="c", application_properties={"type": "a"}))


def test_several_rules_are_alternatives() -> None:
    """A subscription gets what any of its rules lets in, and nothing without rules."""
    one = CorrelationFilter({}, {"type": "A"})
    two = CorrelationFilter({}, {"type": "B"})
    sent = message(application_properties={"type": "B"})
    assert _rules(one, two).let_in(sent)
    assert not _rules(one).let_in(sent)
    assert not _rules().let_in(sent)
    assert _rules(one, TrueFilter()).let_in(sent)
