"""A public table for drawing from a discrete Gaussian: which block of magnitudes, to 382 bits.

Block k of scale s holds the magnitudes m, …, m + B - 1 with m = k·B. It is drawn with a
probability proportional to exp(-m²/2s²), the largest in the block. B is a power of two, at most
s/32 (or 1), and the blocks end below 32·s.

Formal guarantee (`Table.choose`): a block is drawn with the stated probability up to a change of
2^-360 in total variation. Proof: exponentials are decimal numbers of 130 digits. One is correctly
rounded (`decimal`), the others are products of at most 2·2048 roundings, so that each is right to
a factor 1 ± 10^-120. There are fewer than 2,048 blocks, whose cumulative sums are rounded down to
382 bits. A uniform number of 382 bits is compared with these sums as integers: of its first 62
bits nearly always, of all of them where those are equal.
"""

import decimal
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from models.privacy.keystream import Integers, Stream

CUT = 32
"""Magnitudes of 32 standard deviations or more are not drawn: chance below 2·exp(-512)."""

_DIGITS = decimal.Context(prec=130, rounding=decimal.ROUND_HALF_EVEN, Emin=-99_999, Emax=99_999)
_ONE = 1 << 430
_LOWER = 320
_GUIDED = 12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """The blocks of one scale.

    Attributes:
        bits: a block holds 2^bits magnitudes.
        sums: cumulative probabilities in units of 2^-382, without the last, which is 1.
        edges: their first 62 bits.
        guide: the block by the first 12 bits of a uniform number, or -1 where those do not decide.
    """

    bits: int
    sums: tuple[int, ...] = field(repr=False)
    edges: Integers = field(repr=False)
    guide: npt.NDArray[np.int16] = field(repr=False)

    def choose(self, stream: Stream, *, size: int) -> Integers:
        """Draw the blocks of `size` numbers."""
        halves = stream.halves(size)
        chosen: Integers = self.guide[halves >> np.uint32(32 - _GUIDED)].astype(np.int64)
        open_ = np.flatnonzero(chosen < 0)
        words = stream.completed(halves[open_])
        chosen[open_] = self.find(stream, words)
        return chosen

    def find(self, stream: Stream, words: Integers) -> Integers:
        """Give the blocks of uniform numbers whose first 62 bits are `words`."""
        found = np.searchsorted(self.edges, words, side="right")
        equal = (found > 0) & (self.edges[np.maximum(found - 1, 0)] == words)
        for index in np.flatnonzero(equal):
            lower = int.from_bytes(stream.octets(_LOWER // 8), "little")
            number = (int(words[index]) << _LOWER) | lower
            found[index] = sum(edge <= number for edge in self.sums)
        return found.astype(np.int64)


@lru_cache(maxsize=64)
def table(scale: int) -> Table:
    """Give the table of a scale; some milliseconds the first time."""
    bits = max(0, scale.bit_length() - 6)
    whole = decimal.Decimal(_ONE)
    weights = [int(_DIGITS.multiply(w, whole)) for w in _weights(scale, width=1 << bits)]
    total, sums, running = sum(weights), [], 0
    for weight in weights[:-1]:
        running += weight
        sums.append((running << (62 + _LOWER)) // total)
    edges = np.array([value >> _LOWER for value in sums], dtype=np.int64)
    starts = np.arange(1 << _GUIDED, dtype=np.int64) << (62 - _GUIDED)
    first = np.searchsorted(edges, starts, side="right")
    last = np.searchsorted(edges, starts + (1 << (62 - _GUIDED)) - 1, side="right")
    touched = np.isin(starts, edges)
    guide = np.where((first == last) & ~touched, first, -1).astype(np.int16)
    return Table(bits=bits, sums=tuple(sums), edges=edges, guide=guide)


def _weights(scale: int, *, width: int) -> list[decimal.Decimal]:
    """Give exp(-(k·width)²/2·scale²) for every block k, each from the one before it."""
    base = _DIGITS.exp(_DIGITS.divide(decimal.Decimal(-(width**2)), decimal.Decimal(2 * scale**2)))
    twice = _DIGITS.multiply(base, base)
    weights, factor = [decimal.Decimal(1)], base
    for _ in range(1, CUT * scale // width):
        weights.append(_DIGITS.multiply(weights[-1], factor))
        factor = _DIGITS.multiply(factor, twice)
    return weights
