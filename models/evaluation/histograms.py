"""Histograms of scores by outcome over public bins: all that evaluation takes from residents.

A histogram has the shape (groups, 2, `SCORE_BINS`). With two classes there is one group: the
scores of the last class, for residents with (index 1) and without (index 0) that outcome. With
K > 2 classes there are K + 1 groups: each class against the rest, and last the probability of
the predicted class by whether the prediction was right.

Formal guarantee: a resident adds a total weight of 1 to each group, however many rows the
resident has, so adding or removing one resident moves the histogram by at most
`sensitivity(classes)` in L2. Sums over departments are plain sums: everything stays linear.
"""

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from models.errors import ProtocolViolationError
from models.families.chunks import Chunk
from models.quantities import ClipNorm, NoiseMultiplier, NoiseVariance

SCORE_BINS = 64
_REACH = math.asinh(8.0)

Doubles = npt.NDArray[np.float64]


def _score(position: Doubles) -> Doubles:
    result: Doubles = 1.0 / (1.0 + np.exp(-np.sinh(position * _REACH)))
    return result


def edges() -> Doubles:
    """Give the public cut points between the bins, one fewer than bins; 0.5 is one of them.

    They are even in asinh(log-odds): fine around 0.5, where models trained under much noise put
    everybody, and still fine at 1 in 1,000, where models of rare outcomes do.
    """
    return _score(np.linspace(-1.0, 1.0, SCORE_BINS + 1)[1:-1])


def centres() -> Doubles:
    """Give one score per bin, which stands for every score in it."""
    path = np.linspace(-1.0, 1.0, SCORE_BINS + 1)
    return _score((path[1:] + path[:-1]) / 2)


def groups(classes: int) -> int:
    """Give the number of groups of a histogram."""
    return 1 if classes == 2 else classes + 1  # noqa: PLR2004


def shape(classes: int) -> tuple[int, int, int]:
    """Give the shape of a histogram."""
    return (groups(classes), 2, SCORE_BINS)


def sensitivity(classes: int) -> ClipNorm:
    """Give the most (L2) that one resident can move a histogram."""
    return ClipNorm(math.sqrt(groups(classes)))


def noise_variance(
    noise: NoiseMultiplier | None, *, classes: int, departments: int
) -> NoiseVariance:
    """Give the variance of each cell's noise, summed over departments that each add their own."""
    scale = 0.0 if noise is None else noise.value * sensitivity(classes).value
    return NoiseVariance(departments * scale * scale)


def contributions(probabilities: Doubles, *, chunk: Chunk) -> Doubles:
    """Give what the residents of a chunk add: (residents, cells), cells being flattened.

    `probabilities` are those of every class, per row of the chunk.
    """
    scores, truths = _groups(probabilities, chunk.outcomes)
    bins = np.searchsorted(edges(), scores, side="right")
    cells = (np.arange(scores.shape[1]) * 2 + truths) * SCORE_BINS + bins
    size = math.prod(shape(probabilities.shape[1]))
    flat = np.bincount(
        (chunk.owners[:, None] * size + cells).ravel(),
        weights=np.repeat(chunk.shares, cells.shape[1]),
        minlength=chunk.residents * size,
    )
    return flat.astype(np.float64).reshape(chunk.residents, size)


def _groups(
    probabilities: Doubles, outcomes: npt.NDArray[np.integer]
) -> tuple[Doubles, npt.NDArray[np.bool_]]:
    """Give the score and the truth of each row in each group."""
    if probabilities.shape[1] == 2:  # noqa: PLR2004
        return probabilities[:, 1:], (outcomes == 1)[:, None]
    predicted = probabilities.argmax(axis=1)
    one_against_rest = outcomes[:, None] == np.arange(probabilities.shape[1])
    return (
        np.column_stack([probabilities, probabilities.max(axis=1)]),
        np.column_stack([one_against_rest, predicted == outcomes]),
    )


def combine(histograms: Iterable[npt.NDArray[np.generic]], *, classes: int) -> Doubles:
    """Give the sum of the departments' histograms.

    Raises:
        ProtocolViolationError: one has another shape, or a number that is not finite.
    """
    total = np.zeros(shape(classes))
    for histogram in histograms:
        if histogram.shape != total.shape or histogram.dtype.kind not in "fiu":
            raise ProtocolViolationError("a histogram has another shape or type than the study's")
        if not np.isfinite(histogram).all():
            raise ProtocolViolationError("a histogram holds a number that is not finite")
        total += histogram.astype(np.float64)
    return total
