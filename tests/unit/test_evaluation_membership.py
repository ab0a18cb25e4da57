import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from models.errors import UsageError
from models.evaluation import membership
from models.evaluation.membership import Alarms
from models.quantities import Delta, Epsilon

DELTA = Delta(1e-5)
GENERATOR = np.random.default_rng(5)


def test_confidences_are_the_log_odds_of_the_true_outcome() -> None:
    two = np.array([[0.3], [-2.0]])
    assert membership.confidences(two, np.array([1, 0])).tolist() == [0.3, 2.0]
    scores = GENERATOR.normal(size=(50, 4))
    outcomes = GENERATOR.integers(0, 4, size=50)
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    true = chances[np.arange(50), outcomes]
    found = membership.confidences(scores, outcomes)
    assert found == pytest.approx(np.log(true / (1 - true)))


def test_two_classes_written_as_two_outputs_or_as_one_are_the_same() -> None:
    scores, outcomes = GENERATOR.normal(size=(20, 1)), GENERATOR.integers(0, 2, size=20)
    both = np.hstack([np.zeros((20, 1)), scores])
    one = membership.confidences(scores, outcomes)
    assert membership.confidences(both, outcomes) == pytest.approx(one)


def test_the_area_is_that_of_the_curve_and_ties_count_half() -> None:
    scores, members = GENERATOR.integers(0, 9, size=300), GENERATOR.random(300) < 0.4
    found = membership.auc(scores.astype(float), members)
    assert found == pytest.approx(roc_auc_score(members, scores))
    assert membership.auc(np.zeros(300), members) == 0.5
    with pytest.raises(UsageError):
        membership.auc(np.zeros(3), np.ones(3, dtype=bool))


@pytest.mark.parametrize(("epsilon", "delta"), [(0.1, 1e-5), (1.0, 1e-5), (1.0, 1e-3), (6.0, 1e-4)])
def test_the_largest_area_is_that_under_the_three_lines(epsilon, delta) -> None:
    wrong = np.linspace(0, 1, 2_000_001)
    line = np.exp(epsilon) * wrong + delta
    mirror = 1 - np.exp(-epsilon) * (1 - delta - wrong)
    curve = np.minimum(np.minimum(line, mirror), 1)
    found = membership.largest_auc(epsilon=Epsilon(epsilon), delta=Delta(delta))
    assert found == pytest.approx(np.trapezoid(curve, wrong), abs=1e-9)


def shadow_models(models: int, *, shift: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    inside = GENERATOR.random((models, 500)) < 0.5
    inside[0], inside[1] = True, False
    usual = GENERATOR.normal(scale=5.0, size=500)
    return usual, usual + shift * inside + GENERATOR.normal(size=(models, 500)), inside


def test_lira_compares_with_models_in_which_the_candidate_was_and_was_not() -> None:
    usual, shadows, inside = shadow_models(200, shift=2.0)
    members = GENERATOR.random(500) < 0.5
    observed = usual + 2.0 * members + GENERATOR.normal(size=500)
    best = float(stats.norm.cdf(2 / math.sqrt(2)))
    online = membership.auc(membership.online(observed, shadows, inside), members)
    offline = membership.auc(membership.offline(observed, shadows, inside), members)
    assert online == pytest.approx(best, abs=0.05)
    assert offline == pytest.approx(best, abs=0.05)
    assert membership.auc(observed, members) < 0.7  # who is easy and who is hard hides it


def test_the_likelihood_ratio_is_that_of_two_normal_distributions() -> None:
    shadows = np.array([[1.0, 5.0], [3.0, 7.0], [0.0, 2.0], [-2.0, 0.0]])
    inside = np.array([[True, True], [True, True], [False, False], [False, False]])
    found = membership.online(np.array([2.0, 1.0]), shadows, inside)
    deviation = math.sqrt(2.0)  # each of the four groups has a variance of 2
    expected = [
        stats.norm.logpdf(x, within, deviation) - stats.norm.logpdf(x, without, deviation)
        for x, within, without in ((2.0, 2.0, -1.0), (1.0, 6.0, 1.0))
    ]
    assert found == pytest.approx(expected)
    outside = membership.offline(np.array([2.0, 1.0]), shadows, inside)
    assert outside == pytest.approx([3 / deviation, 0.0])


def test_candidates_who_are_in_all_models_or_none_are_refused() -> None:
    shadows, inside = np.zeros((3, 2)), np.array([[True, True], [True, False], [True, True]])
    for attack in (membership.online, membership.offline):
        with pytest.raises(UsageError):
            attack(np.zeros(2), shadows, inside)


def test_alarms_count_who_was_claimed() -> None:
    scores = np.array([5.0, 1.0, 4.0, 2.0, 3.0])
    members = np.array([True, True, False, False, True])
    assert Alarms.of(scores, members, claimed=3) == Alarms(right=2, members=3, wrong=1, others=2)


def test_the_limits_are_those_of_clopper_and_pearson() -> None:
    alarms = Alarms(right=40, members=50, wrong=2, others=60)
    low = stats.binomtest(40, 50).proportion_ci(0.95, method="exact").low
    high = stats.binomtest(2, 60).proportion_ci(0.95, method="exact").high
    found = alarms.least_epsilon(delta=DELTA)
    assert found == pytest.approx(math.log((low - 1e-5) / high), rel=1e-6)
    assert alarms.least_epsilon(delta=DELTA, confidence=0.999999) < found


@pytest.mark.parametrize(
    "alarms",
    [
        Alarms(right=0, members=10, wrong=0, others=10),
        Alarms(right=10, members=10, wrong=10, others=10),
        Alarms(right=5, members=10, wrong=5, others=10),
    ],
)
def test_alarms_that_tell_nothing_show_nothing(alarms) -> None:
    assert alarms.least_epsilon(delta=DELTA) == 0.0


@pytest.mark.parametrize("counts", [(3, 2, 0, 2), (1, 2, 3, 2), (0, 0, 0, 2), (-1, 2, 0, 2)])
def test_counts_that_contradict_each_other_are_refused(counts) -> None:
    right, members, wrong, others = counts
    with pytest.raises(UsageError):
        Alarms(right=right, members=members, wrong=wrong, others=others)
