"""The course of a run with federated averaging under masks: rounds, evaluation, release."""

from collections.abc import Sequence
from typing import Any

from coordinator import release
from coordinator.aggregation.sums import FINAL, Summed, Sums
from coordinator.flower.engine import FIRST_ATTEMPT, Rounds
from coordinator.flower.question import Outcome, Question
from coordinator.flower.sums import SumMessages
from coordinator.rounds import checkpoint, finish
from coordinator.rounds.asking import Asking
from coordinator.rounds.checkpoint import Checkpoint
from coordinator.rounds.keeping import Keeping
from models.errors import RunFailedError
from models.evaluation.metrics import Metrics
from models.governance.states import RunState
from models.governance.study import Study
from models.training import averaged
from models.training import messages as steps
from models.training.messages import EVALUATE


class AveragingSums:
    """Rounds in which departments train by themselves and only sums of their updates are seen.

    An answer is entered as that of attempt 1, whichever attempt at the sum it came in: that is
    what a department charges, once, and masks again (`node.gate.averaged_sums`).
    """

    def __init__(
        self,
        *,
        study: Study,
        rounds: Rounds,
        messages: SumMessages,
        asking: Asking,
        keeping: Keeping,
    ) -> None:
        self._study = study
        self._model = rounds
        self._asking = asking
        self._keeping = keeping
        self._diary = keeping.diary
        self._phase = RunState.TRAINING
        self._rounds: tuple[tuple[str, ...], ...] = ()
        self._sums = Sums(
            study=study, run_id=self._diary.status.run_id, messages=messages, ask=self._ask
        )

    def go(self) -> None:
        """Go on from the last completed round to the release."""
        status = self._diary.status
        if status.rounds_done:
            self._restore(status.rounds_done)
        for number in range(status.rounds_done + 1, status.rounds_total + 1):
            self._round(number)
        self._finish()

    def _restore(self, done: int) -> None:
        kept = self._keeping.load()
        if kept is None or kept[0] != done:
            raise RunFailedError("the checkpoint of the last completed round is missing")
        found = checkpoint.decode(kept[1], departments=self._study.departments, round_number=done)
        self._model.restore(parameters=found.parameters, state=found.state)
        self._rounds = found.rounds

    def _round(self, number: int) -> None:
        """Do one round; the next one begins only when this one's checkpoint is durable."""
        name = steps.train(number)
        found = self._sums.total(name, self._model.parameters)
        mean, weight = averaged.mean(self._study, found.total.values)
        self._model.fold_mean(number, mean, weight)
        answered = self._in_order(found)
        self._rounds = (*self._rounds, answered)
        self._keeping.advance(
            Checkpoint(
                parameters=self._model.parameters, state=self._model.state(), rounds=self._rounds
            ),
            done=number,
            step=name,
            attempt=FIRST_ATTEMPT,
            answered=answered,
            message=f"round {number} went on without: {found.without}" if found.without else "",
        )

    def _finish(self) -> None:
        figures: Metrics | None = None
        evaluated_by: tuple[str, ...] = ()
        self._phase = RunState.EVALUATING
        self._diary.note(RunState.EVALUATING)
        if finish.evaluated(self._study):
            found = self._sums.total(EVALUATE, self._model.parameters)
            evaluated_by = self._in_order(found)
            figures = finish.summed_quality(self._study, found.total)
        bundle = release.build(
            study=self._study,
            run_id=self._diary.status.run_id,
            parameters=self._model.parameters,
            metrics=figures,
            departments_by_round=self._rounds,
            evaluated_by=evaluated_by,
            created_at=self._keeping.clock(),
        )
        self._keeping.finish(
            bundle, step=EVALUATE, attempt=FIRST_ATTEMPT, evaluated_by=evaluated_by
        )

    def _ask(self, question: Question[Any], *, cohort: Sequence[str], minimum: int) -> Outcome:
        return self._asking.ask(
            question, cohort=cohort, minimum=minimum, phase=self._phase, final=FINAL
        )

    def _in_order(self, found: Summed) -> tuple[str, ...]:
        return tuple(name for name in self._study.departments if name in found.total.members)
