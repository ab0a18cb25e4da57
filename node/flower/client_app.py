"""The node's ClientApp: what a department runs, and all that it runs.

The two handlers turn records into arrays and back; rules, charges and work are `node.gate.steps`.
Nothing in a message but the parameters, the round and the attempt is read: every setting
comes from the approved study.
"""

import io
import math
from collections.abc import Mapping
from typing import Protocol

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from models.errors import ProtocolViolationError
from models.families.network import NetworkSpec, shapes
from models.governance.study import Study
from node.gate.steps import WEIGHT, Floats, Values

ARRAYS, CONFIG, METRICS = "arrays", "config", "metrics"
ROUND, ATTEMPT, EXAMPLES = "server-round", "attempt", "num-examples"
_LIMIT = 1000
_HEADER = 1024


class Work(Protocol):
    """Does what a message asks for: `node.gate.steps.Steps` at every node."""

    study: Study

    def train(self, *, round_number: int, attempt: int, parameters: Mapping[str, Floats]) -> Values:
        """Give the released parameters and weight of one training round."""
        ...

    def evaluate(self, *, attempt: int, parameters: Mapping[str, Floats]) -> Values:
        """Give the released histograms of the held-out residents."""
        ...


def client_app(steps: Work) -> ClientApp:
    """Give the ClientApp of one run, whose work is done by `steps`."""
    app = ClientApp()
    expected = shapes(NetworkSpec.of(steps.study))

    @app.train()
    def train(message: Message, context: Context) -> Message:
        del context
        values = steps.train(
            round_number=_number(message.content, ROUND),
            attempt=_number(message.content, ATTEMPT, default=1),
            parameters=_parameters(message.content, expected),
        )
        # Every department counts alike, or by the noisy count that was paid for.
        equal = steps.study.training.weights == "equal"
        weight = 1.0 if equal else float(values[WEIGHT])
        arrays = {name: values[name] for name in expected}
        return _reply(message, arrays, weight)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        del context
        values = steps.evaluate(
            attempt=_number(message.content, ATTEMPT, default=1),
            parameters=_parameters(message.content, expected),
        )
        return _reply(message, values, 1.0)

    return app


def message_limit(study: Study) -> int:
    """Give the most bytes a message of the study's runs may have, either way."""
    sizes = shapes(NetworkSpec.of(study))
    return sum(4 * math.prod(shape) + 4096 for shape in sizes.values()) + (1 << 20)


def _reply(message: Message, values: Values, weight: float) -> Message:
    content = RecordDict(
        {
            ARRAYS: ArrayRecord({name: Array(values[name]) for name in values}),
            METRICS: MetricRecord({EXAMPLES: weight}),
        }
    )
    return Message(content, reply_to=message)


def _number(content: RecordDict, key: str, *, default: int | None = None) -> int:
    record = content.get(CONFIG)
    value = record.get(key, default) if isinstance(record, ConfigRecord) else None
    # A bool is an int to Python, and 1.0 equals 1: neither is a round.
    if type(value) is not int or not 1 <= value <= _LIMIT:
        raise ProtocolViolationError(f"the message has no {key} from 1 to {_LIMIT}")
    return value


def _parameters(content: RecordDict, expected: dict[str, tuple[int, ...]]) -> dict[str, Floats]:
    record = content.get(ARRAYS)
    if not isinstance(record, ArrayRecord) or set(record) != set(expected):
        raise ProtocolViolationError("the message does not hold the study's parameters")
    return {name: _opened(record[name], shape) for name, shape in expected.items()}


def _opened(array: Array, shape: tuple[int, ...]) -> Floats:
    """Give the numbers of an array, whose claimed type and shape Flower does not check.

    The header in the bytes is held against the study before anything is allocated for it.
    """
    problem = ProtocolViolationError("a parameter does not have the study's shape and type")
    stream = io.BytesIO(array.data)
    try:
        version = np.lib.format.read_magic(stream)
        said, fortran, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=_HEADER)
    except (ValueError, SyntaxError, TypeError, RecursionError):
        raise problem from None
    start, size = stream.tell(), 4 * math.prod(shape)
    if version != (1, 0) or (said, dtype) != (shape, np.dtype("<f4")):
        raise problem
    if array.stype != "numpy.ndarray" or len(array.data) - start != size:
        raise problem
    found = np.frombuffer(array.data, dtype="<f4", offset=start)
    return found.reshape(shape, order="F" if fortran else "C")
