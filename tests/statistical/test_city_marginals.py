"""The city's figures against those of its specification, which follow public statistics."""

from functools import lru_cache
from math import sqrt

import pytest
from city_marginals import marginals, overlaps

from demo.city.settings import MUNICIPALITIES, Settings
from demo.city.simulate import City, simulate

SEEDS = (20250401, 20250402, 20250403)
RESIDENTS = 150_000
SMALL = 25_000

# Figure, deviation over seeds, and what the figure's rounding hides. A city may differ by four
# deviations and the rounding. Deviations are published in the first part; in the second they are
# those of 24 seeds of this generator.
PUBLISHED = {
    "residents": (150_043, 274, 0.5),
    "households 2024": (4.0, 0.09, 0.05),
    "households 2019": (4.9, 0.09, 0.05),
    "residents 2024": (4.3, 0.09, 0.05),
    "residents 2019": (5.4, 0.09, 0.05),
    "months per household-year": (7.15, 0.11, 0.005),
    "10 months or more": (42.8, 1.2, 0.05),
    "eligible": (85.9, 0.4, 0.05),
    "absence above 15": (12.6, 0.3, 0.05),
    "support": (9.7, 0.3, 0.05),
    "care 65+": (17.0, 0.3, 0.05),
    "care 80+": (37, 0.7, 0.5),
}
MEASURED = {
    "persons per household": (2.207, 0.0047, 0.0005),
    "aged 6-15": (11.9, 0.093, 0.05),
    "aged 65-79": (12.9, 0.12, 0.05),
    "aged 80+": (5.5, 0.064, 0.05),
    "protected": (0.25, 0.017, 0.005),
    "children": (5.5, 0.19, 0.05),
    "children 2019": (6.8, 0.19, 0.05),
    "children long-term": (2.4, 0.13, 0.05),
    "children long-term 2019": (2.9, 0.13, 0.05),
    "single parents": (12, 0.46, 0.5),
    "single parents 2019": (14, 0.51, 0.5),
    "girls over boys": (1.5, 0.86, 0.5),
    "eligible, education 3": (90, 0.33, 0.5),
    "eligible, education 2": (82, 0.60, 0.5),
    "eligible, education 1": (68, 2.3, 0.5),
    "all passed": (76, 0.40, 0.5),
    "merit": (230, 0.55, 2.5),
    "failed maths": (12, 0.27, 0.5),
    "care women 65+": (19.5, 0.24, 0.05),
    "care men 65+": (13.7, 0.29, 0.05),
    "care home 80+": (12.5, 0.37, 0.05),
    "home care above 80 h": (14.5, 0.69, 0.05),
    "amount per household-year": (75_000, 335, 500),
}
TARGETS = PUBLISHED | MEASURED

# One city's counts, so that both they and ours vary; deviations over 24 seeds of this generator.
OVERLAPS = {
    "SOF": (26_386, 270),
    "AMF and SOF": (6_082, 64),
    "VOF": (6_014, 67),
    "SOF and VOF": (497, 24),
    "pupils": (10_615, 126),
    "pupils in SOF": (2_165, 49),
    "AMF and VOF": (145, 14),
    "pupils, heavy care": (209, 20),
    "households SOF, pupil": (1_459, 28),
    "households AMF, pupil": (860, 23),
    "households VOF, pupil": (284, 16),
    "households all four": (38, 7.2),
}


@lru_cache
def city(seed: int, residents: int = RESIDENTS, code: str = "A") -> City:
    municipality = MUNICIPALITIES[code]
    return simulate(Settings(seed=seed, residents=residents, municipality=municipality))


def off(made: City, scale: float = 1.0) -> dict[str, float]:
    """Give the figures of a city `scale` times as small that are too far off, with the value."""
    found = marginals(made)
    assert found.keys() == TARGETS.keys()
    return {
        name: found[name]
        for name, (target, deviation, rounding) in TARGETS.items()
        if abs(found[name] - target) > 4 * deviation * sqrt(scale) + rounding
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_every_figure_is_within_four_deviations(seed: int) -> None:
    assert off(city(seed)) == {}


@pytest.mark.parametrize("seed", SEEDS)
def test_overlaps_of_departments_are_those_expected(seed: int) -> None:
    found = overlaps(city(seed))
    assert found.keys() == OVERLAPS.keys()
    far = {
        name: found[name]
        for name, (expected, deviation) in OVERLAPS.items()
        if abs(found[name] - expected) > 4 * sqrt(2) * deviation
    }
    assert far == {}


def test_a_small_edition_has_the_same_figures() -> None:
    made = city(20250401, SMALL)
    assert set(off(made, scale=RESIDENTS / SMALL)) == {"residents"}
    assert marginals(made)["residents"] == pytest.approx(SMALL, rel=0.03)


def test_another_municipality_is_told_apart() -> None:
    # More deprived and its schools harder: the check sees what half a deviation of D does.
    wrong = off(city(20250401, RESIDENTS, "B"))
    assert {"households 2024", "children", "eligible", "eligible, education 2"} <= set(wrong)


def test_the_sister_municipalities_lie_on_either_side() -> None:
    here, poorer, richer = (
        marginals(city(20250401, MUNICIPALITIES[code].residents, code)) for code in "ABC"
    )
    for figure in ("households 2024", "residents 2024", "children"):
        assert richer[figure] < here[figure] < poorer[figure], figure
    assert poorer["eligible"] < here["eligible"] < richer["eligible"] + 2
