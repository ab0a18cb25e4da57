"""The planted effects, as the joined records show them and as one department sees them."""

from functools import lru_cache

import numpy as np
import pytest
from scipy import stats

from demo.city.findings.findings import Estimate, alone, joined
from demo.city.findings.rows import SpellMonths
from demo.city.labour import OSA, PRAKTIK
from demo.city.settings import Effects, Settings
from demo.city.simulate import City, simulate

SEEDS = (20250401, 20250402, 20250403)
RESIDENTS = 150_000
EFFECTS = ("j1_level", "j1_slope", "j2_early", "j2_middle", "j2_late", "j3", "j4", "j5", "n2")
OFF, REVERSED = (Effects(j1=f, j2=f, j3=f, j4=f, j5=f) for f in (0, -1))
AS_SPECIFIED = Effects()

# What one department sees, or a crude comparison: published mean and deviation of one city.
CRUDE = {
    "j1_long_assistance": (0.614, 0.025),
    "j1_others": (0.869, 0.004),
    "j2_any_work_based": (-0.17, 0.02),
    "j3_heavy_care": (13.6, 1.2),
    "j3_others": (8.4, 0.07),
    "j4_crude": (-0.55, 0.08),
    "j4_school": (0.00, 0.09),
    "n1_school": (118, 23),
    "n2_any_programme": (-0.65, 0.034),
}


@lru_cache
def city(seed: int, effects: Effects = AS_SPECIFIED, residents: int = RESIDENTS) -> City:
    return simulate(Settings(seed=seed, residents=residents, effects=effects))


@lru_cache
def found(seed: int, effects: Effects = AS_SPECIFIED) -> dict[str, Estimate]:
    return {estimate.name: estimate for estimate in joined(city(seed, effects))}


def far(estimates: dict[str, Estimate]) -> dict[str, float]:
    """Give the effects estimated more than three standard errors from the truth."""
    errors = {
        name: (estimates[name].value - estimates[name].truth) / estimates[name].deviation
        for name in EFFECTS
    }
    return {name: error for name, error in errors.items() if abs(error) > 3}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_joined_records_give_the_truth(seed: int) -> None:
    truth = {name: found(seed)[name].truth for name in EFFECTS}
    planted = (-0.80, -0.060, 0.65, 0.30, 0, 0.55, 0.50, 1.00, 0)
    assert truth == dict(zip(EFFECTS, planted, strict=True))
    assert far(found(seed)) == {}


@pytest.mark.parametrize("seed", SEEDS)
def test_effects_that_are_off_are_not_found(seed: int) -> None:
    assert {found(seed, OFF)[name].truth for name in EFFECTS} == {0}
    assert far(found(seed, OFF)) == {}


def test_reversed_effects_are_found_reversed() -> None:
    estimates = found(20250401, REVERSED)
    assert far(estimates) == {}
    assert estimates["j1_level"].value > 0.4
    assert estimates["j2_early"].value < -0.4


def test_a_wrong_truth_is_told_apart() -> None:
    # The same check, with the truth of the city as specified and the city without effects.
    specified, without = found(20250401), found(20250401, OFF)
    mixed = {
        name: Estimate(
            name=name,
            truth=specified[name].truth,
            value=without[name].value,
            deviation=without[name].deviation,
            count=without[name].count,
        )
        for name in EFFECTS
    }
    assert far(mixed).keys() == set(EFFECTS) - {"j2_late", "n2"}


def test_many_seeds_are_neither_biased_nor_off_in_their_errors() -> None:
    # 24 cities of 20,000: the errors in units of their standard error are about standard normal.
    seeds, small = range(24), 20_000
    errors: dict[str, list[float]] = {name: [] for name in EFFECTS}
    for seed in seeds:
        for estimate in joined(simulate(Settings(seed=seed, residents=small))):
            if estimate.name in errors:
                assert estimate.truth is not None
                assert estimate.deviation is not None
                errors[estimate.name].append((estimate.value - estimate.truth) / estimate.deviation)
    for name, values in errors.items():
        assert abs(np.mean(values)) < 4 / np.sqrt(len(seeds)), name
        assert 0.6 < np.std(values) < 1.6, name


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("name", "tested"), [("n1", 11), ("n3", 39)])
def test_districts_and_caseworkers_matter_no_more_than_chance(
    seed: int, name: str, tested: int
) -> None:
    estimate = found(seed)[name]
    assert estimate.truth == tested
    assert 0.001 < stats.chi2.cdf(estimate.value, tested) < 0.999


@pytest.mark.parametrize("seed", SEEDS)
def test_costs_are_concentrated_in_households_that_several_departments_know(seed: int) -> None:
    assert found(seed)["j6_households"].value == pytest.approx(0.0297, abs=4 * 0.0008)
    assert found(seed)["j6_cost"].value == pytest.approx(0.668, abs=4 * 0.009)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_department_alone_is_misled_as_described(seed: int) -> None:
    estimates = {estimate.name: estimate for estimate in alone(city(seed))}
    assert estimates.keys() == CRUDE.keys()
    misled = {
        name: estimates[name].value
        for name, (mean, deviation) in CRUDE.items()
        if abs(estimates[name].value - mean) > 4 * deviation
    }
    assert misled == {}
    assert estimates["j2_any_work_based"].value < 0 < found(seed)["j2_early"].value
    assert estimates["j4_crude"].value < 0 < found(seed)["j4"].value


def test_windows_of_programmes_are_those_of_a_slow_search() -> None:
    made = city(20250401, AS_SPECIFIED, 5_000)
    paid, taken = made.assistance, made.labour.programmes
    months = SpellMonths.of(made)
    here = np.flatnonzero(~made.population.households.former[paid.household])
    for place, row in enumerate(here):
        latest = None
        for programme in np.flatnonzero(taken.household == paid.household[row]):
            if taken.spell[programme] == paid.spell[row] and (
                taken.start[programme] <= paid.month[row]
            ):
                latest = programme
        inside = latest is not None and paid.month[row] <= taken.end[latest] + 6
        assert months.in_window[place] == inside
        work = inside and taken.kind[latest] in {PRAKTIK, OSA}
        assert months.work_based[place] == work
        if inside:
            assert months.programme_month[place] == taken.spell_month[latest]
    assert months.work_based.any()
