"""What a message holds, read exactly: Flower checks neither types, shapes nor sizes that it claims.

Everything is held against the study before anything is allocated for it.
"""

import io
import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from models import documents
from models.errors import ProtocolViolationError
from protos.codec import read_json
from protos.sums import MOST_RAW, RAW

ARRAYS, CONFIG = "arrays", "config"
Numbers = npt.NDArray[np.generic]
Forms = Mapping[str, tuple[str, tuple[int, ...]]]
"""The dtype and the shape of each array, by name."""

_HEADER = 1024


def number(content: RecordDict, key: str, *, most: int, default: int | None = None) -> int:
    """Give the number of that name in the settings, from 1 to `most`.

    Raises:
        ProtocolViolationError: there is none, or another one.
    """
    record = content.get(CONFIG)
    value = record.get(key, default) if isinstance(record, ConfigRecord) else None
    # A bool is an int to Python, and 1.0 equals 1: neither is a round.
    if type(value) is not int or not 1 <= value <= most:
        raise ProtocolViolationError(f"the message has no {key} from 1 to {most}")
    return value


def numbers(content: RecordDict, forms: Forms) -> dict[str, Numbers]:
    """Give the arrays of those names, types and shapes, in that order.

    Raises:
        ProtocolViolationError: the message holds others.
    """
    record = _arrays(content, set(forms))
    return {
        name: _opened(record[name], np.dtype(kind).newbyteorder("<"), shape)
        for name, (kind, shape) in forms.items()
    }


def document(content: RecordDict, kind: type[documents.T], *, name: str) -> documents.T:
    """Give the one document that the message holds, under that name.

    Raises:
        ProtocolViolationError: it holds something else.
        InvalidDocumentError: it is not such a document.
    """
    array = _arrays(content, {name})[name]
    size = len(array.data)
    if (array.stype, array.dtype, array.shape) != (RAW, "uint8", (size,)) or size > MOST_RAW:
        raise ProtocolViolationError(f"the message does not hold {name} as a document")
    return read_json(kind, array.data, what=name)


def octets_of(content: RecordDict, most: Mapping[str, int]) -> dict[str, bytes]:
    """Give the raw bytes of those names, each with at most so many.

    Raises:
        ProtocolViolationError: the message holds something else.
    """
    record = _arrays(content, set(most))
    return {name: _raw(record[name], "uint8", width=1, most=size) for name, size in most.items()}


def elements_of(content: RecordDict, name: str, *, kind: np.dtype[np.generic], most: int) -> bytes:
    """Give the bytes of raw elements of a ring, at most so many elements.

    Raises:
        ProtocolViolationError: the message holds something else.
    """
    array = _arrays(content, {name})[name]
    return _raw(array, kind.name, width=kind.itemsize, most=most * kind.itemsize)


def octets(data: bytes) -> Array:
    """Give bytes as they are, as an array."""
    return Array(dtype="uint8", shape=(len(data),), stype=RAW, data=data)


def elements(words: Numbers) -> Array:
    """Give elements of a ring, little-endian, without numpy's header."""
    kind = words.dtype.newbyteorder("<")
    data = words.astype(kind, copy=False).tobytes()
    return Array(dtype=kind.name, shape=words.shape, stype=RAW, data=data)


def _arrays(content: RecordDict, names: set[str]) -> ArrayRecord:
    record = content.get(ARRAYS)
    if not isinstance(record, ArrayRecord) or set(record) != names:
        raise ProtocolViolationError("the message does not hold the arrays that it must")
    return record


def _raw(array: Array, kind: str, *, width: int, most: int) -> bytes:
    """Give an array's bytes, if it says that they are `kind` of that width, and is not too long."""
    size = len(array.data)
    form = (array.stype, array.dtype, array.shape)
    if form != (RAW, kind, (size // width,)) or size % width or size > most:
        raise ProtocolViolationError("a message holds bytes of another form than was agreed")
    return array.data


def _opened(array: Array, kind: np.dtype[np.generic], shape: tuple[int, ...]) -> Numbers:
    """Give the numbers of an array, if the header in its bytes says that type and shape."""
    problem = ProtocolViolationError("a parameter does not have the study's shape and type")
    stream = io.BytesIO(array.data)
    try:
        version = np.lib.format.read_magic(stream)
        said, fortran, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=_HEADER)
    except (ValueError, SyntaxError, TypeError, RecursionError):
        raise problem from None
    start, size = stream.tell(), kind.itemsize * math.prod(shape)
    if version != (1, 0) or (said, dtype) != (shape, kind):
        raise problem
    if array.stype != "numpy.ndarray" or len(array.data) - start != size:
        raise problem
    found = np.frombuffer(array.data, dtype=kind, offset=start)
    return found.reshape(shape, order="F" if fortran else "C")
