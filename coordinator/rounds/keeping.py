"""What a run keeps: checkpoints, the answers it took, and at its end the release."""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine

from coordinator.ledger import chain
from coordinator.release import ReleaseBundle
from coordinator.rounds import checkpoint
from coordinator.rounds.checkpoint import Checkpoint
from coordinator.rounds.diary import Diary
from coordinator.store import releases, runs, totals
from coordinator.store.database import reading
from models.governance.any_study import AnyStudy
from models.governance.states import RunState


class Keeping:
    """The durable side of one run. What belongs together is kept in one transaction."""

    def __init__(
        self, *, study: AnyStudy, diary: Diary, database: Engine, clock: Callable[[], datetime]
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

    def since(self) -> tuple[tuple[int, bytes], ...]:
        """Give the number and the bytes of every step after the newest checkpoint, in order."""

        def found() -> tuple[tuple[int, bytes], ...]:
            with reading(self._database) as connection:
                return totals.load(connection, self._run_id)

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
        whole: bool = True,
    ) -> None:
        """Keep where the run stands after `step`, whose answers were those of `answered`.

        Nothing else may be asked before this returns. `whole`: whether `state` is all that the
        run goes on from; else it is what this step adds to the checkpoint and the steps since.
        """
        content = checkpoint.encode(state, departments=self._departments)

        def keep(connection: Connection) -> None:
            save = runs.save_checkpoint if whole else totals.add
            save(connection, self._run_id, round_number=done, content=content)
            self._received(connection, step, attempt, answered)

        self.diary.note(
            RunState.TRAINING, message, also=keep, rounds_done=done, departments=tuple(answered)
        )

    def mark(
        self, state: Checkpoint, *, message: str = "", rounds_total: int | None = None
    ) -> None:
        """Keep what a run that has no rounds to go on from would go on from."""
        content = checkpoint.encode(state, departments=self._departments)

        def keep(connection: Connection) -> None:
            runs.save_checkpoint(connection, self._run_id, round_number=0, content=content)

        self.diary.note(RunState.TRAINING, message, also=keep, rounds_total=rounds_total)

    def finished(self) -> int:
        """Give how many runs of the study have finished so far."""

        def found() -> int:
            with reading(self._database) as connection:
                return runs.finished_runs(connection, self._study)

        return self.diary.insist(found)

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
