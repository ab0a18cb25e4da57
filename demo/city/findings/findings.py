"""What an analyst with all departments' records joined would find, beside the planted truth.

Every estimate uses only what departments write: neither deprivation U nor ill health V is among
the variables. Former residents are left out.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from demo.city.assistance import CASEWORKERS
from demo.city.findings.regression import (
    Column,
    Columns,
    Fit,
    NoFitError,
    fit_least_squares,
    fit_logistic,
)
from demo.city.findings.rows import PupilRows, SpellMonths, costs, indicators
from demo.city.labour import AVBROTT, EARLY_EFFECT, MIDDLE_EFFECT
from demo.city.population import HIGH, LOW
from demo.city.settings import Bools, Effects
from demo.city.simulate import City

_SMALLEST_ABSENCE: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One estimate: `truth` is None where nothing was planted, `deviation` its standard error."""

    name: str
    truth: float | None
    value: float
    deviation: float | None
    count: int
    """Pupils, spell months, programmes or households that carry the estimate."""


def joined(city: City) -> tuple[Estimate, ...]:
    """Give the estimates of the joined records with the right model.

    | name | what |
    |---|---|
    | j1_level, j1_slope | long-term assistance and eligibility: log-odds; per point of absence |
    | j2_early, j2_middle, j2_late | work-based programme: log-odds of leaving assistance |
    | j3 | heavy care at home: logarithm of the ratio of absence |
    | j4 | special support: log-odds of eligibility |
    | j5 | heavy care at home: log-odds of dropping out of a programme |
    | j6_households, j6_cost | households with costs in two departments or more; their cost share |
    | n1, n3 | likelihood ratio of districts (eligibility), of caseworkers (leaving) |
    | n2 | JOBBSOK and SFI_KOMBI: log-odds of leaving assistance |

    Raises:
        NoFitError: the city is too small.
    """
    effects = city.settings.effects
    pupils, months = PupilRows.of(city), SpellMonths.of(city)
    school = fit_logistic(pupils.eligible, pupils.joined())
    return (
        *_schools_and_assistance(pupils, school, effects),
        *_programmes(months, effects),
        _absence(pupils, effects),
        _drop_out(city, effects),
        *_shared_costs(city),
        _districts(pupils),
        _caseworkers(city, months),
    )


def alone(city: City) -> tuple[Estimate, ...]:
    """Give what one department sees by itself, or a comparison that leaves out what matters.

    | name | what |
    |---|---|
    | j1_long_assistance, j1_others | share of eligible pupils |
    | j2_any_work_based | log-odds of leaving in its window, without the spell's clock |
    | j3_heavy_care, j3_others | mean absence in per cent |
    | j4_crude, j4_school | special support: log-odds, alone and beside what the schools know |
    | n1_school | likelihood ratio of districts and nothing else |
    | n2_any_programme | log-odds of leaving in a programme's window, without the clock |

    Raises:
        NoFitError: the city is too small.
    """
    pupils, months = PupilRows.of(city), SpellMonths.of(city)
    own = fit_logistic(pupils.eligible, pupils.school())
    crude = fit_logistic(pupils.eligible, {"support": pupils.support})
    return (
        _rate("j1_long_assistance", pupils.eligible, pupils.long_assistance),
        _rate("j1_others", pupils.eligible, ~pupils.long_assistance),
        _crude("j2_any_work_based", months, months.work_based),
        _rate("j3_heavy_care", pupils.absence, pupils.heavy_care),
        _rate("j3_others", pupils.absence, ~pupils.heavy_care),
        _estimate("j4_crude", crude, "support", truth=None, exposed=pupils.support),
        _estimate("j4_school", own, "support", truth=None, exposed=pupils.support),
        replace(
            _likelihood_ratio("n1_school", pupils.eligible, {}, pupils.districts()), truth=None
        ),
        _crude("n2_any_programme", months, months.in_window),
    )


def _schools_and_assistance(pupils: PupilRows, fit: Fit, effects: Effects) -> tuple[Estimate, ...]:
    j1, j4, assisted = effects.j1, effects.j4, pupils.long_assistance
    return (
        _estimate("j1_level", fit, "long_assistance", truth=-0.80 * j1, exposed=assisted),
        _estimate("j1_slope", fit, "absence_and_assistance", truth=-0.060 * j1, exposed=assisted),
        _estimate("j4", fit, "support", truth=0.50 * j4, exposed=pupils.support),
    )


def _programmes(months: SpellMonths, effects: Effects) -> tuple[Estimate, ...]:
    columns = months.joined()
    fit = fit_logistic(months.leaves, columns)
    truth = {
        "early": EARLY_EFFECT * effects.j2,
        "middle": MIDDLE_EFFECT * effects.j2,
        "late": 0.0,
    }
    return (
        *(
            _estimate(f"j2_{name}", fit, name, truth=truth[name], exposed=columns[name])
            for name in truth
        ),
        _estimate("n2", fit, "other", truth=0.0, exposed=columns["other"]),
    )


def _absence(pupils: PupilRows, effects: Effects) -> Estimate:
    columns: Columns = {
        "heavy_care": pupils.heavy_care,
        "long_assistance": pupils.long_assistance,
        "child_protection": pupils.child_protection,
        "high_education": pupils.education == HIGH,
        "low_education": pupils.education == LOW,
        **pupils.districts(),
    }
    fit = fit_least_squares(np.log(np.maximum(pupils.absence, _SMALLEST_ABSENCE)), columns)
    return _estimate("j3", fit, "heavy_care", truth=0.55 * effects.j3, exposed=pupils.heavy_care)


def _drop_out(city: City, effects: Effects) -> Estimate:
    programmes, homes = city.labour.programmes, city.population.households
    ended = np.flatnonzero(~programmes.running & ~homes.former[programmes.household])
    household, heavy = programmes.household[ended], programmes.heavy[ended]
    columns: Columns = {
        "heavy": heavy,
        "hinder_health": city.assistance.hinder_health[household],
        "low_education": city.population.head_education[household] == LOW,
    }
    fit = fit_logistic(programmes.reason[ended] == AVBROTT, columns)
    return _estimate("j5", fit, "heavy", truth=1.00 * effects.j5, exposed=heavy)


def _districts(pupils: PupilRows) -> Estimate:
    return _likelihood_ratio("n1", pupils.eligible, pupils.joined(), pupils.districts())


def _likelihood_ratio(name: str, outcome: Bools, columns: Columns, tested: Columns) -> Estimate:
    """Compare the fits with and without variables; their number is expected of no effect."""
    without, fit = fit_logistic(outcome, columns), fit_logistic(outcome, columns | tested)
    return Estimate(
        name=name,
        truth=float(len(tested)),
        value=2 * (fit.log_likelihood - without.log_likelihood),
        deviation=math.sqrt(2 * len(tested)),
        count=len(outcome),
    )


def _caseworkers(city: City, months: SpellMonths) -> Estimate:
    caseworker = city.assistance.caseworker[months.household]
    columns = months.joined()
    return _likelihood_ratio(
        "n3",
        months.leaves,
        columns,
        indicators("caseworker", caseworker, range(2, CASEWORKERS + 1)),
    )


def _crude(name: str, months: SpellMonths, exposed: Bools) -> Estimate:
    fit = fit_logistic(months.leaves, {name: exposed})
    return _estimate(name, fit, name, truth=None, exposed=exposed)


def _rate(name: str, values: Column, group: Bools) -> Estimate:
    chosen = np.asarray(values[group], dtype=np.float64)
    if not len(chosen):
        raise NoFitError(f"nobody for {name}")
    deviation = chosen.std() / math.sqrt(len(chosen))
    return Estimate(
        name=name,
        truth=None,
        value=float(chosen.mean()),
        deviation=float(deviation),
        count=len(chosen),
    )


def _estimate(
    name: str, fit: Fit, variable: str, *, truth: float | None, exposed: Column
) -> Estimate:
    return Estimate(
        name=name,
        truth=truth,
        value=fit.coefficient[variable],
        deviation=fit.deviation[variable],
        count=int(np.count_nonzero(exposed)),
    )


def _shared_costs(city: City) -> tuple[Estimate, Estimate]:
    """Give the households with costs in two departments or more, and their part of the cost."""
    cost = costs(city)
    shared, total = np.count_nonzero(cost, axis=1) > 1, cost.sum(axis=1)
    part = float(total[shared].sum() / total.sum())
    count = int(np.count_nonzero(shared))
    return (
        replace(_rate("j6_households", shared, np.full(len(shared), fill_value=True)), count=count),
        Estimate(name="j6_cost", truth=None, value=part, deviation=None, count=count),
    )
