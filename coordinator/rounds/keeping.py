"""What a run keeps: checkpoints, the answers it took, and at its end the release."""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine

from coordinator.ledger import chain
from coordinator.release import ReleaseBundle
from coordinator.rounds import checkpoint
from coordinator.rounds.checkpoint import Checkpoint
from coordinator.rounds.diary import Diary
from coordinator.store import releases, runs
from coordinator.store.database import reading
from models.governance.states import RunState
from models.governance.study import Study


class Keeping:
    """The durable side of one run. What belongs together is kept in one transaction."""

    def __init__(
        self, *, study: Study, diary: Diary, database: Engine, clock: Callable[[], datetime]
    ) -> None:
        self.diary = diary
        self.clock = clock
        self._departments = study.departments
        self._study = study.digest()
        self._run_id = diary.status.run_id
        self._database = database

    def load(self) -> tuple[int, bytes] | None:
        """Give the number and the bytes of the newest checkpoint, or None."""

        def found() -> tuple[int, bytes] | None:
            with reading(self._database) as connection:
                return runs.load_checkpoint(connection, self._run_id)

        return self.diary.insist(found)

    def advance(
        self,
        state: Checkpoint,
        *,
        done: int,
        step: str,
        attempt: int,
        answered: Sequence[str],
        message: str,
    ) -> None:
        """Keep where the run stands after `step`, whose answers were those of `answered`.

        Nothing else may be asked before this returns.
        """
        content = checkpoint.encode(state, departments=self._departments)

        def keep(connection: Connection) -> None:
            runs.save_checkpoint(connection, self._run_id, round_number=done, content=content)
            self._received(connection, step, attempt, answered)

        self.diary.note(
            RunState.TRAINING, message, also=keep, rounds_done=done, departments=tuple(answered)
        )

    def finish(
        self, bundle: ReleaseBundle, *, step: str, attempt: int, evaluated_by: Sequence[str]
    ) -> None:
        """Keep the release; `evaluated_by` answered the evaluation, which is called `step`."""

        def keep(connection: Connection) -> None:
            releases.save(connection, record=bundle.record, files=bundle.files)
            self._received(connection, step, attempt, evaluated_by)

        self.diary.note(RunState.FINISHED, also=keep)

    def _received(
        self, connection: Connection, step: str, attempt: int, answered: Sequence[str]
    ) -> None:
        if answered:
            chain.received(
                connection,
                departments=answered,
                study=self._study,
                run=self._run_id,
                step=step,
                attempt=attempt,
                at=self.clock(),
            )
