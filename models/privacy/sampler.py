"""Exact random integers: discrete Gaussian noise and Poisson samples, without floating point.

All numbers come from an AES-256-CTR keystream under a fresh 256-bit key of the given `Entropy`,
and are made by comparing and dividing integers only. So the distributions are the stated ones,
not their floating-point approximations (Mironov 2012 shows how those give records away).

Formal guarantee: as long as the keystream cannot be told from uniform bytes, `discrete_gaussian`
draws each number from N_Z(0, s²), P(x) ∝ exp(-x²/2s²), up to a change of 2^-360 in total variation
(`models.privacy.blocks`; |x| >= 32·s never occurs). It is rejection sampling as in Canonne, Kamath,
Steinke (2020), whose algorithm 1 accepts; what is proposed is a block of a public table, which is
nearly always right, in place of a discrete Laplace number.

Why such noise may be accounted for as Gaussian. Let v be the integer vector that one resident
adds to a sum of integers, ‖v‖₂ <= Δ.

1. Domination. Draw c from the continuous N(v, s² - 16) and then x from the integers with
   P(x) ∝ exp(-(x - c)²/32), in every coordinate. The normalising sum over the integers is constant
   up to a factor 1 ± 10^-136 (Poisson summation: 2·exp(-2π²·16)), so x has the law of
   v + N_Z(0, s²) up to that factor, pointwise (Peikert 2010, theorem 3.1). The second draw does
   not know v. Hence noise N_Z(0, s²) is the continuous Gaussian mechanism with variance s² - 16
   followed by post-processing, also under Poisson sampling of residents and under adaptive
   composition, up to less than 10^-120 for any number of sums of any length in practice.
   `mechanisms` takes s one unit above the wanted scale, and (s + 1)² - 16 >= s² for s >= 8: what
   is accounted for is the continuous mechanism with the scale that was asked for.
2. The same by moments, as a second opinion. For integers v and k the sum of exp(-(x - k·v)²/2s²)
   over x does not depend on k·v, so E[(P_v/P_0)^k] = exp((k² - k)‖v‖²/2s²) exactly as in the
   continuous case; by expanding the binomial this holds for the sampled mechanism too, and
   x -> v - x is the symmetry that Mironov, Talwar, Zhang (2019, theorem 5) need. All Rényi
   divergences of integer order are those of the sampled Gaussian mechanism.
"""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from models.errors import AccountingError
from models.privacy.blocks import Table, table
from models.privacy.keystream import NONE, WORDS, Stream, below_ratio, exp_bernoulli
from models.quantities import SamplingRate
from models.randomness import Entropy

Integers = npt.NDArray[np.int64]

LARGEST_SCALE = 2**25
"""Up to here every intermediate number fits into 63 bits (see `discrete_gaussian`)."""

_BLOCK = 1 << 14
"""Candidates handled together: large enough for numpy, small enough for the cache."""


def poisson_sample(*, population: int, rate: SamplingRate, entropy: Entropy) -> Integers:
    """Give the rising indices of a sample of 0, …, population - 1.

    Each index is in independently of all others, with probability floor(rate·2^64)/2^64, which
    is never above `rate`. The sample may be empty; with rate 1 it is everyone.
    """
    if rate.value == 1:
        return np.arange(population, dtype=np.int64)
    threshold = _threshold(rate)
    stream = Stream(entropy)
    found = [NONE]
    for start in range(0, population, _BLOCK):
        size = min(_BLOCK, population - start)
        words = np.frombuffer(stream.octets(8 * size), dtype="<u8")
        found.append(start + np.flatnonzero(words < threshold))
    return np.concatenate(found)


def _threshold(rate: SamplingRate) -> np.uint64:
    """Give floor(rate·2^64), exactly: multiplying by a power of two rounds nothing away."""
    return np.uint64(math.floor(math.ldexp(rate.value, 64)))


def discrete_gaussian(*, scale: int, size: int, entropy: Entropy) -> Integers:
    """Give `size` independent draws of N_Z(0, scale²), each below 32·scale in magnitude.

    Proposal: a block, with probability ∝ exp(-m²/2s²) for its least magnitude m; a magnitude
    y = m + r uniform in it, r < B; a sign. It is accepted with probability exp(-(y² - m²)/2s²), so
    that y has probability ∝ exp(-y²/2s²); a negative zero is drawn again, since there is one zero.

    Overflow: B <= s/32 (or 1) and y < 32·s, so p = y² - m² = r·(y + m) < (s/32)·64·s = 2s² = b, and
    b <= 2^51. With q = floor(2^62 / b), p·q <= 2^62 and p·(q + 1) < 2^62 + 2^51. Words are below
    2^62. `exp_bernoulli` needs b·j < 2^61: 1,023 turns, of which the j-th is reached with
    probability at most 1/(j - 1)!. So no number leaves 63 bits.

    Raises:
        AccountingError: `scale` is not between 1 and 2^25.
    """
    noise = np.empty(size, dtype=np.int64)
    for start, drawn in _drawn(scale=scale, size=size, entropy=entropy):
        noise[start : start + drawn.size] = drawn
    return noise


def add_discrete_gaussian(values: Integers, *, scale: int, entropy: Entropy) -> None:
    """Add to each of `values` (flat), in place, a draw as `discrete_gaussian` gives it.

    The same draws from the same entropy; there is never more of them than a block in memory.

    Raises:
        AccountingError: `scale` is not between 1 and 2^25; nothing was added.
    """
    for start, drawn in _drawn(scale=scale, size=values.size, entropy=entropy):
        values[start : start + drawn.size] += drawn


def _drawn(*, scale: int, size: int, entropy: Entropy) -> Iterator[tuple[int, Integers]]:
    """Give all `size` draws in blocks, each with its place."""
    if not 1 <= scale <= LARGEST_SCALE:
        raise AccountingError("the scale of the noise is outside the range of the exact sampler")
    stream, blocks = Stream(entropy), table(scale)
    done = 0
    while done < size:
        wanted = min(_BLOCK, size - done + (size - done) // 16 + 64)
        block = _candidates(stream, blocks, scale=scale, size=wanted)[: size - done]
        yield done, block
        done += block.size


def _candidates(stream: Stream, blocks: Table, *, scale: int, size: int) -> Integers:
    """Propose `size` numbers and give the accepted ones: about 0.98 of them."""
    least = blocks.choose(stream, size=size) << blocks.bits
    bits = stream.halves(size)
    rest = (bits & np.uint32((1 << blocks.bits) - 1)).astype(np.int64)
    negative = bits >= np.uint32(1 << 31)
    drawn = least + rest
    accepted = _accepted(stream, rest * (drawn + least), parts=2 * scale**2)
    accepted &= ~(negative & (drawn == 0))
    np.negative(drawn, out=drawn, where=negative)
    found: Integers = drawn[accepted]
    return found


def _accepted(stream: Stream, numerators: Integers, *, parts: int) -> npt.NDArray[np.bool_]:
    """Give for each p in `numerators` true with probability exp(-p / parts).

    The first turn of `exp_bernoulli` fails, and so accepts, unless a uniform u is below p / parts.
    For most, 32 bits of u tell that it is not: p·2^62 / parts is at most p·(q + 1).
    """
    halves = stream.halves(numerators.size)
    most = numerators * (WORDS // parts + 1)
    maybe = np.flatnonzero(halves.astype(np.int64) << 30 <= most)
    words = stream.completed(halves[maybe])
    again = maybe[below_ratio(stream, words, numerators[maybe], parts=parts)]
    accepted = np.ones(numerators.size, dtype=np.bool_)
    accepted[again] = exp_bernoulli(stream, numerators[again], parts=parts, turn=2)
    return accepted
