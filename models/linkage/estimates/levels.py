"""The categories of a variable as an analyst means them, and tables added up over the others."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from models.linkage.coding import NONE, Coding
from models.linkage.tables import Counts, NoisyTable
from models.quantities import NoiseVariance


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One category, or several that count as one.

    Attributes:
        label: what it is called.
        places: its categories in the coding.
        value: the middle of the bin, or else the category's number; None for `missing` and
            `no record`, which are no numbers.
    """

    label: str
    places: tuple[int, ...]
    value: float | None


def levels(axis: Coding, *, as_first: bool = False) -> tuple[Level, ...]:
    """Give the levels of a variable: its categories in order, then `missing`, then `no record`.

    Of a variable that tells whether there is a record they are `no` and `yes`, in that order.

    Args:
        axis: the variable.
        as_first: residents without a record count as the first category.
    """
    apart = {axis.missing, axis.absent} - {NONE}
    own = [place for place in range(axis.width) if place not in apart]
    if len(own) == 1 and axis.absent != NONE:
        return (
            Level(label=axis.labels[axis.absent], places=(axis.absent,), value=0.0),
            Level(label=axis.labels[own[0]], places=(own[0],), value=1.0),
        )
    made = []
    for number, place in enumerate(own):
        first = number == 0 and as_first and axis.absent != NONE
        places = (place, axis.absent) if first else (place,)
        value = axis.middles[place] if axis.middles else float(number)
        made.append(Level(label=axis.labels[place], places=places, value=value))
    taken = {place for level in made for place in level.places}
    made += [
        Level(label=axis.labels[place], places=(place,), value=None)
        for place in (axis.missing, axis.absent)
        if place != NONE and place not in taken
    ]
    return tuple(made)


def counted(axis: Coding, *, as_first: bool = False) -> tuple[Level, ...]:
    """Give the levels that have a value: all but `missing` and `no record`."""
    return tuple(level for level in levels(axis, as_first=as_first) if level.value is not None)


def values(chosen: Sequence[Level]) -> Counts:
    """Give the values of levels that have one."""
    return np.asarray([level.value for level in chosen if level.value is not None])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Merged:
    """A table over some levels of some of its variables, added up over the others.

    Attributes:
        counts: shape: the levels of each chosen variable.
        cells: how many noisy cells each of them is the sum of.
        variance: of the noise in one noisy cell.
    """

    counts: Counts = field(repr=False)
    cells: Counts = field(repr=False)
    variance: NoiseVariance

    @property
    def variances(self) -> Counts:
        """Give the variance of the noise in each of `counts`."""
        found: Counts = self.cells * self.variance.value
        return found


def merged(table: NoisyTable, chosen: Sequence[tuple[str, Sequence[Level]]]) -> Merged:
    """Give a table over the levels of the chosen variables, in the order in which they stand.

    Raises:
        KeyError: the table has no such variable.
    """
    places = [table.axis(name) for name, _ in chosen]
    rest = [place for place in range(len(table.axes)) if place not in places]
    counts = np.transpose(table.counts, (*places, *rest))
    counts = counts.sum(axis=tuple(range(len(places), counts.ndim)))
    cells = np.full((), float(math.prod(table.axes[place].width for place in rest)))
    for number, (_, own) in enumerate(chosen):
        chooses = np.zeros((len(own), counts.shape[number]))
        for row, level in enumerate(own):
            chooses[row, list(level.places)] = 1.0
        counts = np.moveaxis(np.tensordot(chooses, counts, axes=(1, number)), 0, number)
        cells = np.multiply.outer(cells, chooses.sum(axis=1))
    return Merged(counts=counts, cells=cells, variance=table.variance)
