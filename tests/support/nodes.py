"""A node's parts for tests: a steward's keys and decisions, and a bench without records."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from studies import declaration

from models.families.network import initial
from models.governance.approval import Approval, Decision, Statement, sign
from models.governance.release import Release
from models.governance.study import Study
from models.ledger.limits import DEFAULT, Limits
from models.privacy.plan import PrivacyPlan, plan
from models.schema import Declaration
from node.gate.approvals import Approvals
from node.gate.gate import Gate, Policy
from node.gate.steps import Steps
from node.ledger.journal import Journal, Owner
from node.ledger.ledger import Ledger

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
        histogram = np.full((1, 2, 4), 2.5)
        return Release(values={"histogram": histogram}, cost=self.plan.evaluation_cost())

    def close(self) -> None:
        self.closed = True


@dataclass
class Department:
    """A node without a network: its database, its steward, its rules."""

    folder: Path
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    declared: dict[str, Declaration] = field(default_factory=lambda: {"pupils": declaration()})
    policy: Policy = field(default_factory=Policy)
    limits: Limits = DEFAULT

    def __post_init__(self) -> None:
        self.database = self.folder / "node.db"
        owner = Owner(department=DEPARTMENT, key=self.key)
        self.journal = Journal(self.database, owner=owner, now=lambda: NOW)
        self.approvals = Approvals(
            self.journal, department=DEPARTMENT, key=self.key.public_key(), now=lambda: NOW
        )
        self.ledger = Ledger(self.journal, limits=self.limits)
        self.gate = Gate(
            department=DEPARTMENT,
            approvals=self.approvals,
            declarations=lambda: self.declared,
            policy=self.policy,
        )

    def say(
        self,
        study: Study,
        decision: Decision = Decision.APPROVED,
        *,
        department: str = DEPARTMENT,
        key: Ed25519PrivateKey | None = None,
    ) -> Approval:
        """Give a signed decision on the study."""
        statement = Statement(
            study=study.digest(),
            department=department,
            decision=decision,
            steward="The steward",
            decided_at=NOW,
        )
        return sign(statement, key or self.key)

    def approve(self, study: Study) -> None:
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


def parameters(study: Study, *, shift: float = 0.0) -> dict[str, np.ndarray]:
    """Give parameters of the study's model."""
    return {name: array + np.float32(shift) for name, array in initial(study).items()}
