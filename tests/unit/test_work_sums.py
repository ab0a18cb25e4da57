"""The node's work in secure sums: the plan's integers, noise and masks, and nothing else."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from nodes import RUN
from scripted import ScriptedEntropy
from secure_sums import MemoryContexts
from studies import summed_study
from summers import agreed, bench, plain, table

from models.errors import AccountingError, ContextUsedError, ProtocolViolationError, RefusedError
from models.families import chunks, network_gradient
from models.families.encoding import Encoder
from models.families.network import NetworkSpec, initial
from models.governance.release import Release
from models.governance.study import Study
from models.privacy import sampler
from models.privacy.sampler import discrete_gaussian
from models.quantities import SamplingRate
from models.secagg import masks, node
from models.secagg.contexts import Receipt
from models.secagg.node import Ready
from models.training import messages, steps
from models.training import plan as plans
from models.training.messages import EVALUATE, HISTOGRAM
from models.training.studies import training_plan
from node.datasets import Dataset
from node.work.sum_bench import SumBench

ME = "school"


@pytest.fixture(scope="module")
def study() -> Study:
    return summed_study()


@pytest.fixture(scope="module")
def pupils(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return table(tmp_path_factory.mktemp("pupils"), ME, rows_each=3)


@pytest.fixture
def work(study: Study, pupils: Dataset, tmp_path: Path) -> Iterator[SumBench]:
    with bench(study, pupils, tmp_path) as opened:
        yield opened


def ready(study: Study, step: str, arrays: dict[str, np.ndarray], **changes: object) -> Ready:
    mine = agreed(study)[ME]
    context = messages.context(
        study, run=RUN, step=step, attempt=1, cohort=mine.cohort.digest(), arrays=arrays
    )
    return node.prepare(mine, replace(context, **changes))


def receipt(step: Ready) -> Receipt:
    return MemoryContexts().use(step.entry)


def asked(study: Study, step: str, seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    if step == HISTOGRAM:
        return {}
    if step == EVALUATE:
        return {
            name: generator.normal(size=array.shape).astype(np.float32)
            for name, array in initial(study).items()
        }
    forms = steps.forms(training_plan(study))
    return {name: generator.normal(size=shape) for name, (_, shape) in forms.items()}


def unmasked(step: Ready, release: Release) -> np.ndarray:
    """Give what lies under the node's masks: its integers and its noise."""
    ring = step.context.plan.ring
    cover = ring.zeros(step.context.plan.length)
    masks.apply(cover, node.own_masks(step.agreement, context=step.entry.context))
    return ring.decode(release.values["sum"] - cover)


@pytest.mark.parametrize("step", [HISTOGRAM, "train/1", EVALUATE])
@pytest.mark.parametrize("pieces", [1 << 22, 64])
def test_a_release_is_the_integers_of_the_plan_with_its_noise_under_masks(
    study: Study,
    pupils: Dataset,
    work: SumBench,
    step: str,
    pieces: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To the last bit, however the rows are cut: the noise is drawn again from the same script."""
    monkeypatch.setattr(chunks, "_NUMBERS", pieces)
    arrays = asked(study, step)
    at = ready(study, step, arrays)
    release = work.answer(ready=at, receipt=receipt(at), arrays=arrays)
    script = ScriptedEntropy("bench 0")
    script.token(16)
    plan = at.context.plan
    noise = discrete_gaussian(scale=plan.scale, size=plan.length, entropy=script)
    expected = plain(study, pupils, step, arrays)
    assert expected.any()
    np.testing.assert_array_equal(unmasked(at, release), expected + noise)
    assert release.cost == messages.cost(training_plan(study), step)
    assert release.values["sum"].dtype == np.uint64


def test_what_is_released_shows_nothing_without_the_masks(study: Study, work: SumBench) -> None:
    at = ready(study, HISTOGRAM, {})
    words = work.answer(ready=at, receipt=receipt(at), arrays={}).values["sum"]
    assert np.abs(at.context.plan.ring.decode(words)).min() > 2**40


def test_a_sampled_step_draws_its_sample_here(pupils: Dataset, tmp_path: Path) -> None:
    """The sample is drawn from the node's own entropy, before the noise, with the plan's rate."""
    study = summed_study(secure_sum={"sampling_rate": SamplingRate(0.5), "residents": 3000})
    arrays = asked(study, "train/1")
    at = ready(study, "train/1", arrays)
    with bench(study, pupils, tmp_path) as work:
        release = work.answer(ready=at, receipt=receipt(at), arrays=arrays)
        residents = work._prepared.training.residents
        block = work._block()
    script = ScriptedEntropy("bench 0")
    script.token(16)
    expected = steps.gradient(training_plan(study), block, arrays, entropy=script)
    plan = at.context.plan
    noise = discrete_gaussian(scale=plan.scale, size=plan.length, entropy=script)
    np.testing.assert_array_equal(unmasked(at, release), expected + noise)
    again = ScriptedEntropy("bench 0")
    again.token(16)
    chosen = sampler.poisson_sample(population=residents, rate=SamplingRate(0.5), entropy=again)
    assert 0 < chosen.size < residents


def test_a_network_is_trained_from_the_rows_in_the_file(
    study: Study, pupils: Dataset, tmp_path: Path
) -> None:
    """Piece by piece as in one: the sums are exact, so that the cuts cannot be seen."""
    spec = NetworkSpec(
        inputs=Encoder.of(study.inputs, bins=study.model.bins).width, hidden=(5,), classes=2
    )
    plan = plans.make(replace(training_plan(study).terms, shape=spec))
    generator = np.random.default_rng(3)
    arrays = {
        name: generator.normal(size=shape).astype(kind)
        for name, (kind, shape) in steps.forms(plan).items()
    }
    of_plan = plan.sum_plan(plan.gradient)
    at = ready(study, "train/1", {}, plan=of_plan)
    settings = {"study": study, "dataset": pupils, "plan": plan, "scratch": tmp_path / "scratch"}
    with SumBench(entropy=ScriptedEntropy("bench 0"), **settings) as work:
        release = work.answer(ready=at, receipt=receipt(at), arrays=arrays)
        side = work._prepared.training
        everybody = np.arange(side.residents)
        rows = list(work._prepared.chunks(side, chosen=everybody, width=1))
    expected = network_gradient.gradient(
        spec,
        {name: array.astype(np.float64) for name, array in arrays.items()},
        rows,
        bound=plan.recipe.clip,
        bits=plan.gradient.bits,
    )
    script = ScriptedEntropy("bench 0")
    script.token(16)
    plan.sample(everybody.size, entropy=script)
    noise = discrete_gaussian(scale=of_plan.scale, size=of_plan.length, entropy=script)
    np.testing.assert_array_equal(unmasked(at, release), expected + noise)


@pytest.mark.parametrize("value", [1e308, -1e308, 1e-308])
def test_no_point_makes_anybody_count_for_more(
    study: Study, pupils: Dataset, work: SumBench, value: float
) -> None:
    arrays = {name: np.full_like(array, value) for name, array in asked(study, "train/1").items()}
    at = ready(study, "train/1", arrays)
    release = work.answer(ready=at, receipt=receipt(at), arrays=arrays)
    plan, part = training_plan(study), training_plan(study).gradient
    noise = 64 * part.scale * np.sqrt(part.length)
    most = work._prepared.training.residents << part.bits
    assert np.linalg.norm(unmasked(at, release).astype(float)) <= most + noise
    assert plan.sum_plan(part).ring.largest > most + noise


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_point_that_is_not_finite_is_refused(study: Study, work: SumBench, value: float) -> None:
    arrays = {name: np.full_like(array, value) for name, array in asked(study, "train/1").items()}
    at = ready(study, "train/1", arrays)
    with pytest.raises(ProtocolViolationError):
        work.answer(ready=at, receipt=receipt(at), arrays=arrays)


def test_a_step_under_less_noise_than_the_plan_is_not_done(study: Study, work: SumBench) -> None:
    arrays = asked(study, "train/1")
    honest = ready(study, "train/1", arrays).context.plan
    at = ready(study, "train/1", arrays, plan=replace(honest, scale=1))
    with pytest.raises(AccountingError, match="noise"):
        work.answer(ready=at, receipt=receipt(at), arrays=arrays)


def test_a_receipt_is_good_for_one_release_of_its_own_step(study: Study, work: SumBench) -> None:
    arrays = asked(study, "train/1")
    first, second = ready(study, "train/1", arrays), ready(study, "train/2", arrays)
    paid = receipt(first)
    with pytest.raises(RefusedError, match="another context"):
        work.answer(ready=second, receipt=paid, arrays=arrays)
    work.answer(ready=first, receipt=paid, arrays=arrays)
    with pytest.raises(ContextUsedError):
        work.answer(ready=first, receipt=paid, arrays=arrays)


def test_a_department_without_training_residents_sends_noise(study: Study, tmp_path: Path) -> None:
    """One resident, who is held out (looked for): the answer must not show that there are none."""
    for count in range(1, 40):
        data = table(tmp_path, f"x{count}", residents=1)
        with bench(study, data, tmp_path) as work:
            if work._prepared.training.residents:
                continue
            for step in (HISTOGRAM, "train/1"):
                at = ready(study, step, arrays := asked(study, step))
                release = work.answer(ready=at, receipt=receipt(at), arrays=arrays)
                assert unmasked(at, release).any()
            return
    pytest.fail("everybody trains")


def test_nothing_stays_in_the_folder(study: Study, pupils: Dataset, tmp_path: Path) -> None:
    with bench(study, pupils, tmp_path):
        assert not list((tmp_path / "scratch").iterdir())
