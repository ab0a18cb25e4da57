"""Curves of a hazard question: the chance of leaving by month, and how many are left."""

import math

import numpy as np

from models.linkage.estimates import ratios
from models.linkage.estimates.exposure import WITHOUT, Exposure
from models.linkage.estimates.figures import NORMAL, Point, Series
from models.linkage.estimates.levels import levels
from models.linkage.tables import Counts
from models.quantities import NoiseVariance

_WIDEST = 0.5
"""A point whose interval is wider is left out; a curve of what is left ends before it."""


def curves(cells: Exposure) -> tuple[Series, ...]:
    """Give hazards without a measure and after one begun in each band, then survival.

    Survival is of all residents, with and without a measure, and by category of each stratum.
    Points that the noise leaves open are missing. Intervals are for one point at a time.
    """
    found = [*_hazards(cells), _survival(cells, "everybody", cells.total)]
    shape = [axis.width for axis in cells.strata]
    wide = cells.total.reshape(*cells.total.shape[:2], *shape)
    for place, axis in enumerate(cells.strata):
        for level in levels(axis):
            chosen = np.take(wide, level.places, axis=2 + place)
            name = f"{axis.variable} = {level.label}"
            found.append(_survival(cells, name, chosen.reshape(*cells.total.shape[:2], -1)))
    return tuple(series for series in found if series.points)


def _hazards(cells: Exposure) -> list[Series]:
    ones, others = np.ones_like(cells.total), np.ones_like(cells.after)
    leaving = cells.by_status(cells.leaving(cells.total), cells.leaving(cells.after))
    risk = cells.by_status(cells.at_risk(cells.total), cells.at_risk(cells.after))
    left_cells = cells.noisy_cells(cells.leaving(ones), cells.leaving(others)).sum(axis=-1)
    risk_cells = cells.noisy_cells(cells.at_risk(ones), cells.at_risk(others)).sum(axis=-1)
    left, whole = leaving.sum(axis=-1), risk.sum(axis=-1)
    names = ("without a measure", *cells.bands)
    return [
        Series(
            kind="hazard",
            name=name,
            points=tuple(
                point
                for month in range(cells.months)
                if risk_cells[status, month] > 0
                for point in _point(
                    cells,
                    month + 1,
                    counts=(left[status, month], whole[status, month]),
                    added=(left_cells[status, month], risk_cells[status, month]),
                )
            ),
        )
        for status, name in enumerate(names, start=WITHOUT)
    ]


def _point(
    cells: Exposure, month: int, *, counts: tuple[float, float], added: tuple[float, float]
) -> list[Point]:
    """Give the hazard of a month, from leavings and months at risk and the cells they sum."""
    variance = cells.variance.value
    found = ratios.share(
        float(counts[0]),
        float(counts[1] - counts[0]),
        part_noise=NoiseVariance(float(added[0]) * variance),
        rest_noise=NoiseVariance(float(added[1] - added[0]) * variance),
    )
    if found is None or found.high - found.low > _WIDEST:
        return []
    return [Point(at=float(month), value=found.value, low=found.low, high=found.high)]


def _survival(cells: Exposure, name: str, counts: Counts) -> Series:
    """Give how many are left after each month (Kaplan and Meier 1958), cells (durations, 2, any).

    Intervals are normal on the scale log(-log): the variance of log S(t) adds up, over the cells,
    what one more resident there does to it.
    """
    risk = cells.at_risk(counts).sum(axis=-1)
    left = cells.leaving(counts).sum(axis=-1)
    ones = np.ones((len(counts), 2, 1))
    width = counts.shape[-1]
    moves = np.zeros((len(counts), 2))
    log, points = 0.0, [Point(at=0.0, value=1.0, low=1.0, high=1.0)]
    resident = counts.sum(axis=-1)
    for month in range(1, cells.months + 1):
        at_risk, gone = float(risk[month - 1]), float(left[month - 1])
        noisy = NORMAL * math.sqrt(
            width * cells.variance.value * float((cells.durations >= month).sum()) * 2
        )
        hazard = min(max(gone / at_risk, 0.0), 1.0) if at_risk > 0 else 1.0
        if at_risk <= max(noisy, 0.0) or hazard >= 1.0:
            break
        log += math.log1p(-hazard)
        reached, ended = cells.durations >= month, cells.durations == month
        moves += (hazard * reached[:, None] - ended[:, None] * np.array([0.0, 1.0])) / (
            at_risk * (1 - hazard)
        )
        sampling = max(float((moves**2 * resident).sum()), 0.0)
        noise = float((moves**2 * ones[..., 0]).sum()) * width * cells.variance.value
        point = _left(month, log, math.sqrt(sampling + noise))
        if point.high - point.low > _WIDEST:
            break
        points.append(point)
    return Series(kind="survival", name=name, points=tuple(points) if len(points) > 1 else ())


def _left(month: int, log: float, deviation: float) -> Point:
    value = math.exp(log)
    if log == 0.0:
        low = math.exp(-NORMAL * deviation)
        return Point(at=float(month), value=1.0, low=low, high=1.0)
    factor = math.exp(min(NORMAL * deviation / -log, 50.0))
    return Point(
        at=float(month),
        value=value,
        low=min(math.exp(log * factor), value),
        high=max(math.exp(log / factor), value),
    )
