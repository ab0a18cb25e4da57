"""One run's secure sums at one node: admitted, written down and charged, done, and only then sent.

Unlike a step of `node.gate.steps`, an answer is not kept on disk: it is good for one context, and
the run asks for a new attempt where it was lost. Only the newest one is kept, in memory.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from models.errors import AccountingError, RefusedError
from models.families import network
from models.families.network import NetworkSpec
from models.governance.release import Release
from models.governance.step import StepKey
from models.governance.study import Study
from models.secagg import node
from models.secagg.agreement import Joined, Offer, Offers
from models.secagg.contexts import Receipt
from models.secagg.node import Ready
from models.training import messages, steps, studies
from models.training.messages import EVALUATE, HISTOGRAM, Arrays
from node.gate.gate import Gate
from node.gate.joining import Joining
from node.ledger.ledger import Ledger, Spending, Subject

SUM = "sum"
"""The released value: the elements of the ring."""

Words = npt.NDArray[np.generic]


class Bench(Protocol):
    """Where records are worked on (`node.work.sum_bench.SumBench`)."""

    def answer(self, *, ready: Ready, receipt: Receipt, arrays: Arrays) -> Release:
        """Give the masked sum of a step."""
        ...

    def close(self) -> None:
        """Remove what was prepared."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """A node's one message of a step: what it is bound to (64 hex digits), and the elements."""

    context: str
    words: Words = field(repr=False)


class Sums:
    """The secure sums of one run of one approved study.

    Formal guarantee: records are opened only after the attempt's context and cost were written
    down durably, in one transaction, the cost charged to the residents that the records were
    declared to be about when they were opened, and only if all charges of the study, this
    one and every failed attempt included, stay within the study's plan, hence within its (ε, δ)
    for one resident (`models.training.plan`), and those of all studies within the node's limits.
    What a message is bound to is computed here, from the approved study and the very arrays that
    came. Each attempt at a step is answered with one message, over restarts; a repeated request
    gets the same bytes or none. The cohort is never smaller than this node's gate allows.
    """

    def __init__(
        self,
        *,
        study: Study,
        run: int,
        joining: Joining,
        gate: Gate,
        ledger: Ledger,
        bench: Callable[[], Bench],
    ) -> None:
        """Keep the rules; `bench` opens the records and is called after the first charge."""
        self.study = study
        self._hash = study.digest()
        self._run = run
        self._plan = studies.training_plan(study)
        self._spec = NetworkSpec.of(study)
        self._joining = joining
        self._gate = gate
        self._ledger = ledger
        self._open = bench
        self._bench: Bench | None = None
        self._about: Subject | None = None
        self._newest: Answer | None = None

    def offer(self) -> Offer:
        """Give this department's signed key for the run; see `Joining.offer`."""
        return self._joining.offer()

    def join(self, offers: Offers) -> Joined:
        """Agree with those who offered; see `Joining.join`."""
        return self._joining.join(offers)

    def histogram(self, *, attempt: int) -> Answer:
        """Give the masked histogram of levels and outcomes of the training residents.

        Raises: as `step`.
        """
        return self._do(HISTOGRAM, attempt, {})

    def step(self, *, number: int, attempt: int, arrays: Arrays) -> Answer:
        """Give the masked sum of gradients, over a sample of the training residents.

        Raises:
            NotJoinedError, ContextUsedError: keys, or a new attempt, are needed.
            RefusedError, BudgetExhaustedError, ProtocolViolationError: nothing was done.
        """
        steps.check(self._plan, arrays)
        return self._do(messages.train(number), attempt, arrays)

    def evaluate(self, *, attempt: int, arrays: Mapping[str, npt.NDArray[np.generic]]) -> Answer:
        """Give the masked histogram of the model's scores on the held-out residents.

        Raises: as `step`.
        """
        network.check(self._spec, arrays)
        return self._do(EVALUATE, attempt, arrays)

    def close(self) -> None:
        """Remove what was prepared from the records, and forget the keys."""
        self._shut()
        self._joining.leave()
        self._newest = None

    def _do(self, name: str, attempt: int, arrays: Arrays) -> Answer:
        cost = messages.cost(self._plan, name)
        agreement = self._joining.agreement
        step = StepKey(study=self._hash, run=self._run, step=name, attempt=attempt)
        self._gate.admit(step, self.study)
        context = messages.context(
            self.study,
            run=self._run,
            step=name,
            attempt=attempt,
            cohort=agreement.cohort.digest(),
            arrays=arrays,
        )
        ready = node.prepare(agreement, context)
        if self._newest is not None and self._newest.context == ready.entry.context:
            return self._checked(name, ready, self._newest)
        about = self._gate.subject(self.study)
        if about != self._about:
            self._shut()  # what was prepared is about others than would be charged now
        used = self._ledger.contexts(
            step=step, request=context.model, cost=cost, about=about, allow=self._allow
        )
        receipt = used.use(ready.entry)
        release = self._release(ready, receipt, arrays, about)
        if release.cost != cost:
            raise AccountingError("a step cost something else than was charged")
        self._newest = Answer(context=ready.entry.context, words=release.values[SUM])
        return self._checked(name, ready, self._newest)

    def _release(self, ready: Ready, receipt: Receipt, arrays: Arrays, about: Subject) -> Release:
        """Do the paid work; `about` is whom it was charged to."""
        if self._bench is None:
            self._bench, self._about = self._open(), about
            if self._gate.subject(self.study) != about:
                self._shut()
                raise RefusedError(
                    f"the declaration of {about.dataset} was changed while it was opened"
                )
        return self._bench.answer(ready=ready, receipt=receipt, arrays=arrays)

    def _checked(self, name: str, ready: Ready, answer: Answer) -> Answer:
        """Give what may leave: of the form that was approved, under the noise that was."""
        digest = np.frombuffer(bytes.fromhex(answer.context), dtype=np.uint8)
        values = {"context": digest, SUM: answer.words}
        self._gate.leave(self.study, name, values, scale=ready.context.plan.scale)
        return answer

    def _allow(self, spending: Spending) -> None:
        """Refuse what the study would then have spent here, if its plan does not cover it."""
        studies.check(self.study, training=spending.training, evaluation=spending.evaluation)

    def _shut(self) -> None:
        if self._bench is not None:
            self._bench.close()
            self._bench = None
