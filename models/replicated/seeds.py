"""Seeds, and the uniform ring elements that both holders of a seed compute from it.

    key    = HKDF-SHA256(ikm = seed, salt = none, info, 32 bytes)
    info   = lp("datalabbet/linked/v1") || lp("stream") || lp(label) || lp(chunk) || lp(bits)
    stream = AES-256-CTR(key, counter block 0) over zeros, read as little-endian ring elements

lp(x) is x behind its length as two bytes, big-endian; chunk is 8 bytes and bits 1 byte.

Formal guarantee: streams of one seed under different labels, chunks or rings, and streams of
different seeds, cannot be told from independent uniform elements by whoever lacks the seed (HKDF as
a pseudorandom function, AES-256 as a pseudorandom permutation; see `models.secagg.masks`).
"""

import base64
import binascii
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from models.errors import ProtocolViolationError
from models.randomness import Entropy
from models.secagg.masks import Mask
from models.secagg.rings import Ring

OCTETS = 32
"""Bytes of a seed, and of every key."""

_DOMAIN = b"datalabbet/linked/v1"


@dataclass(frozen=True, slots=True)
class Seed:
    """A seed of streams. Prints as nothing.

    Raises:
        ProtocolViolationError: it has not 32 bytes.
    """

    octets: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse another length."""
        if len(self.octets) != OCTETS:
            raise ProtocolViolationError("a seed of a linked run has another length than 32 bytes")

    @classmethod
    def fresh(cls, entropy: Entropy) -> "Seed":
        """Give a new seed."""
        return cls(entropy.token(OCTETS))

    @classmethod
    def read(cls, text: str) -> "Seed":
        """Give the seed that a document holds as base64.

        Raises:
            ProtocolViolationError: it is no base64, or of another length.
        """
        return cls(octets_of(text))

    def written(self) -> str:
        """Give the seed as base64, for a document."""
        return base64.b64encode(self.octets).decode()


def derive(secret: bytes, *parts: bytes) -> bytes:
    """Give 32 bytes of HKDF-SHA256 over `secret`, bound to `parts` (each behind its length)."""
    info = b"".join(len(part).to_bytes(2, "big") + part for part in (_DOMAIN, *parts))
    return HKDF(algorithm=hashes.SHA256(), length=OCTETS, salt=None, info=info).derive(secret)


def octets_of(text: str) -> bytes:
    """Give the bytes that a document holds as base64.

    Raises:
        ProtocolViolationError: it is no base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ProtocolViolationError("a document of a linked run holds no base64") from None


def keystream(seed: Seed, *, label: str, chunk: int, ring: Ring, subtracted: bool = False) -> Mask:
    """Give one stream of a seed, as what `models.secagg.masks.apply` adds (or subtracts).

    Args:
        seed: that both holders have.
        label: what the stream is for.
        chunk: which stretch of the spine, from 1; 0 for what there is once in a run.
        ring: of the elements.
        subtracted: whether it is taken away.
    """
    bound = (label.encode(), chunk.to_bytes(8, "big"), bytes((int(ring),)))
    return Mask(derive(seed.octets, b"stream", *bound), subtracted)
