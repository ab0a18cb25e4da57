"""The figures against scikit-learn, and what is withheld."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from models import documents
from models.errors import ProtocolViolationError
from models.evaluation import histograms, metrics
from models.evaluation.intervals import Estimate, Simulator, project
from models.families.chunks import Chunk
from models.quantities import NoiseVariance

SEED = b"public"


def histogram(scores: np.ndarray, outcomes: np.ndarray) -> np.ndarray:
    rows = len(outcomes)
    chunk = Chunk(
        inputs=np.zeros((rows, 1), dtype=np.float32),
        outcomes=outcomes,
        owners=np.arange(rows),
        shares=np.ones(rows),
        complete=True,
    )
    cells = histograms.contributions(scores, chunk=chunk).sum(axis=0)
    return cells.reshape(histograms.shape(scores.shape[1]))


def binary(rows: int, *, base: float = 0.0, spread: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Give calibrated probabilities and outcomes."""
    generator = np.random.default_rng(4)
    chance = 1 / (1 + np.exp(-generator.normal(base, spread, size=rows)))
    outcomes = (generator.random(rows) < chance).astype(np.int64)
    return np.column_stack([1 - chance, chance]), outcomes


def several(rows: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(5)
    powers = np.exp(generator.normal(size=(rows, 3)))
    chances = powers / powers.sum(axis=1, keepdims=True)
    draws = generator.random((rows, 1))
    return chances, (draws > chances.cumsum(axis=1)).sum(axis=1).clip(max=2)


@pytest.mark.parametrize(("base", "spread"), [(0.0, 1.5), (0.0, 0.2), (-4.6, 1.0), (3.0, 0.5)])
def test_auc_and_accuracy_are_those_of_scikit_learn(base: float, spread: float) -> None:
    scores, outcomes = binary(20_000, base=base, spread=spread)
    got = metrics.evaluate(
        histogram=histogram(scores, outcomes),
        noise_variance=NoiseVariance(0.0),
        classes=2,
        seed=SEED,
    )
    assert got.auc is not None
    assert got.auc.value == pytest.approx(roc_auc_score(outcomes, scores[:, 1]), abs=0.003)
    assert got.accuracy is not None
    assert got.accuracy.value == pytest.approx(np.mean((scores[:, 1] >= 0.5) == outcomes))
    assert got.residents == Estimate(value=20_000, low=20_000, high=20_000)
    assert (got.auc_by_class, got.withheld) == ((), ())


def test_several_classes_are_those_of_scikit_learn() -> None:
    scores, outcomes = several(20_000)
    got = metrics.evaluate(
        histogram=histogram(scores, outcomes),
        noise_variance=NoiseVariance(0.0),
        classes=3,
        seed=SEED,
    )
    assert got.auc is not None
    macro = roc_auc_score(outcomes, scores, multi_class="ovr")
    assert got.auc.value == pytest.approx(macro, abs=0.003)
    for index, each in enumerate(got.auc_by_class):
        assert each is not None
        expected = roc_auc_score(outcomes == index, scores[:, index])
        assert each.value == pytest.approx(expected, abs=0.003)
    assert got.accuracy is not None
    assert got.accuracy.value == pytest.approx(np.mean(scores.argmax(axis=1) == outcomes))


def test_calibrated_scores_have_no_calibration_error_and_bent_ones_do() -> None:
    scores, outcomes = binary(50_000)
    good = metrics.evaluate(
        histogram=histogram(scores, outcomes),
        noise_variance=NoiseVariance(0.0),
        classes=2,
        seed=SEED,
    )
    assert good.calibration_error is not None
    assert good.calibration_error.low == 0.0
    assert good.calibration_error.value < 0.005
    bent = 1 / (1 + np.exp(-2 * np.log(scores[:, 1] / scores[:, 0])))
    steps = np.digitize(bent, histograms.edges()[7::8])
    plain = sum(
        abs((outcomes - bent)[steps == step].sum()) for step in range(8)
    ) / len(bent)  # fmt: skip
    bad = metrics.evaluate(
        histogram=histogram(np.column_stack([1 - bent, bent]), outcomes),
        noise_variance=NoiseVariance(0.0),
        classes=2,
        seed=SEED,
    )
    assert bad.calibration_error is not None
    assert bad.calibration_error.value == pytest.approx(plain, abs=0.01)
    assert bad.calibration_error.low > 0.05


def test_the_diagram_shows_predicted_beside_observed() -> None:
    scores, outcomes = binary(50_000)
    got = metrics.evaluate(
        histogram=histogram(scores, outcomes),
        noise_variance=NoiseVariance(0.0),
        classes=2,
        seed=SEED,
    )
    assert len(got.reliability) == 8
    assert (got.reliability[0].low, got.reliability[-1].high) == (0.0, 1.0)
    for step in got.reliability:
        assert step.predicted is not None
        assert step.observed is not None
        assert step.low <= step.predicted <= step.high
        assert step.observed.low - 0.02 <= step.predicted <= step.observed.high + 0.02


def test_noise_over_nobody_is_withheld_with_reasons() -> None:
    noise = np.random.default_rng(0).normal(0, 5, size=histograms.shape(2))
    got = metrics.evaluate(
        histogram=noise, noise_variance=NoiseVariance(25.0), classes=2, seed=SEED
    )
    assert (got.auc, got.accuracy, got.calibration_error) == (None, None, None)
    assert {item.figure: item.reason for item in got.withheld} == {
        "auc": metrics.ONE_OUTCOME,
        "accuracy": metrics.FEW,
        "calibration_error": metrics.FEW,
    }
    assert all(step.observed is None for step in got.reliability)
    assert got.residents.low == 0.0


@pytest.mark.parametrize("classes", [2, 3])
def test_nothing_at_all_is_withheld(classes: int) -> None:
    empty = np.zeros(histograms.shape(classes))
    got = metrics.evaluate(
        histogram=empty, noise_variance=NoiseVariance(0.0), classes=classes, seed=SEED
    )
    assert (got.auc, got.accuracy, got.calibration_error) == (None, None, None)


def test_one_outcome_alone_has_an_accuracy_but_no_ranking() -> None:
    scores, outcomes = binary(500)
    got = metrics.evaluate(
        histogram=histogram(scores, np.zeros_like(outcomes)),
        noise_variance=NoiseVariance(0.0),
        classes=2,
        seed=SEED,
    )
    assert got.auc is None
    assert got.accuracy is not None
    assert [item.figure for item in got.withheld] == ["auc"]


def test_one_missing_class_withholds_the_mean_and_that_class() -> None:
    scores, outcomes = several(2000)
    got = metrics.evaluate(
        histogram=histogram(scores, np.minimum(outcomes, 1)),
        noise_variance=NoiseVariance(0.0),
        classes=3,
        seed=SEED,
    )
    assert got.auc is None
    assert [figure is None for figure in got.auc_by_class] == [False, False, True]


def test_an_interval_that_says_nothing_is_withheld() -> None:
    scores, outcomes = binary(12)
    got = metrics.evaluate(
        histogram=histogram(scores, outcomes),
        noise_variance=NoiseVariance(0.0),
        classes=2,
        seed=SEED,
    )
    assert got.auc is None
    assert {item.figure: item.reason for item in got.withheld}["auc"] == metrics.WIDE


def test_a_perfect_small_sample_is_not_certain() -> None:
    outcomes = np.repeat([0, 1], 20)
    chance = np.where(outcomes, 0.9, 0.1)
    got = metrics.evaluate(
        histogram=histogram(np.column_stack([1 - chance, chance]), outcomes),
        noise_variance=NoiseVariance(0.0),
        classes=2,
        seed=SEED,
    )
    assert got.accuracy is not None
    assert got.accuracy.value == 1.0
    assert 0.85 < got.accuracy.low < 0.97


def test_the_same_seed_gives_the_same_intervals() -> None:
    scores, outcomes = binary(400)
    cells = histogram(scores, outcomes)
    one, again = (
        metrics.evaluate(histogram=cells, noise_variance=NoiseVariance(1.0), classes=2, seed=SEED)
        for _ in range(2)
    )
    other = metrics.evaluate(
        histogram=cells, noise_variance=NoiseVariance(1.0), classes=2, seed=b"other"
    )
    assert one == again
    assert one != other


def test_more_noise_gives_wider_intervals() -> None:
    scores, outcomes = binary(3000)
    cells = histogram(scores, outcomes)
    widths = []
    for variance in (0.0, 9.0, 36.0):
        got = metrics.evaluate(
            histogram=cells, noise_variance=NoiseVariance(variance), classes=2, seed=SEED
        )
        assert got.auc is not None
        widths.append(got.auc.high - got.auc.low)
    assert widths == sorted(widths)
    assert widths[2] > 1.5 * widths[0]


def test_a_histogram_of_another_study_is_refused() -> None:
    with pytest.raises(ProtocolViolationError):
        metrics.evaluate(
            histogram=np.zeros(histograms.shape(2)),
            noise_variance=NoiseVariance(0.0),
            classes=3,
            seed=SEED,
        )


def test_projection_keeps_the_total_and_removes_what_is_below_zero() -> None:
    cells = np.array([[5.0, -2.0], [3.0, 0.5]])
    got = project(cells)
    assert got.min() == 0.0
    assert got.sum() == pytest.approx(cells.sum())
    assert project(np.array([1.0, 2.0, 0.0])).tolist() == [1.0, 2.0, 0.0]
    assert project(np.array([-1.0, -2.0])).tolist() == [0.0, 0.0]
    assert project(np.zeros(3)).tolist() == [0.0, 0.0, 0.0]


def test_the_total_of_gaps_without_error_is_their_sum() -> None:
    simulator = Simulator(noise_variance=NoiseVariance(0.0), seed=SEED)
    nothing = simulator.total_size(np.zeros(3), np.zeros(3))
    assert nothing == Estimate(value=0.0, low=0.0, high=0.0)
    exact = simulator.total_size(np.array([0.1, -0.2]), np.full(2, 1e-6))
    assert exact.value == pytest.approx(0.3, abs=0.003)


def test_an_estimate_lies_in_its_interval_and_metrics_are_documents() -> None:
    with pytest.raises(ValueError, match="interval"):
        Estimate(value=2.0, low=0.0, high=1.0)
    scores, outcomes = several(300)
    got = metrics.evaluate(
        histogram=histogram(scores, outcomes),
        noise_variance=NoiseVariance(1.0),
        classes=3,
        seed=SEED,
    )
    import json

    back = documents.read(metrics.Metrics, json.loads(documents.write(got)), what="metrics")
    assert back == got
