"""Which rows are superseded: the fast way finds what a walk over the rows finds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import DataContractError
from node.vault.cells import CODES, FINE, Held, Problem
from node.vault.keys import Superseded, hashes, keyed

REPEATED = CODES[Problem.REPEATED]
REPLACED = CODES[Problem.REPLACED]

ROW = st.tuples(
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from([1.0, 2.0, -0.0, 0.0]),
    st.sampled_from([np.nan, 5.0, 6.0]),
    st.sampled_from([FINE, FINE, FINE, 3]),
)


def slowly(rows):
    """Walk from the end and remember what was seen."""
    states, keys, whole = [], set(), set()
    for name, number, rest, problem in reversed(rows):
        key, content = (name, number), (name, number, str(rest))
        if problem != FINE:
            states.append(FINE)
            continue
        later = REPEATED if content in whole else REPLACED
        states.append(later if key in keys else FINE)
        keys.add(key)
        whole.add(content)
    return states[::-1]


def parts(rows, size):
    for start in range(0, len(rows), size):
        names, numbers, rests, problems = zip(*rows[start : start + size], strict=True)
        marks = np.array(problems, dtype=np.int8)
        fine = np.full(len(marks), FINE, dtype=np.int8)
        name = Held(values=np.array(names, dtype=object), problems=marks, notes=fine)
        number = Held(values=np.array(numbers), problems=fine, notes=fine)
        rest = Held(values=np.array(rests), problems=fine, notes=fine)
        yield keyed([name, number], read=[rest])


@given(
    rows=st.lists(ROW, min_size=1, max_size=40),
    size=st.integers(1, 10),
    other=st.integers(1, 10),
)
def test_superseded_rows_are_those_that_a_walk_finds(rows, size, other):
    superseded = Superseded(parts(rows, size), place="x")
    # The second time need not come in the same stretches.
    found = [superseded.problems(part.keys) for part in parts(rows, other)]
    assert np.concatenate(found).tolist() == slowly(rows)


def test_another_order_the_second_time_is_found_out():
    row = ("a", 1.0, 5.0, FINE)
    rows = [row, ("b", 1.0, 5.0, FINE), row]
    for again in (rows[1:], [rows[1], row, row]):
        superseded = Superseded(parts(rows, 3), place="the query")
        (part,) = parts(again, 3)
        with pytest.raises(DataContractError, match="the query: the rows came in another order"):
            superseded.problems(part.keys)


@given(
    st.lists(
        st.tuples(
            st.text(max_size=3),
            st.floats(allow_nan=True),
            st.integers(-2, 2),
            st.dates(),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_hashes_are_equal_exactly_for_equal_rows(rows):
    texts, numbers, places, days = zip(*rows, strict=True)
    found = hashes(
        [
            np.array(texts, dtype=object),
            np.array(numbers),
            np.array(places, dtype=np.int16),
            np.array(days, dtype="datetime64[D]"),
        ]
    )
    same = [(t, "nan" if math.isnan(n) else n, p, d) for t, n, p, d in rows]
    for first, own in enumerate(same):
        for second, other in enumerate(same):
            assert (found[first] == found[second]) == (own == other)
