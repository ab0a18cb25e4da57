"""Masks: for each pair of members and each context, a keystream that nobody else can compute.

    key  = HKDF-SHA256(ikm = X25519 secret, salt = none, info, 32 bytes)
    info = lp("datalabbet/secure-sum-mask/v1") || lp(low) || lp(high) || context digest (32 bytes)
    mask = AES-256-CTR(key, counter block 0) over zeros, read as little-endian ring elements

lp(x) is x behind its length as two bytes, big-endian; low and high are the pair's names in order.
Among departments the lower name adds the mask and the higher subtracts it, so that the pair
cancels in the sum. A department adds its mask with the witness, who gives the sum of these.

Formal guarantee: a message is its value plus a keystream under a key that only its pairs know, and
that is used for this one message. So to whoever lacks one of the pair's secrets it cannot be told
from uniform ring elements, whatever the value is (X25519 with HKDF as a random oracle; AES-256
as a pseudorandom permutation, 2^-80 away over the longest message, 2^24 elements of 64 bits).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from models.secagg.agreement import Pair
from models.secagg.rings import Words

_LABEL = b"datalabbet/secure-sum-mask/v1"

_BLOCK = 1 << 17
"""Bytes of keystream made at a time: they stay in the cache until they are added."""

_ZEROS = memoryview(bytes(_BLOCK))


@dataclass(frozen=True, slots=True)
class Mask:
    """One mask: its key, and whether it is added or subtracted."""

    key: bytes = field(repr=False)
    subtracted: bool = False


def key(pair: Pair, *, context: str) -> bytes:
    """Give the AES key of a pair for one context (its digest, in hex)."""
    names = b"".join(_prefixed(name.encode()) for name in (pair.low, pair.high))
    info = _prefixed(_LABEL) + names + bytes.fromhex(context)
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(pair.secret)


def apply(words: Words, masks: Sequence[Mask]) -> None:
    """Add the masks to `words`, in place."""
    zero = modes.CTR(bytes(16))
    streams = [Cipher(algorithms.AES256(mask.key), zero).encryptor() for mask in masks]
    buffer = bytearray(_BLOCK)
    step = _BLOCK // words.itemsize
    for start in range(0, words.size, step):
        part = words[start : start + step]
        found = np.frombuffer(buffer, dtype=words.dtype, count=part.size)
        for mask, stream in zip(masks, streams, strict=True):
            stream.update_into(_ZEROS[: part.nbytes], buffer)
            (np.subtract if mask.subtracted else np.add)(part, found, out=part)


def _prefixed(octets: bytes) -> bytes:
    return len(octets).to_bytes(2, "big") + octets
