"""Linear, logistic and additive models from one noisy Gram matrix, without further cost.

Linear: least squares, R b = r for the correlations R of the terms and r with the outcome. Noise can
leave R with directions in which nothing but noise is seen. In columns that are uncorrelated within
each variable, eigenvalues are raised to what noise alone would make of them, which shrinks these
directions and no others (`RAISED` says so).

Logistic: if the terms are jointly normal, their least-squares slopes and log-odds have the same
direction, cov(x, y) = cov(x) w E[p(1-p)] (Brillinger 1982, from Stein's lemma). So w = k b, where k
and the intercept m are those with k E[p'(m + k s z)] = 1 and E[p(m + k s z)] = share of the outcome
for z standard normal and s² what the slopes explain: the fit is one-shot, and recalibrated.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from numpy.polynomial.hermite_e import hermegauss
from scipy import linalg, optimize, special

from models.governance.questions import Relations
from models.linkage.estimates.figures import Answer, Figure, Kind, Spread, normal, unknown
from models.linkage.estimates.gram import Gram, Maker, bins, clear, gram, numbers
from models.linkage.estimates.levels import counted
from models.linkage.estimates.scores import Score, ScoreTerm
from models.linkage.tables import Counts, NoisyTable
from models.quantities import NoiseVariance

RAISED = "noise hides some directions of the terms; weights along them are shrunk towards zero"
APPROXIMATE = "log-odds are recalibrated least squares: exact for normal terms, close for others"
DIFFERENT = "the variables do not count the same residents: models over them may mislead"
NOBODY = "there are no more residents than noise alone would show"

Places = npt.NDArray[np.intp]

_NODES = 64
_DEPENDENT = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeastSquares:
    """A fit to the outcome, terms and outcome in units of their standard deviations.

    Attributes:
        kept: places of the terms among all columns.
        outcome: place of the outcome.
        weights: shape (kept,).
        sampling, noise: their covariances.
        deviations: of all columns.
        explained: the share of the outcome's variance.
        raised: eigenvalues were raised.
    """

    kept: list[int]
    outcome: int
    weights: Counts
    sampling: Counts = field(repr=False)
    noise: Counts = field(repr=False)
    deviations: Counts = field(repr=False)
    explained: float
    raised: bool


def models(asked: Relations, tables: Mapping[str, NoisyTable]) -> tuple[Answer, ...]:
    """Give the models of a question's outcome: linear, logistic (of two categories), additive.

    Terms are all other variables. Numbers count as the middle of their bin, categories as
    indicators; in the additive model every bin is an indicator, and crossed pairs have terms of
    their own.
    """
    assert asked.outcome is not None  # noqa: S101 - the caller's
    answers = []
    axis = tables[f"{asked.name}/{asked.outcome}"].axes[0]
    two = not axis.middles and len(counted(axis)) == 2  # noqa: PLR2004
    for name, columns, crossed in (
        ("regression", numbers, False),
        ("additive model", bins, True),
    ):
        answers += _answers(asked, tables, name, columns=columns, crossed=crossed, two=two)
    return tuple(answers)


def _answers(
    asked: Relations,
    tables: Mapping[str, NoisyTable],
    name: str,
    *,
    columns: Maker,
    crossed: bool,
    two: bool,
) -> list[Answer]:
    found = gram(asked, tables, columns=columns, crossed=crossed)
    fit = None if found is None else least_squares(asked, found)
    if found is None or fit is None:
        return [
            Answer(
                question=asked.name,
                analysis=f"{name} of {asked.outcome}",
                figures=(),
                notes=(NOBODY,),
            )
        ]
    notes = tuple(
        note for note, holds in ((RAISED, fit.raised), (DIFFERENT, not found.same)) if holds
    )
    made = [_answer(asked, found, fit, f"linear {name}", kind="slope", factor=1.0, notes=notes)]
    if two:
        factor, intercept = recalibrated(
            share=float(found.blocks[_block_of(found, asked)].means[0]), fit=fit
        )
        made.append(
            _answer(
                asked,
                found,
                fit,
                f"logistic {name}",
                kind="log-odds",
                factor=factor,
                intercept=intercept,
                notes=(APPROXIMATE, *notes),
            )
        )
    return made


def _block_of(found: Gram, asked: Relations) -> int:
    return next(place for place, block in enumerate(found.blocks) if block.key == asked.outcome)


def least_squares(asked: Relations, found: Gram) -> LeastSquares | None:
    """Give the fit of the outcome to all other columns; None: the outcome does not vary."""
    covariance = found.covariance()
    seen = clear(found, covariance)
    owner = np.repeat(np.arange(len(found.blocks)), [len(block.names) for block in found.blocks])
    outcome = int(np.flatnonzero(owner == _block_of(found, asked))[0])
    if not seen[outcome]:
        return None
    kept = [place for place in np.flatnonzero(seen).tolist() if place != outcome]
    deviations = np.where(seen, np.sqrt(np.maximum(np.diagonal(covariance), 1e-300)), 1.0)
    correlation = covariance / np.outer(deviations, deviations)
    scaled = [
        block.values / deviations[owner == number] for number, block in enumerate(found.blocks)
    ]
    inverse, raised = _inverse(found, correlation, scaled, owner=owner, kept=kept)
    weights = inverse @ correlation[kept, outcome]
    explained = min(max(float(weights @ correlation[kept, outcome]), 0.0), 1.0)
    place = _block_of(found, asked)
    known = float(found.whole(place, place)[0, 0])
    full = np.zeros(len(owner))
    full[kept], full[outcome] = weights, -found.residents / known
    disturbed = _disturbed(found, scaled, owner, full)[np.ix_(kept, kept)]
    return LeastSquares(
        kept=kept,
        outcome=outcome,
        weights=weights,
        sampling=inverse * (1 - explained) / known,
        noise=inverse @ disturbed @ inverse,
        deviations=deviations,
        explained=explained,
        raised=raised,
    )


def _inverse(
    found: Gram, correlation: Counts, values: list[Counts], *, owner: Places, kept: list[int]
) -> tuple[Counts, bool]:
    """Give the inverse of the terms' correlations, and whether eigenvalues were raised.

    Args:
        found: whose tables they are.
        correlation: of all columns.
        values: of each block's columns, in units of their standard deviations.
        owner: the block of each column.
        kept: the terms.
    """
    if not kept:
        return np.zeros((0, 0)), False
    blocks, lengths = [], []
    for place, value in enumerate(values):
        own = [at for at in kept if owner[at] == place]
        if not own:
            continue
        block = _whitening(correlation[np.ix_(own, own)])
        blocks.append(block)
        first = int(np.flatnonzero(owner == place)[0])
        mixed = value[:, [at - first for at in own]] @ block
        lengths.append((mixed**2).sum(axis=0))
    white = linalg.block_diag(*blocks)
    length = np.concatenate(lengths)
    noise = math.sqrt(found.variance.value * float(length.max()) * float(length.sum()))
    least = max(noise / found.residents, _DEPENDENT)
    together = white.T @ correlation[np.ix_(kept, kept)] @ white
    eigenvalues, vectors = np.linalg.eigh((together + together.T) / 2)
    basis = white @ vectors
    inverse: Counts = (basis / np.maximum(eigenvalues, least)) @ basis.T
    return inverse, bool((eigenvalues < least).any())


def _whitening(correlation: Counts) -> Counts:
    """Give the matrix that makes the columns of one variable uncorrelated."""
    values, vectors = np.linalg.eigh((correlation + correlation.T) / 2)
    found: Counts = vectors / np.sqrt(np.maximum(values, _DEPENDENT))
    return found


def _disturbed(found: Gram, values: list[Counts], owner: Places, full: Counts) -> Counts:
    """Give the covariance that noise leaves in the normal equations R w - r.

    Cell (a, b) of the table of blocks v and w moves the equations of v by x_a (t_w)_b and those of
    w by x_b (t_v)_a, where t = Σ weight · column, and the outcome has weight -1. A cell of the
    table of v alone moves its equations by x_a (t_v)_a.

    Args:
        found: whose tables they are.
        values: of each block's columns, in units of their standard deviations.
        owner: the block of each column.
        full: weight of each column.
    """
    sums = [value @ full[owner == place] for place, value in enumerate(values)]
    size = np.asarray([float(total @ total) for total in sums])
    cross = np.concatenate([value.T @ total for value, total in zip(values, sums, strict=True)])
    result: Counts = np.outer(cross, cross)
    for place, value in enumerate(values):
        own = np.flatnonzero(owner == place)
        others = float(size.sum() - size[place])
        square = value * sums[place][:, None]
        result[np.ix_(own, own)] = others * value.T @ value + square.T @ square
    return result * found.variance.value / found.residents**2


def recalibrated(*, share: float, fit: LeastSquares) -> tuple[float, float]:
    """Give k and m: what least-squares slopes are multiplied by, and the intercept at the mean.

    Args:
        share: of the outcome.
        fit: least squares.
    """
    share = min(max(share, 1e-6), 1 - 1e-6)
    spread = math.sqrt(share * (1 - share) * fit.explained)
    nodes, weights = hermegauss(_NODES)
    weights = weights / weights.sum()

    def level(steep: float) -> float:
        """Give the intercept at which the model has the outcome's share."""

        def excess(at: float) -> float:
            return float(weights @ special.expit(at + steep * spread * nodes)) - share

        reach = 40.0 + steep * spread * float(np.abs(nodes).max())
        return float(optimize.brentq(excess, -reach, reach, xtol=1e-12))

    def gap(steep: float) -> float:
        chances = special.expit(level(steep) + steep * spread * nodes)
        return steep * float(weights @ (chances * (1 - chances))) - 1

    lowest = 1 / (share * (1 - share))
    highest = lowest / max(1 - fit.explained, 1e-3)
    # Between no spread at all and two normal groups (Haggstrom 1983), which is the steepest.
    steep = highest if gap(highest) <= 0 else _crossing(gap, min(4.0, lowest), highest)
    return steep, level(steep)


def _crossing(gap: Callable[[float], float], low: float, high: float) -> float:
    if gap(low) >= 0:
        return low
    return float(optimize.brentq(gap, low, high, xtol=1e-9))


def _answer(
    asked: Relations,
    found: Gram,
    fit: LeastSquares,
    name: str,
    *,
    kind: Kind,
    factor: float,
    intercept: float | None = None,
    notes: tuple[str, ...],
) -> Answer:
    names = [item for block in found.blocks for item in block.names]
    parts = [item for block in found.blocks for item in block.parts]
    means = np.concatenate([block.means for block in found.blocks])
    ranges = np.concatenate([np.ptp(block.values, axis=0) for block in found.blocks])
    scales = factor * fit.deviations[fit.outcome] / fit.deviations[fit.kept]
    weights = dict(zip(fit.kept, (fit.weights * scales).tolist(), strict=True))
    note = RAISED if fit.raised else ""
    figures: list[Figure] = []
    whole = float(ranges[fit.outcome]) if kind == "slope" else 1.0
    for place, item in enumerate(names):
        if place == fit.outcome:
            continue
        if place not in weights:
            figures.append(unknown(kind, item, noisy=True, note=NOBODY))
            continue
        at = fit.kept.index(place)
        spread = Spread(
            sampling=float(fit.sampling[at, at] * scales[at] ** 2),
            noise=NoiseVariance(max(float(fit.noise[at, at] * scales[at] ** 2), 0.0)),
        )
        scale = whole / max(float(ranges[place]), 1e-12)
        figures.append(
            normal(kind, item, value=weights[place], spread=spread, scale=scale, note=note)
        )
    level = float(means[fit.outcome]) if intercept is None else intercept
    terms = tuple(
        ScoreTerm(name=names[place], parts=parts[place], weight=weight)
        for place, weight in weights.items()
    )
    score = Score(
        kind="linear" if intercept is None else "logistic",
        outcome=asked.outcome or "",
        intercept=level - sum(weight * float(means[place]) for place, weight in weights.items()),
        terms=terms,
    )
    return Answer(
        question=asked.name,
        analysis=f"{name} of {asked.outcome}",
        figures=tuple(figures),
        scores=(score,),
        notes=notes,
    )
