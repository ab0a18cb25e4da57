"""Regressions against scikit-learn, closed forms and simulation."""

import math

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from demo.city.findings.regression import NoFitError, fit_least_squares, fit_logistic

DRAW = np.random.default_rng(1)
ROWS = 4_000
COLUMNS = {"one": DRAW.normal(size=ROWS), "two": DRAW.random(ROWS) < 0.1}
SCORE = -1.0 + 0.5 * COLUMNS["one"] + 0.8 * COLUMNS["two"]
OUTCOME = DRAW.random(ROWS) < 1 / (1 + np.exp(-SCORE))


def test_logistic_coefficients_are_those_of_scikit_learn() -> None:
    fit = fit_logistic(OUTCOME, COLUMNS)
    design = np.column_stack(list(COLUMNS.values()))
    other = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(design, OUTCOME)
    expected = [*other.intercept_, *other.coef_[0]]
    assert list(fit.coefficient.values()) == pytest.approx(expected, abs=1e-5)
    chances = other.predict_proba(design)[:, 1]
    likelihood = np.log(np.where(OUTCOME, chances, 1 - chances)).sum()
    assert fit.log_likelihood == pytest.approx(likelihood)


def test_equal_rows_may_be_counted_instead_of_repeated() -> None:
    flags = {str(bit): DRAW.random(ROWS) < 0.3 for bit in range(4)}
    counted = fit_logistic(OUTCOME, flags)
    repeated = fit_logistic(OUTCOME, {name: flag.astype(float) for name, flag in flags.items()})
    assert counted.coefficient == pytest.approx(repeated.coefficient)
    assert counted.deviation == pytest.approx(repeated.deviation)
    assert counted.log_likelihood == pytest.approx(repeated.log_likelihood)


def test_one_binary_variable_gives_the_log_odds_ratio_and_its_error() -> None:
    exposed = COLUMNS["two"]
    cells = [np.sum(OUTCOME[exposed == e] == y) for e in (True, False) for y in (True, False)]
    fit = fit_logistic(OUTCOME, {"two": exposed})
    ratio = math.log(cells[0] * cells[3] / (cells[1] * cells[2]))
    assert fit.coefficient["two"] == pytest.approx(ratio)
    assert fit.deviation["two"] == pytest.approx(math.sqrt(sum(1 / n for n in cells)), rel=1e-4)


def test_least_squares_are_those_of_scikit_learn_and_their_errors_those_of_repetition() -> None:
    design = np.column_stack(list(COLUMNS.values()))
    draw = np.random.default_rng(2)
    fits = []
    for _ in range(300):
        outcome = SCORE + 0.7 * draw.normal(size=ROWS)
        fits.append(fit_least_squares(outcome, COLUMNS))
    other = LinearRegression().fit(design, outcome)
    assert fits[-1].coefficient["two"] == pytest.approx(other.coef_[1])
    spread = np.std([fit.coefficient["two"] for fit in fits])
    assert spread == pytest.approx(fits[0].deviation["two"], rel=0.15)


@pytest.mark.parametrize(
    "columns",
    [
        {"constant_too": np.ones(ROWS)},
        {"separates": OUTCOME},
        {"nobody": np.zeros(ROWS)},
        {"one": COLUMNS["one"], "again": 2 * COLUMNS["one"]},
    ],
)
def test_what_the_rows_do_not_determine_is_refused(columns: dict[str, np.ndarray]) -> None:
    with pytest.raises(NoFitError):
        fit_logistic(OUTCOME, columns)
