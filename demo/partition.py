"""One department's records, dealt out to virtual departments: every resident to exactly one."""

import csv
import gzip
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from models.errors import DataContractError, UsageError
from models.linkage import identity
from node.datasets import Dataset, IdentityForm
from node.sources import CsvSource, ParquetSource, Source

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """The virtual departments' sources, and how many residents they hold together."""

    sources: tuple[Source, ...]
    residents: int


def split(dataset: Dataset, *, parts: int, folder: Path, seed: int) -> Partition:
    """Write the dataset's records into `parts` files of its own kind, in `folder`.

    The records are held in memory. Nothing but the resident id is looked at; rows without one,
    and rows with more or fewer cells than the heading, are left out, as nodes leave them out.

    Raises:
        UsageError: the source is a query, or has fewer residents than parts.
        DataContractError: the source cannot be read.
    """
    source = dataset.source
    if isinstance(source, CsvSource) and "*" in source.path:
        raise UsageError(
            "a simulation splits one file, and the dataset comes in several",
            hint="Put them into one file and declare that one.",
        )
    try:
        if isinstance(source, CsvSource):
            return _split_csv(dataset, source, parts=parts, folder=folder, seed=seed)
        if isinstance(source, ParquetSource):
            return _split_parquet(dataset, source, parts=parts, folder=folder, seed=seed)
    except (OSError, EOFError, UnicodeError, csv.Error, pa.ArrowException):
        raise DataContractError(
            f"{dataset.origin.place}: cannot be read as declared",
            hint="Run `datalabbet-node data check`: it names every problem.",
        ) from None
    raise UsageError(
        "a simulation splits files, and the dataset's source is a query",
        hint="Export the query to a CSV or Parquet file and declare that one.",
    )


def deal(residents: Iterable[str], *, parts: int, seed: int) -> dict[str, int]:
    """Give each resident a part, in turn, in the order of a hash of seed and resident.

    Raises:
        UsageError: some part would have no resident.
    """
    key = seed.to_bytes(8, "big", signed=True)
    ordered = sorted(
        set(residents), key=lambda r: (hashlib.blake2b(r.encode(), key=key).digest(), r)
    )
    if len(ordered) < parts:
        raise UsageError(
            f"the dataset has fewer residents than {parts} virtual departments need",
            hint="Give fewer with --nodes.",
        )
    return {resident: place % parts for place, resident in enumerate(ordered)}


def _split_csv(
    dataset: Dataset, source: CsvSource, *, parts: int, folder: Path, seed: int
) -> Partition:
    path = dataset.origin.locate(source.path)
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rb") as start:
        encoding = "utf-8-sig" if start.read(len(_BOM)) == _BOM else source.encoding
    with opened(path, "rt", encoding=encoding, errors="surrogateescape", newline="") as stream:
        reader = csv.reader(stream, delimiter=source.delimiter, strict=True)
        head = next(reader, [])
        place = _place(dataset, head)
        rows = [row for row in reader if len(row) == len(head) and row[place].strip()]
    home = deal((_named(dataset, row[place]) for row in rows), parts=parts, seed=seed)
    shares: list[list[Sequence[str]]] = [[head] for _ in range(parts)]
    for row in rows:
        shares[home[_named(dataset, row[place])]].append(row)
    sources = []
    for number, share in enumerate(shares):
        file = folder / f"{number:04d}.csv"
        with file.open("w", encoding=encoding, errors="surrogateescape", newline="") as target:
            csv.writer(target, delimiter=source.delimiter).writerows(share)
        sources.append(replace(source, path=str(file.resolve())))
    return Partition(sources=tuple(sources), residents=len(home))


def _split_parquet(
    dataset: Dataset, source: ParquetSource, *, parts: int, folder: Path, seed: int
) -> Partition:
    table = pq.read_table(dataset.origin.locate(source.path))
    place = _place(dataset, table.column_names)
    owners = [_named(dataset, value) for value in table.column(place).to_pylist()]
    home = deal((owner for owner in owners if owner), parts=parts, seed=seed)
    shares: list[list[int]] = [[] for _ in range(parts)]
    for row, owner in enumerate(owners):
        if owner:
            shares[home[owner]].append(row)
    sources = []
    for number, share in enumerate(shares):
        file = folder / f"{number:04d}.parquet"
        pq.write_table(table.take(pa.array(share)), file)
        sources.append(replace(source, path=str(file.resolve())))
    return Partition(sources=tuple(sources), residents=len(home))


def _named(dataset: Dataset, value: object) -> str:
    """Give the resident that a cell names, as nodes read it; nothing if it names none."""
    given = value.decode(errors="replace") if isinstance(value, bytes) else value
    text = "" if given is None else str(given).strip()
    if dataset.identity_form is IdentityForm.OPAQUE:
        return text
    read = identity.read(text, extracted=dataset.extracted)
    return read.digits if isinstance(read, identity.Identity) else ""


def _place(dataset: Dataset, headings: Sequence[str]) -> int:
    wanted = dataset.origin.heading(dataset.declaration.resident_id).strip()
    places = [place for place, heading in enumerate(headings) if heading.strip() == wanted]
    if len(places) != 1:
        raise DataContractError(
            f"{dataset.origin.place}: not one column has the heading {wanted}",
            hint="Run `datalabbet-node data check`.",
        )
    return places[0]
