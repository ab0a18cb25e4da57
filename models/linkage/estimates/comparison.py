"""`Comparison`: an outcome's shares or means by category of another variable, and differences."""

import numpy as np

from models.governance.questions import Comparison
from models.linkage.estimates import ratios
from models.linkage.estimates.figures import Answer, Figure, Kind, bounded, unknown
from models.linkage.estimates.levels import Level, Merged, counted, levels, merged, values
from models.linkage.estimates.ratios import Ratio
from models.linkage.tables import NoisyTable
from models.quantities import NoiseVariance

FEW = "there are no more residents than noise alone would show"
_MIDDLES = "Numbers count as the middle of their bin."

_KINDS: dict[str, tuple[Kind, Kind]] = {
    "share": ("share", "difference"),
    "mean": ("mean", "mean difference"),
    "log-mean": ("log-mean", "log-ratio"),
}


def compare(asked: Comparison, table: NoisyTable) -> Answer:
    """Give the comparison that was asked of a table.

    For each category of `by`: the share of each category of the outcome (of two, of the last), or
    its mean; then the difference to the first category. Residents whose outcome is `missing` or
    `no record` are left out; such categories of `by` are groups of their own.
    """
    first = set(asked.as_first)
    outcomes = counted(table.axes[table.axis(asked.outcome)], as_first=asked.outcome in first)
    groups = levels(table.axes[table.axis(asked.by)], as_first=asked.by in first)
    cells = merged(table, [(asked.by, groups), (asked.outcome, outcomes)])
    figures: list[Figure] = []
    if asked.scale == "share":
        shown = outcomes[-1:] if len(outcomes) == 2 else outcomes  # noqa: PLR2004
        for level in shown:
            found = [_share(cells, group, outcomes.index(level)) for group in range(len(groups))]
            what = f"{asked.outcome} = {level.label}"
            figures += _figures(asked, what, groups, found, scale=1.0)
    else:
        numbers = values(outcomes)
        if asked.scale == "log-mean":
            numbers = np.log(numbers)
        found = [
            ratios.mean(cells.counts[group], numbers, variances=cells.variances[group])
            for group in range(len(groups))
        ]
        scale = 1.0 if asked.scale == "log-mean" else float(np.ptp(numbers))
        figures += _figures(asked, asked.outcome, groups, found, scale=scale)
    return Answer(
        question=table.question,
        analysis=f"compare {asked.outcome} by {asked.by} ({asked.scale})",
        figures=tuple(figures),
        notes=() if asked.scale == "share" else (_MIDDLES,),
    )


def _share(cells: Merged, group: int, level: int) -> Ratio | None:
    counts, variances = cells.counts[group], cells.variances[group]
    return ratios.share(
        float(counts[level]),
        float(np.delete(counts, level).sum()),
        part_noise=NoiseVariance(float(variances[level])),
        rest_noise=NoiseVariance(float(np.delete(variances, level).sum())),
    )


def _figures(
    asked: Comparison,
    what: str,
    groups: tuple[Level, ...],
    found: list[Ratio | None],
    *,
    scale: float,
) -> list[Figure]:
    """Give a figure for each group, and for each difference to the first."""
    single, double = _KINDS[asked.scale]
    made = [
        _figure(single, f"{what} | {asked.by} = {group.label}", ratio, scale=scale)
        for group, ratio in zip(groups, found, strict=True)
    ]
    for group, ratio in zip(groups[1:], found[1:], strict=True):
        name = f"{what} | {asked.by} = {group.label} against {groups[0].label}"
        gap = None if ratio is None or found[0] is None else ratio.minus(found[0])
        made.append(_figure(double, name, gap, scale=scale))
    return made


def _figure(kind: Kind, name: str, ratio: Ratio | None, *, scale: float) -> Figure:
    if ratio is None:
        return unknown(kind, name, noisy=True, note=FEW)
    return bounded(kind, name, interval=ratio.interval, alone=ratio.alone, scale=scale)
