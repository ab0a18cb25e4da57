"""Health and care (VOF): persons, decisions and the hours of help given."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from demo.city.care import OPEN, CareKind
from demo.city.population import DISTRICTS, Kind
from demo.city.settings import MONTHS, Dates, Floats, Whole
from demo.city.simulate import City
from demo.city.tables.columns import Identities, first_day, frame, month_text, words

UNKNOWN_SEX: Final = 0.005
MONTHS_BETWEEN: Final = (12, 24)
"""Home care is decided anew after 12 to 24 months, other care once."""
HOURS_SPREAD: Final = 0.15
"""Spread of the logarithm of the hours of a later decision around those of the first."""
MOST_HOURS: Final = 300.0
GIVEN: Final = (0.80, 1.05)
"""The hours given in a month, as a share of the hours decided."""
MOST_GIVEN: Final = 350.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """One entry per decision that was in force after 2015, by person and start."""

    care: Whole
    """Place in `City.care`."""
    start: Whole
    """First month."""
    end: Whole
    """First month no longer covered; `OPEN` for the one in force at the end of the records."""
    hours: Floats
    """Hours a month, one decimal; NaN for SABO and LARM."""


def care(city: City, identities: Identities) -> dict[str, pd.DataFrame]:
    """Give the three tables of health and care."""
    decisions = _decided(city)
    return {
        "vof_person": _persons(city, identities),
        "vof_beslut": _decisions(city, identities, decisions),
        "vof_utford": _given(city, identities, decisions),
    }


def _persons(city: City, identities: Identities) -> pd.DataFrame:
    people = city.population
    person = np.unique(city.care.person[city.care.end > 0])
    home = people.household[person]
    unknown = city.settings.generator("vof_person").random(person.size) < UNKNOWN_SEX
    columns = {
        "pnr": identities.pnr[person],
        "kon": words(np.where(unknown, 2, people.woman[person]), ("man", "kvinna", "okänt")),
        "fodelsear": people.birth[person].astype("datetime64[Y]").astype(np.int64) + 1970,
        "ensamboende": people.households.kind[home] == Kind.SINGLE,
        "stadsdel": words(people.households.district[home], DISTRICTS),
    }
    return frame(columns, by=[identities.rank[person]])


def _decided(city: City) -> Decisions:
    """Cut the time of care into decisions; the first one has the latent hours."""
    latent = city.care
    draw = city.settings.generator("vof_beslut")
    last = np.minimum(latent.end, MONTHS)
    longest = int((last - latent.start).max(initial=0)) // MONTHS_BETWEEN[0] + 1
    gaps = draw.integers(MONTHS_BETWEEN[0], MONTHS_BETWEEN[1] + 1, (last.size, longest))
    noise = draw.normal(0.0, HOURS_SPREAD, (last.size, longest))
    starts = latent.start[:, None] + np.cumsum(gaps, axis=1) - gaps
    ends = np.minimum(starts + gaps, latent.end[:, None])
    # A decision that the records' end interrupts is open.
    once = latent.kind != tuple(CareKind).index(CareKind.HTJ)
    ends[once, 0] = latent.end[once]
    ends[(ends >= MONTHS) & (latent.end[:, None] >= MONTHS)] = OPEN
    noise[:, 0] = 0.0
    later = np.arange(longest) > 0
    exists = (starts < last[:, None]) & (ends > 0) & ~(once[:, None] & later)
    renewed = np.clip(latent.hours[:, None] * np.exp(noise), 1.0, MOST_HOURS)
    hours = np.asarray(np.round(renewed, 1), dtype=np.float64)
    row, column = np.nonzero(exists)
    return Decisions(
        care=row, start=starts[row, column], end=ends[row, column], hours=hours[row, column]
    )


def _decisions(city: City, identities: Identities, decisions: Decisions) -> pd.DataFrame:
    latent = city.care
    person = latent.person[decisions.care]
    order = np.lexsort((identities.rank[person], decisions.start))
    person, chosen = person[order], decisions.care[order]
    columns = {
        "beslut_id": identities.numbers.running("VB", order.size, width=7),
        "pnr": identities.pnr[person],
        "insats": words(latent.kind[chosen], tuple(CareKind)),
        "start": first_day(decisions.start[order]),
        "slut": _last_days(decisions.end[order]),
        "timmar_man": decisions.hours[order],
    }
    return frame(columns, by=[np.arange(order.size)])


def _given(city: City, identities: Identities, decisions: Decisions) -> pd.DataFrame:
    """Give the hours of each month under a decision on hours."""
    draw = city.settings.generator("vof_utford")
    first = np.maximum(decisions.start, 0)
    length = np.maximum(np.minimum(decisions.end, MONTHS) - first, 0)
    length[np.isnan(decisions.hours)] = 0
    which = np.repeat(np.arange(first.size), length)
    month = first[which] + np.arange(which.size) - np.repeat(np.cumsum(length) - length, length)
    hours = decisions.hours[which] * draw.uniform(*GIVEN, which.size)
    person = city.care.person[decisions.care[which]]
    columns = {
        "pnr": identities.pnr[person],
        "manad": month_text(month),
        "timmar": np.round(np.clip(hours, 0.0, MOST_GIVEN), 1),
    }
    return frame(columns, by=[identities.rank[person], month])


def _last_days(end: Whole) -> Dates:
    """Give the last day before a month; NaT where the end is open."""
    days = first_day(np.where(end == OPEN, 0, end)) - np.timedelta64(1, "D")
    days[end == OPEN] = np.datetime64("NaT")
    return days
