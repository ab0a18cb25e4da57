"""One run's rounds of federated averaging at one node, whose updates leave under masks alone.

A round is a step of `node.gate.steps`: charged, done under all of this node's noise, and stored.
What leaves is the stored release as integers under masks (`models.training.averaged`).
"""

from collections.abc import Callable, Mapping

import numpy as np

from models.errors import ProtocolViolationError
from models.governance.step import StepKey
from models.privacy.sampler import Integers
from models.randomness import Entropy
from models.secagg import node
from models.secagg.agreement import Joined, Offer, Offers
from models.secagg.contexts import Purpose, UsedContexts
from models.training import averaged, messages
from models.training.messages import EVALUATE, Arrays
from node.gate.gate import Gate
from node.gate.joining import Joining
from node.gate.steps import Floats, Steps
from node.gate.sums import SUM, Answer

_STORED = 1
"""There is one release of a step, whichever attempt at its sum it is masked for."""


class AveragedSums:
    """The masked updates of one run of one approved study.

    Formal guarantee: that of `Steps`, for each round has one stored release, made when it was
    first asked for. Every attempt at its sum masks that same release, under a context that was
    written down durably before and that no other message has. So the cost of a round does not
    depend on how often, or with whom, it is summed: all messages about it together tell what the
    release tells, which local noise protects from whoever sees it, masks or none.
    """

    def __init__(
        self,
        *,
        steps: Steps,
        run: int,
        joining: Joining,
        gate: Gate,
        used: UsedContexts,
        entropy: Entropy,
    ) -> None:
        """Keep the rules; `used` remembers the contexts of stored releases."""
        self.study = steps.study
        self._hash = steps.study.digest()
        self._run = run
        self._steps = steps
        self._joining = joining
        self._gate = gate
        self._used = used
        self._entropy = entropy
        self._newest: Answer | None = None

    def offer(self) -> Offer:
        """Give this department's signed key for the run; see `Joining.offer`."""
        return self._joining.offer()

    def join(self, offers: Offers) -> Joined:
        """Agree with those who offered; see `Joining.join`."""
        return self._joining.join(offers)

    def histogram(self, *, attempt: int) -> Answer:
        """Refuse: federated averaging starts from public numbers.

        Raises:
            ProtocolViolationError: always.
        """
        del attempt
        raise ProtocolViolationError("federated averaging has no histogram")

    def step(self, *, number: int, attempt: int, arrays: Arrays) -> Answer:
        """Give the masked parameters and weight of a round, trained from `arrays`.

        Raises:
            NotJoinedError, ContextUsedError: keys, or a new attempt, are needed.
            RefusedError, BudgetExhaustedError, ProtocolViolationError: nothing was sent.
        """

        def release() -> Integers:
            found = self._steps.trained(
                round_number=number, attempt=_STORED, parameters=_floats(arrays)
            )
            return averaged.update(self.study, found)

        return self._do(messages.train(number), attempt, arrays, release)

    def evaluate(self, *, attempt: int, arrays: Arrays) -> Answer:
        """Give the masked histogram of the scores that the model `arrays` gives.

        Raises: as `step`.
        """

        def release() -> Integers:
            found = self._steps.evaluated(attempt=_STORED, parameters=_floats(arrays))
            return averaged.scores(self.study, found["histogram"].astype(np.float64))

        return self._do(EVALUATE, attempt, arrays, release)

    def close(self) -> None:
        """Remove what was prepared from the records, and forget the keys."""
        self._steps.close()
        self._joining.leave()
        self._newest = None

    def _do(
        self, name: str, attempt: int, arrays: Arrays, release: Callable[[], Integers]
    ) -> Answer:
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
        ready = node.prepare(agreement, context, purpose=Purpose.RELEASED)
        if self._newest is None or self._newest.context != ready.entry.context:
            units = release()
            receipt = self._used.use(ready.entry)
            sent = node.masked(ready, units, receipt=receipt, entropy=self._entropy)
            words = context.plan.ring.read(sent.payload, length=context.plan.length)
            self._newest = Answer(context=ready.entry.context, words=words)
        return self._checked(name, self._newest, scale=context.plan.scale)

    def _checked(self, name: str, answer: Answer, *, scale: int) -> Answer:
        """Give what may leave: of the form that was approved."""
        digest = np.frombuffer(bytes.fromhex(answer.context), dtype=np.uint8)
        self._gate.leave(self.study, name, {"context": digest, SUM: answer.words}, scale=scale)
        return answer


def _floats(arrays: Arrays) -> Mapping[str, Floats]:
    """Give the parameters, if they are numbers as a model has them; `Steps` checks the rest."""
    if any(array.dtype != np.float32 for array in arrays.values()):
        raise ProtocolViolationError("the parameters are not those of the study's model")
    return {name: array.astype(np.float32, copy=False) for name, array in arrays.items()}
