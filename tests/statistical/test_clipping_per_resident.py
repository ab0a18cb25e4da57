"""One resident with many rows: bounded here, unbounded when rows are clipped instead.

And the noise that goes with the bound: the right scale in a whole training step, with 2/3 and
3/2 of it caught.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer

from models.families.chunks import Chunk
from models.families.descent import Descent, Settings
from models.families.network import NetworkSpec
from models.families.neural import build
from models.quantities import ClipNorm, NoiseMultiplier
from tests.support.fits import CLEARLY_WRONG, PLAUSIBLE, fits_variance
from tests.support.losses import row_losses
from tests.support.scripted import ScriptedEntropy

SPEC = NetworkSpec(inputs=6, hidden=(), classes=2)
CLIP = 0.25
ROWS = 50
Move = Callable[[Chunk], npt.NDArray[np.float64]]


def population(rows_of_the_last: int) -> Chunk:
    """Give ten residents with one row each, and one more with so many extreme rows."""
    generator = np.random.default_rng(0)
    others = generator.uniform(-1, 1, size=(10, SPEC.inputs))
    truths = generator.integers(0, 2, size=10)
    owners = np.concatenate([np.arange(10), np.full(rows_of_the_last, 10)])
    inputs = np.concatenate([others, np.ones((rows_of_the_last, SPEC.inputs))]).astype(np.float32)
    outcomes = np.concatenate([truths, np.ones(rows_of_the_last, dtype=np.int64)])
    counts = np.bincount(owners)
    return Chunk(
        inputs=inputs,
        outcomes=outcomes,
        owners=owners,
        shares=1.0 / counts[owners],
        complete=True,
    )


def ours(chunk: Chunk) -> npt.NDArray[np.float64]:
    """Give the sum of one step; the same scripted noise is in every sum and cancels."""
    zero = {"0.weight": np.zeros((1, 6), np.float32), "0.bias": np.zeros(1, np.float32)}
    settings = Settings(bound=ClipNorm(CLIP), noise=NoiseMultiplier(1.0), learning_rate=1.0)
    descent = Descent(SPEC, zero, settings=settings, entropy=ScriptedEntropy(3))
    descent.step([chunk], divisor=1.0)
    moved = descent.parameters()
    return -np.append(moved["0.weight"][0], moved["0.bias"]).astype(np.float64)


def plain_opacus(chunk: Chunk) -> npt.NDArray[np.float64]:
    """Give the sum of one step of Opacus as it comes: it clips rows."""
    module = build(SPEC)
    rows = GradSampleModule(module, loss_reduction="sum")
    optimizer = DPOptimizer(
        torch.optim.SGD(module.parameters(), lr=1.0),
        noise_multiplier=0.0,
        max_grad_norm=CLIP,
        expected_batch_size=None,
        loss_reduction="sum",
    )
    inputs = torch.tensor(chunk.inputs, requires_grad=True)
    row_losses(rows(inputs), chunk.outcomes).sum().backward()
    optimizer.step()
    moved = [tensor.numpy().ravel() for tensor in module.state_dict().values()]
    return -np.concatenate(moved).astype(np.float64)


def influence(move: Move, rows: int) -> float:
    """Give how far one resident with so many rows moves the sum."""
    return float(np.linalg.norm(move(population(rows)) - move(population(0))))


@pytest.mark.parametrize("rows", [1, 2, ROWS, 10 * ROWS])
def test_a_resident_moves_the_sum_by_the_clip_at_most(rows: int) -> None:
    assert influence(ours, rows) <= CLIP * (1 + 1e-5)


def test_the_bound_is_used_up_not_just_kept() -> None:
    assert influence(ours, ROWS) > 0.99 * CLIP


def test_clipping_rows_breaks_the_bound_by_the_number_of_rows() -> None:
    assert influence(plain_opacus, 1) <= CLIP * (1 + 1e-5)
    assert influence(plain_opacus, ROWS) > 0.99 * CLIP * ROWS


WIDE = NetworkSpec(inputs=4000, hidden=(), classes=2)


def noise_of_a_step(seed: int) -> npt.NDArray[np.float64]:
    """Give what one step over real rows adds beyond the same step with other noise."""
    generator = np.random.default_rng(1)
    chunk = Chunk(
        inputs=generator.uniform(-1, 1, size=(40, 4000)).astype(np.float32),
        outcomes=generator.integers(0, 2, size=40),
        owners=np.repeat(np.arange(20), 2),
        shares=np.full(40, 0.5),
        complete=True,
    )
    zero = {"0.weight": np.zeros((1, 4000), np.float32), "0.bias": np.zeros(1, np.float32)}
    settings = Settings(bound=ClipNorm(CLIP), noise=NoiseMultiplier(2.0), learning_rate=3.0)
    descent = Descent(WIDE, zero, settings=settings, entropy=ScriptedEntropy(seed))
    descent.step([chunk], divisor=8.0)
    return descent.parameters()["0.weight"][0].astype(np.float64)


def test_the_noise_in_a_step_has_the_stated_scale_and_others_are_caught() -> None:
    difference = (noise_of_a_step(1) - noise_of_a_step(2)) / np.sqrt(2)
    right = 3.0 * CLIP * 2.0 / 8.0  # learning rate · clip · noise multiplier / divisor
    assert fits_variance(difference, right) > PLAUSIBLE
    assert fits_variance(difference, right * 2 / 3) < CLEARLY_WRONG
    assert fits_variance(difference, right * 3 / 2) < CLEARLY_WRONG
