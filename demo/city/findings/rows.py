"""The joined records that findings are estimated from: pupils, spell months, households' costs.

Everything is derived from what departments write, as a department's analyst would derive it.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from demo.city.assistance import DURATION_BOUNDS, OLDER, with_children
from demo.city.care import BOSTOD
from demo.city.findings.regression import Columns
from demo.city.labour import EARLY, MIDDLE, WINDOW_AFTER, work_based
from demo.city.population import DISTRICTS, HIGH, LOW
from demo.city.schools import USUAL_ABSENCE
from demo.city.settings import (
    BURN_IN,
    FIRST_YEAR,
    LAST_YEAR,
    MONTHS,
    Bools,
    Floats,
    Whole,
)
from demo.city.simulate import City

_PENSIONER: Final = 65


@dataclass(frozen=True, slots=True, kw_only=True)
class PupilRows:
    """Grade-9 pupils whose household still lives here, with all that departments know of them."""

    district: Whole
    girl: Bools
    education: Whole
    newly_arrived: Bools
    failed_maths_grade_6: Bools
    support: Bools
    absence: Floats
    eligible: Bools
    long_assistance: Bools
    child_protection: Bools
    heavy_care: Bools

    @staticmethod
    def of(city: City) -> "PupilRows":
        """Take the pupils of a city."""
        schools, homes = city.schools, city.population.households
        here = ~homes.former[schools.household]
        return PupilRows(
            district=homes.district[schools.household[here]],
            girl=city.population.woman[schools.person[here]],
            education=schools.guardian_education[here],
            newly_arrived=schools.newly_arrived[here],
            failed_maths_grade_6=schools.failed_maths_grade_6[here],
            support=schools.support[here],
            absence=schools.absence[here],
            eligible=schools.eligible[here],
            long_assistance=schools.long_assistance[here],
            child_protection=schools.child_protection[here],
            heavy_care=schools.heavy_care[here],
        )

    def school(self) -> Columns:
        """Give what the schools know."""
        return {
            "high_education": self.education == HIGH,
            "low_education": self.education == LOW,
            "girl": self.girl,
            "absence": self.absence - USUAL_ABSENCE,
            "newly_arrived": self.newly_arrived,
            "failed_maths_grade_6": self.failed_maths_grade_6,
            "support": self.support,
        }

    def joined(self) -> Columns:
        """Give what schools and social services know together."""
        return self.school() | {
            "child_protection": self.child_protection,
            "long_assistance": self.long_assistance,
            "absence_and_assistance": (self.absence - USUAL_ABSENCE) * self.long_assistance,
        }

    def districts(self) -> Columns:
        """Give a variable for each district but the first."""
        return indicators("district", self.district, range(1, len(DISTRICTS)))


@dataclass(frozen=True, slots=True, kw_only=True)
class SpellMonths:
    """Months of assistance from 2016, with the clock of spells that began earlier."""

    household: Whole
    leaves: Bools
    clock: Columns
    applicant: Columns
    in_window: Bools
    """In a programme, or in the six months after it."""
    work_based: Bools
    """That programme is work-based."""
    programme_month: Whole
    """Spell month in which that programme started."""

    @staticmethod
    def of(city: City) -> "SpellMonths":
        """Take the spell months of a city."""
        paid, people = city.assistance, city.population
        homes = people.households
        row = np.flatnonzero(~homes.former[paid.household])
        household, spell_month = paid.household[row], paid.spell_month[row]
        year = FIRST_YEAR + paid.month[row] // 12
        age = year - (LAST_YEAR - people.age[homes.first[household]])
        education = people.head_education[household]
        period = np.searchsorted(DURATION_BOUNDS, spell_month, side="left")
        programme, in_window = _latest_programme(city, row)
        return SpellMonths(
            household=household,
            leaves=paid.last[row],
            clock=indicators("clock", period, range(1, len(DURATION_BOUNDS) + 1)),
            applicant={
                "high_education": education == HIGH,
                "low_education": education == LOW,
                "from_50": age >= OLDER,
                "hinder_health": paid.hinder_health[household],
                "children": with_children(people)[household],
            },
            in_window=in_window,
            work_based=in_window & work_based(city.labour.programmes.kind[programme]),
            programme_month=city.labour.programmes.spell_month[programme],
        )

    def joined(self) -> Columns:
        """Give what social services and the labour-market department know together."""
        early = self.programme_month <= EARLY
        middle = ~early & (self.programme_month <= MIDDLE)
        return {
            **self.clock,
            **self.applicant,
            "early": self.work_based & early,
            "middle": self.work_based & middle,
            "late": self.work_based & ~early & ~middle,
            "other": self.in_window & ~self.work_based,
        }


def _latest_programme(city: City, row: Whole) -> tuple[Whole, Bools]:
    """Give each month's latest programme of the spell, and whether its window still lasts."""
    paid, programmes = city.assistance, city.labour.programmes
    # Programmes stand in the order of spells and then of months, as the months do.
    key = programmes.spell * (BURN_IN + MONTHS) + programmes.start + BURN_IN
    month = paid.month[row]
    wanted = paid.spell[row] * (BURN_IN + MONTHS) + month + BURN_IN
    latest = np.searchsorted(key, wanted, side="right") - 1
    same = (latest >= 0) & (programmes.spell[latest] == paid.spell[row])
    return latest, same & (month <= programmes.end[latest] + WINDOW_AFTER)


def indicators(name: str, values: Whole, of: range) -> Columns:
    """Give a 0/1 variable for each of some values."""
    return {f"{name}_{value}": values == value for value in of}


def costs(city: City) -> Floats:
    """Give each department's cost in kronor in the last year, for households with a head below 65.

    One row per household; columns: assistance, programmes, support in daily living (a year of it
    for those who have it at the end of the year), special support in grade 9 (J6).
    """
    homes, people, care = city.population.households, city.population, city.care
    paid, programmes = city.assistance, city.labour.programmes
    count, first_month = len(homes.kind), MONTHS - 12
    months = np.bincount(paid.household[paid.month >= first_month], minlength=count)
    taken = np.maximum(programmes.end - np.maximum(programmes.start, first_month) + 1, 0)
    served = (care.kind == BOSTOD) & (care.end >= MONTHS)
    home = people.household[care.person[served]]
    supported = city.schools.support & (city.schools.spring == LAST_YEAR)
    cost = np.stack(
        [
            months * (7_500 + 2_600 * (homes.size - 1)),
            9_000 * np.bincount(programmes.household, weights=taken, minlength=count),
            12 * 520 * np.bincount(home, weights=care.hours[served], minlength=count),
            95_000 * np.bincount(city.schools.household[supported], minlength=count),
        ],
        axis=1,
    )
    return cost[~homes.former & (people.age[homes.first] < _PENSIONER)]
