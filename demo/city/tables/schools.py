"""Schools (SKF): pupils by school year, absence, grades, final grades and special support.

A school year is named by its spring. Pupils who moved away have the school years that ended
before they did.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from demo.city.settings import FIRST_YEAR, Bools, Dates, Floats, Whole
from demo.city.simulate import City
from demo.city.tables.columns import (
    AREAS,
    DISTRICTS_AN_AREA,
    Identities,
    at,
    frame,
    month_text,
    spread,
    with_gaps,
    words,
)

FIRST_GRADE: Final = 6
LAST_GRADE: Final = 9
GRADES: Final = tuple(range(FIRST_GRADE, LAST_GRADE + 1))
SCHOOLS: Final = tuple(f"S{number:02d}" for number in range(1, 25))
SCHOOLS_A_DISTRICT: Final = 2
EDUCATION_MISSING: Final = {"native": 0.35, "foreign": 0.55}
PLANNED_HOURS: Final = (106, 112, 108, 112, 78, 92, 88, 104, 96, 104)
"""From September to June, 1,000 in all: a tenth of a per cent of absence is a whole hour. The
days of August are counted in September."""
PLANNED_SHIFT: Final = 8
"""A school moves up to so many hours between a month of autumn and one of spring."""
EXCUSED: Final = 7
"""Tenths of the absence that are excused (giltig)."""
EARLIER: Final = (0.6, 0.4, 6.0, 0.4)
"""Absence in grades 7 and 8: log = .6 log(grade 9) + .4 log 6 + N(0, .4^2)."""
SUPPORT_KINDS: Final = ("SARSKILD_GRUPP", "ENSKILD", "ANPASSAD_STUDIEGANG", "STODLARARE")
SUPPORT_SHARES: Final = (0.15, 0.30, 0.50, 1.0)
EARLIER_SUPPORT: Final = {"supported": 0.45, "others": 0.021}
"""Chance of support in each of grades 6-8, for those with and without support in grade 9."""
SUPPORT_BEGINS: Final = 90
"""Support begins within so many days from 20 August."""
OPEN_SUPPORT: Final = 0.10
"""Share of the support whose end was never recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PupilYears:
    """One entry per pupil and school year with records, grades 6-9."""

    pupil: Whole
    """Place among the pupils of `City.schools`."""
    spring: Whole
    grade: Whole

    def only(self, chosen: Bools) -> "PupilYears":
        """Give some of the entries."""
        return PupilYears(
            pupil=self.pupil[chosen], spring=self.spring[chosen], grade=self.grade[chosen]
        )


def pupil_years(city: City) -> PupilYears:
    """Give the school years that ended before the pupil's household moved away."""
    schools = city.schools
    pupil = np.repeat(np.arange(schools.person.size), len(GRADES))
    grade = np.tile(GRADES, schools.person.size)
    spring = schools.spring[pupil] - (LAST_GRADE - grade)
    last_month = (spring - FIRST_YEAR) * 12 + 5
    left = city.population.households.left[schools.household[pupil]]
    every = PupilYears(pupil=pupil, spring=spring, grade=grade)
    return every.only(last_month < left)


def schools(city: City, identities: Identities) -> dict[str, pd.DataFrame]:
    """Give the tables of the schools, save those of grades."""
    years = pupil_years(city)
    return {
        "skf_elev": _pupils(city, identities, years),
        "skf_franvaro": _absence(city, identities, years.only(years.grade > FIRST_GRADE)),
        "skf_stod": _support(city, identities, years),
    }


def _pupils(city: City, identities: Identities, years: PupilYears) -> pd.DataFrame:
    latent, people = city.schools, city.population
    draw = city.settings.generator("skf_elev")
    foreign = people.households.foreign[latent.household]
    rate = np.where(foreign, EDUCATION_MISSING["foreign"], EDUCATION_MISSING["native"])
    unasked = draw.random(latent.person.size) < rate
    pupil = years.pupil
    person = latent.person[pupil]
    school = latent.school[pupil]
    columns = {
        "pnr": identities.pnr[person],
        "lasar": years.spring,
        "arskurs": years.grade,
        "skola_id": words(school, SCHOOLS),
        "omrade": words(school // SCHOOLS_A_DISTRICT // DISTRICTS_AN_AREA, AREAS),
        "vh1_pnr": identities.pnr[latent.first_guardian[pupil]],
        "vh2_pnr": at(identities.pnr, latent.second_guardian[pupil]),
        "vh_utb": with_gaps(latent.guardian_education[pupil], unasked[pupil]),
        "nyanland": latent.newly_arrived[pupil],
        "kon": words(people.woman[person], ("Pojke", "Flicka")),
    }
    return frame(columns, by=[identities.rank[person], years.spring])


def _absence(city: City, identities: Identities, years: PupilYears) -> pd.DataFrame:
    """Give absence by month; a school year's sum is the latent absence to the tenth."""
    latent = city.schools
    draw = city.settings.generator("absence")
    earlier = _earlier_absence(latent.absence, draw)
    per_cent = np.where(years.grade == LAST_GRADE, latent.absence[years.pupil], 0.0)
    for column, grade in enumerate((7, 8)):
        chosen = years.grade == grade
        per_cent[chosen] = earlier[years.pupil[chosen], column]
    planned = _planned(draw)[latent.school[years.pupil], years.spring - FIRST_YEAR]
    permille = np.rint(per_cent * 10).astype(np.int64)
    # In tenths of an hour: 10,000 are planned, so a permille is ten.
    absent = spread(permille * 10, planned * 10, draw.uniform(-0.5, 0.5, planned.shape))
    excused = spread(permille * EXCUSED, absent, draw.uniform(-0.5, 0.5, planned.shape))
    months = len(PLANNED_HOURS)
    month = (years.spring[:, None] - FIRST_YEAR) * 12 - 4 + np.arange(months)
    person = np.repeat(latent.person[years.pupil], months)
    columns = {
        "pnr": identities.pnr[person],
        "lasar": np.repeat(years.spring, months),
        "manad": month_text(month.ravel()),
        "planerad_tim": planned.ravel(),
        "giltig_tim": excused.ravel() / 10,
        "ogiltig_tim": (absent - excused).ravel() / 10,
    }
    return frame(columns, by=[identities.rank[person], month.ravel()])


def _earlier_absence(absence: Floats, draw: np.random.Generator) -> Floats:
    """Give the absence in grades 7 and 8, per cent with one decimal, 0-95."""
    own, common, typical, spread_of_logs = EARLIER
    noise = draw.normal(0.0, spread_of_logs, (absence.size, 2))
    logs = own * np.log(np.maximum(absence, 0.1))[:, None] + common * np.log(typical) + noise
    earlier: Floats = np.round(np.clip(np.exp(logs), 0, 95), 1)
    return earlier


def _planned(draw: np.random.Generator) -> Whole:
    """Give the planned hours by school, school year (from 2016) and month: 1,000 a year."""
    half = len(PLANNED_HOURS) // 2
    shift = draw.integers(-PLANNED_SHIFT, PLANNED_SHIFT + 1, (len(SCHOOLS), 9, half))
    hours: Whole = np.array(PLANNED_HOURS) + np.concatenate([shift, -shift], axis=2)
    return hours


def _support(city: City, identities: Identities, years: PupilYears) -> pd.DataFrame:
    latent = city.schools
    draw = city.settings.generator("skf_stod")
    supported = latent.support[years.pupil]
    earlier = np.where(supported, EARLIER_SUPPORT["supported"], EARLIER_SUPPORT["others"])
    # Drawn for every pupil and year, so that one pupil's support changes no other's.
    chance, kind, begin, open_end = draw.random((4, supported.size))
    receives = np.where(years.grade == LAST_GRADE, supported, chance < earlier)
    given = years.only(receives)
    begun = _day(given.spring - 1, "08-20")
    begun += np.floor(SUPPORT_BEGINS * begin[receives]).astype("timedelta64[D]")
    ended = _day(given.spring, "06-10")
    ended[open_end[receives] < OPEN_SUPPORT] = np.datetime64("NaT")
    person = latent.person[given.pupil]
    columns = {
        "pnr": identities.pnr[person],
        "lasar": given.spring,
        "typ": words(np.searchsorted(SUPPORT_SHARES, kind[receives]), SUPPORT_KINDS),
        "start": begun,
        "slut": ended,
    }
    return frame(columns, by=[identities.rank[person], given.spring])


def _day(year: Whole, day: str) -> Dates:
    days: Dates = np.array([f"{number}-{day}" for number in year], dtype="datetime64[D]")
    return days
