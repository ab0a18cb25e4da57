"""`Hazard`: what a measure does to the chance of leaving a state in a month, and curves.

A logistic regression over months at risk, with the state's own clock, the strata, and whether a
measure begun early, later, ... may have its effect. A resident has many months: the covariance of
the weights is that of residents, not of months, and that of the noise in the cells they stand in.
"""

from dataclasses import dataclass, field

import numpy as np

from models.governance.questions import Hazard
from models.linkage.coding import Coding
from models.linkage.estimates import terms as columns
from models.linkage.estimates.cell_fit import Covariances, wald, weighed
from models.linkage.estimates.curves import curves
from models.linkage.estimates.exposure import WITHOUT, Exposure, exposure
from models.linkage.estimates.figures import Answer, Figure
from models.linkage.estimates.levels import Level, levels
from models.linkage.estimates.scoring import UNCLEAR, LogisticFit, solve
from models.linkage.estimates.terms import Term
from models.linkage.tables import Counts, NoisyTable

CLOCK = (1, 4, 7, 13, 25)
"""First months of the groups in which the chance of leaving is taken to be the same."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Design:
    """Terms of each month: names, and values of shape (statuses, months, strata, terms)."""

    names: tuple[str, ...]
    matrix: Counts = field(repr=False)


def leave(asked: Hazard, everybody: NoisyTable, measured: NoisyTable) -> Answer:
    """Give effects of the measure on leaving, and the curves, from the two tables of a question.

    `crude log-odds`: months in which any measure may have its effect against all others, without
    clock and strata. It is wrong where the measure comes to those who stay long anyway.
    """
    cells = exposure(asked, everybody, measured)
    whole, crude = _design(cells), _crude(cells)
    fit, spread = _fitted(cells, whole)
    plain, its = _fitted(cells, crude)
    figures: list[Figure] = weighed(
        "log-odds", whole.names, matrix=_flat(whole), fit=fit, spread=spread
    )
    figures += weighed("crude log-odds", crude.names, matrix=_flat(crude), fit=plain, spread=its)
    measures = list(range(1, 1 + len(cells.bands)))
    test = wald("the measure, whenever begun", measures, fit, spread)
    return Answer(
        question=asked.name,
        analysis=f"leaving by month, after {asked.entry}",
        figures=tuple(figures),
        series=curves(cells),
        tests=() if test is None else (test,),
        notes=() if fit.clear else (UNCLEAR,),
    )


def _flat(design: Design) -> Counts:
    return design.matrix.reshape(-1, len(design.names))


def _crude(cells: Exposure) -> Design:
    shape = (cells.statuses, cells.months, cells.total.shape[-1])
    matrix = np.zeros((*shape, 2))
    matrix[..., 0] = 1.0
    matrix[1 : 1 + len(cells.bands), ..., 1] = 1.0
    return Design(names=("intercept", "any measure"), matrix=matrix)


def _design(cells: Exposure) -> Design:
    """Give intercept, bands, months after the window, groups of months, and strata."""
    statuses, months = cells.statuses, cells.months
    effects = np.eye(statuses)[:, 1:]
    starts = [month for month in CLOCK if month <= months]
    group = np.searchsorted(np.asarray(starts), np.arange(1, months + 1), side="right") - 1
    clock = np.eye(len(starts))[group][:, 1:]
    strata = columns.design([_stratum(axis) for axis in cells.strata])
    width = strata.matrix.shape[0]
    blocks = [
        np.ones((statuses, months, width, 1)),
        np.broadcast_to(effects[:, None, None, :], (statuses, months, width, effects.shape[1])),
        np.broadcast_to(clock[None, :, None, :], (statuses, months, width, clock.shape[1])),
        np.broadcast_to(
            strata.matrix[None, None, :, 1:], (statuses, months, width, len(strata.names) - 1)
        ),
    ]
    names = ("intercept", *cells.bands, "measure too long ago", *_groups(starts), *strata.names[1:])
    return Design(names=names, matrix=np.concatenate(blocks, axis=-1))


def _stratum(axis: Coding) -> Term:
    """Give a column for each level but the first, with a row for each category in its place."""
    chosen = levels(axis)
    values = np.zeros((axis.width, len(chosen) - 1))
    for column, level in enumerate(chosen[1:]):
        values[list(level.places), column] = 1.0
    return Term(
        axis=axis,
        levels=tuple(
            Level(label=label, places=(place,), value=None)
            for place, label in enumerate(axis.labels)
        ),
        names=tuple(f"{axis.variable} = {level.label}" for level in chosen[1:]),
        columns=values,
    )


def _groups(starts: list[int]) -> list[str]:
    ends = [*(f"to {start - 1}" for start in starts[2:]), "or later"]
    # A clock of the first months alone has no further group, and no end to name.
    return [f"month {start} {end}" for start, end in zip(starts[1:], ends, strict=False)]


def _fitted(cells: Exposure, design: Design) -> tuple[LogisticFit, Covariances]:
    risk = cells.by_status(cells.at_risk(cells.total), cells.at_risk(cells.after))
    left = cells.by_status(cells.leaving(cells.total), cells.leaving(cells.after))
    ones = np.ones_like(cells.total), np.ones_like(cells.after)
    added = cells.noisy_cells(*(cells.at_risk(item) for item in ones))
    fit = solve(
        _flat(design), left.ravel(), risk.ravel(), variances=added.ravel() * cells.variance.value
    )
    sampling, noise = _scores(cells, design, fit)
    return fit, Covariances(sampling=fit.covariance(sampling), noise=fit.covariance(noise))


def _scores(cells: Exposure, design: Design, fit: LogisticFit) -> tuple[Counts, Counts]:
    """Give the covariances of the score: of residents, and of the noise.

    One more in a cell of `all` adds the scores of its months as months without a measure. One more
    in a cell of `after` takes the months since the measure from these, and adds them as what they
    are. A resident with a measure stands in both.
    """
    shape = design.matrix.shape
    matrix = design.matrix * fit.counted.reshape(shape[:-1])[..., None]
    staying = -matrix * fit.chances.reshape(shape[:-1])[..., None]
    count = shape[-1]
    everybody = _along(cells, staying[WITHOUT], matrix[WITHOUT])
    sampling = _outer(everybody, cells.total)
    noise = _outer(everybody, np.ones_like(cells.total))
    months = np.arange(cells.months)
    for lag in range(len(cells.after)):
        own = cells.status[lag]
        changed = _along(
            cells,
            staying[own, months] - staying[WITHOUT],
            matrix[own, months] - matrix[WITHOUT],
        )
        there = cells.after[lag]
        sampling += _outer(everybody + changed, there) - _outer(everybody, there)
        noise += _outer(changed, np.ones_like(there))
    return sampling.reshape(count, count), noise * cells.variance.value


def _along(cells: Exposure, staying: Counts, leaving: Counts) -> Counts:
    """Give the score of each cell: months up to the duration, and the leaving in its last.

    Args:
        cells: whose durations count.
        staying: score of a month without leaving, shape (months, strata, terms).
        leaving: what leaving adds to it, in the same shape.

    Returns:
        Shape (durations, 2, strata, terms).
    """
    added = np.concatenate([np.zeros_like(staying[:1]), np.cumsum(staying, axis=0)])
    lasted = np.maximum(cells.durations, 0)
    found = np.repeat(added[lasted][:, None], 2, axis=1)
    last = np.where((lasted > 0)[:, None, None], leaving[np.maximum(lasted - 1, 0)], 0.0)
    found[:, 1] += last
    return found


def _outer(scores: Counts, weights: Counts) -> Counts:
    flat = scores.reshape(-1, scores.shape[-1])
    found: Counts = (flat * weights.reshape(-1)[:, None]).T @ flat
    return found
