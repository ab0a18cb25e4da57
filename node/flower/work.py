"""One run's messages at the node: bytes in, bytes out, through the installed ClientApp."""

from collections.abc import Callable

from models.governance.study import Study
from node.flower.adapter import answer, context_of
from node.flower.client_app import client_app, message_limit
from node.gate.steps import Steps


class RunWork:
    """What a run's stream is answered with."""

    def __init__(
        self,
        *,
        study: Study,
        run_id: int,
        node_id: int,
        steps: Steps,
        failed: Callable[[Exception], None],
    ) -> None:
        """Make the run's ClientApp and context; `failed` hears why a step was not done."""
        self._app = client_app(steps)
        self._context = context_of(run_id, node_id)
        self._steps = steps
        self._failed = failed
        self._limit = message_limit(study)

    @property
    def limit(self) -> int:
        """Give the most bytes a message of the run may have."""
        return self._limit

    def answer(self, data: bytes) -> bytes:
        """Give the reply to a message; see `node.flower.adapter.answer`."""
        return answer(self._app, self._context, data, failed=self._failed)

    def close(self) -> None:
        """Remove what was prepared from the records."""
        self._steps.close()
