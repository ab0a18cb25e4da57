"""Seconds per step: the node's work beside plain Opacus, on the same data and sample size."""

import itertools
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from opacus import PrivacyEngine
from torch.utils.data import DataLoader, TensorDataset

from models.families import network
from models.families.encoding import Encoder
from models.families.neural import build
from models.governance.study import Study
from models.privacy.plan import plan
from models.randomness import SystemEntropy
from node.datasets import Dataset
from node.vault.records import records
from node.work.workbench import Workbench


def ours(study: Study, dataset: Dataset, scratch: Path, *, rounds: int) -> float:
    """Give seconds per step of the node's `Workbench`, records prepared before."""
    parameters: Mapping[str, np.ndarray] = network.initial(study)
    with Workbench(
        study=study, dataset=dataset, plan=plan(study), entropy=SystemEntropy(), scratch=scratch
    ) as bench:
        weight = float(
            bench.train(parameters=parameters, round_number=1, weight=None).values["weight"]
        )
        start = time.perf_counter()
        for number in range(rounds):
            bench.train(parameters=parameters, round_number=number, weight=weight)
        return (time.perf_counter() - start) / (rounds * study.training.steps)


def plain_opacus(study: Study, dataset: Dataset, *, rounds: int, loader: bool) -> float:
    """Give seconds per step of Opacus by itself: the row is the unit.

    With `loader` as its documentation shows it; else with Poisson samples taken from tensors in
    memory, which is the least that Opacus can do for the same step.
    """
    inputs, outcomes = _tensors(study, dataset)
    rate = study.training.sampling_rate.value
    module = build(network.NetworkSpec.of(study))
    optimizer = torch.optim.SGD(module.parameters(), lr=study.training.learning_rate)
    batch = max(1, int(rate * len(inputs)))
    data = DataLoader(TensorDataset(inputs, outcomes), batch_size=batch)
    wanted = rounds * study.training.steps
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module, optimizer, data = PrivacyEngine().make_private(
            module=module,
            optimizer=optimizer,
            data_loader=data,
            noise_multiplier=1.0,
            max_grad_norm=study.privacy.bound.value,
        )
        loss = torch.nn.BCEWithLogitsLoss()
        batches = _loaded(data) if loader else _sampled(inputs, outcomes, rate)
        start = time.perf_counter()
        for rows, truth in itertools.islice(batches, wanted):
            optimizer.zero_grad()
            loss(module(rows)[:, 0], truth).backward()
            optimizer.step()
        return (time.perf_counter() - start) / wanted


def _loaded(data: DataLoader) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    while True:
        yield from data


def _sampled(
    inputs: torch.Tensor, outcomes: torch.Tensor, rate: float
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    while True:
        chosen = torch.rand(len(inputs)) < rate
        yield inputs[chosen], outcomes[chosen]


def _tensors(study: Study, dataset: Dataset) -> tuple[torch.Tensor, torch.Tensor]:
    encoder = Encoder.of(study.inputs, bins=study.model.bins)
    batches = list(records(dataset, columns=study.columns))
    inputs = np.concatenate([encoder.encode(batch.columns) for batch in batches])
    outcomes = np.concatenate([batch.columns[study.outcome] for batch in batches])
    return torch.from_numpy(inputs), torch.from_numpy(outcomes.astype(np.float32))
