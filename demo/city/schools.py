"""Schools (SKF): the grade-9 classes of spring 2019-2024, with absence, support and outcome."""

import itertools
import math
from dataclasses import dataclass
from typing import Final, TypedDict

import numpy as np

from demo.city.assistance import Assistance
from demo.city.care import Care
from demo.city.population import DISTRICTS, HIGH, LOW, Kind, Population, Role
from demo.city.settings import (
    FIRST_YEAR,
    LAST_YEAR,
    Bools,
    Floats,
    Settings,
    Whole,
    logistic,
)

FIRST_SPRING: Final = 2019
_LEAVING_AGE: Final = 16
_SCHOOLS_PER_DISTRICT: Final = 2
_NEAR: Final = 0.82
_NEWLY_ARRIVED: Final = 0.09
LONG: Final = 10
"""Months of assistance in a calendar year that count as long-term."""
USUAL_ABSENCE: Final = 8
"""The absence in per cent from which the models count."""
_JUNE, _SCHOOL_YEAR = 5, 11
_PASSED_ALL: Final = 0.885
_CORE: Final = (0.82, 0.45, 0.38)
_MOST_OTHERS: Final = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Schools:
    """One entry per grade-9 pupil, in order of the persons."""

    person: Whole
    """Row among the persons."""
    household: Whole
    """Index into the households."""
    spring: Whole
    """The spring Y (2019-2024) in which the pupil leaves grade 9; grade 6 ended in Y - 3."""
    school: Whole
    """Index 0-23 (S01-S24); schools 2k and 2k + 1 lie in district k."""
    first_guardian: Whole
    """Row of the household's head among the persons."""
    second_guardian: Whole
    """Row of the second adult; -1 where there is none."""
    guardian_education: Whole
    """Highest education (`LOW`, `MIDDLE`, `HIGH`) of head and second adult."""
    long_assistance: Bools
    """ltsa: ten or more months of assistance in one of the calendar years Y - 3 to Y - 1."""
    heavy_care: Bools
    """vofpar: heavy care at home in some month from August Y - 1 to June Y."""
    newly_arrived: Bools
    """nyanländ."""
    child_protection: Bools
    """cps: a child-protection case before grade 9."""
    absence: Floats
    """Absence in grade 9, per cent of the planned hours, one decimal, 0-95."""
    failed_maths_grade_6: Bools
    """f6: F in mathematics in grade 6."""
    support: Bools
    """stod: special support in grade 9."""
    eligible: Bools
    """behorig_yrkes: eligible for a vocational programme of upper secondary school."""
    eligible_probability: Floats
    """The probability with which `eligible` was drawn: the best possible prediction."""
    merit: Floats
    """Meritvärde, 0-340 in steps of 2.5."""
    failed_maths: Bools
    """F in mathematics in grade 9."""
    failed_english: Bools
    """F in English in grade 9."""
    failed_swedish: Bools
    """F in Swedish in grade 9."""
    failed_others: Whole
    """Number of other subjects with F in grade 9, 0-13."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pupils:
    """Who goes to which class, and what the household brings."""

    person: Whole
    household: Whole
    spring: Whole
    education: Whole
    girl: Bools
    long_assistance: Bools
    heavy_care: Bools


def teach(
    settings: Settings, *, population: Population, care: Care, assistance: Assistance
) -> Schools:
    """Take the grade-9 classes through school, but for former residents who left before June."""
    draw = settings.generator("skf")
    pupils = _pupils(population, care, assistance)
    homes, household, count = population.households, pupils.household, len(pupils.person)
    newly_arrived = homes.foreign[household] & (draw.random(count) < _NEWLY_ARRIVED)
    single = homes.kind[household] == Kind.SINGLE_WITH_CHILDREN
    risk = logistic(-3.55 + 0.75 * homes.deprivation[household] + 0.3 * single)
    child_protection = draw.random(count) < risk
    absence = _absence(
        draw,
        settings,
        pupils=pupils,
        deprivation=homes.deprivation[household],
        child_protection=child_protection,
    )
    high, low, more = pupils.education == HIGH, pupils.education == LOW, absence - USUAL_ABSENCE
    log_odds = -2.05 - 0.5 * high + 0.5 * low + 0.5 * newly_arrived + 0.03 * more
    failed_maths_grade_6 = draw.random(count) < logistic(log_odds)
    log_odds = -2.95 + 1.3 * failed_maths_grade_6 + 2.7 * child_protection + 0.03 * more
    support = draw.random(count) < logistic(log_odds + 0.45 * ~pupils.girl)
    j1, j4 = settings.effects.j1, settings.effects.j4
    probability = logistic(
        (2.03 + settings.municipality.eligibility_shift)
        + (0.50 * high - 0.45 * low + 0.12 * pupils.girl - 0.050 * more)
        - j1 * (0.060 * more + 0.80) * pupils.long_assistance
        - (1.30 * newly_arrived + 1.90 * child_protection + 1.60 * failed_maths_grade_6)
        + j4 * 0.50 * support
    )
    eligible = draw.random(count) < probability
    second = homes.second[household]
    return Schools(
        person=pupils.person,
        household=household,
        spring=pupils.spring,
        school=_schools(draw, homes.district[household]),
        first_guardian=homes.first[household],
        second_guardian=second,
        guardian_education=pupils.education,
        long_assistance=pupils.long_assistance,
        heavy_care=pupils.heavy_care,
        newly_arrived=newly_arrived,
        child_protection=child_protection,
        absence=absence,
        failed_maths_grade_6=failed_maths_grade_6,
        support=support,
        eligible=eligible,
        eligible_probability=probability,
        merit=_merit(draw, eligible, high),
        **_failed(draw, eligible),
    )


def _pupils(population: Population, care: Care, assistance: Assistance) -> _Pupils:
    homes = population.households
    spring = LAST_YEAR + _LEAVING_AGE - population.age
    of_age = (population.role == Role.CHILD) & (spring >= FIRST_SPRING) & (spring <= LAST_YEAR)
    june = 12 * (spring - FIRST_YEAR) + _JUNE
    person = np.flatnonzero(of_age & (june < homes.left[population.household]))
    household, spring = population.household[person], spring[person]
    year = spring - FIRST_YEAR
    months = months_by_year(assistance)
    second = homes.second[household]
    second_education = np.where(second >= 0, population.education[second], 0)
    return _Pupils(
        person=person,
        household=household,
        spring=spring,
        education=np.maximum(population.head_education[household], second_education),
        girl=population.woman[person],
        long_assistance=np.any(
            [months[household, year - back] >= LONG for back in (1, 2, 3)], axis=0
        ),
        heavy_care=np.any(
            [care.heavy(household, 12 * year + _JUNE - back) for back in range(_SCHOOL_YEAR)],
            axis=0,
        ),
    )


def months_by_year(assistance: Assistance) -> Whole:
    """Count the months of assistance: one row per household, one column per year from 2016."""
    years, households = LAST_YEAR - FIRST_YEAR + 1, len(assistance.hinder_health)
    cell = assistance.household * years + assistance.month // 12
    return np.bincount(cell, minlength=households * years).reshape(households, years)


def _absence(
    draw: np.random.Generator,
    settings: Settings,
    *,
    pupils: _Pupils,
    deprivation: Floats,
    child_protection: Bools,
) -> Floats:
    """Give the absence in grade 9 in per cent, one decimal."""
    log = (
        math.log(6.2)
        + 0.20 * deprivation
        + settings.effects.j3 * 0.55 * pupils.heavy_care
        + 0.25 * child_protection
        + 0.10 * pupils.long_assistance
        + 0.72 * draw.standard_normal(len(deprivation))
    )
    return np.asarray(np.round(np.clip(np.exp(log), 0, 95), 1), dtype=np.float64)


def _schools(draw: np.random.Generator, district: Whole) -> Whole:
    """Choose one of the district's own two schools, or any."""
    count = len(district)
    own = _SCHOOLS_PER_DISTRICT * district + draw.integers(0, _SCHOOLS_PER_DISTRICT, count)
    anywhere = draw.integers(0, _SCHOOLS_PER_DISTRICT * len(DISTRICTS), count)
    return np.where(draw.random(count) < _NEAR, own, anywhere)


def _merit(draw: np.random.Generator, eligible: Bools, high: Bools) -> Floats:
    error = draw.standard_normal(len(eligible))
    passed = np.clip(245 + 8 * high + 38 * error, 100, 340)
    failed = np.clip(130 + 45 * error, 0, 215)
    return np.round(np.where(eligible, passed, failed) / 2.5) * 2.5


class _Failed(TypedDict):
    failed_maths: Bools
    failed_english: Bools
    failed_swedish: Bools
    failed_others: Whole


def _failed(draw: np.random.Generator, eligible: Bools) -> _Failed:
    """Give who failed in which core subject, and in how many others."""
    count = len(eligible)
    patterns = np.array(list(itertools.product((False, True), repeat=len(_CORE))))
    weight = np.where(patterns, _CORE, 1 - np.array(_CORE)).prod(axis=1)
    weight[~patterns.any(axis=1)] = 0.0  # who is not eligible failed in one of them at least
    core = patterns[draw.choice(len(patterns), count, p=weight / weight.sum())]
    core &= ~eligible[:, None]
    one_to_three = np.where(draw.random(count) < _PASSED_ALL, 0, draw.integers(1, 4, count))
    others = np.where(eligible, one_to_three, np.minimum(draw.poisson(4, count), _MOST_OTHERS))
    return {
        "failed_maths": core[:, 0],
        "failed_english": core[:, 1],
        "failed_swedish": core[:, 2],
        "failed_others": others,
    }
