"""One run's secure sums: each step asked, added up and unmasked, in as many attempts as allowed.

What is added and checked is `models.secagg.coordinator`; here is who is asked, and when a step is
tried again: when a member that cannot be done without has lost its keys, or has answered this
attempt in a way that cannot be had again. A new attempt has fresh noise and is charged anew,
except under local noise, where it has other masks over what was released before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coordinator.aggregation.keys import Ask, Keys
from coordinator.flower.question import Outcome, Question
from coordinator.flower.sums import SumMessages
from models.errors import ProtocolViolationError, RefusedError, RunFailedError
from models.governance.answers import Fault
from models.governance.study import Study
from models.secagg import coordinator
from models.secagg.agreement import Cohort
from models.secagg.coordinator import Collection, NewAttempt, Total
from models.secagg.node import Masked
from models.secagg.witness import MaskSum
from models.training import messages as steps

Arrays = Mapping[str, npt.NDArray[np.generic]]

FINAL = frozenset({Fault.NOT_JOINED, Fault.ANSWERED})
"""What a member says to an attempt that it will never answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summed:
    """A step's sum, the attempt that gave it, and who of the cohort is not in it and why."""

    total: Total
    attempt: int
    without: str


class Sums:
    """The secure sums of one run, one after the other."""

    def __init__(self, *, study: Study, run_id: int, messages: SumMessages, ask: Ask) -> None:
        self._study = study
        self._run = run_id
        self._roster = study.signed_roster
        self._messages = messages
        self._ask = ask
        self._lost: list[str] = []
        self._keys = Keys(study=study, run_id=run_id, messages=messages, ask=ask)

    def total(self, step: str, arrays: Arrays) -> Summed:
        """Give the sum of a step whose values departments compute with `arrays`.

        Raises:
            RunFailedError: too few departments will ever answer, or no attempt is left.
        """
        missing: Mapping[str, Fault] = {}
        for attempt in range(1, self._roster.attempts + 1):
            cohort = self._keys.cohort()
            try:
                found = self._attempt(step, attempt, arrays, cohort)
            except RunFailedError as error:
                raise self._explained(error) from None
            if isinstance(found, Summed):
                return found
            missing = found
            self._lost.append(f"{_reasons(missing)} in the step {step}")
        raise RunFailedError(
            f"the step {step} was tried {self._roster.attempts} times, which is the most that the "
            f"study allows; at last: {_reasons(missing)}",
            hint="See what happened to the nodes that are named, then start a new run; what the "
            "departments charged stays charged.",
        )

    def _explained(self, error: RunFailedError) -> RunFailedError:
        """Say why the departments' budgets went: a new attempt is charged at those who answered.

        Who is left out for its budget is seldom who made the attempts necessary.
        """
        if not self._lost or self._study.masked:
            return error
        spare = self._study.privacy.spare_rounds
        return RunFailedError(
            error.message,
            hint=f"{len(self._lost)} attempts of this run had to be made anew, because "
            f"{'; '.join(self._lost)}. Each is charged again at every department that answers; the "
            f"study allows {spare} of them in its whole training (`spare_rounds`). See why those "
            "nodes lost their keys or answers. What was charged stays charged: if a department's "
            "budget for this study is spent, propose a new study, with more `spare_rounds`.",
        )

    def _attempt(
        self, step: str, attempt: int, arrays: Arrays, cohort: Cohort
    ) -> Summed | Mapping[str, Fault]:
        """Give the sum, or why this attempt gives none."""
        context = steps.context(
            self._study,
            run=self._run,
            step=step,
            attempt=attempt,
            cohort=cohort.digest(),
            arrays=arrays,
        )
        adding = _Adding(coordinator.start(self._roster, cohort, context))
        question = self._messages.sum(cohort.names, context, arrays, taken=adding.take)
        outcome = self._asked(question, cohort.names, self._keys.minimum)
        if not outcome.enough:
            return outcome.faults
        state, masks = adding.state, None
        if self._keys.witness is not None:
            masked = self._masks(state, self._keys.witness)
            if not isinstance(masked, MaskSum):
                return masked
            masks = masked
        try:
            total = coordinator.total(state, masks)
        except (RefusedError, ProtocolViolationError) as error:
            raise RunFailedError(f"the sum of the step {step}: {error.message}") from None
        if isinstance(total, NewAttempt):
            raise RunFailedError(f"the step {step} has no answer of {', '.join(total.missing)}")
        return Summed(total=total, attempt=attempt, without=outcome.without)

    def _masks(self, state: Collection, witness: str) -> MaskSum | Mapping[str, Fault]:
        """Give the witness's sum for those who have answered, or why there is none."""
        request = coordinator.request(state)
        if isinstance(request, NewAttempt):
            raise RunFailedError(f"no answer of {', '.join(request.missing)}")
        question = self._messages.masks(witness, request)
        outcome = self._asked(question, (witness,), 1)
        return question.answers[witness] if outcome.enough else outcome.faults

    def _asked(self, question: Question[Any], names: tuple[str, ...], minimum: int) -> Outcome:
        outcome = self._ask(question, cohort=names, minimum=minimum)
        if Fault.NOT_JOINED in outcome.faults.values():
            self._keys.lost()
        return outcome


class _Adding:
    """Adds answers up as they come, so that no two of them are held at once."""

    def __init__(self, state: Collection) -> None:
        self.state = state

    def take(self, message: Masked) -> None:
        """Add an answer."""
        self.state = coordinator.received(self.state, message, sender=message.member)


def _reasons(faults: Mapping[str, Fault]) -> str:
    return "; ".join(f"{name} {fault.value}" for name, fault in faults.items())
