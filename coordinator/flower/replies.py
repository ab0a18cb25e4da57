"""Answers of nodes, checked before a strategy or a sum sees them.

Flower checks neither the dtype nor the shape that an array declares against its bytes, and
opening an array allocates what its header claims. So the header is read first, and nothing
is opened that is not exactly what was asked for.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from flwr.app import Array, ArrayRecord, Message, MetricRecord

from models.errors import ProtocolViolationError

ARRAYS = "arrays"
METRICS = "metrics"
WEIGHT = "num-examples"
HEAVIEST = 1e9

_KIND = "numpy.ndarray"
_MOST_HEADER = 4096
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(<f4|<f8)', 'fortran_order': (False|True), "
    rb"'shape': \(((?:[0-9]{1,10}(?:, |,)?){0,8})\), \} {0,200}\n",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What an array must be: its dtype (numpy's name) and shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Give the bytes of such an array, without its header."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def room(forms: Mapping[str, Form]) -> int:
    """Give the largest size in bytes of a message that carries such arrays."""
    return 65_536 + sum(form.size + _MOST_HEADER for form in forms.values())


def read(
    message: Message, forms: Mapping[str, Form]
) -> tuple[dict[str, npt.NDArray[np.generic]], float]:
    """Give the arrays of an answer, in the order of `forms`, and its weight.

    Raises:
        ProtocolViolationError: a record, name, dtype, shape or number is not as it must be.
    """
    content = message.content
    arrays, metrics = content.get(ARRAYS), content.get(METRICS)
    if (
        set(content) != {ARRAYS, METRICS}
        or not isinstance(arrays, ArrayRecord)
        or not isinstance(metrics, MetricRecord)
    ):
        raise ProtocolViolationError("an answer with other records than arrays and metrics")
    if set(arrays) != set(forms):
        raise ProtocolViolationError("an answer with other arrays than were asked for")
    opened = {name: _open(name, arrays[name], form) for name, form in forms.items()}
    return opened, _weight(metrics)


def _weight(metrics: MetricRecord) -> float:
    weight = metrics.get(WEIGHT)
    if set(metrics) != {WEIGHT} or isinstance(weight, list) or weight is None:
        raise ProtocolViolationError("an answer with other metrics than its weight")
    if not 0 < weight <= HEAVIEST:  # NaN fails too
        raise ProtocolViolationError(f"a weight that is not above 0 and at most {HEAVIEST:g}")
    return float(weight)


def _open(name: str, array: Array, form: Form) -> npt.NDArray[np.generic]:
    header = _HEADER.match(array.data)
    if header is None:
        raise ProtocolViolationError(f"the array {name} cannot be read")
    descr, order, sizes = (part.decode() for part in header.groups())
    held = (np.dtype(descr).name, tuple(int(size) for size in sizes.split(",") if size.strip()))
    if not (held == (array.dtype, tuple(array.shape)) == (form.dtype, form.shape)):
        raise ProtocolViolationError(f"the array {name} has another dtype or shape")
    if array.stype != _KIND or len(array.data) - header.end() != form.size:
        raise ProtocolViolationError(f"the array {name} has another length than it says")
    opened = np.frombuffer(array.data, dtype=descr, offset=header.end())
    opened = opened.reshape(form.shape, order="F" if order == "True" else "C")
    if not np.isfinite(opened).all():
        raise ProtocolViolationError(f"the array {name} holds a number that is not finite")
    return opened
