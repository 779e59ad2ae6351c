"""Where something from outside is read: what can't be read is refused in the one documented way.

`make test-deep` tries some hundred changes of documents that are right, for each place; `make fuzz`
has a coverage-guided fuzzer change them.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.edges import EDGES, seeds_of

pytestmark = pytest.mark.deep


@st.composite
def changed(draw: st.DrawFn, name: str) -> bytes:
    """Returns an input that is right but for up to four places."""
    data = draw(st.sampled_from(seeds_of(name)))
    new = st.sampled_from(EDGES[name].words) | st.binary(max_size=20)
    for _ in range(draw(st.integers(0, 4))):
        begin = draw(st.integers(0, len(data)))
        end = draw(st.integers(begin, min(len(data), begin + 40)))
        data = data[:begin] + draw(new) + data[end:]
    return data


@pytest.mark.parametrize("name", EDGES)
@given(drawn=st.data())
def test_whatever_comes_is_read_or_refused(name: str, drawn: st.DataObject) -> None:
    """No other exception, and nothing beyond what the place promises."""
    EDGES[name].read(drawn.draw(changed(name)))
