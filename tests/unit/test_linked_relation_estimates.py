"""All relations of a question: from tables of pairs the same as from records."""

from dataclasses import replace

import linked_tables as linked
import numpy as np
import pytest
import statsmodels.api as sm
from linked_studies import TEXT
from sklearn.metrics import roc_auc_score

from models.errors import UsageError
from models.governance.linked import LinkedStudy
from models.governance.questions import Relations
from models.linkage.estimates import asked
from models.linkage.estimates.answers import answers
from models.linkage.estimates.figures import Answer
from models.linkage.estimates.regression import APPROXIMATE, DIFFERENT, RAISED
from models.schema import Missing

RESIDENTS = 12_000
CUTS = (-1.0, 0.0, 1.0)
MIDDLES = np.array([-2.0, -0.5, 0.5, 2.0])
MISSING = Missing(meaning=TEXT)
QUESTION = Relations(
    kind="relations",
    name="all",
    title=TEXT,
    of=("x0", "x1", "x2", "x3", "area"),
    crossed=(("x1", "x2"),),
    outcome="passed",
)


def study(question: Relations = QUESTION, *, missing: Missing | None = None) -> LinkedStudy:
    numbers = [linked.number(f"x{place}", -3, *CUTS, 3) for place in range(4)]
    numbers[3] = replace(numbers[3], missing=missing)
    own = [
        linked.variable(department, column)
        for department, column in zip(("school", "care", "social", "care"), numbers, strict=True)
    ]
    own.append(linked.variable("school", linked.category("area", "north", "south", "west")))
    own.append(linked.variable("school", linked.category("passed", "no", "yes")))
    return linked.study(own, question)


def residents(seed: int, count: int = RESIDENTS) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    numbers = generator.normal(size=(count, 4))
    numbers[:, 1] = 0.6 * numbers[:, 0] + 0.8 * numbers[:, 1]
    area = generator.integers(0, 3, count)
    value = -0.5 + 0.9 * numbers[:, 0] - 0.6 * numbers[:, 2] + 0.4 * (area == 2)
    value += 0.5 * numbers[:, 1] * numbers[:, 2]
    passed = generator.random(count) < 1 / (1 + np.exp(-value))
    codes = {f"x{place}": np.searchsorted(CUTS, numbers[:, place]) for place in range(4)}
    return codes | {"area": area, "passed": passed.astype(np.int64)}


def found(rows: dict[str, np.ndarray], own: LinkedStudy | None = None) -> dict[str, Answer]:
    own = own or study()
    asked.check(own)
    return {item.analysis: item for item in answers(own, linked.clear(own, rows))}


def design(rows: dict[str, np.ndarray]) -> np.ndarray:
    columns = [MIDDLES[rows[f"x{place}"]] for place in range(4)]
    return sm.add_constant(np.column_stack([*columns, rows["area"] == 1, rows["area"] == 2]) * 1.0)


def values(answer: Answer) -> list[float]:
    return [figure.value for figure in answer.figures if figure.value is not None]


def test_linear_regression_is_least_squares_on_records() -> None:
    rows = residents(1)
    answer = found(rows)["linear regression of passed"]
    oracle = sm.OLS(rows["passed"] * 1.0, design(rows)).fit()
    np.testing.assert_allclose(values(answer), oracle.params[1:], atol=1e-6)
    np.testing.assert_allclose(
        [(item.low, item.high) for item in answer.figures], oracle.conf_int()[1:], atol=2e-5
    )
    [score] = answer.scores
    np.testing.assert_allclose(score.predict(rows), oracle.predict(), atol=1e-6)


def test_the_additive_model_is_least_squares_on_bins_and_crossed_bins() -> None:
    rows = residents(2)
    [score] = found(rows)["linear additive model of passed"].scores
    bins = [np.eye(4)[rows[f"x{place}"]][:, 1:] for place in range(4)]
    crossed = (bins[1][:, :, None] * bins[2][:, None, :]).reshape(len(rows["area"]), -1)
    columns = np.column_stack([*bins, np.eye(3)[rows["area"]][:, 1:], crossed])
    oracle = sm.OLS(rows["passed"] * 1.0, sm.add_constant(columns)).fit()
    np.testing.assert_allclose(score.predict(rows), oracle.predict(), atol=1e-6)


def test_crossed_terms_find_what_single_terms_cannot() -> None:
    rows, unseen = residents(3), residents(4)
    answered = found(rows)
    aucs = [
        roc_auc_score(
            unseen["passed"], answered[f"logistic {name} of passed"].scores[0].sums(unseen)
        )
        for name in ("regression", "additive model")
    ]
    assert aucs[1] > aucs[0] + 0.01


def test_the_one_shot_logistic_fit_is_close_and_says_that_it_is_approximate() -> None:
    rows = residents(5)
    answer = found(rows)["logistic regression of passed"]
    oracle = sm.Logit(rows["passed"], design(rows)).fit(disp=0)
    strong = np.abs(oracle.params[1:]) > 0.2
    ratio = np.asarray(values(answer))[strong] / oracle.params[1:][strong]
    np.testing.assert_allclose(ratio, 1.0, atol=0.05)
    assert APPROXIMATE in answer.notes
    chances = answer.scores[0].predict(rows)
    assert chances.mean() == pytest.approx(rows["passed"].mean(), abs=0.005)
    slope = (
        sm.Logit(rows["passed"], sm.add_constant(answer.scores[0].sums(rows))).fit(disp=0).params[1]
    )
    assert slope == pytest.approx(1.0, abs=0.05)


def test_relations_are_ranked_with_intervals_for_all_of_them_together() -> None:
    rows = residents(6)
    answer = found(rows)["strongest relations"]
    columns = {f"x{place}": MIDDLES[rows[f"x{place}"]] for place in range(4)}
    columns |= {"passed = yes": rows["passed"] * 1.0}
    first = answer.figures[0]
    assert first.name == "x0 and x1"
    for figure in answer.figures:
        left, right = figure.name.split(" and ")
        if left in columns and right in columns:
            oracle = np.corrcoef(columns[left], columns[right])[0, 1]
            assert figure.value == pytest.approx(oracle, abs=1e-9)
    null = next(item for item in answer.figures if item.name == "x2 and x3")
    pairs = 6 + 4 * 3 + 4 + 3
    assert f"all {pairs} relations" in answer.notes[0]
    # About 1 / sqrt(n), at the level 0.05 / 25 on both sides.
    assert (null.high - null.low) / 2 == pytest.approx(3.09 / np.sqrt(RESIDENTS), rel=0.05)


def test_means_and_shares_stand_in_a_list() -> None:
    rows = residents(7)
    figures = {item.name: item.value for item in found(rows)["shares and means"].figures}
    assert figures["x2"] == pytest.approx(MIDDLES[rows["x2"]].mean())
    assert figures["area = west"] == pytest.approx((rows["area"] == 2).mean())
    assert figures["passed = yes"] == pytest.approx(rows["passed"].mean())


def test_missing_numbers_have_a_term_of_their_own() -> None:
    rows = residents(8)
    generator = np.random.default_rng(8)
    gone = generator.random(RESIDENTS) < 0.2
    rows["x3"] = np.where(gone, 4, rows["x3"])
    own = study(missing=MISSING)
    answered = found(rows, own)
    answer = answered["linear regression of passed"]
    columns = design(rows | {"x3": rows["x3"] % 4})
    columns[gone, 4] = columns[~gone, 4].mean()
    oracle = sm.OLS(rows["passed"] * 1.0, np.column_stack([columns, gone * 1.0])).fit()
    named = {item.name: item.value for item in answer.figures}
    assert named["x3"] == pytest.approx(oracle.params[4], abs=1e-6)
    assert named["x3 = missing"] == pytest.approx(oracle.params[-1], abs=1e-6)
    pair = next(
        item for item in answered["strongest relations"].figures if item.name == "x2 and x3"
    )
    known = ~gone
    oracle_r = np.corrcoef(MIDDLES[rows["x2"][known]], MIDDLES[rows["x3"][known]])[0, 1]
    assert pair.value == pytest.approx(oracle_r, abs=1e-3)


def test_variables_of_different_residents_are_pointed_out() -> None:
    rows = residents(9)
    rows["x3"] = np.where(np.arange(RESIDENTS) < 3000, rows["x3"], -1)
    answered = found(rows)
    assert DIFFERENT in answered["strongest relations"].notes
    assert DIFFERENT in answered["linear regression of passed"].notes
    assert DIFFERENT not in found(residents(9))["strongest relations"].notes


def test_noise_shrinks_directions_that_it_hides_and_says_so() -> None:
    own = study()
    few = linked.clear(own, residents(10, count=400))
    noisy = linked.noisy(few, linked.variance(own), np.random.default_rng(10))
    for answer in answers(own, noisy):
        if "additive" in answer.analysis:
            assert RAISED in answer.notes
            assert np.abs(values(answer)).max() < 20
    nobody = {name: np.full(1, -1) for name in residents(1, count=1)}
    empty = linked.noisy(linked.clear(own, nobody), 900.0, np.random.default_rng(11))
    for answer in answers(own, empty):
        assert all(item.drowned or item.value is None for item in answer.figures)


def test_an_outcome_needs_two_categories_or_numbers() -> None:
    with pytest.raises(UsageError, match="must have two categories"):
        asked.check(study(replace(QUESTION, outcome="area")))
    numeric = study(replace(QUESTION, outcome="x2", crossed=()))
    asked.check(numeric)
    analyses = found(residents(12), numeric)
    assert "logistic regression of x2" not in analyses
    assert analyses["linear regression of x2"].scores[0].kind == "linear"
