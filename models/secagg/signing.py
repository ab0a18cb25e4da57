"""Documents of the secure sum that a member signs with its Ed25519 identity key."""

import base64
import binascii
import re
from typing import Annotated

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BeforeValidator, Field, PlainSerializer

from models import documents
from models.errors import RefusedError

_DECIMAL = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)


def _number(value: object) -> object:
    return int(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else value


Run = Annotated[
    int,
    BeforeValidator(_number),
    Field(strict=True, ge=2, lt=2**63),
    PlainSerializer(str, return_type=str, when_used="json"),
]
"""A run's number. In documents it is decimal text: JSON's own numbers are exact to 2^53 only."""

Signature = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{86}==$")]
"""An Ed25519 signature in base64."""


def sign(document: object, key: Ed25519PrivateKey, *, domain: str) -> str:
    """Give the signature over the document's canonical bytes under a versioned domain tag."""
    return base64.b64encode(key.sign(signed_bytes(document, domain=domain))).decode()


def verify(
    document: object, signature: str, key: Ed25519PublicKey, *, domain: str, what: str
) -> None:
    """Refuse a document that `key` did not sign; `what` names it in the message.

    Formal guarantee: EUF-CMA security of Ed25519 (RFC 8032) under a domain tag of its own.

    Raises:
        RefusedError: the signature is not that of the pinned identity key.
    """
    try:
        octets = base64.b64decode(signature, validate=True)
        key.verify(octets, signed_bytes(document, domain=domain))
    except (InvalidSignature, binascii.Error, ValueError):
        raise RefusedError(f"{what} is not signed with the pinned identity key") from None


def signed_bytes(document: object, *, domain: str) -> bytes:
    """Give the bytes under the signature: the tag, a zero byte and the canonical JSON."""
    return f"datalabbet/{domain}/v1".encode() + b"\x00" + documents.write(document)
