"""The course of a run with federated averaging: rounds, evaluation, release."""

from coordinator import release
from coordinator.flower import engine as flower
from coordinator.flower.engine import Answer
from coordinator.flower.question import Question
from coordinator.rounds import checkpoint, finish
from coordinator.rounds.asking import Asking
from coordinator.rounds.checkpoint import Checkpoint
from coordinator.rounds.keeping import Keeping
from models.errors import RunFailedError
from models.evaluation.metrics import Metrics
from models.governance.states import RunState
from models.governance.study import Study

_EVALUATE = "evaluate"


class Averaging:
    """Rounds in which departments train by themselves and their parameters are averaged."""

    def __init__(
        self, *, study: Study, engine: flower.Engine, asking: Asking, keeping: Keeping
    ) -> None:
        self._study = study
        self._engine = engine
        self._asking = asking
        self._keeping = keeping
        self._diary = keeping.diary
        self._rounds: tuple[tuple[str, ...], ...] = ()

    def go(self) -> None:
        """Go on from the last completed round to the release."""
        status = self._diary.status
        if status.rounds_done:
            self._restore(status.rounds_done)
        for number in range(status.rounds_done + 1, status.rounds_total + 1):
            self._round(number)
        self._finish()

    def _restore(self, rounds_done: int) -> None:
        kept = self._keeping.load()
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
        self._keeping.advance(
            Checkpoint(
                parameters=self._engine.parameters, state=self._engine.state(), rounds=self._rounds
            ),
            done=number,
            step=f"train/{number}",
            attempt=flower.FIRST_ATTEMPT,
            answered=answered,
            message=f"round {number} went on without: {without}" if without else "",
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
            run_id=self._diary.status.run_id,
            parameters=self._engine.parameters,
            metrics=figures,
            departments_by_round=self._rounds,
            evaluated_by=evaluated_by,
            created_at=self._keeping.clock(),
        )
        self._keeping.finish(
            bundle, step=_EVALUATE, attempt=flower.FIRST_ATTEMPT, evaluated_by=evaluated_by
        )

    def _ask(self, question: Question[Answer], phase: RunState) -> str:
        study = self._study
        found = self._asking.ask(
            question, cohort=study.departments, minimum=study.minimum_cohort, phase=phase
        )
        return found.without

    def _in_order(self, question: Question[Answer]) -> tuple[str, ...]:
        return tuple(name for name in self._study.departments if name in question.answers)
