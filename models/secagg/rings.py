"""Integers modulo 2^32 and 2^64, and when a sum of noisy values is sure to fit into them.

A signed integer is written as its remainder: two's complement, little-endian on every machine.
Sums are taken modulo 2^bits and read back as the one signed number that fits, which is the true
sum as long as that lies between -2^(bits-1) and 2^(bits-1) - 1: otherwise the sum wraps.

Formal guarantee (`SumPlan.check`): for at most `nodes` honest nodes, each of which adds to every
one of `length` coordinates a value of magnitude at most `largest` and a draw of N_Z(0, scale²),
no coordinate of the sum wraps, except with probability at most 2^-60 for the whole sum. Proof:

1. X of N_Z(0, s²) is subgaussian: E[e^(tX)] <= e^(t²s²/2) for every real t. By completing the
   square, E[e^(tX)] = e^(t²s²/2) · f(ts²) / f(0) with f(c) = Σ_x e^(-(x-c)²/2s²) over all integers
   x, and f(c) <= f(0), because by Poisson summation f is a Fourier series with positive
   coefficients (Canonne, Kamath, Steinke 2020, lemma 9 and corollary 17).
2. The sampler's draws are below 32·s in magnitude (`models.privacy.sampler`). Conditioning on that
   keeps step 1: the law is symmetric, so E[e^(tX)] = E[cosh(tX)], and cosh rises with |X|.
3. For n independent draws the sum is subgaussian with variance n·s² and by Chernoff
   P(|ΣX| >= m) <= 2·e^(-m²/2ns²). Over d coordinates the union bound gives 2d·e^(-m²/2ns²), which
   is at most 2^-60 when m² >= n·s²·2·ln(2^61·d).
4. With b = ceil(log2 d), 2·ln(2^61·d) <= 2·ln 2·(61 + b) < 1.3863·(61 + b): `spread` is an
   integer m with m² >= n·s²·1.3863·(61 + b), in exact arithmetic. A coordinate can wrap only when
   its noise exceeds 2^(bits-1) - 1 - n·largest in magnitude; `check` demands that this is at
   least m.

Fewer nodes than `nodes` (a witness's set) only make the sum smaller. A dishonest node can always
send what it likes: it spoils the sum, and learns nothing from that.
"""

import enum
import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from models.errors import AccountingError, ProtocolViolationError, RefusedError
from models.privacy.sampler import LARGEST_SCALE, Integers
from models.schema import STRICT

Words = npt.NDArray[np.unsignedinteger[Any]]
"""Ring elements, always in little-endian order, whatever the machine's own order is."""

_UNLIKELY = 60
"""A sum may wrap with probability at most 2^-60."""

_LONGEST = 2**24


class SumMayWrapError(RefusedError):
    """The plan's sum could leave the ring; it needs more bits, smaller values or less noise."""


class Ring(enum.IntEnum):
    """The integers modulo 2^32 or 2^64."""

    BITS_32 = 32
    BITS_64 = 64

    @property
    def octets(self) -> int:
        """Give the bytes of one element."""
        return int(self) // 8

    @property
    def largest(self) -> int:
        """Give the largest number that is read back as it is; its negative is too."""
        return (1 << (int(self) - 1)) - 1

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger[Any]]:
        """Give numpy's type of the elements: unsigned, little-endian."""
        return np.dtype(f"<u{self.octets}")

    def zeros(self, size: int) -> Words:
        """Give `size` zeros."""
        return np.zeros(size, dtype=self.dtype)

    def encode(self, values: Integers, *, reuse: bool = False) -> Words:
        """Give each integer's remainder modulo 2^bits.

        `reuse`: the words may take the place of the values, which the caller gives up.

        Raises:
            AccountingError: the values are not 64-bit integers; a float would be cut silently.
        """
        if values.dtype.newbyteorder("=") != np.int64:
            raise AccountingError("only 64-bit integers go into a secure sum")
        if reuse and values.dtype == np.dtype(f"<i{self.octets}"):
            return values.view(self.dtype)  # two's complement is the remainder, octet by octet
        return values.astype(self.dtype)  # numpy takes the remainder, for every input

    def decode(self, words: Words) -> Integers:
        """Give the signed integer that each remainder stands for."""
        signed: Integers = words.view(f"<i{self.octets}").astype(np.int64)
        return signed

    def write(self, words: Words) -> bytes:
        """Give the bytes that travel: each element little-endian."""
        return words.astype(self.dtype, copy=False).tobytes()

    def read(self, payload: bytes, *, length: int) -> Words:
        """Give the `length` elements that travelled, without a copy and read-only.

        Raises:
            ProtocolViolationError: there are more or fewer bytes.
        """
        if len(payload) != length * self.octets:
            raise ProtocolViolationError("a message of the secure sum has another length")
        return np.frombuffer(payload, dtype=self.dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class SumPlan:
    """The public shape of one secure sum. All of it is bound into the masks.

    Attributes:
        ring: what is added in.
        length: coordinates.
        largest: the largest magnitude of one node's own value in any coordinate. A public bound,
            from the largest number of residents a node may have; values beyond are cut to it.
        scale: standard deviation of each node's discrete Gaussian noise in every coordinate.
    """

    __pydantic_config__ = STRICT

    ring: Ring
    length: Annotated[int, Field(strict=True, ge=1, le=_LONGEST)]
    largest: Annotated[int, Field(strict=True, ge=0, lt=2**53)]
    scale: Annotated[int, Field(strict=True, ge=1, le=LARGEST_SCALE)]

    def cut(self, values: Integers) -> Integers:
        """Give a copy of a node's values, each coordinate cut to the bound.

        Raises:
            AccountingError: they are not 64-bit integers, one per coordinate.
        """
        if values.shape != (self.length,) or values.dtype.newbyteorder("=") != np.int64:
            raise AccountingError("the values must be 64-bit integers, one per coordinate")
        return np.clip(values.astype(np.int64, copy=False), -self.largest, self.largest)

    def spread(self, nodes: int) -> int:
        """Give what the noise of `nodes` nodes exceeds nowhere but with probability 2^-60."""
        bits = _UNLIKELY + 1 + (self.length - 1).bit_length()
        squared = nodes * self.scale**2 * bits * 13863
        return math.isqrt(squared // 10000) + 1

    def check(self, nodes: int) -> None:
        """Refuse a plan whose sum over `nodes` nodes could wrap (module docstring).

        Raises:
            SumMayWrapError: it could, with a probability that is not proved below 2^-60.
        """
        if nodes * self.largest + self.spread(nodes) > self.ring.largest:
            raise SumMayWrapError(
                f"the sum of {nodes} nodes may not fit into {self.ring.value} bits",
                hint="use the ring of 64 bits, a coarser unit or a smaller bound",
            )
