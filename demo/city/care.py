"""Health and care (VOF): who has care or support at home, of what kind, from when, how much."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from demo.city.population import Kind, Population
from demo.city.settings import BURN_IN, MONTHS, Bools, Floats, Settings, Whole, logistic

OPEN: Final = 10_000
"""The end of care that has not ended, as a month."""

_ADULT, _PENSIONER = 18, 65
_ALARM_ONLY: Final = 0.66
HEAVY_HOURS: Final = 30
"""Hours of home care a month from which a household counts as having heavy care."""


class CareKind(StrEnum):
    """Kinds of care. `Care.kind` holds the position in this enumeration."""

    SABO = "SABO"  # care home
    LARM = "LARM"  # alarm only
    HTJ = "HTJ"  # home care
    BOSTOD = "BOSTOD"  # support in daily living, below 65


SABO, LARM, HTJ, BOSTOD = range(len(CareKind))


@dataclass(frozen=True, slots=True, kw_only=True)
class Care:
    """One entry per person who has or had care, in order of the persons."""

    person: Whole
    """Row among the persons of the population."""
    kind: Whole
    """Position in `tuple(CareKind)`: `SABO`, `LARM`, `HTJ` or `BOSTOD`."""
    start: Whole
    """First month with care; may be before month 0."""
    end: Whole
    """First month without care; `OPEN` where it has not ended. May be before month 0."""
    hours: Floats
    """Hours a month, one decimal; NaN for SABO and LARM."""
    heavy_months: Bools
    """Households by months (from -BURN_IN): a BOSTOD, or home care of 30 hours or more."""

    def heavy(self, household: Whole, month: Whole) -> Bools:
        """Tell for each household and month whether there is heavy care at home, HV(h, m)."""
        return self.heavy_months[household, month + BURN_IN]


def provide_care(settings: Settings, population: Population) -> Care:
    """Give care to those who need it, cut short for former residents when they left."""
    draw = settings.generator("vof")
    everybody = len(population.age)
    old = population.age >= _PENSIONER
    has = draw.random(everybody) < _need(population)
    start, end = _period(draw, old)
    kind = _kind(draw.random(everybody), population.age)
    hours = _hours(draw, kind)
    left = population.households.left[population.household]
    here = np.where(left < MONTHS, left, OPEN)
    person = np.flatnonzero(has & (start < here))
    care = {
        "person": person,
        "kind": kind[person],
        "start": start[person],
        "end": np.minimum(end, here)[person],
        "hours": hours[person],
    }
    return Care(**care, heavy_months=_heavy_months(population, **care))


def _need(population: Population) -> Floats:
    """Give each person's probability of having care at some time."""
    homes, household, age = population.households, population.household, population.age
    alone = homes.kind[household] == Kind.SINGLE
    ill_health = homes.ill_health[household]
    old = -11.35 + 0.118 * age + 0.30 * population.woman + 0.45 * alone + 0.35 * ill_health
    adult = logistic(-4.40 + 0.9 * ill_health)
    return np.select([age >= _PENSIONER, age >= _ADULT], [logistic(old), adult], default=0.0)


def _period(draw: np.random.Generator, old: Bools) -> tuple[Whole, Whole]:
    """Give the first month with care and the first month without."""
    count = len(old)
    ago = np.minimum(draw.exponential(30, count), 165)
    start = np.where(old, MONTHS - 1 - ago, draw.uniform(-BURN_IN, MONTHS, count))
    end = np.where(old, OPEN, start + 6 + draw.exponential(60, count))
    return np.floor(start).astype(np.int64), np.floor(end).astype(np.int64)


def _kind(share: Floats, age: Whole) -> Whole:
    """Choose the kind of care by one uniform number per person."""
    at_home = np.where(share > _ALARM_ONLY, LARM, HTJ)
    in_care_home = share < logistic(-1.30 + 0.06 * (age - 80))
    elderly = np.where(in_care_home, SABO, at_home)
    return np.where(age >= _PENSIONER, elderly, BOSTOD)


def _hours(draw: np.random.Generator, kind: Whole) -> Floats:
    """Give hours a month, one decimal; NaN where care is not counted in hours."""
    count = len(kind)
    home_care = np.clip(draw.lognormal(3.35, 0.95, count), 1, 300)
    daily_living = np.clip(draw.lognormal(2.5, 0.6, count), 2, 80)
    choices = [kind == HTJ, kind == BOSTOD]
    hours = np.select(choices, [home_care, daily_living], default=np.nan)
    return np.asarray(np.round(hours, 1), dtype=np.float64)


def _heavy_months(
    population: Population, *, person: Whole, kind: Whole, start: Whole, end: Whole, hours: Floats
) -> Bools:
    """Mark the months from -BURN_IN in which a household has heavy care at home."""
    heavy = (kind == BOSTOD) | ((kind == HTJ) & (hours >= HEAVY_HOURS))
    households = len(population.households.kind)
    months = BURN_IN + MONTHS
    change = np.zeros((households, months + 1), dtype=np.int8)
    household = population.household[person[heavy]]
    np.add.at(change, (household, np.clip(start[heavy] + BURN_IN, 0, months)), 1)
    np.add.at(change, (household, np.clip(end[heavy] + BURN_IN, 0, months)), -1)
    return np.cumsum(change[:, :months], axis=1, dtype=np.int8) > 0
