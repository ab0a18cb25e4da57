"""Clipped gradients of a network, summed over residents exactly, by products of integers.

The gradient of a row is, layer by layer, the outer product of the slopes of the row's loss with
the layer's inputs, and a one for the bias. Both are written as integers, so that a library's
product over all rows gives the exact sum: no gradient of a single row is ever stored. The
contribution of a resident is the mean of its rows' gradients, clipped as a whole.

Formal guarantee (`grains`): adding or removing a resident moves the exact sum of grains (2^-12 of
a unit; 2^bits units are `bound`) by an integer vector of L2 norm at most 2^(bits + 12), and nothing
else: a contribution is a function of that resident's rows and of the parameters, to the last
bit. So it is for whatever parameters are sent, also NaN or infinite ones. How far the rounded
units move then: `models.privacy.shared_noise`, step 1.

Proof. What is not a product is elementwise over rows, a maximum, or a sum over a resident's rows
in their order (`bincount`). Each product is exact (`models.families.whole`): that of the sum has at
most 2^17 rows, each of norm at most 2^(bits + 16). The factor of a resident is made of its own
rows' numbers; what counts is the norm of the integers that follow. Its square is the sum over
layers and pairs of rows of (inputs · inputs)(slopes · slopes). Of rows within their norm, both dot
products are exact: inputs are at most 2^12 and one of them is, so |slopes| is at most 2^(bits + 4).
A row beyond it is found so in whatever order its squares are added. In float64 the sum over at
most 256 pairs errs by less than 2^-34 of 2^(2·bits + 24); who is not provably inside counts as
zero. More rows than 16, or rows in several pieces, make one vector of float64, piece by piece in
an order that depends on the resident alone (`models.families.chunks.pieces`), clipped by
`models.privacy.bounded_cells`.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from models.errors import AccountingError, DataContractError
from models.families.chunks import Chunk
from models.families.network import NetworkSpec, layers
from models.families.rows import slopes
from models.families.whole import multiplied, whole
from models.privacy.bounded_cells import GRAIN_BITS, Cells, bounded_grains, to_units
from models.privacy.sampler import Integers
from models.quantities import ClipNorm

Doubles = npt.NDArray[np.float64]
Some: TypeAlias = Integers | slice
Parameters = Mapping[str, npt.NDArray[np.floating]]

_SLOPE_BITS = 18
_MOST, _NARROWEST = 1 << 17, 1 << 5
"""Rows of one chunk, so that sums stay below 2^53; and the width that makes chunks so small."""

_FEW = 16
"""Rows whose pairs are looked at."""

_CANCELLED = 256
"""Whose rows cancel to less than this part of their squared norms is clipped as if they did not."""

_INWARDS = 1 - 2.0**-28
_SURELY_INSIDE = 1 - 2.0**-30


def gradient(
    spec: NetworkSpec,
    parameters: Parameters,
    chunks: Iterable[Chunk],
    *,
    bound: ClipNorm,
    bits: int,
) -> Integers:
    """Give the sum over residents of their clipped gradients, in units of bound / 2^bits.

    `parameters` have the names and shapes of `network.shapes`; the result is flat, in that order.
    """
    return to_units(grains(spec, parameters, chunks, bound=bound, bits=bits))


def row_width(spec: NetworkSpec) -> int:
    """Give how many numbers a row needs while its gradient is made."""
    return max(_NARROWEST, 2 * sum(spec.widths))


def grains(
    spec: NetworkSpec,
    parameters: Parameters,
    chunks: Iterable[Chunk],
    *,
    bound: ClipNorm,
    bits: int,
) -> Integers:
    """Give the same sum, exact, as it is before the node rounds it."""
    total = np.zeros(spec.weights, dtype=np.int64)
    waiting = np.zeros(spec.weights)
    with np.errstate(all="ignore"):  # not finite: that resident adds zero
        for chunk in chunks:
            _check(spec, chunk)
            rows = _Rows.of(parameters, chunk)
            few = _few(chunk)
            total += rows.part(np.flatnonzero(few)).clipped(bound=bound, bits=bits)
            for mine, complete in _many(chunk, np.flatnonzero(~few)):
                waiting += rows.part(mine).summed()
                if complete:
                    total += _clipped(waiting, bound=bound, bits=bits)
                    waiting = np.zeros(spec.weights)
    return total


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rows:
    """The gradients of some rows as factors, times the rows' shares; lists have a layer per entry.

    Attributes:
        owners: whose row it is, rising.
        inputs: integers up to 2^12, (rows, inner + 1); the last column is the bias's.
        slopes: integers up to 2^18, (rows, outer).
        units: what the product of two of them stands for, (rows, 1).
    """

    owners: Integers
    inputs: list[Doubles]
    slopes: list[Doubles]
    units: list[Doubles]

    @classmethod
    def of(cls, parameters: Parameters, chunk: Chunk) -> "_Rows":
        ones, shares = np.ones((len(chunk.inputs), 1)), chunk.shares[:, None]
        inputs, slope = _factors(parameters, chunk)
        left = [whole(np.hstack([each, ones]), bits=GRAIN_BITS) for each in inputs]
        right = [whole(each, bits=_SLOPE_BITS) for each in slope]
        return cls(
            owners=chunk.owners,
            inputs=[integers for integers, _ in left],
            slopes=[integers for integers, _ in right],
            units=[a * b * shares for (_, a), (_, b) in zip(left, right, strict=True)],
        )

    def part(self, rows: Integers) -> "_Rows":
        """Give some of the rows (rising indices)."""
        if rows.size == self.owners.size:
            return self
        return _Rows(
            owners=self.owners[rows],
            inputs=[each[rows] for each in self.inputs],
            slopes=[each[rows] for each in self.slopes],
            units=[each[rows] for each in self.units],
        )

    def clipped(self, *, bound: ClipNorm, bits: int) -> Integers:
        """Give the sum over residents of their clipped sums of rows, in grains."""
        most = math.ldexp(1.0, bits + GRAIN_BITS)
        apart, squares = self._norms(self.slopes, self.units)
        norms = np.sqrt(np.maximum(squares, apart / _CANCELLED))
        room = most * _INWARDS - self._truncation()
        factors = np.maximum(room, 0.0) * np.minimum(1 / bound.value, 1 / norms)
        factors = factors[self.owners, None]
        found = [
            np.trunc(slope * (unit * factors))
            for slope, unit in zip(self.slopes, self.units, strict=True)
        ]
        ones = [np.ones((self.owners.size, 1))] * len(found)
        apart, squares = self._norms(found, ones)
        limit = most**2 * _SURELY_INSIDE
        inside = (squares <= limit) & (apart <= _CANCELLED * limit)  # false for a NaN
        kept = inside[self.owners, None]
        total = self._products([np.where(kept, each, 0.0) for each in found], [1.0] * len(found))
        return total.astype(np.int64)

    def summed(self) -> Doubles:
        """Give the sum of the rows in plain numbers."""
        pairs = [
            whole(slope * unit, bits=_SLOPE_BITS, together=True)
            for slope, unit in zip(self.slopes, self.units, strict=True)
        ]
        return self._products(
            [integers for integers, _ in pairs], [float(unit[0, 0]) for _, unit in pairs]
        )

    def _norms(self, slopes: list[Doubles], units: list[Doubles]) -> tuple[Doubles, Doubles]:
        """Give per resident the sum of its rows' squared norms, and the squared norm of its sum."""
        owners, every = self.owners, slice(None)
        apart = np.bincount(owners, self._dots(slopes, units, every, every)).astype(np.float64)
        together = apart.copy()
        for lag in range(1, _FEW):
            first = np.flatnonzero(owners[lag:] == owners[:-lag])
            if not first.size:  # nobody has so many rows
                break
            dots = self._dots(slopes, units, first, first + lag)
            together += 2 * np.bincount(owners[first], dots, minlength=apart.size)
        return apart, together

    def _dots(self, slopes: list[Doubles], units: list[Doubles], one: Some, two: Some) -> Doubles:
        """Give the inner products of the gradients of pairs of rows."""
        total = np.zeros(self.owners[one].size)
        for inputs, slope, unit in zip(self.inputs, slopes, units, strict=True):
            product = _inner(inputs[one], inputs[two]) * _inner(slope[one], slope[two])
            total += product * (unit[one] * unit[two])[:, 0]
        return total

    def _truncation(self) -> Doubles:
        """Give how much longer, in grains, a resident's sum may be when its rows are truncated."""
        longer = np.zeros(self.owners.size)
        for inputs, slope in zip(self.inputs, self.slopes, strict=True):
            longer += np.sqrt(_inner(inputs, inputs) * slope.shape[1])
        several = np.bincount(self.owners) > 1  # a row alone only gets shorter
        return np.where(several, np.bincount(self.owners, longer), 0.0)

    def _products(self, slopes: list[Doubles], units: list[float]) -> Doubles:
        """Give the sum of the outer products, flat: each layer's weight, then its bias."""
        parts = []
        for inputs, slope, unit in zip(self.inputs, slopes, units, strict=True):
            product = (slope.T @ inputs) * unit
            parts += [product[:, :-1].ravel(), product[:, -1]]
        return np.concatenate(parts)


def _check(spec: NetworkSpec, chunk: Chunk) -> None:
    """Refuse rows of another model, and more than an exact product takes."""
    strange = (chunk.outcomes < 0) | (chunk.outcomes >= spec.classes)
    if chunk.inputs.shape != (chunk.owners.size, spec.inputs) or strange.any():
        raise DataContractError("the records are encoded for another model than the network")
    if chunk.owners.size > _MOST:
        raise AccountingError("more rows than one exact product takes")


def _factors(parameters: Parameters, chunk: Chunk) -> tuple[list[Doubles], list[Doubles]]:
    """Give the inputs of every layer, and the slopes of each row's loss by its outputs."""
    every, inputs = layers(parameters), [chunk.inputs.astype(np.float64)]
    for weight, bias in every[:-1]:
        inputs.append(np.maximum(multiplied(inputs[-1], weight) + bias, 0.0))
    weight, bias = every[-1]
    found = [slopes(multiplied(inputs[-1], weight) + bias, chunk.outcomes)]
    for (weight, _), values in zip(every[:0:-1], inputs[:0:-1], strict=True):
        found.append(multiplied(found[-1], weight.T) * (values > 0))
    return inputs, found[::-1]


def _few(chunk: Chunk) -> npt.NDArray[np.bool_]:
    """Say which rows are of residents who have few, all of them in the chunk."""
    there = np.bincount(chunk.owners)[chunk.owners]
    every = np.rint(1 / chunk.shares)
    few: npt.NDArray[np.bool_] = (there == every) & (every <= _FEW)
    return few


def _many(chunk: Chunk, rows: Integers) -> Iterator[tuple[Integers, bool]]:
    """Give the other rows by resident, and whether they are the last."""
    owners = chunk.owners[rows]
    for mine in np.split(rows, np.flatnonzero(np.diff(owners)) + 1):
        if mine.size:
            yield mine, chunk.complete or mine[-1] != len(chunk.owners) - 1


def _clipped(values: Doubles, *, bound: ClipNorm, bits: int) -> Integers:
    """Give one resident's grains."""
    return bounded_grains(values, _one_resident(values.size), bound=bound, bits=bits)


@lru_cache(maxsize=4)
def _one_resident(length: int) -> Cells:
    places = np.arange(length)
    return Cells(owners=np.zeros_like(places), coordinates=places, residents=1, length=length)


def _inner(one: Doubles, two: Doubles) -> Doubles:
    dots: Doubles = np.einsum("ij,ij->i", one, two)
    return dots
