"""Text files: delimiter, encoding, quotes, and rows that do not fit their heading.

A row is one record after the heading. Row 1 follows the heading, blank lines are counted and
passed over: row n of a file without line breaks inside cells is row n + 1 of a spreadsheet.
"""

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
import pyarrow as pa

from models.errors import DataContractError
from node.sources import CsvSource, Origin
from node.vault.chunks import CELLS, Cells, Chunk, positions, unreadable

_BOM = b"\xef\xbb\xbf"


def headings(origin: Origin, source: CsvSource) -> tuple[list[str], Iterator[list[str]]]:
    """Give the heading and the records of a file; the records read it on as they are asked for.

    Raises:
        DataContractError: the file cannot be read, is empty, or has another encoding.
    """
    reader = _records(origin, source)
    head = next(reader, None)
    if head is None:
        raise DataContractError(
            f"{origin.place}: is empty", hint="The file needs a heading and at least one row."
        )
    if any(_spoiled(text) for text in head):
        raise DataContractError(
            f"{origin.place}: the heading is not {source.encoding} text",
            hint="Set source.encoding to utf-8, iso-8859-1 or windows-1252.",
        )
    return head, reader


def chunks(
    origin: Origin, source: CsvSource, names: Sequence[str], *, batch_rows: int
) -> Iterator[Chunk]:
    """Give the named columns of a file, at most `batch_rows` rows at a time.

    Raises:
        DataContractError: the file cannot be read as the declaration says.
    """
    head, reader = headings(origin, source)
    places = positions(origin, names, head)
    picked = [places[name] for name in names]
    size = max(1, min(batch_rows, CELLS // len(names)))
    kept: list[list[str]] = []
    rows: list[int] = []
    ragged: list[int] = []
    for number, record in enumerate(reader, start=1):
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


def _records(origin: Origin, source: CsvSource) -> Iterator[list[str]]:
    number = 0  # the heading is record 0
    try:
        with _open(origin.locate(source.path), source) as stream:
            for record in csv.reader(stream, delimiter=source.delimiter, strict=True):
                yield record
                number += 1
    except csv.Error:
        raise DataContractError(
            f"{origin.place}, row {number}: the quotation marks do not fit together",
            hint="A cell with quotation marks needs them doubled, and one more at both ends.",
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise DataContractError(
            f"{origin.place}: is not a whole gzip file", hint="Make the file again."
        ) from None
    except OSError as error:
        raise unreadable(origin, error) from None


def _open(path: Path, source: CsvSource) -> TextIO:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rb") as start:
        marked = start.read(len(_BOM)) == _BOM
    # Excel writes the mark whatever else it writes; a file that has it is UTF-8 for certain.
    encoding = "utf-8-sig" if marked else source.encoding
    stream: TextIO = opened(path, "rt", encoding=encoding, errors="surrogateescape", newline="")
    return stream
