"""The node decides: every step passes here before anything is charged or any record is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from models.errors import ProtocolViolationError, RefusedError
from models.governance.step import StepKey
from models.governance.study import Protection, Study, same_codes
from models.quantities import Epsilon
from models.schema import Declaration
from node.gate.approvals import Approvals
from node.ledger.ledger import Subject
from node.ledger.tables import POPULATION

Declarations = Callable[[], Mapping[str, Declaration]]
PER_STUDY = Epsilon(4.0)
"""The largest ε of a study, unless the settings say otherwise (`docs/reference/ledger.md`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What this department asks of every study, whatever its steward approved.

    Attributes:
        minimum_cohort: the fewest departments that a study's round may go on with. The noise of
            `local-noise` protects each department's answer alone, so 2 is enough for it.
        per_study: the largest ε that a study on data that is not public may ask for.
        populations: by dataset, whom it is about, where that is not the department's residents.
    """

    minimum_cohort: int = 2
    per_study: Epsilon = PER_STUDY
    populations: Mapping[str, str] = field(default_factory=dict)


class Gate:
    """The rules of one node. It has no way round itself: the coordinator is never asked."""

    def __init__(
        self, *, department: str, approvals: Approvals, declarations: Declarations, policy: Policy
    ) -> None:
        """Keep the department, its approvals, where its declarations are read, and its policy."""
        self._department = department
        self._approvals = approvals
        self._declarations = declarations
        self._policy = policy

    def objections(self, study: Study) -> tuple[str, ...]:
        """Give what stands against the study here, in sentences; nothing if it may be approved."""
        found = []
        if self._department not in study.departments:
            found.append("it does not name this department")
        if study.minimum_cohort < self._policy.minimum_cohort:
            found.append(
                f"it goes on with {study.minimum_cohort} departments; "
                f"this node asks for at least {self._policy.minimum_cohort}"
            )
        declaration = self._declarations().get(study.dataset)
        if declaration is None:
            found.append(f"the dataset {study.dataset} is not declared at this node")
            return tuple(found)
        if study.privacy.protection is Protection.NONE and not declaration.public:
            found.append(
                f"it asks for no noise, and the dataset {study.dataset} is not declared public"
            )
        asked = study.privacy.epsilon
        if asked is not None and asked > self._policy.per_study and not declaration.public:
            found.append(
                f"it asks for an ε of {asked.value:g}; "
                f"this node allows a study at most {self._policy.per_study.value:g}"
            )
        for column in study.columns:
            own = declaration.column(column.name)
            if own is None:
                found.append(f"the column {column.name} is not declared at this node")
            elif not same_codes(own, column):
                found.append(f"the column {column.name} is declared otherwise at this node")
        return tuple(found)

    def open(self, study_hash: str) -> Study:
        """Give the study, if the steward approved it and nothing stands against it now.

        Raises:
            RefusedError: not approved here, or the declaration or the policy says no.
        """
        study = self._approvals.approved(study_hash)
        objections = self.objections(study)
        if objections:
            raise RefusedError(
                f"the study {study.study} is refused at this node: {'; '.join(objections)}",
                hint="A changed declaration needs a new study and a new approval.",
            )
        return study

    def subject(self, study: Study) -> Subject:
        """Give whom the study's dataset is about, as declared now.

        Raises:
            RefusedError: the dataset is not declared here.
        """
        declaration = self._declarations().get(study.dataset)
        if declaration is None:
            raise RefusedError(f"the dataset {study.dataset} is not declared at this node")
        population = self._policy.populations.get(study.dataset, POPULATION)
        return Subject(dataset=study.dataset, population=None if declaration.public else population)

    def admit(self, step: StepKey, study: Study) -> None:
        """Let the step pass, or raise. It is asked anew for every step.

        Raises:
            RefusedError: as in `open`, or the approved study is not the one at work.
            ProtocolViolationError: the study has no such round.
        """
        if self.open(step.study) != study:
            raise RefusedError("the study at work is not the approved one")
        kind, _, number = step.step.partition("/")
        if kind == "train" and int(number) > study.training.rounds:
            raise ProtocolViolationError(
                f"the study {study.study} has {study.training.rounds} rounds, not {number}"
            )
