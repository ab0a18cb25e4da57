"""Social assistance (SOF): spells month by month, with the programmes that shorten them."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from demo.city.care import Care
from demo.city.labour import Programmes, Referrals, Started, end_reasons
from demo.city.population import HIGH, LOW, Kind, Population, Role
from demo.city.settings import (
    BURN_IN,
    FIRST_YEAR,
    LAST_YEAR,
    MONTHS,
    Bools,
    Floats,
    Settings,
    Whole,
    logistic,
)

CASEWORKERS: Final = 40
OLDER: Final = 50
"""Age from which applicants leave more slowly."""
_ADULT, _PENSION = 18, 67
_UNDER: Final = 30
_AGAIN_WITHIN: Final = 12
_WORK_WITHIN: Final = 2
_TREND_YEAR: Final = 2019
DURATION_BOUNDS: Final = (3, 6, 12, 24)
DURATION_LOG_ODDS: Final = (-1.10, -1.60, -2.20, -2.75, -3.10)
"""Log-odds of leaving in spell months 1-3, 4-6, 7-12, 13-24 and later."""
_LEAST, _MOST = 500, 40_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Assistance:
    """One entry per household and month with a payment, months 0-107, sorted by both.

    The applicant is the household's head. Spells that began before month 0 keep their clock.
    """

    household: Whole
    """Index into the households."""
    month: Whole
    """Month 0-107."""
    spell: Whole
    """Number of the spell, from 0 in order of household and month; one number, one spell."""
    spell_month: Whole
    """Month of the spell, t: 1 in its first month."""
    last: Bools
    """Whether the spell ended with this month (False for spells under way at the end)."""
    amount: Whole
    """Paid in this month, whole kronor."""
    children: Whole
    """Children of the household below 18 in the calendar year."""
    hinder_health: Bools
    """Per household (all households): the applicant's hindrance to work is ill health."""
    caseworker: Whole
    """Per household (all households): 1-40, at random and without any effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """Household-months in a spell, in order of month and household."""

    household: Whole
    month: Whole
    spell_month: Whole
    last: Bools

    @property
    def spell_key(self) -> Whole:
        """A number that belongs to one spell, ascending by household and start."""
        return _spell_key(self.household, self.month, self.spell_month)


def assist(settings: Settings, population: Population, care: Care) -> tuple[Assistance, Programmes]:
    """Simulate spells of assistance and the programmes within them."""
    draw = settings.generator("sof")
    homes = population.households
    hinder_health = draw.random(len(homes.kind)) < logistic(-1.55 + 0.35 * homes.ill_health)
    caseworker = draw.integers(1, CASEWORKERS + 1, len(homes.kind))
    referrals = Referrals(settings, population=population, hinder_health=hinder_health)
    everything = _spells(draw, population, hinder_health, referrals)
    kept = (everything.month >= 0) & (everything.month < homes.left[everything.household])
    rows = _Rows(
        household=everything.household[kept],
        month=everything.month[kept],
        spell_month=everything.spell_month[kept],
        last=everything.last[kept],
    )
    amount, children = _amounts(settings, population, rows)
    keys, spell = np.unique(rows.spell_key, return_inverse=True)
    order = np.lexsort((rows.month, rows.household))
    assistance = Assistance(
        household=rows.household[order],
        month=rows.month[order],
        spell=spell[order],
        spell_month=rows.spell_month[order],
        last=rows.last[order],
        amount=amount[order],
        children=children[order],
        hinder_health=hinder_health,
        caseworker=caseworker,
    )
    programmes = _programmes(
        settings,
        population=population,
        care=care,
        assistance=assistance,
        spell_keys=keys,
        started=referrals.started(),
    )
    return assistance, programmes


def _spell_key(household: Whole, month: Whole, spell_month: Whole) -> Whole:
    return household * (BURN_IN + MONTHS) + month - spell_month + 1 + BURN_IN


def _spells(
    draw: np.random.Generator, population: Population, hinder_health: Bools, referrals: Referrals
) -> _Rows:
    """Simulate every household month by month, programmes shortening spells as they go.

    Every month draws one number per household for starting and one for leaving, whoever is in a
    spell, so that an effect changes what it changes and nothing beside it.
    """
    starting, leaving = _start_base(population), _leave_base(population, hinder_health)
    head_birth_year = LAST_YEAR - population.age[population.households.first]
    clock = np.zeros(len(starting), dtype=np.int64)
    first_without = np.full(len(starting), -BURN_IN - MONTHS)
    parts = []
    for month in range(-BURN_IN, MONTHS):
        year = FIRST_YEAR + month // 12
        age = year - head_birth_year
        start, leave = draw.random((2, len(starting)))
        again = month - first_without <= _AGAIN_WITHIN
        begins = (clock == 0) & (start < _start_chance(starting, age, year, again=again))
        clock = np.where(clock > 0, clock + 1, begins)
        here = np.flatnonzero(clock)
        spell_month = clock[here]
        referrals.refer(month, here, spell_month)
        log_odds = leaving[here] - 0.30 * (age[here] >= OLDER) + duration_log_odds(spell_month)
        last = leave[here] < logistic(log_odds + referrals.effect(month, here))
        parts.append((here, np.full(len(here), month), spell_month, last))
        gone = here[last]
        referrals.leave(gone)
        clock[gone] = 0
        first_without[gone] = month + 1
    household, months, spell_months, lasts = (
        np.concatenate(part) for part in zip(*parts, strict=True)
    )
    return _Rows(household=household, month=months, spell_month=spell_months, last=lasts)


def duration_log_odds(spell_month: Whole) -> Floats:
    """Give what the length of the spell so far adds to the log-odds of leaving."""
    return np.array(DURATION_LOG_ODDS)[np.searchsorted(DURATION_BOUNDS, spell_month, side="left")]


def _start_base(population: Population) -> Floats:
    """Give each household's log-odds of starting a spell, but for age, year and recent spells."""
    homes, education = population.households, population.head_education
    return np.asarray(
        -6.78
        + 0.95 * homes.deprivation
        + 0.35 * homes.ill_health
        + 0.55 * (homes.kind == Kind.SINGLE_WITH_CHILDREN)
        + 0.35 * homes.foreign
        - 0.45 * (education == HIGH)
        + 0.40 * (education == LOW)
    )


def _start_chance(base: Floats, age: Whole, year: int, *, again: Bools) -> Floats:
    trend = -0.055 * (max(year, FIRST_YEAR) - _TREND_YEAR)
    log_odds = base + trend + 0.30 * (age < _UNDER) + 0.9 * again - 9.0 * (age >= _PENSION)
    return np.where(age >= _ADULT, logistic(log_odds), 0.0)


def _leave_base(population: Population, hinder_health: Bools) -> Floats:
    """Give each household's log-odds of leaving in a month, but for time and age."""
    education = population.head_education
    return np.asarray(
        0.25 * (education == HIGH)
        - 0.25 * (education == LOW)
        - 0.70 * hinder_health
        - 0.20 * with_children(population)
    )


def with_children(population: Population) -> Bools:
    """Tell which households have children (of any age up to 21 at the end of 2024)."""
    child = population.household[population.role == Role.CHILD]
    return np.bincount(child, minlength=len(population.households.kind)) > 0


def _children_below_18(population: Population) -> Whole:
    """Count the children below 18 by household and calendar year."""
    years = range(FIRST_YEAR, LAST_YEAR + 1)
    household = population.household
    counts = []
    for year in years:
        age = population.age_in(year)
        child = (population.role == Role.CHILD) & (age >= 0) & (age < _ADULT)
        counts.append(np.bincount(household[child], minlength=len(population.households.kind)))
    return np.stack(counts, axis=1)


def _amounts(settings: Settings, population: Population, rows: _Rows) -> tuple[Whole, Whole]:
    """Give what is paid each month, and the children it is paid for."""
    draw = settings.generator("amount")
    count = len(population.households.kind)
    noise = np.empty((2, len(rows.month)))
    for month in range(MONTHS):
        deduction, error = draw.random(count), draw.standard_normal(count)
        here = rows.month == month
        noise[:, here] = deduction[rows.household[here]], error[rows.household[here]]
    # The norm of a couple is for the households of kind "couple": so read, a household's amounts of
    # a year have the published mean; with families and others paid as couples they are 8 % higher.
    couple = population.households.kind[rows.household] == Kind.COUPLE
    children = _children_below_18(population)[rows.household, rows.month // 12]
    norm = np.where(couple, 7_900, 4_600) + 3_100 * children + 6_200 + 900 * children
    amount = norm * (1 - 0.45 * noise[0]) * np.exp(0.12 * noise[1])
    return np.round(np.clip(amount, _LEAST, _MOST)).astype(np.int64), children


def _programmes(
    settings: Settings,
    *,
    population: Population,
    care: Care,
    assistance: Assistance,
    spell_keys: Whole,
    started: Started,
) -> Programmes:
    key = _spell_key(started.household, started.start, started.spell_month)
    spell = np.minimum(np.searchsorted(spell_keys, key), len(spell_keys) - 1)
    final_row = np.cumsum(np.bincount(assistance.spell)) - 1
    spell_end, spell_over = assistance.month[final_row][spell], assistance.last[final_row][spell]
    end = np.minimum(started.planned_end, spell_end)
    running = (started.planned_end >= MONTHS) & (end == MONTHS - 1) & ~spell_over
    heavy = care.heavy(started.household, started.start)
    reason = end_reasons(
        settings,
        started,
        heavy=heavy,
        hinder_health=assistance.hinder_health[started.household],
        low_education=population.head_education[started.household] == 1,
        into_work=spell_over & (spell_end - end <= _WORK_WITHIN),
    )
    kept = np.flatnonzero((spell_keys[spell] == key) & (end >= 0) & (started.start <= end))
    kept = kept[np.lexsort((started.start[kept], started.household[kept]))]
    return Programmes(
        household=started.household[kept],
        kind=started.kind[kept],
        start=started.start[kept],
        end=end[kept],
        running=running[kept],
        reason=np.where(running, -1, reason)[kept],
        spell=spell[kept],
        spell_month=started.spell_month[kept],
        heavy=heavy[kept],
    )
