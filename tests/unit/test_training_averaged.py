"""Federated averaging under masks: the integers, what their sum says, and what the node refuses."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from studies import masked_study, study, summed_study

from models.errors import ProtocolViolationError, RunFailedError, UsageError
from models.evaluation import histograms
from models.families import network
from models.families.network import NetworkSpec
from models.governance.roster import Mode
from models.governance.study import Protection, Study
from models.governance.words import protection_in_words
from models.privacy.mechanisms import BoundedSum
from models.privacy.plan import plan
from models.quantities import SamplingRate
from models.training import averaged, leaving, messages, studies, words

STUDY = masked_study(secure_sum={"residents": 180})
EQUAL = masked_study(secure_sum={"residents": 180}, training={"weights": "equal"})


def release(wanted: Study, seed: int, *, weight: float = 57.25) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    shapes = network.shapes(NetworkSpec.of(wanted))
    found = {n: generator.normal(size=s).astype(np.float32) for n, s in shapes.items()}
    return found | {"weight": np.array(weight)}


@pytest.mark.parametrize("wanted", [STUDY, EQUAL])
def test_the_mean_is_the_weighted_one(wanted: Study) -> None:
    releases = [release(wanted, seed, weight=40.5 + 10 * seed) for seed in range(3)]
    total = sum(averaged.update(wanted, given) for given in releases)
    mean, weight = averaged.mean(wanted, total)
    heavy = [1.0 if wanted is EQUAL else float(given["weight"]) for given in releases]
    assert weight == pytest.approx(sum(heavy), rel=1e-12)
    for name, array in mean.items():
        for place in np.ndindex(array.shape):
            exact = sum(
                Fraction(w) * Fraction(float(r[name][place]))
                for w, r in zip(heavy, releases, strict=True)
            ) / sum(map(Fraction, heavy))
            assert abs(array[place] - float(exact)) <= 1e-7 * max(1.0, abs(float(exact)))


def test_the_mean_of_other_weights_would_be_noticed() -> None:
    releases = [release(STUDY, seed, weight=40.5 + 10 * seed) for seed in range(3)]
    weighted, _ = averaged.mean(STUDY, sum(averaged.update(STUDY, given) for given in releases))
    alike, _ = averaged.mean(EQUAL, sum(averaged.update(EQUAL, given) for given in releases))
    assert any(np.abs(weighted[name] - alike[name]).max() > 1e-3 for name in alike)


@pytest.mark.parametrize("residents", [1, 180, 100_000_000])
@pytest.mark.parametrize("weights", ["equal", "noisy-count"])
def test_no_update_leaves_the_bound_of_its_sum(residents: int, weights: str) -> None:
    wanted = masked_study(secure_sum={"residents": residents}, training={"weights": weights})
    extreme = release(wanted, 1, weight=1e9)
    extreme |= {name: np.full_like(a, 3e38) for name, a in extreme.items() if name != "weight"}
    units, shape = averaged.update(wanted, extreme), averaged.update_sum(wanted)
    assert units.dtype == np.int64
    assert np.abs(units).max() == shape.largest
    assert (shape.cut(units) == units).all()
    shape.check(1000)
    assert averaged.update_bits(wanted) >= 14


def test_a_training_that_grows_without_bound_ends() -> None:
    far = {n: np.full_like(a, 600) for n, a in release(STUDY, 1).items() if n != "weight"}
    total = averaged.update(STUDY, far | {"weight": np.array(50.0)})
    with pytest.raises(RunFailedError, match="diverged"):
        averaged.mean(STUDY, total)
    near = {name: array / 2 for name, array in far.items()} | {"weight": np.array(50.0)}
    averaged.mean(STUDY, averaged.update(STUDY, near))


def test_a_sum_without_weight_ends_the_run() -> None:
    with pytest.raises(RunFailedError, match="weights"):
        averaged.mean(STUDY, -averaged.update(STUDY, release(STUDY, 1)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_parameters_that_are_no_numbers_are_refused(value: float) -> None:
    given = release(STUDY, 1)
    given["0.bias"] = np.full_like(given["0.bias"], value)
    with pytest.raises(ProtocolViolationError):
        averaged.update(STUDY, given)


def test_the_scores_are_summed_to_the_last_unit() -> None:
    """A histogram was integers before: nothing is rounded on the way."""
    from scripted import ScriptedEntropy

    bound, noise = histograms.sensitivity(2), plan(STUDY).evaluation
    shape, found = histograms.shape(2), []
    for seed in range(3):
        total = BoundedSum(width=int(np.prod(shape)), bound=bound, noise=noise)
        total.add(np.random.default_rng(seed).uniform(0, 0.1, size=(50, int(np.prod(shape)))))
        found.append(total.release(ScriptedEntropy(seed)).reshape(shape))
    units = [averaged.scores(STUDY, histogram) for histogram in found]
    cells, variance = averaged.evaluated(STUDY, sum(units), answered=3)
    np.testing.assert_array_equal(cells, np.sum(found, axis=0))
    own = histograms.noise_variance(noise, classes=2, departments=3)
    assert own.value < variance.value < 1.001 * own.value


# --- the study, and what is said of it ---


def test_local_noise_may_have_a_secure_sum_and_keeps_its_plan() -> None:
    """The noise is that of the same study without masks: nothing is shared."""
    assert STUDY.masked
    assert not study().masked
    assert not summed_study().masked
    assert plan(STUDY) == plan(study(minimum_cohort=3))
    with pytest.raises(UsageError, match="not trained with secure sums"):
        studies.training_plan(STUDY)
    with pytest.raises(UsageError, match="do not mask"):
        averaged.update_sum(study())


def test_a_masked_study_needs_a_roster() -> None:
    with pytest.raises(ValueError, match="a roster belongs to"):
        replace(STUDY, roster=None)


def test_blocks_that_contradict_the_protection_are_refused() -> None:
    with pytest.raises(ValueError, match="secure_sum belongs to"):
        replace(STUDY, training=None)
    with pytest.raises(ValueError, match="secure_sum belongs to"):
        replace(summed_study(), training=STUDY.training)
    public = replace(STUDY.privacy, protection=Protection.NONE, epsilon=None, delta=None)
    with pytest.raises(ValueError, match="secure_sum belongs to"):
        replace(STUDY, privacy=public)
    with pytest.raises(ValueError, match="sampling_rate is that of training"):
        masked_study(secure_sum={"sampling_rate": SamplingRate(0.5)})


def test_the_sums_of_a_run_are_its_rounds_and_the_evaluation() -> None:
    assert list(messages.sums(STUDY)) == ["train/1", "train/2", "train/3", "evaluate"]
    names = {kind.step for kind in leaving.describe(STUDY).kinds}
    assert names == {"offer", "join", "train", "evaluate"}
    for step in ("train/0", "train/4", "train/", "train/x", "histogram", "trains"):
        with pytest.raises(ProtocolViolationError):
            messages.context(STUDY, run=1, step=step, attempt=1, cohort="0" * 64, arrays={})


def test_contexts_bind_the_study_and_its_noise() -> None:
    def of(wanted: Study) -> object:
        return messages.context(
            wanted, run=1, step="train/1", attempt=1, cohort="0" * 64, arrays={}
        )

    other = masked_study(secure_sum={"residents": 180}, training={"steps": 6})
    assert of(STUDY).privacy != of(other).privacy
    assert of(STUDY).study != of(other).study


def test_the_description_keeps_the_noise_and_hides_the_arrays() -> None:
    masked = {kind.step: kind for kind in leaving.describe(STUDY).kinds}
    open_ = {kind.step: kind for kind in leaving.describe(study(minimum_cohort=3)).kinds}
    for step in ("train", "evaluate"):
        assert masked[step].noise == open_[step].noise
        assert masked[step].times == 3 * open_[step].times  # three attempts at each sum
        assert [form.name for form in masked[step].arrays] == ["context", "sum"]
        assert masked[step].scale == averaged.update_sum(STUDY).scale
    witnessed = masked_study(secure_sum={"mode": Mode.WITNESS, "witness": "auditor"})
    kinds = leaving.describe(witnessed, witness=True).kinds
    assert [kind.step for kind in kinds] == ["offer", "join", "masks", "masks"]


def test_the_words_do_not_promise_what_the_masks_add() -> None:
    assert "does not rest on that" in words.protects(STUDY).en
    assert "does not rest on that" not in words.protects(study()).en
    assert "under masks" in protection_in_words(STUDY, 1.0).en
    assert "under masks" not in protection_in_words(study(), 1.0).en
