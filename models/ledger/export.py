"""An export of a ledger: one JSON document a line, enough to verify it without asking anyone.

First a header, then every entry with the signed heads between them, each behind the entries it
covers, and last a signed closing.
"""

import json
from dataclasses import dataclass
from typing import Literal

from models import documents
from models.errors import InvalidDocumentError, UsageError
from models.governance.step import Hex64
from models.ledger.book import Book
from models.ledger.entries import Key, Position, SignedClosing, SignedHead
from models.schema import STRICT

Format = Literal["datalabbet/ledger/1"]
FORMAT: Format = "datalabbet/ledger/1"

ENTRY = b'{"entry":'
"""What the line of an entry begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What an export begins with.

    Attributes:
        first: the number of the first entry; 0: the export is whole.
        peaks: the frontier of the tree of the entries before `first` (`Frontier.peaks`).
        key: the public key in force there; None if the export is whole.
    """

    __pydantic_config__ = STRICT

    format: Format = FORMAT
    first: Position = 0
    peaks: tuple[Hex64, ...] = ()
    key: Key | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHeader:
    """A header as it stands on its line.

    It is not signed itself: the earlier head, which is, holds for everything that it says.
    """

    __pydantic_config__ = STRICT

    export: Header


def header_line(book: Book | None) -> bytes:
    """Give the first line; `book` holds what came before the export, None: it is whole."""
    header = Header()
    if book is not None:
        peaks = tuple(peak.hex() for peak in book.tree.peaks)
        key = None if book.owner is None else book.owner.public_key
        header = Header(first=book.tree.size, peaks=peaks, key=key)
    return documents.write(SignedHeader(export=header))


def entry_line(entry: bytes) -> bytes:
    """Give the line of an entry (canonical JSON)."""
    return ENTRY + entry + b"}"


def last_head(text: str) -> SignedHead:
    """Give the newest head in a text: an export, or a JSON document with a field `head`.

    Its signature is not checked here: whoever kept it knows where it comes from.

    Raises:
        UsageError: there is none.
    """
    for candidate in (text, *reversed(text.splitlines())):
        try:
            found = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and {"head", "signature"} <= found.keys():
            wanted = {name: found[name] for name in ("head", "signature")}
            try:
                return documents.read(SignedHead, wanted, what="the head")
            except InvalidDocumentError:
                continue
    raise UsageError(
        "there is no signed head in the file",
        hint="Give an earlier export, or what `ledger show --output json` printed.",
    )


def claimed_department(content: bytes) -> str | None:
    """Give the department that an export says it is of, unverified: it tells which key to use."""
    try:
        mapping = json.loads(content.rstrip(b"\n").rpartition(b"\n")[2])
        return documents.read(SignedClosing, mapping, what="the closing").closing.department
    except (ValueError, RecursionError, InvalidDocumentError):
        return None
