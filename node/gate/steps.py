"""One run's steps at one node: admitted, charged, done, kept, and only then answered."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load, save

from models.errors import AccountingError, RefusedError, StorageError
from models.families.network import NetworkSpec, check
from models.governance.cost import PrivacyCost
from models.governance.release import Release
from models.governance.step import StepKey
from models.governance.study import Study
from models.privacy import plan as plans
from models.privacy.plan import PrivacyPlan
from node.gate.gate import Gate
from node.ledger.ledger import Ledger, Spending, Subject

WEIGHT = "weight"
"""The released value that says how much a department counts in the mean."""

Floats = npt.NDArray[np.float32]
Values = Mapping[str, npt.NDArray[np.generic]]


class Bench(Protocol):
    """Where records are worked on (`node.work.workbench.Workbench`)."""

    def train(
        self, *, parameters: Mapping[str, Floats], round_number: int, weight: float | None
    ) -> Release:
        """Give the updated parameters and the weight."""
        ...

    def evaluate(self, *, parameters: Mapping[str, Floats]) -> Release:
        """Give the histograms of the held-out residents."""
        ...

    def close(self) -> None:
        """Remove what was prepared."""
        ...


class Steps:
    """The steps of one run of one approved study.

    Formal guarantee: records are opened only after the step's cost was charged durably, to the
    residents that they were declared to be about when they were opened, and
    only if all charges of the study, this one and every failed attempt included, stay within
    the study's plan, hence within its (ε, δ) for one resident (`models.privacy.plan`), and those
    of all studies within the node's limits (`node.ledger.meter`). A step is answered with what
    was stored, so a repeated request releases nothing new.
    """

    def __init__(
        self,
        *,
        study: Study,
        run: int,
        plan: PrivacyPlan,
        gate: Gate,
        ledger: Ledger,
        bench: Callable[[], Bench],
    ) -> None:
        """Keep the rules; `bench` opens the records and is called after the first charge."""
        self.study = study
        self._hash = study.digest()
        self._run = run
        self._plan = plan
        self._gate = gate
        self._ledger = ledger
        self._open = bench
        self._bench: Bench | None = None
        self._about: Subject | None = None
        self._spec = NetworkSpec.of(study)

    def train(self, *, round_number: int, attempt: int, parameters: Mapping[str, Floats]) -> Values:
        """Give the released parameters and weight of one training round.

        Raises:
            RefusedError, BudgetExhaustedError, ProtocolViolationError: nothing was done.
        """
        found = self.trained(round_number=round_number, attempt=attempt, parameters=parameters)
        return self._sent(f"train/{round_number}", found)

    def evaluate(self, *, attempt: int, parameters: Mapping[str, Floats]) -> Values:
        """Give the released histograms of the held-out residents.

        Raises:
            RefusedError, BudgetExhaustedError, ProtocolViolationError: nothing was done.
        """
        return self._sent("evaluate", self.evaluated(attempt=attempt, parameters=parameters))

    def trained(
        self, *, round_number: int, attempt: int, parameters: Mapping[str, Floats]
    ) -> Values:
        """Give what `train` gives, for what leaves in another form: charged and stored.

        Raises: as `train`.
        """
        step = self._step(f"train/{round_number}", attempt)
        weight = self._ledger.weight(self._hash, self._run)

        def work(bench: Bench) -> Release:
            return bench.train(parameters=parameters, round_number=round_number, weight=weight)

        return self._do(step, parameters, self._plan.round_cost(first=weight is None), work)

    def evaluated(self, *, attempt: int, parameters: Mapping[str, Floats]) -> Values:
        """Give what `evaluate` gives, for what leaves in another form: charged and stored.

        Raises: as `evaluate`.
        """

        def work(bench: Bench) -> Release:
            return bench.evaluate(parameters=parameters)

        step = self._step("evaluate", attempt)
        return self._do(step, parameters, self._plan.evaluation_cost(), work)

    def close(self) -> None:
        """Remove what was prepared from the records."""
        if self._bench is not None:
            self._bench.close()
            self._bench = None

    def _step(self, name: str, attempt: int) -> StepKey:
        return StepKey(study=self._hash, run=self._run, step=name, attempt=attempt)

    def _allow(self, spending: Spending) -> None:
        """Refuse what the study would then have spent here, if its plan does not cover it."""
        plans.check(self.study, training=spending.training, evaluation=spending.evaluation)

    def _do(
        self,
        step: StepKey,
        parameters: Mapping[str, Floats],
        cost: PrivacyCost,
        work: Callable[[Bench], Release],
    ) -> Values:
        check(self._spec, parameters)
        request = request_digest(parameters)
        stored = self._ledger.answered(step, request)
        if stored is None:
            self._gate.admit(step, self.study)
            about = self._gate.subject(self.study)
            if about != self._about:
                self.close()  # what was prepared is about others than would be charged now
            paid = self._ledger.charge(
                step=step,
                request=request,
                cost=cost,
                about=about,
                allow=self._allow,
            )
            # Unpaid only if another worker has answered meanwhile: then that answer stands.
            if paid:
                self._release(step, cost, about, work)
            # What goes out is read back from what was stored first: there is one answer.
            stored = self._ledger.answered(step, request)
            if stored is None:
                raise StorageError(f"the answer to the step {step} was not kept")
        values: Values = load(stored)
        return values

    def _sent(self, step: str, values: Values) -> Values:
        self._gate.leave(self.study, step, values)
        return values

    def _release(
        self,
        step: StepKey,
        cost: PrivacyCost,
        about: Subject,
        work: Callable[[Bench], Release],
    ) -> None:
        """Do the paid work and keep its answer; `about` is whom it was charged to."""
        if self._bench is None:
            self._bench, self._about = self._open(), about
            if self._gate.subject(self.study) != about:
                self.close()
                raise RefusedError(
                    f"the declaration of {about.dataset} was changed while it was opened"
                )
        release = work(self._bench)
        if release.cost != cost:
            raise AccountingError(f"the step {step} cost something else than was charged")
        weight = release.values.get(WEIGHT)
        reply = save({name: np.array(value) for name, value in release.values.items()})
        self._ledger.answer(step, reply, None if weight is None else float(weight))


def request_digest(parameters: Mapping[str, npt.NDArray[np.generic]]) -> str:
    """Give the SHA-256 (64 hex digits) over names, types, shapes and bytes, in order."""
    digest = hashlib.sha256(b"datalabbet/request/v1\x00")
    for name, array in parameters.items():
        head = f"{name}\x00{array.dtype.str}\x00{array.shape}\x00".encode()
        digest.update(len(head).to_bytes(4, "big") + head)
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
