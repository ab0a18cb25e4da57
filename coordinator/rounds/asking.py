"""One question to a run's nodes: asked, waited for openly, and answered or not."""

import logging
import time
from collections.abc import Sequence
from typing import Any

from coordinator.fleet.presence import Presence
from coordinator.flower.grid import Standing, StreamGrid
from coordinator.flower.question import Outcome, Question
from coordinator.rounds import cohort as rules
from coordinator.rounds.diary import Diary, Halt
from coordinator.rounds.settings import RunSettings
from models.errors import RunFailedError
from models.governance.answers import Fault
from models.governance.states import RunState

_log = logging.getLogger(__name__)

_FOR_GOOD = {Fault.REFUSED: "refused", Fault.BUDGET_EXHAUSTED: "has no privacy budget left"}
_MISFIT = "sent an answer that does not fit the study"


class Asking:
    """Waits for answers; remembers who takes no further part in the run, and who keeps silent.

    A question that goes on without a department that has its stream is waited for once: the next
    ones are asked of that department too, and go on without it until it has said something.
    """

    def __init__(
        self,
        *,
        grid: StreamGrid,
        diary: Diary,
        halt: Halt,
        presence: Presence,
        settings: RunSettings,
    ) -> None:
        self.grid = grid
        self.diary = diary
        self._halt = halt
        self._presence = presence
        self._settings = settings
        self._left_out: dict[str, str] = {}
        self._slow: dict[str, int] = {}

    def ask(
        self,
        question: Question[Any],
        *,
        cohort: Sequence[str],
        minimum: int,
        phase: RunState,
        final: frozenset[Fault] = frozenset(),
        who: str = "departments",
    ) -> Outcome:
        """Wait until the question is answered by at least `minimum` of `cohort`.

        Args:
            question: what was asked, of those of `cohort` that still take part.
            cohort: who may answer.
            minimum: how many must.
            phase: the run's state while answers are on their way.
            final: what a department says that will never answer this very question. If too few
                are left because of that, the outcome is that there are not enough.
            who: what those of `cohort` are called.

        Raises:
            RunFailedError: too few departments will ever answer anything.
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
                roll = rules.Roll(
                    cohort=tuple(cohort),
                    minimum=minimum,
                    answered=question.answers,
                    failed=question.faults,
                    left_out={n: why for n, why in self._left_out.items() if n in cohort},
                    connected=self._presence.connected(),
                    absent={n: s for n, s in standing.absent.items() if n in cohort},
                    asked_for=time.monotonic() - began,
                    slow={n for n, said in self._slow.items() if standing.said.get(n) == said},
                    who=who,
                )
                verdict = rules.judge(roll, self._settings)
                if isinstance(verdict, rules.Impossible):
                    raise RunFailedError(verdict.message)
                done = _outcome(verdict, roll, question, final)
                if done is not None:
                    if done.enough:  # else nobody was given the time to answer
                        self._remember(roll, question, standing)
                    return done
                seconds = verdict.seconds if isinstance(verdict, rules.Going) else 0.0
                if isinstance(verdict, rules.Short):
                    self._wait_openly(verdict.message)
                    seconds = min(verdict.seconds, self._retry(question, retry_at, final))
                elif isinstance(verdict, rules.Going) and verdict.enough:
                    self._show(phase)
                self.grid.wait(change=standing.change, seconds=seconds)
        finally:
            question.close()

    def _remember(self, roll: rules.Roll, question: Question[Any], standing: Standing) -> None:
        """Note who let the question pass, and how much each of them had said until then."""
        for name in roll.cohort:
            if name in question.answers or name in question.faults or name in roll.left_out:
                self._slow.pop(name, None)
            elif name not in roll.absent:
                self._slow[name] = standing.said.get(name, 0)

    def _show(self, phase: RunState) -> None:
        if self.diary.status.state is not phase:
            self.diary.note(phase)

    def _leave_out(self, question: Question[Any]) -> None:
        reasons = {name: f"{_MISFIT} ({why})" for name, why in question.misfits.items()}
        for department, fault in question.faults.items():
            if fault in _FOR_GOOD:
                reasons[department] = _FOR_GOOD[fault]
        for department in reasons.keys() - self._left_out.keys():
            run_id = self.diary.status.run_id
            _log.warning("run %s: %s %s", run_id, department, reasons[department])
            self._left_out[department] = reasons[department]
            question.faults.pop(department, None)
            self.grid.leave_out(department)

    def _wait_openly(self, message: str) -> None:
        if self.diary.status.state is not RunState.WAITING:
            self.diary.note(RunState.WAITING, message)
        else:
            self.diary.mention(message)

    def _retry(
        self, question: Question[Any], retry_at: dict[str, float], final: frozenset[Fault]
    ) -> float:
        """Ask those again whose time has come; give the seconds until the next one's."""
        now = time.monotonic()
        for department, fault in tuple(question.faults.items()):
            if fault in final:
                continue
            due = retry_at.setdefault(department, now + self._settings.retry_seconds)
            if now >= due:
                del retry_at[department]
                question.again(department)
        return max(0.01, min(retry_at.values(), default=now + self._settings.retry_seconds) - now)


def _outcome(
    verdict: rules.Verdict, roll: rules.Roll, question: Question[Any], final: frozenset[Fault]
) -> Outcome | None:
    """Give how the question ended, or None if it goes on."""
    faults = {name: fault for name, fault in question.faults.items() if name in roll.cohort}
    if isinstance(verdict, rules.Proceed):
        return Outcome(enough=True, without=verdict.without, faults=faults)
    lost = {name: fault for name, fault in faults.items() if fault in final}
    able = [name for name in roll.cohort if name not in roll.left_out and name not in lost]
    if lost and len(able) < roll.minimum:
        return Outcome(enough=False, without="", faults=lost)
    return None
