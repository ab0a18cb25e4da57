"""One run of a linked study at a department: an agreed order, one charge, and then sealed shares.

Nothing of it is kept on disk but the charge: shares are under keys that live in memory, so a run
whose node was restarted ends, and another run is another charge.
"""

import hashlib
from collections.abc import Callable
from typing import Protocol, TypedDict

from models import documents
from models.errors import (
    AccountingError,
    BudgetExhaustedError,
    NotJoinedError,
    ProtocolViolationError,
    RefusedError,
)
from models.governance.cost import PrivacyCost
from models.governance.linked import LinkedStudy
from models.governance.release import Release
from models.governance.step import LINKED, StepKey
from models.linkage import leaving
from models.linkage import plan as plans
from models.privacy.plan import covers
from models.randomness import Entropy
from models.replicated import mixing, sealing
from models.replicated.holder import Holder
from models.replicated.messages import Box, Mix, Mixes, Seeds, Spine
from models.replicated.mixing import SpineKey
from models.secagg.contexts import Entry, Purpose
from node.gate.gate import Gate
from node.gate.joining import Joining
from node.gate.linked_part import permit
from node.gate.spine_boxes import Snapshot, within
from node.ledger.ledger import Ledger, Spending, Subject


class _Bound(TypedDict):
    """What keys are bound to."""

    study: str
    run: int


class Bench(Protocol):
    """Where records are worked on (`node.work.linked_bench.LinkedBench`)."""

    def spine(self, *, key: SpineKey) -> Release:
        """Give the length of the register and its digest."""
        ...

    def share(self, *, holder: Holder, chunk: int) -> Release:
        """Give a chunk's body."""
        ...

    def totals(self, *, holder: Holder) -> Release:
        """Give the totals' body."""
        ...

    def close(self) -> None:
        """Forget what was read."""
        ...


class Linked:
    """A department's part in one run of one approved linked study.

    Formal guarantee: records are opened only after the run was written down and its cost charged
    durably, in one transaction, to the residents that the records were declared to be about when
    they were opened, and only if all runs of the study, this one and every failed one included,
    stay within the study's plan, hence within its (ε, δ) for one unit (`models.linkage.plan`), and
    those of all studies within the node's limits. A run is charged once, over restarts, and its
    shares are made once: in the life of the program that charged it. Seeds and keys leave only
    for the members whose identity keys the approved study names. What is asked again is answered
    with the same bytes.
    """

    def __init__(
        self,
        *,
        study: LinkedStudy,
        run: int,
        member: str,
        joining: Joining,
        gate: Gate,
        ledger: Ledger,
        bench: Callable[[], Bench],
        entropy: Entropy,
    ) -> None:
        """Keep the rules; `bench` opens the register, and after the charge the records."""
        self.study = study
        self._hash = study.digest()
        self._run = run
        self._member = member
        self._joining = joining
        self._gate = gate
        self._ledger = ledger
        self._open = bench
        self._entropy = entropy
        self._cost: PrivacyCost = plans.cost(study)
        self._cohort = ""
        self._part: bytes | None = None
        self._asked: Mixes | None = None
        self._bench: Bench | None = None
        self._snapshot: Snapshot | None = None
        self._holder: Holder | None = None
        self._about: Subject | None = None

    def mix(self) -> Mix:
        """Give this department's part of the secret that orders the residents, in boxes.

        Once a member has other keys, because it was started anew, so is the order, as long as
        this department has charged nothing.

        Raises:
            NotJoinedError: the members have not agreed on keys.
            RefusedError: the study is not open here.
        """
        self._permit()
        cohort = self._joining.agreement.cohort.digest()
        if cohort != self._cohort or self._part is None:
            self.close()
            self._cohort, self._part = cohort, mixing.part(self._entropy)
        others = (name for name in self.study.departments if name != self._member)
        made = Mix(
            boxes=tuple(
                sealing.boxed(self._key_to(name, sealing.MIX), self._part, to=name)
                for name in others
            )
        )
        self._leave(leaving.MIX, {"mix": documents.write(made)})
        return made

    def spine(self, mixes: Mixes) -> Spine:
        """Order the register by the departments' secret; say how long it is, and its digest.

        The register is read, which costs nobody: who is in it is no secret among the departments.

        Raises:
            NotJoinedError: this node has given no part of the secret yet.
            ProtocolViolationError: a part is missing or does not open, or other parts came before.
            DataContractError: the register cannot be read as it must be.
            RefusedError: the study is not open here, or the register has too many residents.
        """
        self._permit()
        if self._part is None or self._joining.agreement.cohort.digest() != self._cohort:
            raise NotJoinedError("this node has given no part of the departments' secret yet")
        if self._asked is None:
            self._snapshot = self._ordered(mixing.common(self._parts(mixes), **self._bound()))
            self._asked = mixes
        elif set(mixes.parts) != set(self._asked.parts):
            raise ProtocolViolationError("the run was ordered by other parts of the secret before")
        assert self._snapshot is not None  # noqa: S101 - as `_asked`
        said = self._snapshot
        made = Spine(
            residents=said.residents,
            digest=said.digest,
            boxes=self._boxes(sealing.SPINE, said.written()),
        )
        self._leave(leaving.SPINE, {"spine": documents.write(made)})
        return made

    def seeds(self) -> Seeds:
        """Charge the run, and give the seeds and keys of its shares.

        Raises:
            NotJoinedError: this node has no spine of the run: it was started anew.
            ContextUsedError: the run was charged in an earlier life of this node.
            RefusedError, BudgetExhaustedError: nothing was charged.
        """
        self._permit()
        if self._snapshot is None or self._joining.agreement.cohort.digest() != self._cohort:
            raise NotJoinedError("this node has no spine of the run (any more)")
        if self._holder is None:
            self._joining.pin()
            self._charge(self._snapshot)
            self._holder = Holder(
                self.study,
                run=self._run,
                department=self._member,
                residents=self._snapshot.residents,
                entropy=self._entropy,
            )
        names = self.study.committee.names
        made = self._holder.seeds_document(
            {name: self._key_to(name, sealing.SEEDS) for name in names}
        )
        self._leave(leaving.SEEDS, {"seeds": documents.write(made)})
        return made

    def share(self, chunk: int) -> bytes:
        """Give the sealed share of a chunk of the spine.

        Raises:
            NotJoinedError: the run was not charged in this life of the node.
            DataContractError: records cannot be read as declared, or a resident has two.
            AccountingError: the columns could move a table further than the noise covers.
            RefusedError: the study is not open here, or the spine has no such chunk.
        """
        holder, bench = self._charged()
        return self._sent(
            f"{leaving.SHARE}/{chunk}", lambda: bench.share(holder=holder, chunk=chunk)
        )

    def totals(self) -> bytes:
        """Give the sealed share of how many residents are left out.

        Raises: as `share`.
        """
        holder, bench = self._charged()
        return self._sent(leaving.LAST, lambda: bench.totals(holder=holder))

    def close(self) -> None:
        """Forget the records, the seeds and the secret."""
        if self._holder is not None:
            self._holder.erase()
        if self._bench is not None:
            self._bench.close()
        self._part = self._asked = self._bench = self._snapshot = self._holder = None

    # --- the order ---

    def _parts(self, mixes: Mixes) -> dict[str, bytes]:
        """Open the other departments' parts; give all of them, this one's own too."""
        assert self._part is not None  # noqa: S101 - asked by the caller
        found = {self._member: self._part}
        for item in mixes.parts:
            if item.sender in found or item.box.to != self._member:
                raise ProtocolViolationError(f"a part of {item.sender} is there twice, or not ours")
            if item.sender not in self.study.departments:
                raise ProtocolViolationError(f"{item.sender} is no department of the study")
            key = self._key(item.sender, self._member, sealing.MIX)
            found[item.sender] = sealing.unboxed(key, item.box, sender=item.sender)
        missing = sorted(set(self.study.departments) - set(found))
        if missing:
            raise ProtocolViolationError(f"the parts of {', '.join(missing)} have not come")
        return found

    def _ordered(self, key: SpineKey) -> Snapshot:
        bench = self._open()
        values = bench.spine(key=key).values
        found = Snapshot(
            residents=int(values["residents"]), digest=values["digest"].tobytes().hex()
        )
        within(self.study, found.residents)
        self._bench = bench
        return found

    # --- the charge, and what it paid for ---

    def _charge(self, said: Snapshot) -> None:
        """Write the run down and charge it, together; nothing of records was touched before."""
        step = StepKey(study=self._hash, run=self._run, step=LINKED)
        self._gate.admit(step, self.study)
        about = self._gate.subject(self.study)
        cohort = self._joining.agreement.cohort
        request = hashlib.sha256(
            b"datalabbet/linked-run/v1\x00"
            + bytes.fromhex(cohort.digest())
            + bytes.fromhex(plans.digest(self.study))
            + said.written()
        ).hexdigest()
        used = self._ledger.contexts(
            step=step, request=request, cost=self._cost, about=about, allow=self._allow
        )
        entry = Entry(
            purpose=Purpose.MESSAGE,
            study=self._hash,
            run=self._run,
            step=LINKED,
            attempt=step.attempt,
            context=request,
            members=cohort.names,
        )
        used.use(entry).spend(entry)
        self._about = about

    def _allow(self, spending: Spending) -> None:
        """Refuse what the study would then have spent here, if its plan does not cover it."""
        spent, whole = spending.total(), plans.budget(self.study)
        if spent is not None and not covers(whole, spent):
            raise BudgetExhaustedError(
                f"the study {self.study.study} may not be run again: its ε is spent",
                hint="A new study, with an ε of its own, is needed.",
            )

    def _charged(self) -> tuple[Holder, Bench]:
        self._permit()
        if self._holder is None or self._bench is None:
            raise NotJoinedError("this node has no shares of the run (any more)")
        if self._gate.subject(self.study) != self._about:
            raise RefusedError(
                "the declarations were changed since the run was charged: its records are about "
                "others now",
                hint="Start a new run.",
            )
        return self._holder, self._bench

    def _sent(self, step: str, work: Callable[[], Release]) -> bytes:
        release = work()
        if release.cost != self._cost:
            raise AccountingError("a run cost something else than was charged")
        if self._gate.subject(self.study) != self._about:
            raise RefusedError("the declarations were changed while the records were opened")
        body = release.values["body"].tobytes()
        self._leave(step, {"body": body})
        return body

    # --- keys, and the way out ---

    def _bound(self) -> _Bound:
        return {"study": self._hash, "run": self._run}

    def _key(self, sender: str, to: str, purpose: str) -> bytes:
        secret = self._joining.secret(to if sender == self._member else sender)
        return sealing.box_key(secret, sender=sender, to=to, purpose=purpose, **self._bound())

    def _key_to(self, to: str, purpose: str) -> bytes:
        return self._key(self._member, to, purpose)

    def _boxes(self, purpose: str, data: bytes) -> tuple[Box, ...]:
        """Give boxes for both servers, of which this node may be one."""
        names = self.study.committee.names
        return tuple(sealing.boxed(self._key_to(to, purpose), data, to=to) for to in names)

    def _permit(self) -> None:
        permit(self._gate, self.study, study_hash=self._hash)

    def _leave(self, step: str, values: dict[str, bytes]) -> None:
        self._gate.leave(self.study, step, values)
