"""The order of the spine: known to the departments, and to nobody who only computes.

    part   = 32 random bytes of each department, sealed for each of the others
    common = HKDF-SHA256 over all parts, each behind its department's name, in order of the names
    row    = place of HMAC-SHA256(order key, id) among those of all residents

Every department holds the register, so every department may know which row is whose; that is why a
common secret of theirs does what a distributed pseudonym would.

Formal guarantee: as long as no department gives its part or the common key away, and one department
drew its part at random, the order cannot be told from a random one, and the digest says nothing of
the register but whether two are the same (HKDF and HMAC-SHA256 as pseudorandom functions). The key
is bound to study and run: no two runs have the same order.
"""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from models.errors import ProtocolViolationError
from models.privacy.sampler import Integers
from models.randomness import Entropy
from models.replicated.seeds import OCTETS, derive


@dataclass(frozen=True, slots=True)
class SpineKey:
    """The departments' common secret of one run. Prints as nothing."""

    octets: bytes = field(repr=False)


def part(entropy: Entropy) -> bytes:
    """Give a department's part of the common secret: 32 bytes."""
    return entropy.token(OCTETS)


def common(parts: Mapping[str, bytes], *, study: str, run: int) -> SpineKey:
    """Give the common secret.

    Args:
        parts: of every department of the study, by name.
        study: digest of the approved study, in hex.
        run: number of the run.

    Raises:
        ProtocolViolationError: a part has not 32 bytes; the text names the department.
    """
    for name, octets in parts.items():
        if len(octets) != OCTETS:
            raise ProtocolViolationError(f"the part of {name} in the order has another length")
    names = sorted(parts)
    bound = (bytes.fromhex(study), run.to_bytes(8, "big"), *(name.encode() for name in names))
    return SpineKey(derive(b"".join(parts[name] for name in names), b"spine", *bound))


def order(ids: Iterable[str], key: SpineKey) -> Integers:
    """Give the spine: which resident (place in `ids`) each row is, shape `(residents,)`.

    It depends on which ids there are, not on their order in `ids`.
    """
    secret = derive(key.octets, b"order")
    tags = b"".join(hmac.digest(secret, each.encode(), "sha256") for each in ids)
    parts = np.frombuffer(tags, dtype=">u8").reshape(-1, OCTETS // 8)
    return np.lexsort(parts.T[::-1]).astype(np.int64, copy=False)


def digest(register: bytes, key: SpineKey) -> str:
    """Give the keyed digest of a register's canonical bytes: 64 hex digits."""
    return hmac.digest(derive(key.octets, b"register"), register, "sha256").hex()
