"""The labour-market department (AMF): programmes of applicants, and summer jobs of the young."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from demo.city.population import LOW, Population, Role
from demo.city.settings import (
    FIRST_YEAR,
    LAST_YEAR,
    MONTHS,
    Bools,
    Floats,
    Settings,
    Whole,
    logistic,
)


class ProgrammeKind(StrEnum):
    """Kinds of programme. `Programmes.kind` holds the position in this enumeration."""

    JOBBSOK = "JOBBSOK"  # job-seeking
    PRAKTIK = "PRAKTIK"  # work placement: work-based
    OSA = "OSA"  # sheltered work: work-based
    SFI_KOMBI = "SFI_KOMBI"  # Swedish lessons combined with work


JOBBSOK, PRAKTIK, OSA, SFI_KOMBI = range(len(ProgrammeKind))


class EndReason(StrEnum):
    """Why a programme ended. `Programmes.reason` holds the position in this enumeration."""

    AVBROTT = "AVBROTT"  # dropped out
    ARBETE = "ARBETE"  # work
    PLANENLIG = "PLANENLIG"  # as planned
    STUDIER = "STUDIER"  # studies
    OKAND = "OKAND"  # unknown


AVBROTT, ARBETE, PLANENLIG, STUDIER, OKAND = range(len(EndReason))

_KIND_SHARES: Final = (0.45, 0.25, 0.15, 0.15)
_SHORTEST, _LONGEST = 3, 9
EARLIEST: Final = 1 - _LONGEST
"""First month in which a programme with a month in 0-107 can have begun."""
_YOUNGEST, _OLDER, _OLDEST = 18, 50, 64
WINDOW_AFTER: Final = 6
"""Months after a programme in which it still shortens the spell."""
EARLY, MIDDLE = 6, 12
"""Last spell month in which a programme counts as early, as in the middle."""
EARLY_EFFECT, MIDDLE_EFFECT = 0.65, 0.30
"""J2: log-odds of leaving assistance per month, of early and of later work-based programmes."""
_OTHER_SHARES: Final = (0.6, 0.15, 0.25)
"""Of PLANENLIG, STUDIER and OKAND."""
_YOUNG: Final = (16, 18)
_SUMMER_JOB_SHARE: Final = 0.35
_SUMMER: Final = (5, 6, 7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Programmes:
    """One entry per programme with a month in 0-107, sorted by household and start."""

    household: Whole
    """Index into the households; the participant is the head."""
    kind: Whole
    """Position in `tuple(ProgrammeKind)`."""
    start: Whole
    """First month; may be before month 0."""
    end: Whole
    """Last month, cut to the last month of the spell; at most 107 for those under way."""
    running: Bools
    """Still running when the records end: no end date and no reason yet."""
    reason: Whole
    """Position in `tuple(EndReason)`; -1 while running."""
    spell: Whole
    """Number of the spell in `Assistance.spell`."""
    spell_month: Whole
    """Month t of the spell in which the programme started."""
    heavy: Bools
    """Heavy care at home, HV, in the programme's first month."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SummerJobs:
    """One entry per summer job (FERIEJOBB) of a 16-18-year-old: three weeks in June-August."""

    person: Whole
    """Row among the persons."""
    year: Whole
    """Calendar year 2016-2024."""
    month: Whole
    """Month 0-107 in which the three weeks begin (June, July or August)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labour:
    """What the labour-market department knows."""

    programmes: Programmes
    summer_jobs: SummerJobs


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """Programmes as they were referred to, one entry each, in order of month and household."""

    household: Whole
    kind: Whole
    start: Whole
    planned_end: Whole
    spell_month: Whole
    drop_out: Floats
    """Uniform: dropped out where it is below the probability of dropping out."""
    other_reason: Floats
    """Uniform: chooses among the reasons that are neither dropping out nor work."""


class Referrals:
    """Referral of applicants to programmes, month by month beside their spells.

    Every month draws the same numbers whoever is in a spell, so that nobody's chance depends on
    another household or on the effects.
    """

    def __init__(self, settings: Settings, *, population: Population, hinder_health: Bools) -> None:
        self._draw = settings.generator("amf")
        self._effect = settings.effects.j2
        self._shares = _kind_shares(has_sheltered_work=settings.municipality.has_sheltered_work)
        self._head_birth_year = LAST_YEAR - population.age[population.households.first]
        low_education = population.head_education == LOW
        self._base = -2.35 + 0.55 * low_education - 0.9 * hinder_health
        count = len(self._base)
        self._until = np.full(count, -MONTHS)
        self._kind = np.zeros(count, dtype=np.int64)
        self._spell_month = np.zeros(count, dtype=np.int64)
        self._started: list[Started] = []

    def refer(self, month: int, households: Whole, spell_month: Whole) -> None:
        """Refer some of the households, which are all in a spell, to a programme this month."""
        chance, kind, length, drop_out, other_reason = self._draw.random((5, len(self._base)))
        age = FIRST_YEAR + month // 12 - self._head_birth_year[households]
        log_odds = self._base[households] + 0.45 * (age >= _OLDER)
        log_odds += np.select([spell_month > MIDDLE, spell_month > EARLY], [0.5, 0.3], default=0.0)
        free = (self._until[households] < month) & (age >= _YOUNGEST) & (age <= _OLDEST)
        now = free & (chance[households] < logistic(log_odds))
        who = households[now]
        months = _SHORTEST + np.floor(length[who] * (_LONGEST - _SHORTEST + 1)).astype(np.int64)
        self._until[who] = month + months - 1
        self._kind[who] = np.searchsorted(self._shares[:-1], kind[who], side="right")
        self._spell_month[who] = spell_month[now]
        self._started.append(
            Started(
                household=who,
                kind=self._kind[who],
                start=np.full(len(who), month),
                planned_end=self._until[who],
                spell_month=self._spell_month[who],
                drop_out=drop_out[who],
                other_reason=other_reason[who],
            )
        )

    def effect(self, month: int, households: Whole) -> Floats:
        """Give what the latest programme adds to the log-odds of leaving assistance (J2)."""
        in_window = self._until[households] + WINDOW_AFTER >= month
        kind, started = self._kind[households], self._spell_month[households]
        strength = np.select(
            [started <= EARLY, started <= MIDDLE], [EARLY_EFFECT, MIDDLE_EFFECT], default=0.0
        )
        return np.where(in_window & work_based(kind), self._effect * strength, 0.0)

    def leave(self, households: Whole) -> None:
        """End programme and window with the spell."""
        self._until[households] = -MONTHS

    def started(self) -> Started:
        """Give all programmes so far."""
        return Started(
            **{
                name: np.concatenate([getattr(part, name) for part in self._started])
                for name in Started.__dataclass_fields__
            }
        )


def work_based(kind: Whole) -> Bools:
    """Tell which programmes are work-based (PRAKTIK and OSA)."""
    return np.isin(kind, (PRAKTIK, OSA))


def end_reasons(
    settings: Settings,
    started: Started,
    *,
    heavy: Bools,
    hinder_health: Bools,
    low_education: Bools,
    into_work: Bools,
) -> Whole:
    """Give why each programme ended, as a position in `tuple(EndReason)`."""
    log_odds = -1.10 + settings.effects.j5 * heavy + 0.50 * hinder_health + 0.30 * low_education
    place = np.searchsorted(np.cumsum(_OTHER_SHARES[:-1]), started.other_reason, side="right")
    other = np.array((PLANENLIG, STUDIER, OKAND))[place]
    dropped_out = started.drop_out < logistic(log_odds)
    return np.select([dropped_out, into_work], [AVBROTT, ARBETE], other)


def summer_jobs(settings: Settings, population: Population) -> SummerJobs:
    """Give summer jobs to some of the households' 16-18-year-olds, on assistance or not."""
    draw = settings.generator("amf2")
    years = np.arange(FIRST_YEAR, LAST_YEAR + 1)
    shape = (len(population.age), len(years))
    chosen = draw.random(shape, dtype=np.float32) < _SUMMER_JOB_SHARE
    month = 12 * (years - FIRST_YEAR) + draw.choice(_SUMMER, shape)
    age = population.age[:, None] - (LAST_YEAR - years)
    young = (population.role == Role.CHILD)[:, None] & (age >= _YOUNG[0]) & (age <= _YOUNG[1])
    here = month < population.households.left[population.household][:, None]
    person, year = np.nonzero(chosen & young & here)
    return SummerJobs(person=person, year=years[year], month=month[person, year])


def _kind_shares(*, has_sheltered_work: bool) -> Floats:
    """Give the cumulative shares of the kinds of programme."""
    shares = np.array(_KIND_SHARES)
    if not has_sheltered_work:
        shares[OSA] = 0.0
    return np.cumsum(shares / shares.sum())
