"""A department's signed yes or no to one study, over the study's canonical hash."""

import base64
import enum
from dataclasses import dataclass
from typing import Annotated

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import AwareDatetime, Field

from models import documents
from models.errors import RefusedError
from models.governance.step import Hex64
from models.schema import STRICT, Line, Slug

_DOMAIN = b"datalabbet/approval/v1\x00"


class Decision(enum.StrEnum):
    """What a steward decided."""

    APPROVED = "approved"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What is signed: who decided what, about which study hash, when, and why.

    `preview`: the hash of what the steward was shown would leave (`models.training.leaving`). An
    approval from before there was one has none, and its signed bytes do not name it.
    """

    __pydantic_config__ = STRICT

    study: Hex64
    department: Slug
    decision: Decision
    steward: Line
    reason: Annotated[str, Field(max_length=2000)] = ""
    decided_at: AwareDatetime
    preview: Annotated[Hex64 | None, Field(exclude_if=lambda value: value is None)] = None

    def signed_bytes(self) -> bytes:
        """Give the bytes under the signature: a versioned domain tag and the canonical JSON."""
        return _DOMAIN + documents.write(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A statement with its Ed25519 signature (base64)."""

    __pydantic_config__ = STRICT

    statement: Statement
    signature: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{86}==$")]


def sign(statement: Statement, key: Ed25519PrivateKey) -> Approval:
    """Give the statement signed with the node's identity key."""
    signature = base64.b64encode(key.sign(statement.signed_bytes())).decode()
    return Approval(statement=statement, signature=signature)


def verify(approval: Approval, key: Ed25519PublicKey) -> Statement:
    """Give the statement if `key` signed it.

    Formal guarantee: EUF-CMA security of Ed25519 (RFC 8032) under a domain tag of its own.

    Raises:
        RefusedError: the signature is not that of the department's identity key.
    """
    try:
        key.verify(base64.b64decode(approval.signature), approval.statement.signed_bytes())
    except InvalidSignature:
        department = approval.statement.department
        raise RefusedError(
            f"the approval of {department} is not signed with that department's identity key"
        ) from None
    return approval.statement
