"""`Relations`: shares and means of every variable, and the strongest relations between two."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from models.governance.questions import Relations
from models.linkage.coding import Coding
from models.linkage.estimates import ratios
from models.linkage.estimates.figures import Answer, Figure, bounded, unknown
from models.linkage.estimates.gram import Columns, Gram, clear, gram
from models.linkage.estimates.levels import counted, levels, merged, values
from models.linkage.estimates.regression import DIFFERENT, NOBODY, models
from models.linkage.tables import Counts, NoisyTable
from models.quantities import NoiseVariance

_CLEAR = 4.0
STRONGEST = 25
"""How many relations are listed."""


def relate(asked: Relations, tables: Mapping[str, NoisyTable]) -> tuple[Answer, ...]:
    """Give everything that follows from the tables of a question; they are named as in it."""
    answers = [_margins(asked, tables), _strongest(asked, tables)]
    return (*answers, *(models(asked, tables) if asked.outcome is not None else ()))


def _margins(asked: Relations, tables: Mapping[str, NoisyTable]) -> Answer:
    figures: list[Figure] = []
    for name in dict.fromkeys((*asked.of, *([asked.outcome] if asked.outcome else []))):
        table = tables[f"{asked.name}/{name}"]
        axis = table.axes[0]
        own = counted(axis)
        if axis.middles:
            cells, numbers = merged(table, [(name, own)]), values(own)
            ratio = ratios.mean(cells.counts, numbers, variances=cells.variances)
            scale = float(np.ptp(numbers))
            figures.append(
                unknown("mean", name, noisy=True, note=NOBODY)
                if ratio is None
                else bounded("mean", name, interval=ratio.interval, alone=ratio.alone, scale=scale)
            )
        else:
            figures += _shares(table, axis)
    return Answer(question=asked.name, analysis="shares and means", figures=tuple(figures))


def _shares(table: NoisyTable, axis: Coding) -> Iterator[Figure]:
    chosen = levels(axis)
    cells = merged(table, [(axis.variable, chosen)])
    for place in range(1, 2) if len(chosen) == 2 else range(len(chosen)):  # noqa: PLR2004
        ratio = ratios.share(
            float(cells.counts[place]),
            float(np.delete(cells.counts, place).sum()),
            part_noise=NoiseVariance(float(cells.variances[place])),
            rest_noise=NoiseVariance(float(np.delete(cells.variances, place).sum())),
        )
        name = f"{axis.variable} = {chosen[place].label}"
        if ratio is None:
            yield unknown("share", name, noisy=True, note=NOBODY)
        else:
            yield bounded("share", name, interval=ratio.interval, alone=ratio.alone)


def _all_levels(axis: Coding) -> Columns:
    """Give the middle of the bin for numbers; for categories an indicator of each (two: one)."""
    chosen = [level for level in levels(axis) if level.label != "missing"]
    if axis.middles:
        shown = np.full((axis.width, 1), np.nan)
        for level in chosen:
            if level.value is not None:
                shown[list(level.places), 0] = level.value
        return Columns(names=(axis.variable,), values=shown, imputed=False)
    wanted = chosen[1:] if len(chosen) == 2 else chosen  # noqa: PLR2004
    shown = np.zeros((axis.width, len(wanted)))
    for place, level in enumerate(wanted):
        shown[list(level.places), place] = 1.0
    names = tuple(f"{axis.variable} = {level.label}" for level in wanted)
    return Columns(names=names, values=shown)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Relation:
    """A correlation with its variances."""

    name: str
    value: float
    sampling: float
    noise: NoiseVariance

    @property
    def surely(self) -> float:
        """Give the distance from zero in standard deviations."""
        return abs(self.value) / math.sqrt(max(self.sampling + self.noise.value, 1e-300))


def _strongest(asked: Relations, tables: Mapping[str, NoisyTable]) -> Answer:
    """Rank correlations of columns of two variables by how surely they are not zero.

    Intervals hold for all correlations at once (Bonferroni): chosen as the largest of many, one at
    a time they would promise too much.
    """
    analysis = "strongest relations"
    found = gram(asked, tables, columns=_all_levels, crossed=False)
    if found is None:
        return Answer(question=asked.name, analysis=analysis, figures=(), notes=(NOBODY,))
    relations = list(_correlations(found))
    relations.sort(key=lambda relation: -relation.surely)
    wide = float(stats.norm.isf(0.025 / max(len(relations), 1)))
    figures = []
    for relation in relations[:STRONGEST]:
        reach = wide * math.sqrt(relation.sampling + relation.noise.value)
        value = min(max(relation.value, -1.0), 1.0)
        low, high = max(value - reach, -1.0), min(value + reach, 1.0)
        alone = wide * math.sqrt(relation.noise.value)
        figures.append(
            bounded("correlation", relation.name, interval=(value, low, high), alone=alone)
        )
    note = f"the intervals hold together, for all {len(relations):,} relations that were looked at"
    return Answer(
        question=asked.name,
        analysis=analysis,
        figures=tuple(figures),
        notes=(note,) if found.same else (note, DIFFERENT),
    )


def _correlations(found: Gram) -> Iterator[_Relation]:
    """Give all correlations of columns of different variables that vary more than noise.

    Standardised columns x and y have r = Σ N x y / n; one more resident at (a, b) moves it by
    (x_a y_b - r (x_a² + y_b²) / 2) / n. Variances come from the tables of x and y alone, so noise
    moves x y in the table of both, and r x²/2 and r y²/2 in these.
    """
    covariance = found.covariance()
    seen = clear(found, covariance)
    ends = np.cumsum([len(block.names) for block in found.blocks])[:-1]
    deviations = np.split(np.sqrt(np.maximum(np.diagonal(covariance), 1e-300)), ends)
    seen_of = [np.flatnonzero(own) for own in np.split(seen, ends)]
    scaled = [
        (block.values / own)[:, kept]
        for block, own, kept in zip(found.blocks, deviations, seen_of, strict=True)
    ]
    names = [
        [block.names[place] for place in kept]
        for block, kept in zip(found.blocks, seen_of, strict=True)
    ]
    for (one, other), table in found.pairs.items():
        x, y = scaled[one], scaled[other]
        whole = found.whole(one, other)[np.ix_(seen_of[one], seen_of[other])]
        r = x.T @ table @ y / whole
        sampling, noise = _variances(x, y, table, r)
        least = _CLEAR * math.sqrt(table.size * found.variance.value)
        for a, left in enumerate(names[one]):
            for b, right in enumerate(names[other]):
                residents = float(whole[a, b])
                if residents <= least:
                    continue
                variance = float(noise[a, b]) * found.variance.value / residents**2
                yield _Relation(
                    name=f"{left} and {right}",
                    value=float(r[a, b]),
                    sampling=max(float(sampling[a, b]), 0.0) / residents**2,
                    noise=NoiseVariance(variance),
                )


def _variances(x: Counts, y: Counts, table: Counts, r: Counts) -> tuple[Counts, Counts]:
    """Give n² times the sampling variance, and times the noise's for noise of variance 1."""
    x2, y2 = x**2, y**2
    both = x2.T @ table @ y2
    steep = (x**3).T @ table @ y + x.T @ table @ y**3
    fourth = ((x2**2).T @ table.sum(axis=1))[:, None] + ((y2**2).T @ table.sum(axis=0))[None, :]
    sampling = both - r * steep + r**2 / 4 * (fourth + 2 * both)
    alone = (x2**2).sum(axis=0)[:, None] + (y2**2).sum(axis=0)[None, :]
    noise = np.outer(x2.sum(axis=0), y2.sum(axis=0)) + r**2 / 4 * alone
    return sampling, noise
