"""One run, in a thread of its own: rounds, checkpoints, evaluation, release."""

import logging
import time
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, Engine

from coordinator import release
from coordinator.fleet.presence import Presence
from coordinator.flower import engine as flower
from coordinator.flower.grid import StreamGrid
from coordinator.rounds import checkpoint, cohort, finish
from coordinator.rounds.checkpoint import Checkpoint
from coordinator.rounds.diary import Diary, Halt, Left, Stopped
from coordinator.rounds.settings import RunSettings
from coordinator.store import releases, runs
from coordinator.store.database import reading
from models.errors import DatalabbetError, RunFailedError
from models.evaluation.metrics import Metrics
from models.governance.answers import Fault
from models.governance.states import RunState
from models.governance.study import Study

_log = logging.getLogger(__name__)

_FOR_GOOD = {Fault.REFUSED: "refused", Fault.BUDGET_EXHAUSTED: "has no privacy budget left"}
_MISFIT = "sent an answer that does not fit the study"
RESTARTED = "the coordinator was restarted: waiting for the departments to connect again"


class Runner:
    """Moves one run from where it stands to its end."""

    def __init__(
        self,
        *,
        study: Study,
        engine: flower.Engine,
        diary: Diary,
        halt: Halt,
        database: Engine,
        presence: Presence,
        settings: RunSettings,
        clock: Callable[[], datetime],
    ) -> None:
        self._study = study
        self._engine = engine
        self._diary = diary
        self._halt = halt
        self._database = database
        self._presence = presence
        self._settings = settings
        self._clock = clock
        self._left_out: dict[str, str] = {}
        self._rounds: tuple[tuple[str, ...], ...] = ()
        self._run_id = diary.status.run_id

    @property
    def grid(self) -> StreamGrid:
        """Give the grid that the nodes' streams attach to."""
        return self._engine.grid

    def interrupt(self, *, stop: bool) -> None:
        """Stop the run for good, or (`stop` false) only this thread, for a later `resume`."""
        if stop:
            self._halt.stop()
        else:
            self._halt.leave()
        self.grid.wake()

    def run(self) -> None:
        """Go on until the run has ended or is interrupted. Raises nothing."""
        try:
            self._run_to_its_end()
        except Left:
            _log.info("run %s: left, to be resumed", self._run_id)
        except Exception:  # noqa: BLE001 - the outermost place of the thread
            _log.exception("run %s: its end could not be kept", self._run_id)
        finally:
            self.grid.close()

    def _run_to_its_end(self) -> None:
        try:
            self._go()
        except Stopped:
            self._halt.obey()
            self._diary.note(RunState.STOPPED, "stopped by the central team")
        except Left:
            raise
        except DatalabbetError as error:
            hint = f" {error.hint}" if error.hint else ""
            self._diary.note(RunState.FAILED, f"{error.message}.{hint}")
        except Exception:  # noqa: BLE001 - whatever it is, the run must not hang
            _log.exception("run %s: an unexpected error", self._run_id)
            self._diary.note(RunState.FAILED, "an unexpected error; the coordinator's log has it")

    def _go(self) -> None:
        status = self._diary.status
        if status.rounds_done:
            self._restore(status.rounds_done)
        if status.state is not RunState.STARTING:
            self._diary.note(RunState.WAITING, RESTARTED)
        for number in range(status.rounds_done + 1, status.rounds_total + 1):
            self._round(number)
        self._finish()

    def _restore(self, rounds_done: int) -> None:
        def load() -> tuple[int, bytes] | None:
            with reading(self._database) as connection:
                return runs.load_checkpoint(connection, self._run_id)

        kept = self._diary.insist(load)
        if kept is None or kept[0] != rounds_done:
            raise RunFailedError("the checkpoint of the last completed round is missing")
        found = checkpoint.decode(
            kept[1], departments=self._study.departments, round_number=rounds_done
        )
        self._engine.restore(parameters=found.parameters, state=found.state)
        self._rounds = found.rounds

    def _round(self, number: int) -> None:
        """Do one round; the next one begins only when this one's checkpoint is durable."""
        question = self._engine.ask_training(number)
        without = self._ask(question, RunState.TRAINING)
        self._engine.fold(number, question.answers)
        answered = self._in_order(question)
        self._rounds = (*self._rounds, answered)
        state = Checkpoint(
            parameters=self._engine.parameters, state=self._engine.state(), rounds=self._rounds
        )
        content = checkpoint.encode(state, departments=self._study.departments)

        def keep(connection: Connection) -> None:
            runs.save_checkpoint(connection, self._run_id, round_number=number, content=content)

        message = f"round {number} went on without: {without}" if without else ""
        self._diary.note(
            RunState.TRAINING, message, also=keep, rounds_done=number, departments=answered
        )

    def _finish(self) -> None:
        figures: Metrics | None = None
        evaluated_by: tuple[str, ...] = ()
        self._diary.note(RunState.EVALUATING)
        if finish.evaluated(self._study):
            question = self._engine.ask_evaluation(self._diary.status.rounds_total)
            self._ask(question, RunState.EVALUATING)
            evaluated_by = self._in_order(question)
            arrays = {name: answer.arrays for name, answer in question.answers.items()}
            figures = finish.quality(self._study, arrays)
        bundle = release.build(
            study=self._study,
            run_id=self._run_id,
            parameters=self._engine.parameters,
            metrics=figures,
            departments_by_round=self._rounds,
            evaluated_by=evaluated_by,
            created_at=self._clock(),
        )

        def keep(connection: Connection) -> None:
            releases.save(connection, record=bundle.record, files=bundle.files)

        self._diary.note(RunState.FINISHED, also=keep)

    def _in_order(self, question: flower.Question) -> tuple[str, ...]:
        return tuple(name for name in self._study.departments if name in question.answers)

    # --- one question ---

    def _ask(self, question: flower.Question, phase: RunState) -> str:
        """Wait until the question is answered; give who did not answer and why.

        Raises:
            RunFailedError: too few departments will ever answer.
            Stopped, Left: the run was interrupted.
        """
        began = time.monotonic()
        retry_at: dict[str, float] = {}
        try:
            while True:
                standing = self.grid.standing()  # first: what comes later wakes `wait`
                self._halt.check()
                question.collect()
                self._leave_out(question)
                verdict = cohort.judge(
                    cohort.Roll(
                        cohort=self._study.departments,
                        minimum=self._study.minimum_cohort,
                        answered=question.answers,
                        failed=question.faults,
                        left_out=self._left_out,
                        connected=self._presence.connected(),
                        absent=standing.absent,
                        asked_for=time.monotonic() - began,
                    ),
                    self._settings,
                )
                if isinstance(verdict, cohort.Proceed):
                    return verdict.without
                if isinstance(verdict, cohort.Impossible):
                    raise RunFailedError(verdict.message)
                seconds = verdict.seconds
                if isinstance(verdict, cohort.Short):
                    self._wait_openly(verdict.message)
                    seconds = min(seconds, self._retry(question, retry_at))
                elif verdict.enough and self._diary.status.state is not phase:
                    self._diary.note(phase)
                self.grid.wait(change=standing.change, seconds=seconds)
        finally:
            question.close()

    def _leave_out(self, question: flower.Question) -> None:
        reasons = dict.fromkeys(question.misfits, _MISFIT)
        for department, fault in question.faults.items():
            if fault in _FOR_GOOD:
                reasons[department] = _FOR_GOOD[fault]
        for department in reasons.keys() - self._left_out.keys():
            _log.warning("run %s: %s %s", self._run_id, department, reasons[department])
            self._left_out[department] = reasons[department]
            question.faults.pop(department, None)
            self.grid.leave_out(department)

    def _wait_openly(self, message: str) -> None:
        status = self._diary.status
        if status.state is not RunState.WAITING or status.message != message:
            self._diary.note(RunState.WAITING, message)

    def _retry(self, question: flower.Question, retry_at: dict[str, float]) -> float:
        """Ask those again whose time has come; give the seconds until the next one's."""
        now = time.monotonic()
        for department in tuple(question.faults):
            due = retry_at.setdefault(department, now + self._settings.retry_seconds)
            if now >= due:
                del retry_at[department]
                question.again(department)
        return max(0.01, min(retry_at.values(), default=now + self._settings.retry_seconds) - now)
