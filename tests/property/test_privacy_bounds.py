import math

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scripted import ScriptedEntropy

from models.privacy import blocks, keystream, sampler
from models.privacy.mechanisms import BoundedSum, Grid, noisy_sum, to_units
from models.quantities import ClipNorm, NoiseMultiplier

ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True, width=64)
TABLES = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=6),
    elements=ANY_FLOAT,
)
BOUNDS = st.floats(min_value=1e-6, max_value=1e6)
TINY_BOUNDS = st.floats(min_value=5e-324, max_value=1e-300)
BITS = st.integers(10, 24)


def exact_norm_squared(row: np.ndarray) -> int:
    return sum(int(value) ** 2 for value in row)


@given(table=TABLES, bound=BOUNDS | TINY_BOUNDS, bits=BITS)
@example(table=np.array([[1.0, 0.0]]), bound=1.0, bits=24)
@example(table=np.array([[0.6, 0.8]]), bound=1.0, bits=24)
@example(table=np.full((1, 4), 0.5), bound=1.0, bits=20)
@example(table=np.array([[1e308, 1e308, -1e308]]), bound=1.0, bits=24)
@example(table=np.array([[5e-324, 5e-324]]), bound=5e-324, bits=24)
@settings(max_examples=400, deadline=None)
def test_one_resident_moves_the_integer_sum_by_at_most_the_sensitivity(
    table: np.ndarray, bound: float, bits: int
) -> None:
    units = to_units(table, bound=ClipNorm(bound), bits=bits)
    assert all(exact_norm_squared(row) <= 4**bits for row in units)
    assert np.array_equal(units, np.trunc(units))
    # Neighbours: without the first resident the sum differs by that resident's integers alone.
    if len(table):
        fewer = to_units(table[1:], bound=ClipNorm(bound), bits=bits)
        assert np.array_equal(units.sum(axis=0) - fewer.sum(axis=0), units[0])


@given(
    row=hnp.arrays(
        np.float32, st.integers(1, 300), elements=st.floats(-(2.0**100), 2.0**100, width=32)
    ),
    bits=BITS,
)
@settings(max_examples=200, deadline=None)
def test_clipping_keeps_the_direction_and_loses_less_than_a_unit(
    row: np.ndarray, bits: int
) -> None:
    units = to_units(row[None], bound=ClipNorm(1.0), bits=bits)[0]
    length = math.sqrt(math.fsum(float(value) ** 2 for value in row))
    wanted = row.astype(np.float64) * min(1.0, 1 / length if length else 1.0) * 2.0**bits
    # One unit for the truncation; the step inwards is below 2^-6 of a unit.
    assert (np.abs(units - wanted) < 1.02).all()
    assert (np.abs(units) <= np.abs(wanted) + 1e-6).all()


@given(blocks=st.lists(st.integers(0, 5), max_size=4), seed=st.integers(0, 5))
@settings(deadline=None)
def test_blocks_add_up_to_the_same_sum(blocks: list[int], seed: int) -> None:
    parts = [np.random.default_rng(i).normal(size=(rows, 3)) for i, rows in enumerate(blocks)]
    total = BoundedSum(width=3, bound=ClipNorm(1.0), noise=NoiseMultiplier(2.0))
    for part in parts:
        total.add(part)
    whole = noisy_sum(
        np.concatenate([np.empty((0, 3)), *parts]),
        bound=ClipNorm(1.0),
        noise=NoiseMultiplier(2.0),
        entropy=ScriptedEntropy(seed),
    )
    assert np.array_equal(total.release(ScriptedEntropy(seed)), whole)


@given(noise=st.floats(min_value=1e-3, max_value=20_000))
@example(noise=math.nextafter(1.0, 0))
@example(noise=1.0)
@example(noise=math.nextafter(1.0, 2))
@example(noise=1 - 2.0**-25)
@example(noise=1 - 2.0**-26)
def test_the_noise_of_a_grid_dominates_the_wanted_noise_and_fits_the_sampler(
    noise: float,
) -> None:
    grid = Grid.of(NoiseMultiplier(noise))
    wanted = math.ldexp(noise, grid.bits)  # exact: a power of two
    assert grid.scale**2 - 16 >= wanted**2
    assert grid.scale <= wanted + 2
    assert grid.scale <= sampler.LARGEST_SCALE
    assert 10 <= grid.bits <= 24


@given(scale=st.integers(1, sampler.LARGEST_SCALE), fraction=st.floats(0, 1, exclude_max=True))
@example(scale=sampler.LARGEST_SCALE, fraction=1 - 2.0**-53)
@example(scale=63, fraction=1 - 2.0**-53)
@settings(deadline=None)
def test_no_number_of_the_acceptance_step_overflows(scale: int, fraction: float) -> None:
    found = blocks.table(scale)
    width, parts = 1 << found.bits, 2 * scale**2
    last = len(found.sums)
    least, rest = last * width, int(fraction * width)
    assert (last + 1) * width <= blocks.CUT * scale
    numerator = (least + rest) ** 2 - least**2
    assert numerator == rest * (2 * least + rest) <= parts
    for turn in (1, 2, 1023):
        q = keystream.WORDS // (parts * turn)
        assert q >= 1
        assert numerator * q <= keystream.WORDS
    assert numerator * (keystream.WORDS // parts + 1) < 2**63


@given(scale=st.integers(1, sampler.LARGEST_SCALE), seed=st.integers(0, 1000))
@example(scale=sampler.LARGEST_SCALE, seed=0)
@settings(max_examples=30, deadline=None)
def test_noise_stays_below_32_standard_deviations(scale: int, seed: int) -> None:
    found = sampler.discrete_gaussian(scale=scale, size=2000, entropy=ScriptedEntropy(seed))
    assert np.abs(found).max() < blocks.CUT * scale
