"""The node's work: releases at their cost, for every shape of data, and nothing left behind."""

import os
import stat
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.errors import (
    ConfigurationError,
    DataContractError,
    ProtocolViolationError,
    RefusedError,
    RunFailedError,
)
from models.evaluation import histograms, metrics
from models.evaluation.holdout import held_out
from models.families import chunks
from models.families.encoding import Encoder
from models.families.network import initial, probabilities
from models.governance.cost import GaussianEvent, NonPrivateEvent, SampledGaussianEvent
from models.governance.release import Release
from models.governance.study import Study
from models.privacy.plan import plan
from models.quantities import ClipNorm, Delta, Epsilon, SamplingRate, Share
from node.datasets import Dataset
from node.vault.records import records
from node.work import prepared
from node.work.workbench import Workbench
from tests.support import studies
from tests.support.fits import CLEARLY_WRONG, PLAUSIBLE, fits_variance
from tests.support.scripted import ScriptedEntropy


@contextmanager
def bench(study: Study, dataset: Dataset, folder: Path, *, seed: int = 1) -> Iterator[Workbench]:
    opened = Workbench(
        study=study,
        dataset=dataset,
        plan=plan(study),
        entropy=ScriptedEntropy(seed),
        scratch=folder / "scratch",
    )
    with opened:
        yield opened


def table(folder: Path, rows: list[tuple[str, ...]], **changes: Any) -> Dataset:
    return studies.dataset(studies.write_csv(folder / "pupils.csv", rows), **changes)


@pytest.fixture(scope="module")
def pupils(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return table(tmp_path_factory.mktemp("pupils"), studies.rows(600, rows_each=2))


def trained(
    study: Study, dataset: Dataset, folder: Path, *, seed: int = 1, weight: float | None = None
) -> Release:
    with bench(study, dataset, folder, seed=seed) as work:
        return work.train(parameters=initial(study), round_number=1, weight=weight)


MODELS = [
    {"family": "logistic"},
    {"family": "logistic", "bins": 6},
    {"family": "mlp", "hidden": (8, 4)},
]


@pytest.mark.parametrize("outcome", ["passed", "grade"])
@pytest.mark.parametrize("model", MODELS)
def test_each_family_trains_and_is_evaluated(
    pupils: Dataset, tmp_path: Path, model: dict[str, Any], outcome: str
) -> None:
    study = studies.study(
        model=model,
        outcome=outcome,
        training={"steps": 30, "learning_rate": 2.0},
        privacy={"epsilon": Epsilon(50.0), "delta": Delta(1e-3)},
    )
    start = initial(study)
    with bench(study, pupils, tmp_path) as work:
        release = work.train(parameters=start, round_number=1, weight=None)
        parameters = {name: release.values[name] for name in start}
        after = work.evaluate(parameters=parameters)
        assert (after.cost, release.cost) == (
            plan(study).evaluation_cost(),
            plan(study).round_cost(first=True),
        )
    assert {array.dtype for array in parameters.values()} == {np.dtype(np.float32)}
    classes = len(study.target.categories)
    got = metrics.evaluate(
        histogram=after.values["histogram"],
        noise_variance=histograms.noise_variance(
            plan(study).evaluation, classes=classes, departments=1
        ),
        classes=classes,
        seed=b"seed",
    )
    assert got.auc is not None
    assert got.auc.value > 0.7


def test_the_first_round_releases_a_noisy_count_and_later_ones_do_not_pay_again(
    pupils: Dataset, tmp_path: Path
) -> None:
    study = studies.study()
    noises = plan(study)
    with bench(study, pupils, tmp_path) as work:
        first = work.train(parameters=initial(study), round_number=1, weight=None)
        later = work.train(parameters=initial(study), round_number=2, weight=123.5)
    assert [type(event) for event in first.cost.events] == [GaussianEvent, SampledGaussianEvent]
    assert [type(event) for event in later.cost.events] == [SampledGaussianEvent]
    assert later.values["weight"] == 123.5
    assert noises.count is not None
    count, residents = float(first.values["weight"]), 600 * 0.75
    assert abs(count - residents) < 60 + 6 * noises.count.value
    assert count != trained(study, pupils, tmp_path, seed=2).values["weight"]


def test_the_step_is_divided_by_the_released_count_never_the_true_one(
    pupils: Dataset, tmp_path: Path
) -> None:
    study = studies.study(training={"steps": 1}, privacy={"clip": ClipNorm(1e-3)})
    one = trained(study, pupils, tmp_path, weight=400.0)
    half = trained(study, pupils, tmp_path, weight=200.0)
    for name in initial(study):
        np.testing.assert_allclose(half.values[name], 2 * one.values[name], rtol=1e-5)


def test_the_result_depends_on_data_and_entropy_alone(pupils: Dataset, tmp_path: Path) -> None:
    study = studies.study(model={"family": "mlp", "hidden": (5,)})
    torch.manual_seed(1)
    one = trained(study, pupils, tmp_path)
    torch.manual_seed(2)
    again = trained(study, pupils, tmp_path)
    other = trained(study, pupils, tmp_path, seed=2)
    for name, array in one.values.items():
        assert (array == again.values[name]).all()
        assert (array != other.values[name]).any()


def test_the_training_noise_has_the_scale_of_the_plan_and_others_are_caught(
    pupils: Dataset, tmp_path: Path
) -> None:
    study = studies.study(
        model={"family": "mlp", "hidden": (60, 60)},
        training={"steps": 1, "sampling_rate": SamplingRate(1.0), "learning_rate": 2.0},
        privacy={"clip": ClipNorm(0.5)},
    )
    results = [trained(study, pupils, tmp_path, seed=seed, weight=450.0) for seed in (1, 2)]
    difference = np.concatenate(
        [
            (results[0].values[name].astype(float) - results[1].values[name]).ravel()
            for name in initial(study)
        ]
    ) / np.sqrt(2)
    noise = plan(study).training
    assert noise is not None
    right = 2.0 * 0.5 * noise.value / 450.0
    assert fits_variance(difference, right) > PLAUSIBLE
    assert fits_variance(difference, right * 2 / 3) < CLEARLY_WRONG
    assert fits_variance(difference, right * 3 / 2) < CLEARLY_WRONG


@pytest.mark.parametrize("outcome", ["passed", "grade"])
def test_the_noise_of_the_histogram_has_the_scale_of_the_plan(
    pupils: Dataset, tmp_path: Path, outcome: str
) -> None:
    study = studies.study(outcome=outcome)
    results = []
    for seed in range(8):
        with bench(study, pupils, tmp_path, seed=seed) as work:
            results.append(work.evaluate(parameters=initial(study)).values["histogram"])
    pairs = np.array(results).reshape(4, 2, -1)
    difference = (pairs[:, 0] - pairs[:, 1]).ravel() / np.sqrt(2)
    classes = len(study.target.categories)
    noise = plan(study).evaluation
    variance = histograms.noise_variance(noise, classes=classes, departments=1).value
    assert fits_variance(difference, variance**0.5) > PLAUSIBLE
    assert fits_variance(difference, variance**0.5 * 2 / 3) < CLEARLY_WRONG
    assert fits_variance(difference, variance**0.5 * 3 / 2) < CLEARLY_WRONG


def exact_histogram(study: Study, dataset: Dataset) -> np.ndarray:
    """The slow way: every held-out row by itself, its weight shared by hand."""
    encoder = Encoder.of(study.inputs, bins=study.model.bins)
    (batch,) = records(dataset, columns=study.columns)
    ids = list(batch.residents)
    aside = held_out(ids, study=study.digest(), share=study.privacy.holdout)
    scores = probabilities(initial(study), encoder.encode(batch.columns))
    result = np.zeros(histograms.shape(2))
    for row in np.flatnonzero(aside):
        cell = int((histograms.edges() <= scores[row, 1]).sum())
        outcome = int(batch.columns[study.outcome][row])
        result[0, outcome, cell] += 1 / ids.count(ids[row])
    return result


@pytest.mark.parametrize("numbers", [1 << 22, 300])
def test_public_data_is_counted_exactly_piece_by_piece_or_at_once(
    tmp_path: Path, numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "_NUMBERS", numbers)
    rows = [*studies.rows(40, rows_each=1), *studies.rows(25, rows_each=4, seed=2)]
    dataset = table(tmp_path, rows, public=True)
    study = studies.public_study(model={"family": "mlp", "hidden": (4,)})
    with bench(study, dataset, tmp_path) as work:
        release = work.evaluate(parameters=initial(study))
    np.testing.assert_allclose(release.values["histogram"], exact_histogram(study, dataset))
    assert release.cost.events == (NonPrivateEvent(),)


def test_public_data_is_trained_on_by_the_plain_mean_and_counted_exactly(tmp_path: Path) -> None:
    rows = [*studies.rows(40, rows_each=1), *studies.rows(25, rows_each=4, seed=2)]
    dataset = table(tmp_path, rows, public=True)
    study = studies.public_study(
        training={"steps": 1, "sampling_rate": SamplingRate(1.0), "learning_rate": 1.0},
        privacy={"holdout": Share(0.0), "clip": ClipNorm(1e-3)},
    )
    release = trained(study, dataset, tmp_path)
    (batch,) = records(dataset, columns=study.columns)
    x = Encoder.of(study.inputs, bins=0).encode(batch.columns).astype(float)
    error = 0.5 - batch.columns["passed"]
    shares = np.array([1 / list(batch.residents).count(i) for i in batch.residents])
    mean = (error * shares) @ x / 40
    np.testing.assert_allclose(release.values["0.weight"][0], -mean, atol=1e-6)
    assert release.values["weight"] == 40
    assert release.cost.events == (NonPrivateEvent(),)


def test_only_public_data_is_worked_on_without_protection(pupils: Dataset, tmp_path: Path) -> None:
    study = studies.public_study()
    with pytest.raises(RefusedError), bench(study, pupils, tmp_path):
        pass


def test_no_resident_is_on_both_sides(pupils: Dataset, tmp_path: Path) -> None:
    study = studies.study()
    with bench(study, pupils, tmp_path) as work:
        training, holdout = work._prepared.training, work._prepared.holdout
        assert training.residents + holdout.residents == 600
        assert holdout.residents == pytest.approx(150, abs=40)
        every = np.sort(np.concatenate([training.rows, holdout.rows]))
        assert every.tolist() == list(range(1200))
    (batch,) = records(pupils, columns=study.columns)
    of_row = batch.residents
    assert not set(of_row[training.rows]) & set(of_row[holdout.rows])


def constant(rows: list[tuple[str, ...]], outcome: str) -> list[tuple[str, ...]]:
    return [(*row[:4], outcome, row[5]) for row in rows]


ODD_TABLES = {
    "one resident": studies.rows(1),
    "one resident with many rows": studies.rows(1, rows_each=3000),
    "one outcome": constant(studies.rows(50), "yes"),
    "everybody held out or nobody": studies.rows(2),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("rows", ODD_TABLES.values(), ids=ODD_TABLES)
def test_odd_data_gives_finite_releases(
    tmp_path: Path, rows: list[tuple[str, ...]], model: dict[str, Any]
) -> None:
    study = studies.study(model=model)
    start = initial(study)
    with bench(study, table(tmp_path, rows), tmp_path) as work:
        release = work.train(parameters=start, round_number=1, weight=None)
        histogram = work.evaluate(parameters=start).values["histogram"]
    assert release.values["weight"] >= 1.0
    assert histogram.shape == histograms.shape(2)


def test_a_sample_without_residents_still_costs_and_answers(
    pupils: Dataset, tmp_path: Path
) -> None:
    study = studies.study(training={"sampling_rate": SamplingRate(1e-9)})
    release = trained(study, pupils, tmp_path)
    assert np.abs(release.values["0.weight"]).min() > 0
    assert release.cost == plan(study).round_cost(first=True)


def test_everybody_may_train(pupils: Dataset, tmp_path: Path) -> None:
    study = studies.study(privacy={"holdout": Share(0.0)})
    with bench(study, pupils, tmp_path) as work:
        got = work.evaluate(parameters=initial(study)).values["histogram"]
    assert got.shape == histograms.shape(2)


def test_foreign_parameters_are_refused(pupils: Dataset, tmp_path: Path) -> None:
    study = studies.study()
    bad = {name: array[..., :0] for name, array in initial(study).items()}
    with bench(study, pupils, tmp_path) as work:
        with pytest.raises(ProtocolViolationError):
            work.train(parameters=bad, round_number=1, weight=None)
        with pytest.raises(ProtocolViolationError):
            work.evaluate(parameters=bad)


def test_numbers_beyond_all_bounds_are_a_failure_not_a_release(
    pupils: Dataset, tmp_path: Path
) -> None:
    study = studies.study(training={"learning_rate": 100.0})
    hopeless = studies.study(
        training={"strategy": "fedprox", "proximal": 100.0, "learning_rate": 100.0, "steps": 50}
    )
    with bench(hopeless, pupils, tmp_path) as work, pytest.raises(RunFailedError):
        work.train(parameters=initial(hopeless), round_number=1, weight=None)
    release = trained(study, pupils, tmp_path)
    assert all(np.isfinite(array).all() for array in release.values.values())


def test_a_missing_file_leaves_nothing_behind(tmp_path: Path) -> None:
    dataset = studies.dataset(tmp_path / "absent.csv")
    with pytest.raises(DataContractError), bench(studies.study(), dataset, tmp_path):
        pass
    assert list((tmp_path / "scratch").iterdir()) == []


def test_the_prepared_records_are_private_and_gone_after_use(
    pupils: Dataset, tmp_path: Path
) -> None:
    study = studies.study()
    with bench(study, pupils, tmp_path) as work:
        file = work._prepared._file
        status = os.fstat(file.fileno())
        assert stat.S_IMODE(status.st_mode) == 0o600
        assert status.st_nlink == 0  # a crash leaves nothing: the file has no name any more
        assert status.st_size == 1200 * 4 * Encoder.of(study.inputs, bins=0).width
        assert list((tmp_path / "scratch").iterdir()) == []
        assert stat.S_IMODE((tmp_path / "scratch").stat().st_mode) == 0o700
    assert file.closed
    work.close()  # closing twice is no fault


def test_a_scratch_folder_that_cannot_be_made_is_told(pupils: Dataset, tmp_path: Path) -> None:
    (tmp_path / "scratch").write_text("a file is in the way")
    with (
        pytest.raises(ConfigurationError, match="scratch"),
        bench(studies.study(), pupils, tmp_path),
    ):
        pass


def test_batches_do_not_change_the_result(
    pupils: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = studies.study(model={"family": "logistic", "bins": 5})
    whole = trained(study, pupils, tmp_path)
    monkeypatch.setattr(prepared, "records", partial(records, batch_rows=7))
    parts = trained(study, pupils, tmp_path)
    for name, array in whole.values.items():
        np.testing.assert_array_equal(array, parts.values[name])


def test_records_are_streamed_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = table(tmp_path, studies.rows(6000))
    study = studies.study(model={"family": "logistic", "bins": 100})
    encoded = 6000 * 4 * Encoder.of(study.inputs, bins=100).width
    monkeypatch.setattr(prepared, "records", partial(records, batch_rows=250))
    monkeypatch.setattr(chunks, "_NUMBERS", 50_000)
    with bench(study, dataset, tmp_path):
        pass  # what is imported on first use is not counted
    tracemalloc.start()
    try:
        with bench(study, dataset, tmp_path) as work:
            work.evaluate(parameters=initial(study))
            _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < encoded
