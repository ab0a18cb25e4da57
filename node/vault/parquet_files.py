"""Parquet files: native types, read a few pages at a time."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from models.errors import DataContractError
from node.sources import Origin, ParquetSource
from node.vault.chunks import CELLS, ArrowArray, Cells, Chunk, positions, unreadable

_BUFFER = 1 << 20
"""Bytes per column: without a buffer, a column of a whole row group would be held at once."""


def open_file(origin: Origin, source: ParquetSource) -> Any:
    """Give the opened file.

    Raises:
        DataContractError: it cannot be read, or is not Parquet.
    """
    path = origin.locate(source.path)
    try:
        with path.open("rb"):  # pyarrow's own message for a folder or a lost file is unclear
            return pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)
    except pa.ArrowException:
        raise _broken(origin) from None
    except OSError as error:
        raise unreadable(origin, error) from None


def chunks(
    origin: Origin, source: ParquetSource, names: Sequence[str], *, batch_rows: int
) -> Iterator[Chunk]:
    """Give the named columns of a file, at most `batch_rows` rows at a time.

    Raises:
        DataContractError: the file cannot be read as the declaration says.
    """
    file = open_file(origin, source)
    with file:
        schema = file.schema_arrow
        places = positions(origin, names, schema.names)
        for name in names:
            kind = schema.field(places[name]).type
            if not readable(kind):
                raise DataContractError(
                    f"{origin.place}: column {name} has the type {kind}",
                    hint="A column must hold numbers, texts, days or truth values.",
                )
        headings = [schema.names[places[name]] for name in names]
        size = max(1, min(batch_rows, CELLS // len(names)))
        start = 1
        try:
            for batch in file.iter_batches(size, columns=headings, use_threads=False):
                yield Chunk(
                    cells={
                        name: _cells(batch.column(batch.schema.get_field_index(heading)))
                        for name, heading in zip(names, headings, strict=True)
                    },
                    rows=np.arange(start, start + batch.num_rows, dtype=np.int64),
                )
                start += batch.num_rows
        except (pa.ArrowException, OSError):
            raise _broken(origin) from None


def readable(kind: Any) -> bool:
    """Tell whether an Arrow type can hold numbers, texts, days or truth values."""
    timed = pa.types.is_time(kind) or pa.types.is_duration(kind) or pa.types.is_interval(kind)
    return not (pa.types.is_nested(kind) or timed or isinstance(kind, pa.BaseExtensionType))


def _cells(values: ArrowArray) -> Cells:
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    binary = pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type)
    fixed = pa.types.is_fixed_size_binary(values.type)
    if binary or fixed or pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        return _texts(values.cast(pa.binary()))
    return Cells(values=values)


def _texts(values: ArrowArray) -> Cells:
    """Give texts of bytes: Parquet does not promise that its texts are UTF-8."""
    try:
        return Cells(values=values.cast(pa.string()))
    except pa.ArrowInvalid:
        pass
    texts: list[str | None] = []
    spoiled = np.zeros(len(values), dtype=np.bool_)
    for index, value in enumerate(values.to_pylist()):
        try:
            texts.append(None if value is None else value.decode())
        except UnicodeDecodeError:
            texts.append(None)
            spoiled[index] = True
    return Cells(values=pa.array(texts, pa.string()), spoiled=spoiled)


def _broken(origin: Origin) -> DataContractError:
    return DataContractError(
        f"{origin.place}: is not a whole Parquet file", hint="Make the file again."
    )
