"""What decides at a node, and the steward's decisions on studies."""

from dataclasses import dataclass

from models.errors import NotFoundError, RefusedError
from models.governance.any_study import AnyStudy
from models.governance.approval import Decision, Statement, sign
from models.governance.views import StudyStatus
from models.quantities import Delta, Epsilon
from node.config import now
from node.gate.approvals import Approvals
from node.gate.gate import Gate
from node.gate.policy import Own, Policy
from node.gate.switch import Switch
from node.home import Home
from node.ledger.journal import Journal, Owner
from node.ledger.ledger import Ledger
from node.link.coordinator import Coordinator, connect
from node.link.keyring import Keyring
from node.promises import RegisterPromise
from node.shelf import Shelf
from protos.installed import code_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What decides at a node: its keys, declarations, decisions, gate and ledger."""

    keyring: Keyring
    department: str
    shelf: Shelf
    approvals: Approvals
    gate: Gate
    journal: Journal
    ledger: Ledger

    def close(self) -> None:
        """Close the database."""
        self.journal.close()


def open_rules(home: Home) -> Rules:
    """Give the rules of an enrolled node.

    Raises:
        ConfigurationError: not enrolled, or keys or folder are not as they must be.
        StorageError: the database cannot be opened.
    """
    keyring = home.keyring()
    department = keyring.credentials().department
    shelf = home.shelf()
    settings, identity = home.settings, keyring.identity()
    journal = Journal(home.database, owner=Owner(department=department, key=identity), now=now)
    approvals = Approvals(journal, department=department, key=identity.public_key(), now=now)
    policy = Policy(
        minimum_cohort=settings.minimum_cohort,
        minimum_summed=settings.minimum_summed,
        minimum_linked=settings.minimum_linked,
        owner=settings.owner,
        per_study=Epsilon(settings.epsilon_per_study),
        per_study_delta=Delta(settings.delta_per_study),
        departments_per_resident=settings.departments_per_resident,
        populations=settings.populations,
        peers=settings.peers,
    )
    own = Own(
        department=department,
        identity=identity.public_key().public_bytes_raw().hex(),
        code=code_digest(),
    )
    return Rules(
        keyring=keyring,
        department=department,
        shelf=shelf,
        approvals=approvals,
        gate=Gate(
            own=own,
            approvals=approvals,
            declarations=shelf.declarations,
            policy=policy,
            stopped=Switch(home.state).stopped,
            register=lambda: _register(shelf),
        ),
        journal=journal,
        ledger=Ledger(journal, limits=home.limits()),
    )


def _register(shelf: Shelf) -> RegisterPromise | None:
    found = shelf.register()
    return None if found is None else found.register


def open_coordinator(home: Home) -> Coordinator:
    """Give a connection under this node's certificate. Raises as `Keyring.credentials`."""
    return connect(home.keyring().credentials(), address=home.settings.coordinator)


def decide(
    rules: Rules, study: AnyStudy, decision: Decision, *, steward: str, reason: str = ""
) -> int:
    """Sign and keep the steward's decision, not yet submitted; give its number.

    A yes is also to what would leave, as this program describes it: its hash is signed with it.

    Raises:
        RefusedError: an approval of a study that this node's rules refuse.
    """
    approved = decision is Decision.APPROVED
    found = rules.gate.objections(study) if approved else ()
    if found:
        raise RefusedError(
            f"the study {study.study} cannot be approved at this node: {'; '.join(found)}",
            hint="Refuse it with the reason, or change the declaration or the policy first.",
        )
    statement = Statement(
        study=study.digest(),
        department=rules.department,
        decision=decision,
        steward=steward,
        reason=reason,
        decided_at=now(),
        preview=rules.gate.leaving(study).digest() if approved else None,
    )
    return rules.approvals.store(study, sign(statement, rules.keyring.identity()))


def submit(rules: Rules, study: AnyStudy, number: int, coordinator: Coordinator) -> StudyStatus:
    """Submit the newest decision on a study; it counts as submitted when the coordinator has it.

    Raises:
        ConnectionFailedError, DeadlineError: it stays here unsubmitted, and the running node, or
            the same command, submits it later.
    """
    decision = rules.approvals.newest(study.digest())
    if decision is None:
        raise NotFoundError(f"nothing was decided here about {study.study}")
    status = coordinator.submit(decision.approval)
    rules.approvals.submitted(number)
    return status
