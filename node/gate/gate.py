"""The node decides: every step passes here before anything is charged or any record is read."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from models.errors import DatalabbetError, ProtocolViolationError, RefusedError
from models.governance.any_study import AnyStudy
from models.governance.linked import LinkedStudy
from models.governance.resolution import same_codes
from models.governance.step import LINKED, StepKey
from models.governance.study import Protection, Study
from models.governance.words import copies
from models.schema import Declaration
from models.training import kinds
from models.training.kinds import Leaving, Values
from node.gate import linked_rules, peers
from node.gate.approvals import Approvals
from node.gate.linked_rules import Held, Registers
from node.gate.policy import Own, Policy
from node.gate.switch import Stop
from node.ledger.ledger import Subject
from node.ledger.tables import POPULATION
from protos.installed import short

Declarations = Callable[[], Mapping[str, Declaration]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """What would leave in a study, with the hashes that do not need to be taken at every step.

    `declared`: the declaration under which nothing stood against the study.
    """

    leaving: Leaving
    digest: str
    hashes: frozenset[str]
    declared: Declaration | None = None


class Gate:
    """The rules of one node. It has no way round itself: the coordinator is never asked.

    Formal guarantee: a study is open only while the stop switch is not set, this very program is
    the one that the study names, the steward's newest decision is a yes to exactly this study and
    to exactly the description of messages that this program derives from it, and nothing stands
    against it by declaration, policy or keys. A message that passed `leave` is of a kind so
    described (`models.training.leaving`), and the switch was not set when it passed.
    """

    def __init__(
        self,
        *,
        own: Own,
        approvals: Approvals,
        declarations: Declarations,
        policy: Policy,
        stopped: Callable[[], Stop | None],
        register: Registers = lambda: None,
    ) -> None:
        """Keep what decides; what declares and `stopped` are read anew for every step."""
        self._own = own
        self._approvals = approvals
        self._declarations = declarations
        self._policy = policy
        self._stopped = stopped
        self._register = register
        self._opened: dict[AnyStudy, _Shown] = {}

    def objections(self, study: AnyStudy) -> tuple[str, ...]:
        """Give what stands against the study here, in sentences; nothing if it may be approved."""
        found = [*self._standing(study)]
        earlier = self._approvals.once_approved()
        found += peers.changed(study, earlier=earlier, pinned=self._policy.peers)
        if found:
            return tuple(found)
        try:
            self.leaving(study)
        except DatalabbetError as error:
            return (f"what would leave cannot be described: {error.message}",)
        return ()

    def leaving(self, study: AnyStudy) -> Leaving:
        """Give what would leave this node in the study. Raises as `leaving.describe`."""
        if isinstance(study, LinkedStudy):
            return _described_linked(study, member=self._own.department)
        return _described(study, witness=self._witnesses(study))

    def minimum(self, study: AnyStudy) -> int:
        """Give the fewest departments with which this node takes part in the study."""
        if isinstance(study, LinkedStudy):
            return self._policy.minimum_linked
        if study.secure_sum is not None:
            return self._policy.minimum_summed
        return self._policy.minimum_cohort

    def open(self, study_hash: str) -> AnyStudy:
        """Give the study, if the steward approved it and nothing stands against it now.

        Raises:
            RefusedError: not approved here, or the declaration or the policy says no, or the node
                is stopped, or it would send something else than what was approved.
        """
        return self._open(study_hash)[0]

    def _open(self, study_hash: str) -> tuple[AnyStudy, _Shown]:
        self._go()
        decision = self._approvals.approval(study_hash)
        study = decision.study
        before = self._opened.get(study)
        # What `_standing` says follows from the study, this declaration and what stays as it is
        # while the node runs. Read first: one that changes meanwhile is another the next time.
        declared = self._declared(study)
        known = before is not None and declared is not None and declared is before.declared
        against = () if known else tuple(self._standing(study))
        if against:
            raise RefusedError(
                f"the study {study.study} is refused at this node: {'; '.join(against)}",
                hint="A changed declaration, program or key needs a new study and a new approval.",
            )
        described, approved = self._shown(study, before), decision.approval.statement.preview
        # Approvals from before there were previews hold for what could be approved then.
        older = isinstance(study, Study) and approved is None and study.secure_sum is None
        if approved != described.digest and not older:
            raise RefusedError(
                f"in the study {study.study} this version of the program would send something "
                "else than what was approved",
                hint="Read `datalabbet-node preview STUDY`, and approve the study again.",
            )
        self._opened[study] = replace(described, declared=declared)
        return study, described

    def subject(self, study: AnyStudy) -> Subject:
        """Give whom the study's dataset (or datasets) here is about, as declared now.

        Raises:
            RefusedError: a dataset is not declared here.
        """
        if isinstance(study, LinkedStudy):
            return linked_rules.subject(
                study,
                me=self._own.department,
                datasets=self._declarations(),
                populations=self._policy.populations,
            )
        declaration = self._declarations().get(study.dataset)
        if declaration is None:
            raise RefusedError(f"the dataset {study.dataset} is not declared at this node")
        population = self._policy.populations.get(study.dataset, POPULATION)
        return Subject(dataset=study.dataset, population=None if declaration.public else population)

    def admit(self, step: StepKey, study: AnyStudy) -> None:
        """Let the step pass, or raise. It is asked anew for every step.

        Raises:
            RefusedError: as in `open`, or the approved study is not the one at work.
            ProtocolViolationError: the study has no such step.
        """
        if self.open(step.study) != study:
            raise RefusedError("the study at work is not the approved one")
        if isinstance(study, LinkedStudy):
            if step.step != LINKED or self._own.department not in study.departments:
                raise ProtocolViolationError(f"the study {study.study} has no step {step.step}")
            return
        # The witness sends nothing but masks, for the steps that the departments have.
        found = _described(study).find(step.step)
        number = step.step.partition("/")[2]
        if not found:
            raise ProtocolViolationError(f"the study {study.study} has no step {step.step}")
        if number and int(number) > found[0].numbers:
            what = "steps" if study.training is None else "rounds"
            raise ProtocolViolationError(
                f"the study {study.study} has {found[0].numbers} {what}, not {number}"
            )

    def leave(
        self, study: AnyStudy, step: str, values: Values, *, scale: int | None = None
    ) -> None:
        """Let a message leave, or raise. Every answer passes here last, a repeated one too.

        Args:
            study: at work.
            step: as `StepKey` names it; `offer`, `join` or `masks`; of a linked study, as
                `models.linkage.leaving` names it.
            values: all that the message holds: arrays, and documents as bytes.
            scale: of the noise that it was made with, if it is part of a secure sum.

        Raises:
            RefusedError: it is not of a kind that was approved, or what `open` asks for does not
                hold any more: a no, or a stop, counts for work that was under way too.
        """
        _, approved = self._open(_digest(study))
        kinds.check(approved.leaving, step, values, scale=scale, hashes=approved.hashes)

    def _go(self) -> None:
        stop = self._stopped()
        if stop is not None:
            raise RefusedError(
                f"this node is stopped {stop}".rstrip(),
                hint="Its department stopped it; `datalabbet-node resume` lets it work again.",
            )

    def _shown(self, study: AnyStudy, before: _Shown | None) -> _Shown:
        leaving = self.leaving(study)
        if before is not None and before.leaving is leaving:
            return before
        return _Shown(leaving=leaving, digest=leaving.digest(), hashes=leaving.hashes())

    def _declared(self, study: AnyStudy) -> Declaration | None:
        """Give the declaration that decides on the study; a linked one has several: none."""
        return self._declarations().get(study.dataset) if isinstance(study, Study) else None

    def _witnesses(self, study: AnyStudy) -> bool:
        settings = study.secure_sum if isinstance(study, Study) else None
        return settings is not None and settings.witness == self._own.department

    def _standing(self, study: AnyStudy) -> Iterator[str]:
        """Give what stands against the study at any time, before or after its approval."""
        own, policy = self._own, self._policy
        if own.department not in study.parties:
            yield "it does not name this department"
        if study.code != own.code:
            yield (
                f"it was made for the program {short(study.code)}, and this node runs "
                f"{short(own.code)}: it must be proposed with the version that all its "
                "departments run (`datalabbet-node code` prints this node's)"
            )
        if isinstance(study, Study) and study.minimum_cohort < self.minimum(study):
            yield (
                f"it goes on with {study.minimum_cohort} departments; "
                f"this node asks for at least {self.minimum(study)}"
            )
        yield from peers.objections(
            study, me=own.department, identity=own.identity, pinned=policy.peers
        )
        if isinstance(study, LinkedStudy):
            held = Held(datasets=self._declarations(), register=self._register())
            yield from linked_rules.standing(study, me=own.department, policy=policy, held=held)
        elif not self._witnesses(study):  # which has no records
            yield from self._about_data(study)

    def _about_data(self, study: Study) -> Iterator[str]:
        declaration = self._declarations().get(study.dataset)
        if declaration is None:
            yield f"the dataset {study.dataset} is not declared at this node"
            return
        if study.privacy.protection is Protection.NONE and not declaration.public:
            yield f"it asks for no noise, and the dataset {study.dataset} is not declared public"
        asked = study.privacy.epsilon
        if asked is not None and asked > self._policy.per_study and not declaration.public:
            yield (
                f"it asks for an ε of {asked.value:g}; "
                f"this node allows a study at most {self._policy.per_study.value:g}"
            )
        if not declaration.public:
            yield from self._about_protection(study)
        for column in study.columns:
            own = declaration.column(column.name)
            if own is None:
                yield f"the column {column.name} is not declared at this node"
            elif not same_codes(own, column):
                yield f"the column {column.name} is declared otherwise at this node"

    def _about_protection(self, study: Study) -> Iterator[str]:
        delta, most = study.privacy.delta, self._policy.per_study_delta
        if delta is not None and delta > most:
            yield f"it asks for a δ of {delta.value:g}; this node allows at most {most.value:g}"
        wanted = min(self._policy.departments_per_resident or 1, len(study.departments))
        if study.privacy.epsilon is not None and copies(study) < wanted:
            yield (
                f"it reckons with a resident in {copies(study)} of the departments; "
                f"this node asks for {wanted}"
            )


def _described(study: Study, *, witness: bool = False) -> Leaving:
    from models.training.leaving import describe  # noqa: PLC0415 - opens the accountant's libraries

    return describe(study, witness=witness)


def _described_linked(study: LinkedStudy, *, member: str) -> Leaving:
    from models.linkage.leaving import describe  # noqa: PLC0415 - as above

    return describe(study, member=member)


@lru_cache(maxsize=64)
def _digest(study: AnyStudy) -> str:
    """Give the study's hash, taken once: it is asked for at every message."""
    return study.digest()
