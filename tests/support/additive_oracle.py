"""The additive model's contributions, slow and obvious: dense rows, one resident at a time.

Integers are Python's. Floating point is IEEE's, in the order that the fast code documents; so the
fast code must give the very same integers.
"""

import math

import numpy as np

from models.families.rows import slopes

GRAINS = 2**12


def one_hot(codes: np.ndarray, levels: int) -> np.ndarray:
    """Give dense inputs (rows, levels) of codes (columns, rows)."""
    dense = np.zeros((codes.shape[1], levels))
    for row, column in np.ndindex(codes.shape[1], codes.shape[0]):
        dense[row, codes[column, row]] = 1.0
    return dense


def clipped(vector: list[float], bound: float, bits: int) -> list[int]:
    """Give a contribution in grains, clipped."""
    norm = math.sqrt(sum(float(x) * float(x) for x in vector))
    factor = 1 / bound if norm == 0 else min(1 / bound, 1 / norm)
    factor *= 2.0 ** (bits + 12) * (1 - 2.0**-28)
    return [int(x * factor) for x in vector]


def rounded(grains: list[int]) -> list[int]:
    """Give units: half a unit is added, and the rest cut towards minus infinity."""
    return [(g + GRAINS // 2) // GRAINS for g in grains]


def resident_gradient(
    dense: np.ndarray, outcomes: np.ndarray, weights: np.ndarray, scales: np.ndarray
) -> list[float]:
    """Give the mean of the gradients of one resident's rows, flat (level by level)."""
    levels, outputs = dense.shape[1], weights.shape[1]
    mean = np.zeros((levels + 1, outputs))
    for x, outcome in zip(dense, outcomes, strict=True):
        score = weights[levels].copy()
        for level in np.flatnonzero(x):  # columns lie one after the other
            score += weights[level]
        slope = slopes(score[None, :], np.array([outcome]))[0] * (1.0 / len(dense))
        for level in [*np.flatnonzero(x), levels]:
            mean[level] += slope
    return [float(x) for x in (mean * scales[:, None]).ravel()]


def gradient(
    codes: np.ndarray,
    outcomes: np.ndarray,
    owners: np.ndarray,
    *,
    weights: np.ndarray,
    scales: np.ndarray,
    bound: float,
    bits: int,
) -> list[int]:
    """Give the node's integers of a step."""
    dense = one_hot(codes, len(scales) - 1)
    total = [0] * weights.size
    for owner in range(owners.max() + 1):
        rows = owners == owner
        vector = resident_gradient(dense[rows], outcomes[rows], weights, scales)
        total = [a + b for a, b in zip(total, clipped(vector, bound, bits), strict=True)]
    return rounded(total)


def histogram(
    codes: np.ndarray,
    outcomes: np.ndarray,
    owners: np.ndarray,
    *,
    levels: int,
    classes: int,
    bound: float,
    bits: int,
) -> list[int]:
    """Give the node's integers of the histogram of levels and outcomes."""
    dense = one_hot(codes, levels)
    outcome = np.eye(classes)[outcomes]
    if classes == 2:
        outcome = outcome[:, 1:]
    total = [0] * (levels + outcome.shape[1])
    for owner in range(owners.max() + 1):
        rows = np.hstack([dense, outcome])[owners == owner]
        mean = np.zeros(rows.shape[1])
        for row in rows:
            mean += row * (1.0 / len(rows))
        vector = clipped([float(x) for x in mean], bound, bits)
        total = [a + b for a, b in zip(total, vector, strict=True)]
    return rounded(total)
