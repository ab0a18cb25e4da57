"""The witness's part of one run: its keys, and one sum of masks for each attempt at a step.

The witness is a node of its own (the auditor's), with its own identity key and its own approval
of the study. It has no datasets and opens no records; it learns who answered, and no value.
"""

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from models import documents
from models.errors import RefusedError
from models.governance.step import StepKey
from models.governance.study import Study
from models.secagg import witness
from models.secagg.agreement import Joined, Offer, Offers
from models.secagg.contexts import Context, UsedContexts
from models.secagg.witness import MaskSum, SetRequest
from models.training import messages
from node.gate.gate import Gate
from node.gate.joining import Joining


class Witness:
    """The witness in one run of one study that its steward approved.

    Formal guarantee: that of `models.secagg.witness`, with `used` kept durably; and a set is only
    answered for a step of the approved study, under the context that follows from it here. The
    hash of the model, which the witness cannot know, is taken as it comes: it is bound into the
    masks, so a sum for another model opens nobody's message.
    """

    def __init__(
        self,
        *,
        study: Study,
        run: int,
        joining: Joining,
        gate: Gate,
        used: UsedContexts,
        identity: Ed25519PrivateKey,
    ) -> None:
        """Keep the rules."""
        self.study = study
        self._hash = study.digest()
        self._run = run
        self._joining = joining
        self._gate = gate
        self._used = used
        self._identity = identity

    def offer(self) -> Offer:
        """Give the witness's signed key for the run; see `Joining.offer`."""
        return self._joining.offer()

    def join(self, offers: Offers) -> Joined:
        """Agree with those who offered; see `Joining.join`."""
        return self._joining.join(offers)

    def masks(self, request: SetRequest) -> MaskSum:
        """Give the sum of the masks of those who answered; for the same set, the same again.

        Raises:
            NotJoinedError, ContextUsedError: keys, or a new attempt, are needed.
            RefusedError, ProtocolViolationError: nothing was done.
        """
        agreement = self._joining.agreement
        said = request.context
        self._gate.admit(
            StepKey(study=self._hash, run=self._run, step=said.step, attempt=said.attempt),
            self.study,
        )
        if said != self._own(said, cohort=agreement.cohort.digest()):
            raise RefusedError("the set is asked for under another context than the study's")
        ready = witness.prepare(agreement, request)
        receipt = self._used.use(ready.entry)
        found = witness.answer(ready, receipt=receipt, identity=self._identity)
        ring, length = said.plan.ring, said.plan.length
        words = ring.read(found.payload, length=length)
        signed = documents.write(found.signed)
        self._gate.leave(self.study, "masks", {"set": signed, "sum": words})
        return found

    def close(self) -> None:
        """Forget the keys."""
        self._joining.leave()

    def _own(self, said: Context, *, cohort: str) -> Context:
        own = messages.context(
            self.study,
            run=self._run,
            step=said.step,
            attempt=said.attempt,
            cohort=cohort,
            arrays={},
        )
        return replace(own, model=said.model)
