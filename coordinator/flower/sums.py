"""The messages of a run with secure sums, and what came back, read exactly.

The names are those of `protos.sums`; how an answer is read is `coordinator.flower.keyed`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from flwr.app import Array, Message

from coordinator.flower.keyed import KeyMessages, document, elements, octets, opened, raw
from coordinator.flower.question import Question
from models import documents
from models.errors import ProtocolViolationError
from models.governance.study import Study
from models.secagg.contexts import Context
from models.secagg.node import Masked
from models.secagg.witness import MaskSum, SetRequest, SignedSet
from models.training import messages
from protos import sums

Arrays = Mapping[str, npt.NDArray[np.generic]]

_ROOM = 65_536
_DIGEST = 32
_PLAIN_TYPES = {messages.HISTOGRAM: sums.HISTOGRAM, messages.EVALUATE: sums.SCORES}


class SumMessages(KeyMessages):
    """What is asked of the members of one run, over their open streams.

    Args:
        study: what is summed.
        run_id: the run.
        nodes: the node id of each member: the departments, and the witness if there is one.
    """

    def __init__(self, *, study: Study, run_id: int, nodes: Mapping[str, int]) -> None:
        super().__init__(study=study, run_id=run_id, nodes=nodes, limit=largest_answer(study))

    def sum(
        self,
        names: Sequence[str],
        context: Context,
        arrays: Arrays,
        *,
        taken: Callable[[Masked], Any] | None = None,
    ) -> Question[Any]:
        """Ask departments for their masked sums in a context, computed with `arrays`.

        `taken`: what is done with an answer as it comes; what it gives is kept in its place.
        """
        digest, plan = context.digest(), context.plan

        def read(name: str, message: Message) -> Any:
            found = opened(message, {"context", "sum"})
            if octets(found["context"], most=_DIGEST).hex() != digest:
                raise ProtocolViolationError("computed under another context")
            payload = elements(found["sum"], ring=plan.ring, length=plan.length)
            masked = Masked(member=name, context=digest, payload=payload)
            return masked if taken is None else taken(masked)

        kind, config = _step(context)
        content = {name: Array(array) for name, array in arrays.items()}
        return self._ask(kind, names, read=read, config=config, arrays=content)

    def masks(self, witness: str, request: SetRequest) -> Question[MaskSum]:
        """Ask the witness for the sum of its masks with those who answered."""
        plan = request.context.plan

        def read(name: str, message: Message) -> MaskSum:
            del name
            found = opened(message, {"set", "sum"})
            return MaskSum(
                signed=document(SignedSet, found["set"], what="a set"),
                payload=elements(found["sum"], ring=plan.ring, length=plan.length),
            )

        content = {"request": raw(documents.write(request))}
        return self._ask(sums.MASKS, (witness,), read=read, arrays=content)


def largest_answer(study: Study) -> int:
    """Give the most bytes that an answer in a run of the study may have."""
    shapes = set(messages.sums(study).values())
    return _ROOM + sums.MOST_RAW + max(shape.length * shape.ring.octets for shape in shapes)


def _step(context: Context) -> tuple[str, dict[str, int]]:
    """Give the type and the numbers of the message that asks for a step."""
    plain = _PLAIN_TYPES.get(context.step)
    if plain is not None:
        return plain, {"attempt": context.attempt}
    number = int(context.step.removeprefix(messages.train(0).removesuffix("0")))
    return sums.STEP, {"step": number, "attempt": context.attempt}
