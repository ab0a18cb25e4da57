"""Text files: delimiter, encoding, quotes, and rows that do not fit their heading.

A row is one record after the heading. Row 1 follows the heading, blank lines are counted and
passed over: row n of a file without line breaks inside cells is row n + 1 of a spreadsheet.
"""

import contextlib
import csv
import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

import numpy as np
import pyarrow as pa

from models.errors import DataContractError
from node.sources import CsvSource, Origin
from node.vault.chunks import CELLS, Cells, Chunk, Remark, positions, unreadable

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One of the files of a source."""

    origin: Origin
    source: CsvSource

    @property
    def path(self) -> Path:
        """Give where it lies."""
        return self.origin.locate(self.source.path)


def files(origin: Origin, source: CsvSource) -> tuple[File, ...]:
    """Give the files of a source in the order of their names.

    Raises:
        DataContractError: the folder cannot be read, or no file has such a name.
    """
    pattern = Path(source.path)
    if "*" not in pattern.name:
        return (File(origin=origin, source=source),)
    # Nothing but * is special: brackets and question marks occur in the names of exports.
    known = re.compile(".*".join(map(re.escape, pattern.name.split("*"))))
    try:
        entries = sorted(origin.locate(str(pattern.parent)).iterdir())
    except OSError as error:
        raise unreadable(origin, error) from None
    names = [
        path.name
        for path in entries
        if known.fullmatch(path.name) and path.is_file() and not path.name.startswith(".")
    ]
    if not names:
        raise DataContractError(
            f"{origin.place}: no file has such a name", hint="Check source.path in the declaration."
        )
    sources = (replace(source, path=str(pattern.with_name(name))) for name in names)
    return tuple(File(origin=replace(origin, source=one), source=one) for one in sources)


def headings(file: File) -> tuple[list[str], Iterator[list[str]]]:
    """Give the heading and the records of a file; the records read it on as they are asked for.

    Raises:
        DataContractError: the file cannot be read, is empty, or has another encoding.
    """
    place = file.origin.place
    reader = _records(file)
    head = next(reader, None)
    if head is None:
        raise DataContractError(
            f"{place}: is empty", hint="The file needs a heading and at least one row."
        )
    if any(_spoiled(text) for text in head):
        raise DataContractError(
            f"{place}: the heading is not {file.source.encoding} text",
            hint="Set source.encoding to utf-8, iso-8859-1 or windows-1252.",
        )
    return head, reader


def chunks(
    origin: Origin, source: CsvSource, names: Sequence[str], *, batch_rows: int
) -> Iterator[Chunk]:
    """Give the named columns of all files, at most `batch_rows` rows of one file at a time.

    Each file has a heading of its own, in which the columns are looked for.

    Raises:
        DataContractError: a file cannot be read as the declaration says.
    """
    first: list[str] | None = None
    for file in files(origin, source):
        head, records = headings(file)
        order = [heading.strip() for heading in head]
        first = order if first is None else first
        remarks = [Remark.MARK] if _marked(file) else []
        if order != first and sorted(order) == sorted(first):
            remarks.append(Remark.ORDER)
        for number, chunk in enumerate(_chunks(file, names, head, records, batch_rows=batch_rows)):
            yield replace(chunk, file=file.origin.place, remarks=() if number else tuple(remarks))


def _chunks(
    file: File,
    names: Sequence[str],
    head: Sequence[str],
    records: Iterator[list[str]],
    *,
    batch_rows: int,
) -> Iterator[Chunk]:
    places = positions(file.origin, names, head)
    picked = [places[name] for name in names]
    size = max(1, min(batch_rows, CELLS // len(names)))
    kept: list[list[str]] = []
    rows: list[int] = []
    ragged: list[int] = []
    for number, record in enumerate(records, start=1):
        if not record:
            continue
        if len(record) != len(head):
            ragged.append(number)
        else:
            kept.append([record[place] for place in picked])
            rows.append(number)
        if len(kept) + len(ragged) >= size:
            chunk = _chunk(names, kept, rows, ragged)
            kept, rows, ragged = [], [], []  # let go of the texts before the reader works
            yield chunk
    if kept or ragged:
        yield _chunk(names, kept, rows, ragged)


def _chunk(
    names: Sequence[str], kept: list[list[str]], rows: list[int], ragged: list[int]
) -> Chunk:
    columns = zip(*kept, strict=True) if kept else [() for _ in names]
    return Chunk(
        cells={name: _cells(texts) for name, texts in zip(names, columns, strict=True)},
        rows=np.array(rows, dtype=np.int64),
        ragged=tuple(ragged),
    )


def _cells(texts: Sequence[str]) -> Cells:
    try:
        return Cells(values=pa.array(texts, pa.string()))
    except UnicodeEncodeError:
        spoiled = np.array([_spoiled(text) for text in texts], dtype=np.bool_)
    values = [None if bad else text for text, bad in zip(texts, spoiled, strict=True)]
    return Cells(values=pa.array(values, pa.string()), spoiled=spoiled)


def _spoiled(text: str) -> bool:
    """Tell whether bytes of a text were not in the encoding: `surrogateescape` marks each."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def _records(file: File) -> Iterator[list[str]]:
    place = file.origin.place
    number = 0  # the heading is record 0
    try:
        with _told(file), _open(file) as stream:
            for record in csv.reader(stream, delimiter=file.source.delimiter, strict=True):
                yield record
                number += 1
    except csv.Error as error:
        said = "the quotation marks do not fit together"
        hint = "A cell with quotation marks needs them doubled, and one more at both ends."
        if str(error).startswith("field larger"):
            said = f"a cell is longer than {csv.field_size_limit():,} characters"
            hint = "A quotation mark that nothing closes makes one cell of all that follows it."
        raise DataContractError(f"{place}, row {number}: {said}", hint=hint) from None


def copies(found: Sequence[File]) -> Iterator[tuple[File, File]]:
    """Give the files that are, byte for byte, an earlier one of them; and that one.

    Raises:
        DataContractError: a file cannot be read.
    """
    sizes: dict[int, list[File]] = {}
    for file in found:
        with _told(file):
            sizes.setdefault(file.path.stat().st_size, []).append(file)
    for alike in sizes.values():
        first: dict[bytes, File] = {}
        for file in alike if len(alike) > 1 else ():
            with _told(file), file.path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").digest()
            if (other := first.setdefault(digest, file)) is not file:
                yield file, other


@contextlib.contextmanager
def _told(file: File) -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise DataContractError(
            f"{file.origin.place}: is not a whole gzip file", hint="Make the file again."
        ) from None
    except OSError as error:
        raise unreadable(file.origin, error) from None


def _marked(file: File) -> bool:
    opened = gzip.open if file.path.suffix == ".gz" else open
    with _told(file), opened(file.path, "rb") as start:
        marked: bool = start.read(len(_BOM)) == _BOM
    return marked


def _open(file: File) -> TextIO:
    opened = gzip.open if file.path.suffix == ".gz" else open
    # Excel writes the mark whatever else it writes; a file that has it is UTF-8 for certain.
    encoding = "utf-8-sig" if _marked(file) else file.source.encoding
    stream: TextIO = opened(
        file.path, "rt", encoding=encoding, errors="surrogateescape", newline=""
    )
    return stream
