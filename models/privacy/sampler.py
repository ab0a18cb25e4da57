"""Exact random integers: discrete Gaussian noise and Poisson samples, without floating point.

All numbers come from an AES-256-CTR keystream under a fresh 256-bit key of the given `Entropy`,
and are made by comparing and dividing integers only. So the distributions are the stated ones,
not their floating-point approximations (Mironov 2012 shows how those give records away).

Formal guarantee: as long as the keystream cannot be told from uniform bytes, `discrete_gaussian`
draws each number from N_Z(0, s²), P(x) ∝ exp(-x²/2s²), except that |x| >= 64·s never occurs: a
change of less than 10^-800 in total variation. The algorithms are those of Canonne, Kamath,
Steinke (2020), algorithms 1 to 3, with the scale t = s of the discrete Laplace proposal.

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

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from models.errors import AccountingError
from models.quantities import SamplingRate
from models.randomness import Entropy

Integers = npt.NDArray[np.int64]
_Mask = npt.NDArray[np.bool_]

LARGEST_SCALE = 2**25
"""Up to here every intermediate number fits into 63 bits (see `discrete_gaussian`)."""

_CUT = 64
"""Noise of 64 standard deviations or more is drawn again: chance below exp(-64²/2)."""

_WORDS = 2**62
_NONE = np.empty(0, dtype=np.int64)

_BLOCK = 1 << 16
"""Candidates handled together: large enough for numpy, small enough for the cache."""


class _Stream:
    """Uniform 62-bit words from AES-256-CTR under a key that is used for one stream only."""

    def __init__(self, entropy: Entropy) -> None:
        cipher = Cipher(algorithms.AES256(entropy.token(32)), modes.CTR(bytes(16)))
        self._keystream = cipher.encryptor()

    def octets(self, size: int) -> bytes:
        """Give the next bytes of the keystream."""
        return self._keystream.update(bytes(size))

    def words(self, size: int) -> Integers:
        """Give `size` independent integers, uniform below 2^62: they fit into int64 with room."""
        words: Integers = (np.frombuffer(self.octets(8 * size), dtype="<u8") >> 2).view(np.int64)
        return words

    def blocks(self, *, parts: int, size: int) -> tuple[Integers, int]:
        """Give integers uniform below parts·q, and q = floor(2^62 / parts); `parts` < 2^61.

        So w // q is uniform below `parts`, and w < a·q has probability exactly a / parts.
        """
        q = _WORDS // parts
        words = self.words(size)
        late = np.flatnonzero(words >= q * parts) if q * parts < _WORDS else _NONE
        while late.size:
            words[late] = self.words(late.size)
            late = late[words[late] >= q * parts]
        return words, q


def uniform_below(*, limit: int, size: int, entropy: Entropy) -> Integers:
    """Give `size` independent integers, exactly uniform on 0, …, limit - 1 (limit < 2^61)."""
    return _uniform_below(_Stream(entropy), limit=limit, size=size)


def poisson_sample(*, population: int, rate: SamplingRate, entropy: Entropy) -> Integers:
    """Give the rising indices of a sample of 0, …, population - 1.

    Each index is in independently of all others, with probability floor(rate·2^64)/2^64, which
    is never above `rate`. The sample may be empty; with rate 1 it is everyone.
    """
    if rate.value == 1:
        return np.arange(population, dtype=np.int64)
    threshold = _threshold(rate)
    stream = _Stream(entropy)
    found = [_NONE]
    for start in range(0, population, _BLOCK):
        size = min(_BLOCK, population - start)
        words = np.frombuffer(stream.octets(8 * size), dtype="<u8")
        found.append(start + np.flatnonzero(words < threshold))
    return np.concatenate(found)


def _threshold(rate: SamplingRate) -> np.uint64:
    """Give floor(rate·2^64), exactly: multiplying by a power of two rounds nothing away."""
    return np.uint64(math.floor(math.ldexp(rate.value, 64)))


def discrete_gaussian(*, scale: int, size: int, entropy: Entropy) -> Integers:
    """Give `size` independent draws of N_Z(0, scale²), each below 64·scale in magnitude.

    Proposal: |y| = s·k + r with r below s and P(y) ∝ exp(-|y|/s); it is accepted with probability
    exp(-(|y| - s)²/2s²) = exp(-(s·(k - 1) + r)²/2s²).

    Overflow: k < 64, so a = s·(k - 1) + r has |a| <= 63·s < 2^31 and a² < 2^62. Everything is
    divided into b = 2s² <= 2^51 parts; Bernoulli(exp(-p/b)) compares words below 2^62 with
    multiples p·q of q = floor(2^62 / (b·j)), where p <= b and so p·q <= 2^62, in its j-th turn.
    It needs b·j < 2^61: 1,023 turns, of which the j-th is reached with probability at most
    1/(j - 1)!. So no number leaves 63 bits.

    Raises:
        AccountingError: `scale` is not between 1 and 2^25.
    """
    if not 1 <= scale <= LARGEST_SCALE:
        raise AccountingError("the scale of the noise is outside the range of the exact sampler")
    stream = _Stream(entropy)
    noise = np.empty(size, dtype=np.int64)
    done = 0
    while done < size:
        block = _candidates(stream, scale=scale, size=min(_BLOCK, 2 * (size - done) + 64))
        block = block[: size - done]
        noise[done : done + block.size] = block
        done += block.size
    return noise


def _candidates(stream: _Stream, *, scale: int, size: int) -> Integers:
    """Propose `size` numbers and give the accepted ones: about 0.48 of them."""
    rest = _uniform_below(stream, limit=scale, size=size)
    rest = rest[_exp_bernoulli(stream, rest, parts=scale)]
    times = _successes(stream, size=rest.size)
    negative = (stream.words(rest.size) & 1) == 1
    proper = (times < _CUT) & ~(negative & (rest == 0) & (times == 0))  # zero has one sign only
    distance, negative = (scale * times + rest)[proper], negative[proper]
    whole, part = np.divmod((distance - scale) ** 2, 2 * scale**2)
    accepted = _all_succeed(stream, whole)
    accepted[accepted] = _exp_bernoulli(stream, part[accepted], parts=2 * scale**2)
    found: Integers = np.where(negative, -distance, distance)[accepted]
    return found


def _uniform_below(stream: _Stream, *, limit: int, size: int) -> Integers:
    words, q = stream.blocks(parts=limit, size=size)
    return words // q


def _exp_bernoulli(stream: _Stream, numerators: Integers, *, parts: int) -> _Mask:
    """Give for each p in `numerators` true with probability exp(-p / parts), 0 <= p <= parts.

    The number of turns until the first failure of Bernoulli(p / (parts·j)), j = 1, 2, …, is odd
    with that probability (von Neumann; Canonne, Kamath, Steinke 2020, algorithm 1).
    """
    odd = np.ones(numerators.size, dtype=np.bool_)
    alive, turn = np.arange(numerators.size), 1
    while alive.size:
        words, q = stream.blocks(parts=parts * turn, size=alive.size)
        alive = alive[words < numerators[alive] * q]
        odd[alive] = turn % 2 == 0
        turn += 1
    return odd


def _exp_minus_one(stream: _Stream, *, size: int) -> _Mask:
    """Give `size` trials that succeed with probability exp(-1): the above from its second turn."""
    odd = np.zeros(size, dtype=np.bool_)
    alive, turn = np.arange(size), 2
    while alive.size:
        words, q = stream.blocks(parts=turn, size=alive.size)
        alive = alive[words < q]
        odd[alive] = turn % 2 == 0
        turn += 1
    return odd


def _successes(stream: _Stream, *, size: int) -> Integers:
    """Give `size` counts of trials with probability exp(-1) that succeed before the first fails."""
    counts = np.zeros(size, dtype=np.int64)
    alive = np.arange(size)
    while alive.size:
        alive = alive[_exp_minus_one(stream, size=alive.size)]
        counts[alive] += 1
    return counts


def _all_succeed(stream: _Stream, trials: Integers) -> _Mask:
    """Give for each number n in `trials` true with probability exp(-n)."""
    held = np.ones(trials.size, dtype=np.bool_)
    alive, turn = np.flatnonzero(trials > 0), 1
    while alive.size:
        success = _exp_minus_one(stream, size=alive.size)
        held[alive[~success]] = False
        alive = alive[success]
        alive = alive[trials[alive] > turn]
        turn += 1
    return held
