"""The node's ClientApp: what a department runs, and all that it runs.

The two handlers turn records into arrays and back; rules, charges and work are `node.gate.steps`.
Nothing in a message but the parameters, the round and the attempt is read: every setting
comes from the approved study.
"""

import math
from collections.abc import Mapping
from typing import Protocol

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from models.families.network import NetworkSpec, shapes
from models.governance.study import Study
from node.flower.records import ARRAYS, Forms, number, numbers
from node.gate.steps import WEIGHT, Floats, Values

METRICS = "metrics"
ROUND, ATTEMPT, EXAMPLES = "server-round", "attempt", "num-examples"
ACCEPTED = frozenset({"train", "evaluate"})
"""The message types that are answered. Flower also knows `query` and `system`: both are refused."""

_LIMIT = 1000


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
    forms: Forms = {name: ("float32", shape) for name, shape in expected.items()}

    @app.train()
    def train(message: Message, context: Context) -> Message:
        del context
        values = steps.train(
            round_number=number(message.content, ROUND, most=_LIMIT),
            attempt=number(message.content, ATTEMPT, most=_LIMIT, default=1),
            parameters=_parameters(message.content, forms),
        )
        # Every department counts alike, or by the noisy count that was paid for.
        equal = steps.study.averaging.weights == "equal"
        weight = 1.0 if equal else float(values[WEIGHT])
        arrays = {name: values[name] for name in expected}
        return _reply(message, arrays, weight)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        del context
        values = steps.evaluate(
            attempt=number(message.content, ATTEMPT, most=_LIMIT, default=1),
            parameters=_parameters(message.content, forms),
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


def _parameters(content: RecordDict, forms: Forms) -> dict[str, Floats]:
    found = numbers(content, forms)
    return {name: array.astype(np.float32, copy=False) for name, array in found.items()}
