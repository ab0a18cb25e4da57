"""Calibration: whether residents with a predicted probability of 0.3 are 3 of 10."""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.evaluation.histograms import SCORE_BINS, centres, edges
from models.evaluation.intervals import Estimate, Simulator, project, ratio
from models.schema import STRICT

Doubles = npt.NDArray[np.float64]

_MERGED = 8  # bins per step of the diagram
_WIDEST = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Residents with scores from `low` to `high`: what was predicted and what was observed.

    `predicted` and `observed` are None where too few residents stand out of the noise.
    """

    __pydantic_config__ = STRICT

    low: float
    high: float
    predicted: float | None
    observed: Estimate | None


def narrow(estimate: Estimate) -> bool:
    """Tell whether an interval says anything: it is at most one half wide."""
    return estimate.high - estimate.low <= _WIDEST


def calibration_error(group: Doubles, *, simulator: Simulator) -> Estimate:
    """Give the expected calibration error of one group of a histogram.

    The weighted mean, over the steps of the diagram, of the distance between the mean predicted
    probability and the observed share (Naeini et al. 2015). A score counts as its bin's centre.
    """
    total = float(group.sum())
    distance = np.stack([-centres(), 1.0 - centres()])  # outcome less score, per cell
    gaps = _merge(distance * group).sum(axis=(0, 2)) / total
    plausible = project(group)
    sampling = _merge(distance**2 * plausible).sum(axis=(0, 2)) - total * gaps**2
    noise = simulator.noise_variance.value * _merge(distance**2).sum(axis=(0, 2))
    spread = np.sqrt(np.maximum(sampling, 0.0) + noise) / total
    estimate = simulator.total_size(gaps, spread)
    value, low, high = np.minimum([estimate.value, estimate.low, estimate.high], 1.0).tolist()
    return Estimate(value=value, low=low, high=high)


def reliability(group: Doubles, *, simulator: Simulator) -> tuple[ReliabilityBin, ...]:
    """Give the reliability diagram of one group of a histogram."""
    path = [0.0, *edges()[_MERGED - 1 :: _MERGED].tolist(), 1.0]
    steps = _merge(group)
    scores = centres().reshape(-1, _MERGED)
    return tuple(
        _step(steps[:, index], scores=scores[index], span=(low, high), simulator=simulator)
        for index, (low, high) in enumerate(itertools.pairwise(path))
    )


def _step(
    cells: Doubles, *, scores: Doubles, span: tuple[float, float], simulator: Simulator
) -> ReliabilityBin:
    low, high = span
    if simulator.clear(cells):
        weights = project(cells.sum(axis=0))
        observed = simulator.share(_share_with_outcome, cells)
        if narrow(observed):
            predicted = float(np.average(scores, weights=weights))
            return ReliabilityBin(low=low, high=high, predicted=predicted, observed=observed)
    return ReliabilityBin(low=low, high=high, predicted=None, observed=None)


def _share_with_outcome(group: Doubles) -> Doubles:
    return ratio(group[..., 1, :].sum(axis=-1), group.sum(axis=(-2, -1)))


def _merge(cells: Doubles) -> Doubles:
    """Give cells (2, bins) as (2, steps, bins per step)."""
    return cells.reshape(2, SCORE_BINS // _MERGED, _MERGED)
