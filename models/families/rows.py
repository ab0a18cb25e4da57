"""Arithmetic in which a row's numbers depend on that row alone, to the last bit.

A matrix product of a library rounds a row differently with the number of rows beside it (other
kernels for small blocks and for the rows left over). With weights that cancel, which whoever
sends them can choose, such a last bit decides the whole output. One resident more would then
change what the others contribute, and a sum could move by more than one contribution.

Here every number is made by the same IEEE operations in the same order, elementwise over rows.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

F = TypeVar("F", np.float32, np.float64)
Doubles = npt.NDArray[np.float64]

_NUMBERS = 1 << 15
"""Numbers handled together: small enough for the cache."""


def affine(x: npt.NDArray[F], weight: npt.NDArray[F], bias: npt.NDArray[F]) -> npt.NDArray[F]:
    """Give x · weightᵀ + bias, for x of shape (rows, inner) and weight of (outer, inner).

    Formal guarantee: a row of the result is a function of that row of `x`, `weight` and `bias`;
    terms are added to the bias in the order of `inner`, each product and sum rounded once.
    """
    outer = len(weight)
    result = np.empty((len(x), outer), dtype=x.dtype)
    size = max(64, _NUMBERS // max(1, outer))
    with np.errstate(over="ignore", invalid="ignore"):  # not finite: the caller's to judge
        for start in range(0, len(x), size):
            turned = np.ascontiguousarray(x[start : start + size].T)
            total = np.repeat(bias[:, None], turned.shape[1], axis=1)
            product = np.empty_like(total)
            for factors, values in zip(weight.T, turned, strict=True):
                np.multiply(factors[:, None], values, out=product)
                np.add(total, product, out=total)
            result[start : start + size] = total.T
    return result


def softmax(scores: Doubles) -> Doubles:
    """Give the probability of every class from scores (rows, classes); one score z is (0, z)."""
    if scores.shape[1] == 1:
        scores = np.hstack([np.zeros_like(scores), scores])
    with np.errstate(invalid="ignore"):
        powers = np.exp(scores - scores.max(axis=1, keepdims=True, initial=-np.inf))
    result: Doubles = powers / powers.sum(axis=1, keepdims=True)
    return result


def slopes(outputs: Doubles, outcomes: npt.NDArray[np.int64]) -> Doubles:
    """Give the gradient of each row's log loss by its outputs; one output is log-odds."""
    gradient = softmax(outputs)
    gradient[np.arange(len(outcomes)), outcomes] -= 1.0
    return gradient[:, 1:] if outputs.shape[1] == 1 else gradient
