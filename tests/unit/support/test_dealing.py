"""How a run's tests are dealt out to its processes."""

from hypothesis import given
from hypothesis import strategies as st

from tests.support.dealing import deal

GROUPED, WAITING, QUICK, LONG = "grouped", "waiting", "quick", "long"
SECONDS = {GROUPED: 10.0, WAITING: 10.0, QUICK: 0.0, LONG: 100.0}
Test = tuple[str, int]


def dealt(tests: list[Test], processes: int) -> list[Test]:
    """Deals with one group of all that are grouped."""
    return deal(
        tests,
        processes,
        lambda each: GROUPED if each[0] == GROUPED else None,
        lambda each: SECONDS[each[0]],
    )


@given(st.lists(st.sampled_from([*SECONDS])), st.integers(1, 8))
def test_each_test_is_dealt_once_and_a_group_stays_together(
    kinds: list[str], processes: int
) -> None:
    """In any number of processes, with any tests."""
    tests = [(kind, place) for place, kind in enumerate(kinds)]
    order = dealt(tests, processes)
    assert sorted(order) == sorted(tests)
    group = [place for place, each in enumerate(order) if each[0] == GROUPED]
    assert group == list(range(group[0], group[-1] + 1) if group else [])


def test_each_process_begins_with_its_share_of_what_waits() -> None:
    """The pieces are those that xdist's worksteal hands out."""
    tests = [(kind, number) for number in range(4) for kind in (QUICK, QUICK, WAITING)]
    order = dealt(tests, 2)
    first, second = order[:6], order[6:]
    for piece in (first, second):
        assert [kind for kind, _ in piece] == [WAITING] * 2 + [QUICK] * 4


def test_what_only_computes_keeps_its_order() -> None:
    """It is as random as it was."""
    tests = [(QUICK, number) for number in (3, 1, 2)]
    assert dealt(tests, 2) == tests


def test_the_longest_begin_first_each_in_a_process_of_its_own() -> None:
    """What a run would wait for at its end does not begin then; the others share out the rest."""
    tests = [(kind, number) for number in range(4) for kind in (QUICK, QUICK, WAITING)]
    order = dealt([*tests, (LONG, 0), (LONG, 1), (QUICK, 8)], 3)
    pieces = order[:5], order[5:10], order[10:]
    assert [[kind for kind, _ in piece if kind != QUICK] for piece in pieces] == [
        [LONG],
        [LONG],
        [WAITING] * 4,
    ]
    assert [piece[0][0] for piece in pieces] == [LONG, LONG, WAITING]
