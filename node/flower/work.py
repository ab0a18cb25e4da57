"""One run's messages at the node: bytes in, bytes out, through the installed ClientApp."""

from collections.abc import Callable

from models.governance.any_study import AnyStudy
from models.governance.linked import LinkedStudy
from node.flower import client_app as averaging
from node.flower import linked_app as linking
from node.flower import sum_app as summing
from node.flower.adapter import Served, answer, context_of
from node.gate.averaged_sums import AveragedSums
from node.gate.linked_part import LinkedPart
from node.gate.steps import Steps
from node.gate.sums import Sums
from node.gate.witness import Witness

Work = Steps | Sums | AveragedSums | Witness | LinkedPart
"""What a node does in a run: it follows from the approved study, and from who the node is."""


class RunWork:
    """What a run's stream is answered with."""

    def __init__(
        self,
        *,
        study: AnyStudy,
        run_id: int,
        node_id: int,
        steps: Work,
        failed: Callable[[Exception], None],
    ) -> None:
        """Make the run's ClientApp and context; `failed` hears why a step was not done."""
        self._served = _served(steps)
        self._context = context_of(run_id, node_id)
        self._steps = steps
        self._failed = failed
        self._limit = _limit(study, steps)

    @property
    def limit(self) -> int:
        """Give the most bytes a message of the run may have."""
        return self._limit

    def answer(self, data: bytes) -> bytes:
        """Give the reply to a message; see `node.flower.adapter.answer`."""
        return answer(self._served, self._context, data, failed=self._failed)

    def close(self) -> None:
        """Remove what was prepared from the records."""
        self._steps.close()


def _limit(study: AnyStudy, work: Work) -> int:
    if isinstance(study, LinkedStudy):
        return linking.message_limit(study)
    limit = averaging.message_limit if isinstance(work, Steps) else summing.message_limit
    return limit(study)


def _served(work: Work) -> Served:
    match work:
        case LinkedPart():
            return Served(app=linking.linked_app(work), accepted=linking.accepted(work))
        case Steps():
            return Served(app=averaging.client_app(work), accepted=averaging.ACCEPTED)
        case Sums() | AveragedSums():
            return Served(app=summing.sum_app(work), accepted=summing.FOR_DEPARTMENTS)
        case Witness():
            return Served(app=summing.witness_app(work), accepted=summing.FOR_WITNESSES)
