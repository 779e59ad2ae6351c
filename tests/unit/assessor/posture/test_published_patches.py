"""What an open alert has published, and what is growth."""

from hypothesis import given
from hypothesis import strategies as st

from assessor.posture.published_patches import MAX_NAMED, PublishedPatches

NAMES = st.lists(st.text("abcdefgh", min_size=1, max_size=2), unique=True, max_size=8)
ASSESSMENTS = st.lists(st.tuples(st.none() | st.integers(0, 9), st.none() | NAMES, st.booleans()))


def after(assessments: list[tuple[int | None, list[str] | None, bool]]) -> PublishedPatches:
    """Returns what has been published after these assessments."""
    published = PublishedPatches()
    for count, listed, whole in assessments:
        published = published.growth(count, listed, whole=whole).published
    return published


@given(ASSESSMENTS, st.none() | st.integers(0, 9), st.none() | NAMES, st.booleans())
def test_the_same_again_is_no_growth(
    before: list[tuple[int | None, list[str] | None, bool]],
    count: int | None,
    listed: list[str] | None,
    whole: bool,  # noqa: FBT001 - drawn
) -> None:
    """Whatever came before, an assessment that is repeated adds nothing."""
    published = after([*before, (count, listed, whole)])
    growth = published.growth(count, listed, whole=whole)
    assert not growth.grew
    assert growth.new == ()


@given(ASSESSMENTS, NAMES)
def test_a_name_is_new_once(
    before: list[tuple[int | None, list[str] | None, bool]], listed: list[str]
) -> None:
    """New are those in the list that were in none before."""
    seen = {name for _, names, _ in before for name in names or ()}
    growth = after(before).growth(None, listed, whole=True)
    assert set(growth.new) == set(listed) - seen


@given(ASSESSMENTS, NAMES)
def test_a_whole_list_leaves_nothing_unnamed(
    before: list[tuple[int | None, list[str] | None, bool]], listed: list[str]
) -> None:
    """So the next name that is new is growth."""
    published = after(before).growth(None, listed, whole=True).published
    assert published.unnamed == 0
    assert published.growth(None, [*listed, "new"], whole=True).grew


def test_a_count_that_rises_is_growth_and_one_that_falls_is_not() -> None:
    """Where there is no list, the count decides."""
    published = PublishedPatches().growth(3, None, whole=True).published
    assert not published.growth(2, None, whole=True).grew
    assert not published.growth(2, None, whole=True).published.growth(3, None, whole=True).grew
    assert published.growth(4, None, whole=True).grew


def test_a_list_that_is_shorter_than_its_count_is_made_up_by_the_count() -> None:
    """ARM counts one more than it lists: it is published, and published once."""
    growth = PublishedPatches().growth(2, ["a"], whole=True)
    assert growth.published.unnamed == 1
    assert not growth.published.growth(2, ["a", "b"], whole=True).grew
    assert growth.published.growth(3, ["a", "b", "c"], whole=True).grew


def test_as_many_names_are_kept_as_are_listed() -> None:
    """However many: one that is dropped while it is listed would be news every day."""
    names = [str(number) for number in range(MAX_NAMED + 10)]
    published = PublishedPatches().growth(None, names, whole=True).published
    assert not published.growth(None, names, whole=True).grew
    assert published.growth(None, ["x"], whole=True).published.named == (
        *names[-MAX_NAMED + 1 :],
        "x",
    )
