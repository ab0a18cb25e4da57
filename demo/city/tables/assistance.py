"""Social services (SOF): persons, payments, decisions, and notifications of concern."""

from typing import Final

import numpy as np
import pandas as pd

from demo.city.numbers import Texts
from demo.city.population import DISTRICTS, Kind, Role
from demo.city.settings import FIRST_YEAR, LAST_YEAR, MONTHS, Bools, Dates, Floats, Whole, logistic
from demo.city.simulate import City
from demo.city.tables.columns import (
    AREAS,
    DISTRICTS_AN_AREA,
    Identities,
    first_day,
    frame,
    month_text,
    with_gaps,
    words,
)
from demo.city.tables.register import born_abroad

ROLES: Final = ("sokande", "medsokande", "medsokande", "barn")
EDUCATION_MISSING: Final = 0.22
HINDERS: Final = ("ARB", "SJUK", "SPRAK", "SOC", "OVR")
HINDER_SHARES: Final = {"native": (0.70, 0.70, 0.88, 1.0), "foreign": (0.40, 0.85, 0.93, 1.0)}
"""Cumulated shares of ARB, SPRAK, SOC, OVR where the hindrance is not ill health (SJUK)."""
DECISION_EVERY: Final = (3, 4)
"""Months between the decisions of a spell: in its first year, and later."""
FIRST_YEAR_OF_SPELL: Final = 12
OUTCOMES: Final = ("bifall", "delavslag", "avslag")
PARTLY: Final = 0.07 / 0.95
"""Share of delavslag among the decisions with a payment (.88 and .07 of all)."""
REFUSED: Final = 0.1145
"""Share of the months next to spells in which an application is refused: .05 of all decisions.
Measured on four cities of 150,000; a fixed share, so that nobody's refusal hangs on another's."""
PROTECTION: Final = (-3.55, 0.75, 0.3)
"""Log-odds of a child-protection case: constant, deprivation, single parent."""
UNINVESTIGATED: Final = 1.5
"""Notifications that led to no investigation, for each that did."""
CHILDHOOD: Final = 15
"""Years over which the notifications of a child fall: until grade 9 begins."""
YEARS_BACK: Final = 12
"""The notifications of a child fall within so many years."""
FIRST_BORN: Final = 2003
"""Birth year of the first pupils with records."""


def assistance(city: City, identities: Identities) -> dict[str, pd.DataFrame]:
    """Give the four tables of social services."""
    # Every household has an id, so that who has assistance changes no other's.
    homes = identities.numbers.running("H", city.population.households.former.size, width=6)
    return {
        "sof_person": _persons(city, identities, homes),
        "sof_utbetalning": _payments(city, identities, homes),
        "sof_beslut": _decisions(city, identities),
        "sof_barn": _children(city, identities),
    }


def _persons(city: City, identities: Identities, homes: Texts) -> pd.DataFrame:
    people, paid = city.population, city.assistance
    draw = city.settings.generator("sof_person")
    # The register adds new members of a household that social services know, also later.
    known = np.flatnonzero(np.isin(people.household, paid.household))
    home = people.household[known]
    role = people.role[known]
    # Drawn for everybody, so that who has assistance changes nobody else's row.
    unasked = (role == Role.CHILD) | (draw.random(people.age.size)[known] < EDUCATION_MISSING)
    district = people.households.district[home]
    columns = {
        "pnr": identities.pnr[known],
        "hushall_id": homes[home],
        "roll": words(role, ROLES),
        "stadsdel": words(district, DISTRICTS),
        "utb": with_gaps(people.education[known], unasked),
        "fodelseland_grp": words(born_abroad(city)[known], ("Sverige", "Utlandet")),
        "kontor": words(district // DISTRICTS_AN_AREA, AREAS),
    }
    return frame(columns, by=[identities.rank[known]])


def _payments(city: City, identities: Identities, homes: Texts) -> pd.DataFrame:
    paid, households = city.assistance, city.population.households
    columns = {
        "hushall_id": homes[paid.household],
        "sokande_pnr": identities.pnr[households.first[paid.household]],
        "manad": month_text(paid.month),
        "belopp_kr": paid.amount,
        "hinder": _hinders(city)[paid.household],
        "antal_barn": paid.children,
    }
    return frame(columns, by=[paid.household, paid.month])


def _hinders(city: City) -> Texts:
    """Give every household's hindrance to work: it does not change."""
    households = city.population.households
    chance = city.settings.generator("sof_utbetalning").random(households.former.size)
    native, foreign = (
        np.array((0, 2, 3, 4))[np.searchsorted(HINDER_SHARES[group], chance, side="right")]
        for group in ("native", "foreign")
    )
    code = np.where(households.foreign, foreign, native)
    return words(np.where(city.assistance.hinder_health, 1, code), HINDERS)


def _decisions(city: City, identities: Identities) -> pd.DataFrame:
    """Give decisions at fixed months of a spell, and refusals in the months around spells."""
    paid = city.assistance
    draw = city.settings.generator("sof_beslut")
    every = np.where(paid.spell_month <= FIRST_YEAR_OF_SPELL, *DECISION_EVERY)
    granted = (paid.spell_month - 1) % every == 0
    # Drawn for every household and month, so that one spell changes no other's decisions.
    shape = (paid.caseworker.size, MONTHS)
    by_outcome, by_day = (draw.random(shape, dtype=np.float32) for _ in range(2))
    beside, month_beside = _unpaid_months(city)
    refused = by_outcome[beside, month_beside] < REFUSED
    household = np.concatenate([paid.household[granted], beside[refused]])
    month = np.concatenate([paid.month[granted], month_beside[refused]])
    outcome = np.where(by_outcome[household, month] < PARTLY, 1, 0)
    outcome[int(granted.sum()) :] = 2
    day = first_day(month) + (28 * by_day[household, month]).astype("timedelta64[D]")
    # One id for every month and household: a household has one decision a month at most.
    place = month * shape[0] + household
    columns = {
        "beslut_id": identities.numbers.some("SB", place, of=shape[0] * MONTHS, width=7),
        "sokande_pnr": identities.pnr[city.population.households.first[household]],
        "datum": day,
        "utfall": words(outcome, OUTCOMES),
        "handlaggare": paid.caseworker[household],
    }
    return frame(columns, by=[place])


def _unpaid_months(city: City) -> tuple[Whole, Whole]:
    """Give households and months that lie right before or after a spell, without a payment."""
    paid = city.assistance
    household = np.concatenate([paid.household, paid.household])
    month = np.concatenate([paid.month - 1, paid.month + 1])
    last = np.minimum(city.population.households.left[household], MONTHS) - 1
    within = (month >= 0) & (month <= last)
    beside = np.unique(household[within] * MONTHS + month[within])
    unpaid = np.setdiff1d(beside, paid.household * MONTHS + paid.month, assume_unique=True)
    return unpaid // MONTHS, unpaid % MONTHS


def _children(city: City, identities: Identities) -> pd.DataFrame:
    """Give the notifications: every child-protection case of a pupil led to an investigation."""
    people = city.population
    draw = city.settings.generator("sof_barn")
    child = np.flatnonzero(_pupil_or_younger(city))
    last = _last_day(city, child)
    lived = (last - people.birth[child]).astype(np.int64) / (CHILDHOOD * 365.25)
    odds = _protection(city, child) * np.clip(lived, 0, 1)
    investigated = draw.random(child.size) < odds
    pupil = np.full(people.age.size, -1)
    pupil[city.schools.person] = np.arange(city.schools.person.size)
    known = pupil[child] >= 0
    investigated[known] = city.schools.child_protection[pupil[child[known]]]
    unfounded = draw.random(child.size) < UNINVESTIGATED * odds
    place = np.concatenate([np.flatnonzero(investigated), np.flatnonzero(unfounded)])
    led = np.r_[np.ones(int(investigated.sum()), int), np.zeros(int(unfounded.sum()), int)]
    who = child[place]
    day = _days_of_childhood(people.birth[who], last[place], draw.random(who.size))
    columns = {"pnr": identities.pnr[who], "anmalan_datum": day, "utredning": led}
    made = frame(columns, by=[identities.rank[who], day.astype(np.int64), led])
    # Two notifications of a child on one day are one: that with the investigation.
    return made.drop_duplicates(["pnr", "anmalan_datum"], keep="last", ignore_index=True)


def _pupil_or_younger(city: City) -> Bools:
    """Tell the children of the grade-9 classes with records, and all who are younger."""
    people = city.population
    child: Bools = (people.role == Role.CHILD) & (people.age <= LAST_YEAR - FIRST_BORN)
    return child


def _last_day(city: City, child: Whole) -> Dates:
    """Give the last day of the time in which a notification of each child may fall.

    It ends when grade 9 begins (August of the year of the 15th birthday), when the household
    moves away, or with the records.
    """
    people = city.population
    year = LAST_YEAR - people.age[child]
    grade_9 = (year + CHILDHOOD - FIRST_YEAR) * 12 + 7
    left = people.households.left[people.household[child]]
    month = np.minimum(np.minimum(grade_9, left), MONTHS)
    return np.maximum(first_day(month) - np.timedelta64(1, "D"), people.birth[child])


def _protection(city: City, child: Whole) -> Floats:
    households = city.population.households
    home = city.population.household[child]
    constant, deprivation, single = PROTECTION
    alone = households.kind[home] == Kind.SINGLE_WITH_CHILDREN
    return logistic(constant + deprivation * households.deprivation[home] + single * alone)


def _days_of_childhood(born: Dates, last: Dates, chance: Floats) -> Dates:
    """Give a day between birth and the last day, in its last twelve years at most."""
    days = np.minimum((last - born).astype(np.int64), round(YEARS_BACK * 365.25))
    back: Dates = last - np.floor(chance * (days + 1)).astype("timedelta64[D]")
    return back
