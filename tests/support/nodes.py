"""A node's parts for tests: a steward's keys and decisions, and a bench without records."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from studies import KEYS, declaration

from models.errors import DatalabbetError
from models.evaluation import histograms
from models.families.network import initial
from models.governance.any_study import AnyStudy
from models.governance.approval import Approval, Decision, Statement, sign
from models.governance.linked import LinkedStudy
from models.governance.release import Release
from models.governance.study import Study
from models.ledger.limits import DEFAULT, Limits
from models.linkage import leaving as linked_leaving
from models.privacy.plan import PrivacyPlan, plan
from models.schema import Declaration
from models.training import leaving
from node.gate.approvals import Approvals
from node.gate.gate import Gate
from node.gate.policy import Own, Policy
from node.gate.steps import Steps
from node.gate.switch import Switch
from node.ledger.journal import Journal, Owner
from node.ledger.ledger import Ledger
from node.promises import RegisterPromise
from protos.installed import code_digest

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DEPARTMENT = "school"
RUN = 77


class Bench:
    """Adds one to every parameter and counts how often it was asked; it has no records."""

    def __init__(self, study_plan: PrivacyPlan) -> None:
        self.plan = study_plan
        self.asked: list[str] = []
        self.weights: list[float | None] = []
        self.fails: Exception | None = None
        self.closed = False

    def train(
        self, *, parameters: Mapping[str, np.ndarray], round_number: int, weight: float | None
    ) -> Release:
        self.asked.append(f"train/{round_number}")
        self.weights.append(weight)
        if self.fails is not None:
            raise self.fails
        values = {name: array + np.float32(1) for name, array in parameters.items()}
        counted = np.float64(120.5 if weight is None else weight)
        cost = self.plan.round_cost(first=weight is None)
        return Release(values={**values, "weight": np.array(counted)}, cost=cost)

    def evaluate(self, *, parameters: Mapping[str, np.ndarray]) -> Release:
        self.asked.append("evaluate")
        if self.fails is not None:
            raise self.fails
        histogram = np.full(histograms.shape(2), 2.5)
        return Release(values={"histogram": histogram}, cost=self.plan.evaluation_cost())

    def close(self) -> None:
        self.closed = True


@dataclass
class Department:
    """A node without a network: its database, its steward, its rules."""

    folder: Path
    name: str = DEPARTMENT
    key: Ed25519PrivateKey | None = None
    declared: dict[str, Declaration] = field(default_factory=lambda: {"pupils": declaration()})
    policy: Policy = field(default_factory=Policy)
    limits: Limits = DEFAULT
    register: RegisterPromise | None = None
    code: str = field(default_factory=code_digest)

    def __post_init__(self) -> None:
        self.key = self.key or KEYS[self.name]
        self.database = self.folder / "node.db"
        self.switch = Switch(self.folder)
        owner = Owner(department=self.name, key=self.key)
        self.journal = Journal(self.database, owner=owner, now=lambda: NOW)
        self.approvals = Approvals(
            self.journal, department=self.name, key=self.key.public_key(), now=lambda: NOW
        )
        self.ledger = Ledger(self.journal, limits=self.limits)
        self.gate = self.gated()

    def gated(self, *, code: str | None = None, policy: Policy | None = None) -> Gate:
        """Give the department's gate, as another version or other settings would have it."""
        return Gate(
            own=Own(
                department=self.name,
                identity=self.key.public_key().public_bytes_raw().hex(),
                code=code or self.code,
            ),
            approvals=self.approvals,
            declarations=lambda: self.declared,
            policy=policy or self.policy,
            stopped=self.switch.stopped,
            register=lambda: self.register,
        )

    def say(
        self,
        study: AnyStudy,
        decision: Decision = Decision.APPROVED,
        *,
        department: str | None = None,
        key: Ed25519PrivateKey | None = None,
        preview: bool = True,
    ) -> Approval:
        """Give a signed decision on the study; `preview`: on what would leave, too."""
        statement = Statement(
            study=study.digest(),
            department=department or self.name,
            decision=decision,
            steward="The steward",
            decided_at=NOW,
            preview=_shown(study, self.name) if preview and decision is Decision.APPROVED else None,
        )
        return sign(statement, key or self.key)

    def approve(self, study: AnyStudy) -> None:
        """Keep the steward's yes."""
        self.approvals.store(study, self.say(study))

    def steps(self, study: Study, bench: Callable[[], Bench], *, run: int = RUN) -> Steps:
        """Give the steps of a run."""
        return Steps(
            study=study,
            run=run,
            plan=plan(study),
            gate=self.gate,
            ledger=self.ledger,
            bench=bench,
        )

    def close(self) -> None:
        """Close the database."""
        self.journal.close()


def _shown(study: AnyStudy, name: str) -> str | None:
    if isinstance(study, LinkedStudy):
        return linked_leaving.describe(study, member=name).digest()
    witness = study.secure_sum is not None and study.secure_sum.witness == name
    try:
        return leaving.describe(study, witness=witness).digest()
    except DatalabbetError:
        return None  # there is nothing that such a study would send


def parameters(study: Study, *, shift: float = 0.0) -> dict[str, np.ndarray]:
    """Give parameters of the study's model."""
    return {name: array + np.float32(shift) for name, array in initial(study).items()}
