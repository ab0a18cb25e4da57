"""Octets that only some members can read, although the coordinator carries them.

Everything is sealed with AES-256-GCM. A *box* is for one member: its key comes from the secret of
the two (`models.secagg.agreement.Pair.secret`), is bound to sender, receiver, study, run and
purpose, and seals one message per nonce. A *body* is share 2 of a department for servers 1 and 2:
sealed once, under a content key that the department sends to both in boxes; its nonce is the number
of the chunk.

    sealed = AES-256-GCM(key, nonce = number as 12 bytes, big-endian, associated data, octets)
    box    = derive(secret, "box", sender, to, study (32 bytes), run (8 bytes), purpose)

Formal guarantee: whoever lacks the key learns nothing of what is sealed but its length, and can
make nothing that opens, as long as no nonce is used twice under a key with different octets: a
department makes a chunk's body once (`models.replicated.holder`), every other key seals one message
per purpose and chunk.
"""

import base64
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from models.errors import ProtocolViolationError
from models.randomness import Entropy
from models.replicated.messages import Box
from models.replicated.seeds import OCTETS, derive, octets_of
from models.secagg.agreement import EphemeralKey

TAG = 16
"""Bytes by which what is sealed is longer."""

MIX, SPINE, SEEDS, TURNED = "mix", "spine", "seeds", "turned"
"""What boxes are for."""


@dataclass(frozen=True, slots=True)
class ContentKey:
    """The key of a department's bodies in one run. Prints as nothing.

    Raises:
        ProtocolViolationError: it has not 32 bytes.
    """

    octets: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse another length."""
        if len(self.octets) != OCTETS:
            raise ProtocolViolationError("a key of a linked run has another length than 32 bytes")

    @classmethod
    def fresh(cls, entropy: Entropy) -> "ContentKey":
        """Give a new key."""
        return cls(entropy.token(OCTETS))


def seal(key: bytes, *, nonce: int, aad: bytes, data: bytes | memoryview) -> bytes:
    """Give sealed octets, 16 bytes longer than `data`.

    Args:
        key: 32 bytes.
        nonce: never used before under this key for other octets.
        aad: what is not sealed, but must be the same where it is opened.
        data: what is sealed.
    """
    return AESGCM(key).encrypt(nonce.to_bytes(12, "big"), data, aad)


def open_(key: bytes, *, nonce: int, aad: bytes, data: bytes | memoryview) -> bytearray:
    """Give what was sealed, as bytes that may be changed.

    Raises:
        ProtocolViolationError: it was sealed under another key, nonce or associated data, or
            changed on its way. The caller says whose it was.
    """
    found = bytearray(max(len(data) - TAG, 0))
    try:
        AESGCM(key).decrypt_into(nonce.to_bytes(12, "big"), data, aad, found)
    except (InvalidTag, ValueError):
        raise ProtocolViolationError(
            "sealed octets do not open: they were changed, or are of another run or sender"
        ) from None
    return found


def box_key(secret: bytes, *, sender: str, to: str, study: str, run: int, purpose: str) -> bytes:
    """Give the key of one member's boxes for another.

    Args:
        secret: that the two share; for a box to itself, `own_secret`.
        sender: whose box it is.
        to: whom it is for.
        study: digest of the approved study, in hex.
        run: number of the run.
        purpose: one of the purposes above.
    """
    names = (sender.encode(), to.encode())
    bound = (bytes.fromhex(study), run.to_bytes(8, "big"), purpose.encode())
    return derive(secret, b"box", *names, *bound)


def own_secret(ephemeral: EphemeralKey) -> bytes:
    """Give the secret for a member's boxes to itself: a department that is a server too."""
    return derive(ephemeral.secret, b"own")


def of_cohort(secret: bytes, *, cohort: str) -> bytes:
    """Give a secret of two members, bound to all that agreed and their keys (digest, in hex)."""
    return derive(secret, b"cohort", bytes.fromhex(cohort))


def boxed(key: bytes, data: bytes, *, to: str) -> Box:
    """Give the one box that is sealed under `key`."""
    return Box(to=to, data=base64.b64encode(seal(key, nonce=0, aad=b"", data=data)).decode())


def unboxed(key: bytes, box: Box, *, sender: str) -> bytes:
    """Give what a member's box holds.

    Raises:
        ProtocolViolationError: it does not open; the text names the sender.
    """
    try:
        return bytes(open_(key, nonce=0, aad=b"", data=octets_of(box.data)))
    except ProtocolViolationError:
        raise ProtocolViolationError(
            f"a box of {sender} for {box.to} does not open: it was changed on its way, or sealed "
            "in another run"
        ) from None
