"""No contribution leaves its ball, and no resident moves the rounded sum further than `reach`."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import AccountingError
from models.privacy.bounded_cells import GRAIN_BITS, Cells, bounded_grains, to_units
from models.privacy.shared_noise import SharedNoise
from models.quantities import ClipNorm

LENGTH = 9
ANY = st.floats(allow_nan=True, allow_infinity=True)
AROUND = st.floats(-3, 3)
VALUES = st.one_of(ANY, AROUND, st.sampled_from([0.0, -0.0, 1e-320, 1e154, -1e155, 1e308]))
VECTORS = st.lists(st.lists(VALUES, min_size=LENGTH, max_size=LENGTH), min_size=1, max_size=6)
BOUNDS = st.sampled_from([1e-6, 0.3, 1.0, 2.0, 1e6])
BITS = st.integers(10, 20)


def dense(residents: int) -> Cells:
    return Cells(
        owners=np.repeat(np.arange(residents), LENGTH),
        coordinates=np.tile(np.arange(LENGTH), residents),
        residents=residents,
        length=LENGTH,
    )


def grains(vectors: list[list[float]], bound: float, bits: int) -> list[int]:
    values = np.array(vectors, dtype=np.float64).ravel()
    found = bounded_grains(values, dense(len(vectors)), bound=ClipNorm(bound), bits=bits)
    return [int(each) for each in found]


@given(VECTORS, BOUNDS, BITS)
def test_a_contribution_is_inside_the_ball_in_exact_integers(vectors, bound, bits) -> None:
    for vector in vectors:
        found = grains([vector], bound, bits)
        assert sum(each * each for each in found) <= 4 ** (bits + GRAIN_BITS)


@given(VECTORS, BOUNDS, BITS)
def test_the_sum_is_exactly_that_of_the_residents_one_by_one(vectors, bound, bits) -> None:
    alone = [grains([vector], bound, bits) for vector in vectors]
    together = [sum(column) for column in zip(*alone, strict=True)]
    assert grains(vectors, bound, bits) == together


@given(st.lists(AROUND, min_size=LENGTH, max_size=LENGTH), BITS)
def test_a_vector_inside_keeps_its_value_and_one_outside_its_direction(vector, bits) -> None:
    norm = math.sqrt(sum(x * x for x in vector))
    wanted = np.array(vector) * min(1.0, 2.0 / norm if norm else 1.0) / 2.0
    found = np.array(grains([vector], 2.0, bits)) * 2.0 ** -(bits + GRAIN_BITS)
    assert found == pytest.approx(wanted, abs=2.0**-21)


@given(
    st.lists(st.integers(-(2**40), 2**40), min_size=LENGTH, max_size=LENGTH), VECTORS, BOUNDS, BITS
)
def test_one_resident_moves_the_rounded_sum_no_further_than_reach(
    others, vectors, bound, bits
) -> None:
    reach = SharedNoise(bits=bits, length=LENGTH, carriers=1, scale=8).reach
    before = np.array(others)
    for vector in vectors:
        moved = np.array(grains([vector], bound, bits))
        difference = to_units(before + moved) - to_units(before)
        assert not difference[moved == 0].any()
        assert sum(int(each) ** 2 for each in difference) <= reach**2


def test_the_reach_is_needed_and_nearly_attained() -> None:
    # Many small entries, each of which tips a coordinate: further than the clip alone allows.
    length, bits = 4096, 10
    noise = SharedNoise(bits=bits, length=length, carriers=1, scale=8)
    each = (1 << (bits + GRAIN_BITS)) // 64 + 0  # 4096 entries of norm 2^22 together
    difference = to_units(np.full(length, each + 2047)) - to_units(np.full(length, 2047))
    norm = math.sqrt(float((difference**2).sum()))
    assert norm == 2**bits
    tipped = to_units(np.full(length, each + 2047 - 4095)) - to_units(np.full(length, 2047 - 4095))
    assert math.sqrt(float((tipped**2).sum())) <= noise.reach
    small = to_units(np.full(length, 2048)) - to_units(np.full(length, 2047))
    assert math.sqrt(float((small**2).sum())) == 64.0 > 4096**0.5 * 2.0**-GRAIN_BITS


def test_rounding_is_to_the_nearest_unit() -> None:
    grains = np.array([0, 2047, 2048, 4096, -2048, -2049, 3 * 4096 + 1])
    assert to_units(grains).tolist() == [0, 0, 1, 1, 0, -1, 3]


@pytest.mark.parametrize(
    ("owners", "coordinates"),
    [([0, 0], [1, 1]), ([0, 0], [2, 1]), ([1, 0], [0, 0]), ([0, 2], [0, 0]), ([0, 0], [0, 9])],
    ids=str,
)
def test_cells_that_would_count_a_resident_twice_are_refused(owners, coordinates) -> None:
    with pytest.raises(AccountingError):
        Cells(
            owners=np.array(owners), coordinates=np.array(coordinates), residents=2, length=LENGTH
        )


def test_more_or_fewer_values_than_cells_are_refused() -> None:
    with pytest.raises(AccountingError):
        bounded_grains(np.ones(LENGTH + 1), dense(1), bound=ClipNorm(1.0), bits=10)
