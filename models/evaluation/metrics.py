"""How good a model is, from one noisy histogram: ranking, accuracy, calibration.

Every figure has its interval or is withheld with the reason; everything here is
post-processing of what was released, and free.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from models.evaluation.calibration import (
    ReliabilityBin,
    calibration_error,
    narrow,
    reliability,
)
from models.evaluation.histograms import SCORE_BINS, combine
from models.evaluation.intervals import Estimate, Figure, Simulator, ratio
from models.quantities import NoiseVariance
from models.schema import STRICT

Doubles = npt.NDArray[np.float64]

_HALF = SCORE_BINS // 2

FEW = "too few held-out residents stand out of the noise"
ONE_OUTCOME = "too few held-out residents of one outcome stand out of the noise"
WIDE = "the 95 % interval would be wider than one half"


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """A figure that is not shown, and why."""

    __pydantic_config__ = STRICT

    figure: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """The figures of a model on held-out residents; None: withheld, see `withheld`.

    Attributes:
        residents: how many held-out residents were counted.
        auc: area under the ROC curve; with more than two classes the mean of `auc_by_class`.
        auc_by_class: each class against the rest; empty with two classes.
        accuracy: share of right predictions (the most probable class; 0.5 counts as yes).
        calibration_error: expected calibration error; with more than two classes that of the
            predicted class.
        reliability: the diagram behind it.
        withheld: the figures that are None, with reasons.
    """

    __pydantic_config__ = STRICT

    residents: Estimate
    auc: Estimate | None
    accuracy: Estimate | None
    calibration_error: Estimate | None
    auc_by_class: Annotated[tuple[Estimate | None, ...], Field(max_length=500)] = ()
    reliability: Annotated[tuple[ReliabilityBin, ...], Field(max_length=64)] = ()
    withheld: Annotated[tuple[Withheld, ...], Field(max_length=1000)] = ()


def evaluate(
    *, histogram: npt.NDArray[np.generic], noise_variance: NoiseVariance, classes: int, seed: bytes
) -> Metrics:
    """Give the figures of the summed histogram of all departments.

    Args:
        histogram: the sum, raw and noisy, as `models.evaluation.histograms` describes it.
        noise_variance: of each cell, over all departments (`histograms.noise_variance`).
        classes: of the outcome.
        seed: public; the same seed gives the same intervals.

    Raises:
        ProtocolViolationError: the histogram is not one of so many classes.
    """
    cells = combine([histogram], classes=classes)
    simulator = Simulator(noise_variance=noise_variance, seed=seed)
    binary, last = len(cells) == 1, cells[-1]
    draws = simulator.draws(last)
    if binary:
        by_class = [_ranking(last, simulator=simulator, draws=draws)]
    else:
        by_class = [_ranking(group, simulator=simulator) for group in cells[:-1]]
    ranking = _mean(by_class)
    figure = accuracy if binary else top_accuracy
    right = _share(figure, last, simulator=simulator, draws=draws)
    calibration = _calibration(last, simulator=simulator)
    named = {"auc": ranking, "accuracy": right, "calibration_error": calibration}
    return Metrics(
        residents=simulator.count(last),
        auc=_shown(ranking),
        accuracy=_shown(right),
        calibration_error=_shown(calibration),
        auc_by_class=() if binary else tuple(_shown(figure) for figure in by_class),
        reliability=reliability(last, simulator=simulator),
        withheld=tuple(
            Withheld(figure=name, reason=reason)
            for name, reason in named.items()
            if isinstance(reason, str)
        ),
    )


def auc(group: Doubles) -> Doubles:
    """Give the area under the ROC curve of histograms (..., 2, bins); ties count half."""
    without, with_outcome = group[..., 0, :], group[..., 1, :]
    below = np.cumsum(without, axis=-1) - without / 2
    pairs = with_outcome.sum(axis=-1) * without.sum(axis=-1)
    return ratio((with_outcome * below).sum(axis=-1), pairs)


def accuracy(group: Doubles) -> Doubles:
    """Give the share of residents on the right side of 0.5, of histograms (..., 2, bins)."""
    right = group[..., 1, _HALF:].sum(axis=-1) + group[..., 0, :_HALF].sum(axis=-1)
    return ratio(right, group.sum(axis=(-2, -1)))


def top_accuracy(group: Doubles) -> Doubles:
    """Give the share of right predictions, of histograms (..., 2, bins) of the predicted class."""
    return ratio(group[..., 1, :].sum(axis=-1), group.sum(axis=(-2, -1)))


def _ranking(
    group: Doubles, *, simulator: Simulator, draws: Doubles | None = None
) -> Estimate | str:
    for outcome in group:
        if not simulator.clear(outcome):
            return ONE_OUTCOME
    return _share(auc, group, simulator=simulator, draws=draws)


def _share(
    figure: Figure, group: Doubles, *, simulator: Simulator, draws: Doubles | None
) -> Estimate | str:
    """Give the figure, or the reason to withhold it."""
    if not simulator.clear(group):
        return FEW
    estimate = simulator.share(figure, group, draws=draws)
    return estimate if narrow(estimate) else WIDE


def _calibration(group: Doubles, *, simulator: Simulator) -> Estimate | str:
    if not simulator.clear(group):
        return FEW
    estimate = calibration_error(group, simulator=simulator)
    return estimate if narrow(estimate) else WIDE


def _mean(figures: list[Estimate | str]) -> Estimate | str:
    """Give the mean over classes, or the first reason to withhold it.

    The classes share their residents. The mean of the intervals' ends holds under whatever
    dependence: standard deviations of a sum never exceed the sum of standard deviations.
    """
    shown = [figure for figure in figures if isinstance(figure, Estimate)]
    if len(shown) < len(figures):
        return next(figure for figure in figures if isinstance(figure, str))
    ends = np.mean([(figure.value, figure.low, figure.high) for figure in shown], axis=0)
    value, low, high = ends.tolist()
    return Estimate(value=value, low=min(low, value), high=max(high, value))


def _shown(figure: Estimate | str) -> Estimate | None:
    return figure if isinstance(figure, Estimate) else None
