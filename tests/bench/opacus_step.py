"""Seconds per step: the node's work beside plain Opacus, on the same data and sample size."""

import time
import warnings
from collections.abc import Mapping
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


def plain_opacus(study: Study, dataset: Dataset, *, rounds: int) -> float:
    """Give seconds per step of Opacus as its documentation shows it: the row is the unit."""
    inputs, outcomes = _tensors(study, dataset)
    module = build(network.NetworkSpec.of(study))
    optimizer = torch.optim.SGD(module.parameters(), lr=study.training.learning_rate)
    batch = max(1, int(study.training.sampling_rate.value * len(inputs)))
    loader = DataLoader(TensorDataset(inputs, outcomes), batch_size=batch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module, optimizer, loader = PrivacyEngine().make_private(
            module=module,
            optimizer=optimizer,
            data_loader=loader,
            noise_multiplier=1.0,
            max_grad_norm=study.privacy.clip.value,
        )
        loss = torch.nn.BCEWithLogitsLoss()
        steps, wanted, start = 0, rounds * study.training.steps, time.perf_counter()
        while steps < wanted:
            for rows, truth in loader:
                optimizer.zero_grad()
                loss(module(rows)[:, 0], truth).backward()
                optimizer.step()
                steps += 1
                if steps == wanted:
                    break
        return (time.perf_counter() - start) / wanted


def _tensors(study: Study, dataset: Dataset) -> tuple[torch.Tensor, torch.Tensor]:
    encoder = Encoder.of(study.inputs, bins=study.model.bins)
    batches = list(records(dataset, columns=study.columns))
    inputs = np.concatenate([encoder.encode(batch.columns) for batch in batches])
    outcomes = np.concatenate([batch.columns[study.outcome] for batch in batches])
    return torch.from_numpy(inputs), torch.from_numpy(outcomes.astype(np.float32))
