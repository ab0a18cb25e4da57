"""What a node is and what studies have spent at it, from its own files alone."""

from models.governance.any_study import AnyStudy
from models.governance.linked import LinkedStudy
from node.gate.approvals import LocalDecision
from node.gate.switch import Switch
from node.home import Home, running
from node.ledger.ledger import Spending
from node.output import Json
from node.rules import Rules, open_rules


def status(home: Home) -> dict[str, Json]:
    """Give what this node is and what each study was charged here, from its own files."""
    stop = Switch(home.state).stopped()
    found: dict[str, Json] = {
        "home": str(home.path),
        "stopped": None if stop is None else str(stop) or "no reason was given",
        "enrolled": home.keyring().enrolled,
        "running": running(home.state),
        "mode": home.settings.mode.value,
        "datasets": sorted(home.shelf().datasets()),
    }
    if not found["enrolled"]:
        return found
    rules = open_rules(home)
    try:
        credentials = rules.keyring.credentials()
        found["department"] = rules.department
        found["coordinator"] = home.settings.coordinator or credentials.membership.coordinator
        found["certificate_expires"] = credentials.certificate.not_after.isoformat()
        found["studies"] = [_spent(rules, item) for item in rules.approvals.all()]
    finally:
        rules.close()
    return found


def _spent(rules: Rules, decision: LocalDecision) -> dict[str, Json]:
    study = decision.study
    digest = study.digest()
    spending = rules.ledger.spending(digest)
    limit = study.privacy.epsilon
    return {
        "study": study.study,
        "hash": digest,
        "decision": decision.approval.statement.decision.value,
        "submitted": decision.submitted,
        "charges": spending.charges,
        "epsilon_spent": None if limit is None else _epsilon(study, spending),
        "epsilon": None if limit is None else limit.value,
    }


def _epsilon(study: AnyStudy, spending: Spending) -> float:
    """Give ε of what was charged, for one resident in as many departments as the study says."""
    if isinstance(study, LinkedStudy):
        from models.linkage.plan import epsilon as linked  # noqa: PLC0415 - as below

        spent = linked(study, runs=spending.charges) if spending.charges else None
        return spent or 0.0
    from models.privacy.accounting import epsilon  # noqa: PLC0415 - scipy; only `status` needs it

    delta = study.privacy.delta
    costs = [cost for cost in (spending.training, spending.evaluation) if cost is not None]
    if delta is None or not costs:
        return 0.0
    copies = study.privacy.departments_per_resident or len(study.departments)
    return max(epsilon(cost, delta=delta, copies=copies) for cost in costs)
