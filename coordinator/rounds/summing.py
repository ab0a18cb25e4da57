"""The course of a run with secure sums: one histogram, the steps, evaluation, release."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from coordinator import release
from coordinator.aggregation.sums import FINAL, Summed, Sums
from coordinator.flower.question import Outcome, Question
from coordinator.flower.sums import SumMessages
from coordinator.release.sum_costs import Answered
from coordinator.rounds import checkpoint, finish
from coordinator.rounds.asking import Asking
from coordinator.rounds.checkpoint import Checkpoint
from coordinator.rounds.keeping import Keeping
from models.errors import RunFailedError
from models.evaluation.metrics import Metrics
from models.governance.states import RunState
from models.governance.study import Study
from models.training import messages, steps
from models.training.messages import EVALUATE, HISTOGRAM
from models.training.steps import Progress
from models.training.studies import training_plan

_TOTAL = "total"
_WHOLE = 20
"""So many steps pass between two whole checkpoints; a restart takes them again from their sums."""
_OTHER_STEP = "the checkpoint is of another step than the run's"


class Summing:
    """Steps each of which is one secure sum; the coordinator sees nothing but the sums."""

    def __init__(
        self, *, study: Study, messages: SumMessages, asking: Asking, keeping: Keeping
    ) -> None:
        self._study = study
        self._plan = training_plan(study)
        self._asking = asking
        self._keeping = keeping
        self._diary = keeping.diary
        self._phase = RunState.TRAINING
        self._summed: tuple[tuple[str, ...], ...] = ()
        self._attempts: tuple[int, ...] = ()
        self._since = 0
        self._sums = Sums(
            study=study, run_id=self._diary.status.run_id, messages=messages, ask=self._ask
        )

    def go(self) -> None:
        """Go on from the last completed step to the release."""
        at = self._restored() or self._begun()
        for number in range(at.step + 1, self._diary.status.rounds_total + 1):
            at = self._step(at, number)
        self._finish(steps.parameters(self._plan, at))

    @property
    def _first(self) -> int:
        """Give how many sums come before the first step."""
        return int(HISTOGRAM in self._plan.sums)

    def _restored(self) -> Progress | None:
        done = self._diary.status.rounds_done
        kept = self._keeping.load()
        if kept is None and not done:
            return None
        if kept is None or kept[0] > done:
            raise RunFailedError("the checkpoint of the last completed step is missing")
        found = checkpoint.decode(
            kept[1], departments=self._study.departments, round_number=self._first + kept[0]
        )
        self._summed, self._attempts = found.rounds, found.attempts
        if len(self._attempts) != len(self._summed):
            raise RunFailedError("the checkpoint does not say in which attempts its sums came")
        at = steps.restore(self._plan, found.state)
        for step, content in self._keeping.since():
            if step != at.step + 1:
                raise RunFailedError(_OTHER_STEP)
            at = self._again(at, content)
        if at.step != done:
            raise RunFailedError(_OTHER_STEP)
        return at

    def _again(self, at: Progress, content: bytes) -> Progress:
        """Take a step once more whose sum was kept: everything after the sum is exact."""
        found = checkpoint.decode(content, departments=self._study.departments, round_number=1)
        if set(found.state) != {_TOTAL} or len(found.attempts) != 1:
            raise RunFailedError("the sum of a step since the checkpoint is missing")
        self._summed, self._attempts = self._summed + found.rounds, self._attempts + found.attempts
        self._since += 1
        return steps.advanced(self._plan, at, found.state[_TOTAL].astype(np.int64))

    def _begun(self) -> Progress:
        """Give where the training starts: from the sum of histograms, if the plan has one."""
        if HISTOGRAM not in self._plan.sums:
            return steps.start(self._plan, None)
        found = self._sums.total(HISTOGRAM, {})
        at = steps.start(self._plan, found.total.values)
        self._keep(at, found, HISTOGRAM)
        return at

    def _step(self, at: Progress, number: int) -> Progress:
        """Do one step; the next one begins only when this one's checkpoint is durable."""
        name = messages.train(number)
        found = self._sums.total(name, steps.question(self._plan, at))
        then = steps.advanced(self._plan, at, found.total.values)
        self._keep(then, found, name)
        return then

    def _keep(self, at: Progress, found: Summed, step: str) -> None:
        """Keep the step's sum, from which it can be taken again, or now and then everything."""
        answered = self._in_order(found)
        whole = step == HISTOGRAM or not self._summed or self._since + 1 >= _WHOLE
        self._since = 0 if whole else self._since + 1
        self._summed = (*self._summed, answered)
        self._attempts = (*self._attempts, found.attempt)
        what = "the histogram" if step == HISTOGRAM else f"step {at.step}"
        self._keeping.advance(
            Checkpoint(
                parameters={},
                state=steps.save(self._plan, at) if whole else {_TOTAL: _narrow(found)},
                rounds=self._summed if whole else (answered,),
                attempts=self._attempts if whole else (found.attempt,),
            ),
            done=at.step,
            whole=whole,
            step=step,
            attempt=found.attempt,
            answered=answered,
            message=f"{what} went on without: {found.without}" if found.without else "",
        )

    def _finish(self, parameters: Mapping[str, npt.NDArray[np.float32]]) -> None:
        figures: Metrics | None = None
        evaluated_by: tuple[str, ...] = ()
        attempt = 1
        self._phase = RunState.EVALUATING
        self._diary.note(RunState.EVALUATING)
        if finish.evaluated(self._study):
            found = self._sums.total(EVALUATE, parameters)
            evaluated_by, attempt = self._in_order(found), found.attempt
            figures = finish.summed_quality(self._study, found.total)
        bundle = release.build(
            study=self._study,
            run_id=self._diary.status.run_id,
            parameters=parameters,
            metrics=figures,
            departments_by_round=self._summed[self._first :],
            evaluated_by=evaluated_by,
            summed=Answered(
                histogram=sorted(self._summed[0]) if self._first else (),
                steps=self._summed[self._first :],
                evaluation=evaluated_by,
                attempts=dict(zip(self._plan.sums, (*self._attempts, attempt), strict=False)),
            ),
            created_at=self._keeping.clock(),
        )
        self._keeping.finish(bundle, step=EVALUATE, attempt=attempt, evaluated_by=evaluated_by)

    def _ask(self, question: Question[Any], *, cohort: Sequence[str], minimum: int) -> Outcome:
        return self._asking.ask(
            question, cohort=cohort, minimum=minimum, phase=self._phase, final=FINAL
        )

    def _in_order(self, found: Summed) -> tuple[str, ...]:
        return tuple(name for name in self._study.departments if name in found.total.members)


def _narrow(found: Summed) -> npt.NDArray[np.signedinteger[Any]]:
    """Give the integers of a sum, in half the bytes where they fit, as they mostly do."""
    values = found.total.values
    halves = values.astype(np.int32)
    return halves if np.array_equal(halves, values) else values
