"""The labour-market department (AMF): participants, programmes, attendance by month."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from demo.city.labour import EARLIEST, EndReason, ProgrammeKind
from demo.city.population import DISTRICTS
from demo.city.settings import MONTHS, Dates, Floats, Whole
from demo.city.simulate import City
from demo.city.tables.columns import (
    Identities,
    first_day,
    frame,
    last_day,
    month_text,
    with_gaps,
    words,
)

SUMMER_JOB: Final = "FERIEJOBB"
KINDS: Final = (*(kind.value for kind in ProgrammeKind), SUMMER_JOB)
REASONS: Final = (*(reason.value for reason in EndReason), None)
EDUCATION_MISSING: Final = 0.08
LANGUAGE_LEVELS: Final = ("A", "B", "C", "D")
LANGUAGE_MISSING: Final = {"native": 0.80, "foreign": 0.29}
"""Together about 60 % of the programmes' participants have no level of Swedish for immigrants."""
PLANNED_HOURS: Final = {
    "JOBBSOK": (40, 80),
    "PRAKTIK": (120, 160),
    "OSA": (100, 176),
    "SFI_KOMBI": (80, 160),
    SUMMER_JOB: (90, 90),
}
ATTENDANCE: Final = 0.2
"""The attended share of the planned hours is a uniform number to this power: 83 % on average."""
FIRST_MONDAYS: Final = {6: 6, 7: 5, 8: 1}
"""Day of June, July and August on or after which the summer jobs begin, on a Monday."""
SUMMER_JOB_DAYS: Final = 18
"""From the first Monday to the third Friday, all in one month."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activities:
    """Programmes and summer jobs, in order of the month they began and of the persons."""

    place: Whole
    """Number of the activity among all months and persons: nobody begins two in a month."""
    person: Whole
    """Row among the persons."""
    kind: Whole
    """Position in `KINDS`."""
    first: Whole
    """First month; may be before month 0."""
    final: Whole
    """Last month; 107 at most."""
    begun: Dates
    ended: Dates
    """NaT while running."""
    reason: Whole
    """Position in `REASONS`; -1 while running."""


def labour(city: City, identities: Identities) -> dict[str, pd.DataFrame]:
    """Give the three tables of the labour-market department."""
    activities = _activities(city)
    possible = (MONTHS - EARLIEST) * city.population.age.size
    serials = identities.numbers.some("I", activities.place, of=possible, width=8)
    insats = {
        "insats_id": serials,
        "pnr": identities.pnr[activities.person],
        "typ": words(activities.kind, KINDS),
        "start": activities.begun,
        "slut": activities.ended,
        "slutorsak": words(activities.reason, REASONS),
    }
    which, month, planned, attended = _attendance(city, activities)
    aktivitet = {
        "insats_id": serials[which],
        "pnr": identities.pnr[activities.person[which]],
        "manad": month_text(month),
        "planerade_tim": planned,
        "narvaro_tim": attended,
    }
    return {
        "amf_person": _persons(city, identities, activities),
        "amf_insats": frame(insats, by=[activities.place]),
        "amf_aktivitet": frame(aktivitet, by=[which, month]),
    }


def _activities(city: City) -> Activities:
    people, programmes, jobs = city.population, city.labour.programmes, city.labour.summer_jobs
    helped = np.zeros(people.households.former.size, dtype=bool)
    helped[city.assistance.household] = True
    # Summer jobs are for the young of households that social services do not know.
    offered = ~helped[people.household[jobs.person]]
    young, summer = jobs.person[offered], jobs.month[offered]
    mondays = _mondays(summer)
    person = np.concatenate([people.households.first[programmes.household], young])
    begun = np.concatenate([first_day(programmes.start), mondays])
    ended = np.concatenate(
        [
            np.where(programmes.running, np.datetime64("NaT"), last_day(programmes.end)),
            mondays + np.timedelta64(SUMMER_JOB_DAYS, "D"),
        ]
    )
    planned_end = np.full(young.size, tuple(EndReason).index(EndReason.PLANENLIG))
    kind = np.concatenate([programmes.kind, np.full(young.size, KINDS.index(SUMMER_JOB))])
    first = np.concatenate([programmes.start, summer])
    place = (first - EARLIEST) * people.age.size + person
    order = np.argsort(place)
    return Activities(
        place=place[order],
        person=person[order],
        kind=kind[order],
        first=first[order],
        final=np.concatenate([programmes.end, summer])[order],
        begun=begun[order],
        ended=ended[order],
        reason=np.concatenate([programmes.reason, planned_end])[order],
    )


def _persons(city: City, identities: Identities, activities: Activities) -> pd.DataFrame:
    people = city.population
    draw = city.settings.generator("amf_person")
    person = np.unique(activities.person)
    home = people.household[person]
    # Summer jobs are for pupils: what they have behind them is compulsory school.
    education = np.maximum(people.education[person], 1)
    # Drawn for everybody, so that who takes part changes nobody else's row.
    chance, missing = draw.random((2, people.age.size))[:, person]
    level = draw.integers(0, len(LANGUAGE_LEVELS), people.age.size)[person]
    foreign = people.households.foreign[home]
    unknown = np.where(foreign, LANGUAGE_MISSING["foreign"], LANGUAGE_MISSING["native"])
    unasked = (chance < unknown) | (people.education[person] == 0)
    columns = {
        "pnr": identities.pnr[person],
        "kon": words(people.woman[person], ("1", "2")),
        "stadsdel": words(people.households.district[home], DISTRICTS),
        "utb": with_gaps(education, missing < EDUCATION_MISSING),
        "sfi_niva": words(np.where(unasked, -1, level), (*LANGUAGE_LEVELS, None)),
    }
    return frame(columns, by=[identities.rank[person]])


def _attendance(city: City, activities: Activities) -> tuple[Whole, Whole, Whole, Whole]:
    """Give activity, month (from 0), planned and attended hours for every month of activity."""
    draw = city.settings.generator("amf_aktivitet")
    people = city.population
    # Drawn for everybody, or for every household and month: one programme changes no other's hours.
    diligence = draw.random(people.age.size, dtype=np.float32)
    shape = (people.households.former.size, MONTHS)
    by_start, by_month = (draw.random(shape, dtype=np.float32) for _ in range(2))
    first = np.maximum(activities.first, 0)
    length = np.maximum(activities.final - first + 1, 0)
    which = np.repeat(np.arange(first.size), length)
    month = first[which] + np.arange(which.size) - np.repeat(np.cumsum(length) - length, length)
    home = people.household[activities.person]
    bounds = np.array([PLANNED_HOURS[kind] for kind in KINDS])[activities.kind]
    more = by_start[home, first] * (bounds[:, 1] - bounds[:, 0] + 1)
    planned = (bounds[:, 0] + np.floor(more).astype(np.int64))[which]
    summer = (activities.kind == KINDS.index(SUMMER_JOB))[which]
    chance = np.where(summer, diligence[activities.person[which]], by_month[home[which], month])
    share: Floats = chance.astype(np.float64) ** ATTENDANCE
    # Who drops out is there for about half of the last month.
    dropped = (activities.reason == 0)[which] & (month == activities.final[which])
    attended = np.floor(planned * np.where(dropped, share / 2, share)).astype(np.int64)
    return which, month, planned, attended


def _mondays(month: Whole) -> Dates:
    """Give the Monday on which summer jobs of these months (June-August) begin."""
    calendar = month % 12 + 1
    after = np.zeros(month.size, dtype=np.int64)
    for name, day in FIRST_MONDAYS.items():
        after[calendar == name] = day - 1
    earliest = first_day(month) + after.astype("timedelta64[D]")
    weekday = (earliest.astype(np.int64) + 3) % 7  # day 0, 1970-01-01, was a Thursday
    days: Dates = earliest + (-weekday % 7).astype("timedelta64[D]")
    return days
