"""Reading and writing documents (studies, declarations): strict, canonical, hashed.

A document is a frozen dataclass whose annotations carry its limits. `read` refuses unknown
fields and names every problem by its path; `write` gives the canonical form (RFC 8785),
so that equal documents have equal bytes and therefore equal hashes.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import rfc8785
from pydantic import TypeAdapter, ValidationError

from models.errors import FieldProblem, InvalidDocumentError

T = TypeVar("T")


_adapter: Callable[[type[Any]], TypeAdapter[Any]] = cache(TypeAdapter)  # type: ignore[assignment]  # a class is hashable; typeshed asks for Hashable


def read(kind: type[T], mapping: object, *, what: str) -> T:
    """Give the document of class `kind` that `mapping` (parsed YAML or JSON) describes.

    Raises:
        InvalidDocumentError: with one problem per field; `what` names the document.
    """
    try:
        document: T = _adapter(kind).validate_python(mapping)
    except ValidationError as error:
        problems = tuple(
            FieldProblem(
                field=".".join(str(part) for part in item["loc"]) or "document",
                problem=_say(item["type"], item["msg"]),
            )
            for item in error.errors(include_url=False, include_input=False)
        )
        raise InvalidDocumentError(what, problems) from None
    return document


def _say(kind: str, message: str) -> str:
    if kind == "missing":
        return "is required"
    if kind in {"extra_forbidden", "unexpected_keyword_argument"}:
        return "is not a known field"
    return message.removeprefix("Value error, ")


def write(document: object) -> bytes:
    """Give the canonical JSON bytes (RFC 8785) of a document."""
    return rfc8785.dumps(_adapter(type(document)).dump_python(document, mode="json"))


def digest(canonical: bytes, *, domain: str) -> str:
    """Give the SHA-256 (64 hex digits) of canonical bytes under a versioned domain tag."""
    tag = f"datalabbet/{domain}/v1".encode()
    return hashlib.sha256(len(tag).to_bytes(2, "big") + tag + canonical).hexdigest()
