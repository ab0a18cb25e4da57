"""Logistic regression and least squares without penalty, with standard errors."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import linalg, special

from demo.city.settings import Floats, Whole

Column = npt.NDArray[np.generic]
Columns = dict[str, Column]
"""Explanatory variables by name, numbers or 0/1; the constant is added."""

_MOST_STEPS: Final = 25
_BITS: Final = 63
_CLOSE: Final = 1e-8
_SINGULAR: Final = 1e12
"""Condition from which on rounding decides over the coefficients."""


class NoFitError(ValueError):
    """The rows do not determine the coefficients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Coefficients and standard errors by variable; `log_likelihood` is 0 for least squares."""

    coefficient: dict[str, float]
    deviation: dict[str, float]
    log_likelihood: float


def fit_logistic(outcome: Column, columns: Columns) -> Fit:
    """Fit the log-odds of a 0/1 outcome by maximum likelihood (Newton's method).

    Raises:
        NoFitError: a variable is constant, or a combination of others, or separates the outcome.
    """
    row, times = _distinct(outcome, columns)
    design = _design({name: column[row] for name, column in columns.items()}, len(row))
    observed = np.asarray(outcome[row], dtype=np.float64)
    weights = np.zeros(design.shape[1])
    for _ in range(_MOST_STEPS):
        chance = special.expit(design @ weights)
        information = design.T @ (design * (times * chance * (1 - chance))[:, None])
        covariance = _inverse(information)
        step = covariance @ (design.T @ (times * (observed - chance)))
        weights += step
        if np.abs(step).max() < _CLOSE:
            log_odds = design @ weights
            likelihood = times @ (observed * log_odds - np.logaddexp(0, log_odds))
            return _fit(columns, weights, covariance, float(likelihood))
    raise NoFitError("the likelihood has no maximum: a variable separates the outcome")


def fit_least_squares(outcome: Floats, columns: Columns) -> Fit:
    """Fit the mean of an outcome by least squares.

    Raises:
        NoFitError: a variable is constant, or a combination of others.
    """
    design = _design(columns, len(outcome))
    inverse = _inverse(design.T @ design)
    weights = inverse @ (design.T @ outcome)
    residual = outcome - design @ weights
    variance = residual @ residual / (len(outcome) - design.shape[1])
    return _fit(columns, weights, inverse * variance, 0.0)


def _distinct(outcome: Column, columns: Columns) -> tuple[Whole, Whole]:
    """Give one row of each that differ, and how often it stands: equal rows are counted once.

    Spell months are many and their variables 0 or 1; where some variable is not, or there are too
    many for the bits of an integer, every row stands for itself.
    """
    every = (outcome, *columns.values())
    if len(every) > _BITS or any(column.dtype != np.bool_ for column in every):
        return np.arange(len(outcome)), np.ones(len(outcome), dtype=np.int64)
    pattern = np.zeros(len(outcome), dtype=np.int64)
    for bit, column in enumerate(every):
        pattern |= column.astype(np.int64) << bit
    _, row, times = np.unique(pattern, return_index=True, return_counts=True)
    return row, times


def _design(columns: Columns, rows: int) -> Floats:
    return np.column_stack(
        [np.ones(rows), *(np.asarray(column, dtype=np.float64) for column in columns.values())]
    )


def _inverse(matrix: Floats) -> Floats:
    """Invert a positive definite matrix."""
    if not np.linalg.cond(matrix) < _SINGULAR:
        raise NoFitError("the variables do not determine the coefficients")
    return np.asarray(linalg.inv(matrix), dtype=np.float64)


def _fit(columns: Columns, weights: Floats, covariance: Floats, likelihood: float) -> Fit:
    names, deviations = ("constant", *columns), np.sqrt(np.diag(covariance))
    return Fit(
        coefficient=dict(zip(names, weights.tolist(), strict=True)),
        deviation=dict(zip(names, deviations.tolist(), strict=True)),
        log_likelihood=likelihood,
    )
