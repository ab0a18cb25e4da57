"""The node's ClientApp for secure sums: that of a department, and that of a witness.

The handlers turn records into arrays and documents, and back; rules, charges and work are
`node.gate.sums`, `node.gate.averaged_sums` and `node.gate.witness`. The names on the wire are in
`protos.sums`.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from models import documents
from models.governance.study import Study
from models.secagg.witness import MaskSum, SetRequest
from models.training import messages
from node.flower.keys_app import Joiner, action, joining_app, reply
from node.flower.records import Forms, Numbers, document, elements, number, numbers, octets
from node.gate.sums import Answer
from protos.sums import HISTOGRAM, JOIN, MASKS, MOST_RAW, OFFER, SCORES, STEP

FOR_DEPARTMENTS = frozenset({OFFER, JOIN, HISTOGRAM, STEP, SCORES})
FOR_WITNESSES = frozenset({OFFER, JOIN, MASKS})
"""The message types that each answers: the other's are refused."""

_STEPS, _ATTEMPTS = 9999, 1000


class Summing(Joiner, Protocol):
    """Does a department's part: `node.gate.sums.Sums`, or `AveragedSums` beside it."""

    study: Study

    def histogram(self, *, attempt: int) -> Answer:
        """Give the masked histogram of levels and outcomes."""
        ...

    def step(self, *, number: int, attempt: int, arrays: Mapping[str, Numbers]) -> Answer:
        """Give the masked sum of gradients."""
        ...

    def evaluate(self, *, attempt: int, arrays: Mapping[str, Numbers]) -> Answer:
        """Give the masked histogram of scores."""
        ...


class Witnessing(Joiner, Protocol):
    """Does the witness's part: `node.gate.witness.Witness`."""

    def masks(self, request: SetRequest) -> MaskSum:
        """Give the sum of the masks of a set."""
        ...


def sum_app(sums: Summing) -> ClientApp:
    """Give the ClientApp of one run at a department, whose work is done by `sums`."""
    app = joining_app(sums)
    asked = messages.forms(sums.study)
    model = messages.model_forms(sums.study)

    @app.train(action(HISTOGRAM))
    def histogram(message: Message, context: Context) -> Message:
        del context
        return _answered(message, sums.histogram(attempt=_attempt(message)))

    @app.train(action(STEP))
    def step(message: Message, context: Context) -> Message:
        del context
        answer = sums.step(
            number=number(message.content, "step", most=_STEPS),
            attempt=_attempt(message),
            arrays=numbers(message.content, asked),
        )
        return _answered(message, answer)

    @app.evaluate(action(SCORES))
    def scores(message: Message, context: Context) -> Message:
        del context
        arrays = numbers(message.content, model)
        return _answered(message, sums.evaluate(attempt=_attempt(message), arrays=arrays))

    return app


def witness_app(witness: Witnessing) -> ClientApp:
    """Give the ClientApp of one run at its witness."""
    app = joining_app(witness)

    @app.query(action(MASKS))
    def masks(message: Message, context: Context) -> Message:
        del context
        request = document(message.content, SetRequest, name="request")
        found = witness.masks(request)
        words = request.context.plan.ring.read(found.payload, length=request.context.plan.length)
        return reply(
            message, {"set": octets(documents.write(found.signed)), "sum": elements(words)}
        )

    return app


def message_limit(study: Study) -> int:
    """Give the most bytes a message of the study's runs may have, either way."""
    sums = [8 * summed.length for summed in messages.sums(study).values()]
    asked = [_size(messages.forms(study)), _size(messages.model_forms(study))]
    return max(sums + asked) + 2 * MOST_RAW


def _size(forms: Forms) -> int:
    sizes = (np.dtype(kind).itemsize * np.prod(shape, dtype=int) for kind, shape in forms.values())
    return sum(int(size) + 4096 for size in sizes)


def _attempt(message: Message) -> int:
    return number(message.content, "attempt", most=_ATTEMPTS)


def _answered(message: Message, answer: Answer) -> Message:
    context = octets(bytes.fromhex(answer.context))
    return reply(message, {"context": context, "sum": elements(answer.words)})
