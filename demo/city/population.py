"""The residents and their households: who lives with whom, and what is never written."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from demo.city.settings import (
    FIRST_YEAR,
    LAST_YEAR,
    MONTHS,
    Bools,
    Dates,
    Floats,
    Settings,
    Whole,
    logistic,
)

DISTRICTS: Final = (
    "Hamnstaden",
    "Norrängen",
    "Lindhult",
    "Österlyckan",
    "Västerhöjd",
    "Björkvallen",
    "Centrum",
    "Söderåsen",
    "Ekbacka",
    "Åbrinken",
    "Älgsjön",
    "Örtagården",
)
_DISTRICT_WEIGHTS: Final = (0.07, 0.08, 0.09, 0.10, 0.10, 0.10, 0.10, 0.09, 0.08, 0.07, 0.07, 0.05)
_DEPRIVATION: Final = (-1.35, -1.0, -0.8, -0.55, -0.35, -0.15, 0.05, 0.3, 0.6, 0.95, 1.35, 1.75)

_PERSONS_PER_HOUSEHOLD: Final = 2.206
_FORMER_SHARE: Final = 0.04
_PROTECTED_SHARE: Final = 0.0025
_MOVED_IN_SHARE: Final = 0.15
ALWAYS: Final = np.datetime64("1900-01-01")
"""The day of moving in of those who always lived here."""

_KIND_SHARES: Final = (0.385, 0.062, 0.25, 0.225, 0.078)
_ADULTS: Final = (1, 1, 2, 2, 3)
_MOST_ADULTS: Final = 3
_MOST_CHILDREN: Final = 4
OLDEST_CHILD: Final = 21

_SINGLE_AGES: Final = (
    (20, 29, 0.24),
    (30, 49, 0.22),
    (50, 64, 0.19),
    (65, 79, 0.21),
    (80, 98, 0.14),
)
_COUPLE_AGES: Final = (
    (20, 34, 0.17),
    (35, 54, 0.12),
    (55, 64, 0.20),
    (65, 79, 0.38),
    (80, 95, 0.13),
)
_OLD: Final = 80
_GIRLS: Final = 0.487
LOW, MIDDLE, HIGH = 1, 2, 3
"""Education: primary, upper secondary, post-secondary."""
_HIGH_FROM, _LOW_BELOW = 0.35, -1.35


class Kind(IntEnum):
    """The kinds of household."""

    SINGLE = 0
    SINGLE_WITH_CHILDREN = 1
    COUPLE = 2
    COUPLE_WITH_CHILDREN = 3
    OTHER = 4


class Role(IntEnum):
    """A person's place in the household. Adults come first, in this order."""

    HEAD = 0
    SECOND = 1
    THIRD = 2
    CHILD = 3
    """Of the households' children, aged 0-21 at the end of 2024."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Households:
    """One entry per household; the former residents' households come last."""

    kind: Whole
    """A `Kind`."""
    district: Whole
    """Index 0-11 into `DISTRICTS` (the written district code is one more)."""
    deprivation: Floats
    """U, never written: mean 0, standard deviation 1 (municipality A)."""
    ill_health: Floats
    """V, never written: standard normal."""
    foreign: Bools
    """Whether the adults were born abroad."""
    protected: Bools
    """Protected identity (all members)."""
    moved_in: Dates
    """Day (datetime64[D]) the household moved in; 1900-01-01 for those who always lived here."""
    former: Bools
    """Moved away: in department tables before `left`, never in the register or in marginals."""
    left: Whole
    """First month (0-107) without records; `MONTHS` for residents."""
    first: Whole
    """Row of the household's head among the persons; the other members follow."""
    size: Whole
    """Members at the end of 2024."""
    second: Whole
    """Row of the second adult among the persons; -1 where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """One entry per person, sorted by household, adults first, then children as drawn."""

    households: Households
    household: Whole
    """Index into `households`."""
    role: Whole
    """A `Role`."""
    age: Whole
    """Age in whole years on 2024-12-31."""
    birth: Dates
    """Birth date (datetime64[D]), uniform in the birth year 2024 - age."""
    woman: Bools
    """Whether the person is a woman or girl."""
    education: Whole
    """`LOW`, `MIDDLE` or `HIGH`; 0 for children."""

    def age_in(self, year: int) -> Whole:
        """Give the age that each person has or reaches in a calendar year (below 0: unborn)."""
        return self.age - (LAST_YEAR - year)

    @property
    def head_education(self) -> Whole:
        """The education of each household's head."""
        return self.education[self.households.first]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Traits:
    """What a household has before it has members."""

    kind: Whole
    district: Whole
    deprivation: Floats
    ill_health: Floats
    foreign: Bools


def populate(settings: Settings) -> Population:
    """Make the residents and, in 4 % more households, the former residents."""
    draw = settings.generator("household")
    resident = round(settings.residents / _PERSONS_PER_HOUSEHOLD)
    count = resident + round(_FORMER_SHARE * resident)
    traits = _traits(draw, count, settings.municipality.deprivation_shift)
    children = _children(draw, traits.kind)
    adults = _adults(draw, traits.kind, children.max(axis=1))
    women = _women(draw, traits.kind, adults[:, 0])
    education = _education(draw, traits.deprivation)
    ages = np.concatenate([adults, children], axis=1)
    household, place = np.nonzero(ages >= 0)
    size = np.bincount(household, minlength=count)
    first = np.cumsum(size) - size
    age = ages[household, place]
    former = np.arange(count) >= resident
    households = Households(
        kind=traits.kind,
        district=traits.district,
        deprivation=traits.deprivation,
        ill_health=traits.ill_health,
        foreign=traits.foreign,
        protected=draw.random(count) < _PROTECTED_SHARE,
        moved_in=_moved_in(draw, count),
        former=former,
        left=np.where(former, draw.integers(1, MONTHS, count), MONTHS),
        first=first,
        size=size,
        second=np.where(adults[:, 1] >= 0, first + 1, -1),
    )
    return Population(
        households=households,
        household=household,
        role=np.minimum(place, Role.CHILD),
        age=age,
        birth=_birth_dates(draw, age),
        woman=women[household, place],
        education=education[household, place],
    )


def district_deprivation() -> Floats:
    """Give D of the districts of municipality A: weighted mean 0, weighted deviation 1."""
    weights = np.array(_DISTRICT_WEIGHTS) / sum(_DISTRICT_WEIGHTS)
    centred = np.array(_DEPRIVATION) - weights @ np.array(_DEPRIVATION)
    return np.asarray(centred / np.sqrt(weights @ centred**2), dtype=np.float64)


def _traits(draw: np.random.Generator, count: int, shift: float) -> _Traits:
    kind = draw.choice(len(Kind), count, p=_KIND_SHARES)
    weights = np.array(_DISTRICT_WEIGHTS) / sum(_DISTRICT_WEIGHTS)
    district = draw.choice(len(DISTRICTS), count, p=weights)
    district_level = (district_deprivation() + shift)[district]
    deprivation = 0.6 * district_level + 0.8 * draw.standard_normal(count)
    ill_health = draw.standard_normal(count)
    alone = draw.random(count) < logistic(-1.35 + 0.45 * deprivation)
    family = (kind == Kind.SINGLE_WITH_CHILDREN) | (kind == Kind.COUPLE_WITH_CHILDREN)
    parents = np.where(alone, Kind.SINGLE_WITH_CHILDREN, Kind.COUPLE_WITH_CHILDREN)
    return _Traits(
        kind=np.where(family, parents, kind),
        district=district,
        deprivation=deprivation,
        ill_health=ill_health,
        foreign=draw.random(count) < logistic(-1.45 + 0.9 * district_level),
    )


def _children(draw: np.random.Generator, kind: Whole) -> Whole:
    """Give the children's ages, one row per household, -1 where there is no such child."""
    count = len(kind)
    number = np.zeros(count, dtype=np.int64)
    number = np.where(
        kind == Kind.SINGLE_WITH_CHILDREN,
        draw.choice((1, 2, 3), count, p=(0.52, 0.35, 0.13)),
        number,
    )
    number = np.where(
        kind == Kind.COUPLE_WITH_CHILDREN,
        draw.choice((1, 2, 3, 4), count, p=(0.36, 0.45, 0.15, 0.04)),
        number,
    )
    number = np.where(kind == Kind.OTHER, draw.choice((0, 1, 2), count, p=(0.5, 0.3, 0.2)), number)
    reference = draw.integers(0, OLDEST_CHILD + 1, count)
    step = draw.integers(2, 5, count) * draw.choice((-1, 1), count)
    place = np.arange(_MOST_CHILDREN)
    age = np.abs(reference[:, None] + step[:, None] * place)
    age = np.where(age > OLDEST_CHILD, 2 * OLDEST_CHILD - age, age)
    return np.where(place < number[:, None], age, -1)


def _adults(draw: np.random.Generator, kind: Whole, oldest: Whole) -> Whole:
    """Give the adults' ages, one row per household, -1 where there is no such adult."""
    count = len(kind)
    parent = oldest + np.clip(np.round(draw.normal(29, 5, count)), 18, 45)
    senior = np.clip(np.round(draw.normal(54, 9, count)), 38, 80)
    head = np.select(
        [kind == Kind.SINGLE, kind == Kind.COUPLE, kind == Kind.OTHER],
        [
            _banded(draw, count, _SINGLE_AGES),
            _banded(draw, count, _COUPLE_AGES),
            np.maximum(senior, oldest + 20),
        ],
        default=np.clip(parent, 19, 75),
    ).astype(np.int64)
    second = head + np.round(draw.normal(0, 3, count)).astype(np.int64)
    third = head - draw.integers(22, 36, count)
    ages = np.stack([head, np.clip(second, 20, 100), np.clip(third, 20, 100)], axis=1)
    return np.where(np.arange(_MOST_ADULTS) < np.array(_ADULTS)[kind][:, None], ages, -1)


def _banded(
    draw: np.random.Generator, count: int, bands: tuple[tuple[int, int, float], ...]
) -> Whole:
    """Draw ages: a band by its share, then uniform within it."""
    low, high, shares = (np.array(column) for column in zip(*bands, strict=True))
    band = draw.choice(len(bands), count, p=shares)
    width = (high - low + 1)[band]
    return np.asarray(low[band] + np.floor(draw.random(count) * width), dtype=np.int64)


def _women(draw: np.random.Generator, kind: Whole, head_age: Whole) -> Bools:
    """Tell who is a woman: one row per household, adults' places first, then children's."""
    count = len(kind)
    old_and_single = (kind == Kind.SINGLE) & (head_age >= _OLD)
    share = np.select([kind == Kind.SINGLE_WITH_CHILDREN, old_and_single], [0.8, 0.7], default=0.5)
    head = draw.random(count) < share
    third = draw.random(count) < 1 / 2
    girls = draw.random((count, _MOST_CHILDREN)) < _GIRLS
    return np.concatenate([np.stack([head, ~head, third], axis=1), girls], axis=1)


def _education(draw: np.random.Generator, deprivation: Floats) -> Whole:
    """Give the education (1-3) by place in the household; 0 in the children's places."""
    count = len(deprivation)
    latent = -0.7 * deprivation[:, None] + draw.standard_normal((count, _MOST_ADULTS))
    level = np.select([latent > _HIGH_FROM, latent < _LOW_BELOW], [HIGH, LOW], default=MIDDLE)
    return np.concatenate([level, np.zeros((count, _MOST_CHILDREN), dtype=level.dtype)], axis=1)


def _moved_in(draw: np.random.Generator, count: int) -> Dates:
    start = np.datetime64(f"{FIRST_YEAR}-01-01")
    days = int((np.datetime64(f"{LAST_YEAR + 1}-01-01") - start).astype(np.int64))
    moved = draw.random(count) < _MOVED_IN_SHARE
    return np.where(moved, start + draw.integers(0, days, count), ALWAYS)


def _birth_dates(draw: np.random.Generator, age: Whole) -> Dates:
    year = (LAST_YEAR - age) - 1970
    start = year.astype("datetime64[Y]").astype("datetime64[D]")
    days = ((year + 1).astype("datetime64[Y]").astype("datetime64[D]") - start).astype(np.int64)
    return np.asarray(start + np.floor(draw.random(len(age)) * days).astype(np.int64))
