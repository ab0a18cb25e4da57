"""Logistic regression on noisy counts.

Rows are groups of trials (residents, or months at risk) with the same terms x; a group has `total`
trials of which `ended` had the outcome. The score Σ x (ended - total·p(x)) is linear in the counts,
so noise of mean zero leaves its mean alone, and its root is the estimate. Categories with no more
trials than noise alone would show are left out with their rows. Negative counts can still make the
information matrix indefinite; then there may be no root, and the fit to the nearest plausible
counts is given instead, which is biased, and says so.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg, special

from models.evaluation.intervals import project
from models.linkage.tables import Counts

UNCLEAR = (
    "the counts have no clear optimum, because of noise or because a term settles the outcome; "
    "the fit uses counts made plausible, and may be biased"
)
_STEPS = 100
_HALVINGS = 30
_SETTLED = 1e-22
_DEFINITE = 0.05
"""The least part of the plausible counts' information that must be left in every direction."""

_LARGEST = 30.0
"""Log-odds beyond which a term is not determined by the counts."""

_DEPENDENT = 1e-6
_SEEN = 2.0
"""Standard deviations of noise that a term's trials must exceed."""

_STRIDE = 4.0
_CLOSE = 1e-12

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogisticFit:
    """A solution of the score equations.

    Attributes:
        weights: log-odds, shape (terms,); 0 where not `determined`.
        inverse: of the information matrix, shape (terms, terms); 0 where not `determined`.
        chances: fitted probability of each row.
        counted: rows that were fitted; the others' trials do not stand out of the noise.
        determined: which terms the counts say anything about, shape (terms,).
        noisy: there was noise.
        clear: the equations have a root; else see `UNCLEAR`.
    """

    weights: Counts
    inverse: Counts
    chances: Counts
    counted: Flags
    determined: Flags
    clear: bool
    noisy: bool

    def covariance(self, scores: Counts) -> Counts:
        """Give the covariance of the weights that a covariance of the scores leads to."""
        found: Counts = self.inverse @ scores @ self.inverse
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Trials:
    """Rows of trials, and their counts made plausible (none negative)."""

    design: Counts
    ended: Counts
    total: Counts

    @property
    def plausible(self) -> "_Trials":
        """Give the nearest counts that trials can have."""
        total = project(self.total)
        return _Trials(
            design=self.design, ended=np.minimum(project(self.ended), total), total=total
        )

    def score(self, weights: Counts) -> Counts:
        """Give the derivative of the log-likelihood."""
        chances = special.expit(self.design @ weights)
        found: Counts = self.design.T @ (self.ended - self.total * chances)
        return found

    def information(self, weights: Counts) -> Counts:
        """Give minus its second derivative."""
        chances = special.expit(self.design @ weights)
        found: Counts = (
            self.design * (self.total * chances * (1 - chances))[:, None]
        ).T @ self.design
        return found


def solve(design: Counts, ended: Counts, total: Counts, *, variances: Counts) -> LogisticFit:
    """Give the weights whose score is zero.

    Args:
        design: terms of each row, shape (rows, terms); the first column is the intercept.
        ended: noisy counts of trials with the outcome, shape (rows,); fractions, also negative.
        total: of all trials, as `ended`.
        variances: of the noise in `total`, shape (rows,).
    """
    rows, kept = _seen(design, total, variances)
    if rows.any():
        kept &= _independent(design[rows], project(total[rows]))
    if not kept.any():
        return _nothing(design, noisy=bool(variances.any()))
    trials = _Trials(design=design[np.ix_(rows, kept)], ended=ended[rows], total=total[rows])
    plausible = trials.plausible
    start = _climb(plausible)
    weights = _root(trials, start)
    clear = weights is not None
    if weights is None:
        weights = start
    information = (trials if clear else plausible).information(weights)
    full, known = np.zeros(design.shape[1]), kept.copy()
    full[kept] = weights
    known[kept] = np.abs(weights) < _LARGEST
    inverse = np.zeros((design.shape[1], design.shape[1]))
    inverse[np.ix_(kept, kept)] = linalg.pinvh(information)
    return LogisticFit(
        weights=full,
        inverse=inverse,
        chances=special.expit(design @ full),
        counted=rows,
        determined=known,
        clear=clear,
        noisy=bool(variances.any()),
    )


def _seen(design: Counts, total: Counts, variances: Counts) -> tuple[Flags, Flags]:
    """Give the rows and columns that are left when what noise hides is taken out.

    An indicator that noise hides goes with its rows: left in, they would count as the reference.
    Taking rows out can hide other columns, so this is repeated until nothing changes.
    """
    rows = np.ones(len(total), dtype=np.bool_)
    columns = np.ones(design.shape[1], dtype=np.bool_)
    indicator = ((design == 0) | (design == 1)).all(axis=0)
    for _ in range(design.shape[1]):
        squares = design[rows] ** 2
        spread = np.sqrt((squares**2).T @ variances[rows])
        hidden = columns & (spread > 0) & (squares.T @ total[rows] < _SEEN * spread)
        if not hidden.any():
            break
        columns &= ~hidden
        if hidden[0]:  # the intercept: everybody
            return np.zeros_like(rows), np.zeros_like(columns)
        rows &= ~(design[:, hidden & indicator] != 0).any(axis=1)
    return rows, columns


def _nothing(design: Counts, *, noisy: bool) -> LogisticFit:
    """Give the fit to no trials at all."""
    rows, columns = design.shape
    return LogisticFit(
        weights=np.zeros(columns),
        inverse=np.zeros((columns, columns)),
        chances=np.full(rows, 0.5),
        counted=np.zeros(rows, dtype=np.bool_),
        determined=np.zeros(columns, dtype=np.bool_),
        clear=False,
        noisy=noisy,
    )


def _independent(design: Counts, total: Counts) -> Flags:
    """Give the columns that, where residents are, are no sums of columns before them."""
    weighted = design * np.sqrt(total)[:, None]
    kept = np.zeros(design.shape[1], dtype=np.bool_)
    basis = np.zeros((design.shape[0], 0))
    for place in range(design.shape[1]):
        column = weighted[:, place]
        rest = column - basis @ (basis.T @ column)
        rest -= basis @ (basis.T @ rest)
        left = float(np.linalg.norm(rest))
        if left > _DEPENDENT * max(float(np.linalg.norm(column)), 1.0):
            kept[place] = True
            basis = np.column_stack([basis, rest / left])
    return kept


def _climb(trials: _Trials) -> Counts:
    """Give the optimum for counts of which none is negative, or weights on the way to infinity."""
    weights = np.zeros(trials.design.shape[1])
    for _ in range(_STEPS):
        score = trials.score(weights)
        step = linalg.pinvh(trials.information(weights)) @ score
        if float(score @ step) < _SETTLED:
            break
        longest = float(np.abs(trials.design @ step).max())
        weights = weights + step * min(1.0, _STRIDE / max(longest, 1e-300))
        if float(np.abs(weights).max()) > 2 * _LARGEST:
            break
    return weights


def _root(trials: _Trials, start: Counts) -> Counts | None:
    """Give the root of the score by Newton's steps, shortened until they come closer.

    Distances are measured by the information of the plausible counts: as chi-squares. None: there
    is no root, or not one at which the information is definite.
    """
    values, vectors = np.linalg.eigh(trials.plausible.information(start))
    if values[0] <= _DEPENDENT**2 * max(float(values[-1]), 1.0):
        return None
    white = vectors / np.sqrt(values)
    weights = start
    for _ in range(_STEPS):
        score = white.T @ trials.score(weights)
        size = float(score @ score)
        own, turned = np.linalg.eigh(white.T @ trials.information(weights) @ white)
        definite = bool(own[0] > _DEFINITE)
        if size < _SETTLED:
            return weights if definite else None
        step = white @ (turned @ (turned.T @ score / own) if definite else score)
        shorter = (weights + step / 2**power for power in range(_HALVINGS))
        moved = next((at for at in shorter if _size(trials, white, at) < size), None)
        if moved is None:  # no closer in floating point, or stuck far away
            return weights if definite and size < _CLOSE else None
        weights = moved
    return None


def _size(trials: _Trials, white: Counts, weights: Counts) -> float:
    score = white.T @ trials.score(weights)
    return float(score @ score)
