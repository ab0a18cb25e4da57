"""Uniform bits from AES-256-CTR, and the exact comparisons that are made with them."""

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from models.randomness import Entropy

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

WORDS = 2**62
NONE = np.empty(0, dtype=np.int64)

_ZEROS = memoryview(bytes(1 << 19))


class Stream:
    """Uniform numbers from AES-256-CTR under a key that is used for one stream only."""

    def __init__(self, entropy: Entropy) -> None:
        cipher = Cipher(algorithms.AES256(entropy.token(32)), modes.CTR(bytes(16)))
        self._keystream = cipher.encryptor()

    def octets(self, size: int) -> bytes:
        """Give the next bytes of the keystream."""
        return self._keystream.update(_ZEROS[:size] if size <= len(_ZEROS) else bytes(size))

    def words(self, size: int) -> Integers:
        """Give `size` independent integers, uniform below 2^62: they fit into int64 with room."""
        words: Integers = (np.frombuffer(self.octets(8 * size), dtype="<u8") >> 2).view(np.int64)
        return words

    def halves(self, size: int) -> npt.NDArray[np.uint32]:
        """Give `size` independent integers, uniform below 2^32."""
        return np.frombuffer(self.octets(4 * size), dtype="<u4")

    def completed(self, halves: npt.NDArray[np.uint32]) -> Integers:
        """Give integers uniform below 2^62 whose upper 32 bits are `halves`."""
        lower = self.halves(halves.size) >> 2
        return (halves.astype(np.int64) << 30) | lower

    def blocks(self, *, parts: int, size: int) -> tuple[Integers, int]:
        """Give integers uniform below parts·q, and q = floor(2^62 / parts); `parts` < 2^61.

        So w // q is uniform below `parts`, and w < a·q has probability exactly a / parts.
        """
        q = WORDS // parts
        words = self.words(size)
        late = np.flatnonzero(words >= q * parts) if q * parts < WORDS else NONE
        while late.size:
            words[late] = self.words(late.size)
            late = late[words[late] >= q * parts]
        return words, q


def exp_bernoulli(stream: Stream, numerators: Integers, *, parts: int, turn: int = 1) -> Mask:
    """Give for each p in `numerators` true with probability exp(-p / parts), 0 <= p <= parts.

    The number of turns until the first failure of Bernoulli(p / (parts·j)), j = 1, 2, …, is odd
    with that probability (von Neumann; Canonne, Kamath, Steinke 2020, algorithm 1). `turn`: the
    first that is to be made, where those before it have succeeded.
    """
    odd = np.full(numerators.size, turn % 2 == 1)
    alive = np.arange(numerators.size)
    while alive.size:
        words, q = stream.blocks(parts=parts * turn, size=alive.size)
        alive = alive[words < numerators[alive] * q]
        odd[alive] = turn % 2 == 0
        turn += 1
    return odd


def below_ratio(stream: Stream, words: Integers, numerators: Integers, *, parts: int) -> Mask:
    """Tell for each whether u < p / parts, where `words` are the first 62 bits of u in [0, 1).

    With q = floor(2^62 / parts), p·2^62 / parts lies in [p·q, p·q + p]: outside of it the words
    decide; inside, the fractions are compared, with as many further bits as that takes.
    """
    least = numerators * (WORDS // parts)
    below: Mask = words < least
    for index in np.flatnonzero((words >= least) & (words <= least + numerators)):
        ratio = int(numerators[index]), parts
        below[index] = _below(stream, int(words[index]), ratio=ratio)
    return below


def _below(stream: Stream, word: int, *, ratio: tuple[int, int]) -> bool:
    """Tell whether a uniform number whose first 62 bits are `word` is below a fraction."""
    (numerator, parts), bits = ratio, 62
    while word * parts < numerator << bits < (word + 1) * parts:
        word, bits = (word << 62) | int(stream.words(1)[0]), bits + 62
    return (word + 1) * parts <= numerator << bits
