"""What a ledger holds: entries, and the signed heads over them.

Entries and heads are documents: frozen, canonical (RFC 8785). Evolution law: a class is never
removed and never changes its meaning; new fields are optional; something new to note is a class
of its own, and whoever meets an unknown one refuses.
"""

import base64
import enum
import hashlib
from dataclasses import dataclass
from typing import Annotated, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import AwareDatetime, Discriminator, Field

from models import documents
from models.governance.approval import Decision
from models.governance.cost import PrivacyCost
from models.governance.record import RunText
from models.governance.step import Hex64
from models.quantities import Delta, Epsilon
from models.schema import STRICT, Line, Name, Slug

Position = Annotated[int, Field(strict=True, ge=0, lt=2**53)]
Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{43}=$")]
Signature = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{86}==$")]
Population = Slug

_HEAD = b"datalabbet/ledger-head/v1\x00"
_CLOSING = b"datalabbet/ledger-closing/v1\x00"


class Part(enum.StrEnum):
    """The residents that a step is about: a study trains on some and evaluates on the others."""

    TRAINING = "training"
    EVALUATION = "evaluation"

    @classmethod
    def of(cls, step: str) -> "Part":
        """Give the part that the step is about."""
        return cls.EVALUATION if step == "evaluate" else cls.TRAINING


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEntry:
    """From here on, this department signs with this key. The first entry of every ledger."""

    __pydantic_config__ = STRICT

    kind: Literal["key"] = "key"
    number: Position
    at: AwareDatetime
    department: Slug
    public_key: Key


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsEntry:
    """From here on, these limits hold for each population (`models.ledger.limits`)."""

    __pydantic_config__ = STRICT

    kind: Literal["limits"] = "limits"
    number: Position
    at: AwareDatetime
    per_year: Epsilon
    total: Epsilon
    delta: Delta


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionEntry:
    """The steward said yes or no to a study. A no after a yes withdraws it.

    Attributes:
        approval: SHA-256 of the signed approval's canonical bytes. The steward's name and words
            are not repeated: what is in a ledger can never be taken out of it.
    """

    __pydantic_config__ = STRICT

    kind: Literal["decision"] = "decision"
    number: Position
    at: AwareDatetime
    study: Hex64
    decision: Decision
    approval: Hex64


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeEntry:
    """One attempt of one step was charged, before any record was opened for it.

    Attributes:
        study: the hash of the approved study.
        request: the digest of what the step was asked to work on.
        dataset: None only in charges from before the ledger noted it.
        population: the residents that the dataset is about; None: the dataset was declared
            public, there is nobody to protect.
        cost: the events that a resident pays.
    """

    __pydantic_config__ = STRICT

    kind: Literal["charge"] = "charge"
    number: Position
    at: AwareDatetime
    study: Hex64
    run: RunText
    step: Line
    attempt: Annotated[int, Field(strict=True, ge=1, lt=2**53)]
    request: Line
    dataset: Name | None
    population: Population | None
    cost: PrivacyCost

    @property
    def part(self) -> Part:
        """Give the residents that it is about."""
        return Part.of(self.step)


Entry = Annotated[KeyEntry | LimitsEntry | DecisionEntry | ChargeEntry, Discriminator("kind")]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyEntry:
    """An entry as it stands on a line of an export."""

    __pydantic_config__ = STRICT

    entry: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What is signed: so many entries, with this root of their tree, at this time."""

    __pydantic_config__ = STRICT

    size: Annotated[int, Field(strict=True, ge=1, lt=2**53)]
    root: Hex64
    at: AwareDatetime

    def signed_bytes(self) -> bytes:
        """Give the bytes under the signature: a versioned domain tag and the canonical JSON."""
        return _HEAD + documents.write(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHead:
    """A head with the signature of the key in force."""

    __pydantic_config__ = STRICT

    head: Head
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What a resident of a population has paid at this node, all charges of a kind together.

    Attributes:
        what: `total`, or a calendar year (UTC), or the hash of a study.
        charges: how many attempts were charged.
        epsilon: their ε at the closing's δ, composed; None: no bound.
    """

    __pydantic_config__ = STRICT

    population: Population
    what: Annotated[str, Field(pattern=r"^(total|[0-9]{4}|[0-9a-f]{64})$")]
    charges: Position
    epsilon: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """The last word of an export: what it holds, and what the node says it adds up to.

    Attributes:
        first: the number of its first entry; 0: it is whole.
        size: entries of the ledger, those before `first` included.
        heads: heads in the export.
        balances: empty if the export is not whole.
    """

    __pydantic_config__ = STRICT

    department: Slug
    first: Position
    size: Position
    heads: Position
    at: AwareDatetime
    delta: Delta
    balances: tuple[Balance, ...]

    def signed_bytes(self) -> bytes:
        """Give the bytes under the signature: a versioned domain tag and the canonical JSON."""
        return _CLOSING + documents.write(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedClosing:
    """A closing with the signature of the key in force."""

    __pydantic_config__ = STRICT

    closing: Closing
    signature: Signature


def sign(statement: Head | Closing, key: Ed25519PrivateKey) -> str:
    """Give the signature (base64)."""
    return base64.b64encode(key.sign(statement.signed_bytes())).decode()


def signed_by(statement: Head | Closing, signature: str, key: str) -> bool:
    """Tell whether the key (base64) made the signature (base64).

    Formal guarantee: EUF-CMA security of Ed25519 (RFC 8032) under a domain tag of its own.
    """
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key))
    content = base64.b64decode(signature)
    try:
        public.verify(content, statement.signed_bytes())
    except InvalidSignature:
        return False
    # Several texts decode to the same bytes; only one of them is what `sign` wrote.
    return base64.b64encode(content).decode() == signature


def key_text(key: Ed25519PublicKey) -> str:
    """Give a public key as an entry has it: its 32 bytes in base64."""
    return base64.b64encode(key.public_bytes_raw()).decode()


def fingerprint(key: str) -> str:
    """Give the fingerprint (64 hex digits) of a public key (base64): SHA-256 of its 32 bytes."""
    return hashlib.sha256(base64.b64decode(key)).hexdigest()
