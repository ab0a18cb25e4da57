import numpy as np
import pytest
from scripted import ScriptedEntropy

from models.errors import AccountingError
from models.privacy.mechanisms import BoundedSum, Grid, noisy_count, noisy_sum, to_units
from models.quantities import ClipNorm, NoiseMultiplier

BITS = 20
UNIT = 2**BITS
INWARDS = UNIT - 1  # the bound itself lies just inside the ball, and is then truncated

# The table of edge cases in `models.privacy.mechanisms`: row, bound, integers.
EDGES = {
    "all zeros": ([0.0, -0.0], 1.0, [0, 0]),
    "no coordinates": ([], 1.0, []),
    "a NaN": ([np.nan, 0.5], 1.0, [0, 0]),
    "an infinity": ([0.5, -np.inf], 1.0, [0, 0]),
    "subnormal": ([5e-324, 0.0], 1.0, [0, 0]),
    "below one unit": ([0.99 / UNIT, -0.99 / UNIT], 1.0, [0, 0]),
    "below the bound": ([0.25, -0.5], 1.0, [UNIT // 4 - 1, 1 - UNIT // 2]),
    "exactly the bound": ([0.0, -1.0], 1.0, [0, -INWARDS]),
    "exactly another bound": ([0.0, 3.0], 3.0, [0, INWARDS]),
    "above the bound": ([2.0, 0.0], 1.0, [INWARDS, 0]),
    "beyond the floating range": ([1e308, 1e308], 1.0, [741455, 741455]),
    "subnormal, with a subnormal bound": ([5e-324, 0.0], 5e-324, [INWARDS, 0]),
    "normal, with a subnormal bound": ([0.0, -1.0], 5e-324, [0, -INWARDS]),
}


@pytest.mark.parametrize("case", EDGES)
def test_edge_cases_of_a_contribution(case: str) -> None:
    row, bound, expected = EDGES[case]
    units = to_units(np.array([row]), bound=ClipNorm(bound), bits=BITS)
    assert units[0].tolist() == expected


def test_a_bad_row_leaves_the_others_as_they_are() -> None:
    rows = np.array([[0.5, 0.0], [np.nan, 1.0], [0.0, 0.5]])
    good = to_units(rows[[0, 2]], bound=ClipNorm(1.0), bits=BITS)
    assert np.array_equal(to_units(rows, bound=ClipNorm(1.0), bits=BITS)[[0, 2]], good)


def test_contributions_are_not_changed() -> None:
    rows = np.array([[3.0, np.nan], [4.0, 0.0]])
    before = rows.copy()
    noisy_sum(rows, bound=ClipNorm(1.0), noise=NoiseMultiplier(1.0), entropy=ScriptedEntropy())
    noisy_sum(rows, bound=ClipNorm(1.0), noise=None, entropy=ScriptedEntropy())
    assert np.array_equal(rows, before, equal_nan=True)


def test_small_floats_are_summed_as_large_ones() -> None:
    rows = np.random.default_rng(1).normal(size=(50, 7)).astype(np.float32)
    sums = [
        noisy_sum(x, bound=ClipNorm(1.0), noise=NoiseMultiplier(1.0), entropy=ScriptedEntropy())
        for x in (rows, rows.astype(np.float64))
    ]
    assert np.array_equal(*sums)


def test_without_noise_the_sum_is_the_plain_one() -> None:
    rows = np.array([[30.0, 1.0], [np.inf, 0.0], [4.0, -2.0]])
    entropy = ScriptedEntropy()
    found = noisy_sum(rows, bound=ClipNorm(1.0), noise=None, entropy=entropy)
    assert found.tolist() == [34.0, -1.0]
    assert noisy_count(7, noise=None, entropy=entropy) == 7.0
    assert entropy.tokens == 0


def test_every_coordinate_of_every_release_gets_noise_of_its_own() -> None:
    entropy = ScriptedEntropy()
    found = np.concatenate(
        [
            noisy_sum(
                np.zeros((4, 500)),
                bound=ClipNorm(1.0),
                noise=NoiseMultiplier(1.0),
                entropy=entropy,
            )
            for _ in range(4)
        ]
    )
    assert np.unique(found).size == found.size


def test_a_large_sum_is_handled_in_blocks_without_losing_a_unit() -> None:
    rows = np.tile(np.array([[0.5, 0.25, 0.0]]), (400_000, 1))
    noise = NoiseMultiplier(2.0)
    one = to_units(rows[:1], bound=ClipNorm(1.0), bits=Grid.of(noise).bits)[0]
    empty, full = (
        noisy_sum(x, bound=ClipNorm(1.0), noise=noise, entropy=ScriptedEntropy(1))
        for x in (rows[:0], rows)
    )
    assert (full - empty).tolist() == (400_000 * one * 2.0 ** -Grid.of(noise).bits).tolist()


def test_a_sum_is_released_once() -> None:
    total = BoundedSum(width=2, bound=ClipNorm(1.0), noise=NoiseMultiplier(1.0))
    total.release(ScriptedEntropy(1))
    with pytest.raises(AccountingError, match="once"):
        total.release(ScriptedEntropy(2))


@pytest.mark.parametrize("shape", [(3,), (3, 4), (1, 2, 2)])
def test_contributions_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    total = BoundedSum(width=2, bound=ClipNorm(1.0), noise=NoiseMultiplier(1.0))
    with pytest.raises(AccountingError, match="row per resident"):
        total.add(np.zeros(shape))


@pytest.mark.parametrize("noise", [1e-7, 33_000.0, 1e9])
def test_noise_outside_the_grid_is_refused(noise: float) -> None:
    with pytest.raises(AccountingError, match="outside the range"):
        Grid.of(NoiseMultiplier(noise))


def test_a_count_is_the_sum_of_ones_but_for_the_step_inwards() -> None:
    noise = NoiseMultiplier(3.0)
    count = noisy_count(1000, noise=noise, entropy=ScriptedEntropy(4))
    total = noisy_sum(
        np.ones((1000, 1)), bound=ClipNorm(1.0), noise=noise, entropy=ScriptedEntropy(4)
    )
    assert count - total[0] == pytest.approx(0, abs=1000 * 2.0 ** -Grid.of(noise).bits)
