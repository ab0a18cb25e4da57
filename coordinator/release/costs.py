"""What a run cost residents, from the rounds that each department answered."""

from collections.abc import Sequence

from models.errors import AccountingError
from models.governance.cost import PrivacyCost
from models.governance.record import DepartmentCost, ProtectionRecord
from models.governance.study import Protection, Study
from models.governance.words import copies, protection_in_words
from models.privacy import accounting
from models.privacy.plan import PrivacyPlan, plan


def protection(
    *, study: Study, rounds: Sequence[Sequence[str]], evaluated_by: Sequence[str]
) -> ProtectionRecord:
    """Give what protected residents in a run: per department, and for a resident in several.

    Formal guarantee: a resident in m departments loses at most the composition of m copies of
    the dearest department's cost (m is the study's `departments_per_resident`; None: the whole
    cohort). Training and evaluation use disjoint residents, so the dearer of the two counts.
    Only answers that arrived are counted; what a department charged for an answer that never
    arrived is in its own ledger, which never exceeds the study's ε.

    Raises:
        AccountingError: a cost cannot be computed.
    """
    agreed = plan(study)
    departments = tuple(
        _department(study, agreed, name, rounds=rounds, evaluated=name in evaluated_by)
        for name in study.departments
    )
    epsilon = _for_resident(study, departments)
    return ProtectionRecord(
        in_words=protection_in_words(study, epsilon),
        epsilon=epsilon,
        epsilon_approved=study.privacy.epsilon.value if study.privacy.epsilon else None,
        delta=study.privacy.delta,
        departments_per_resident=copies(study),
        sampling_rate=agreed.sampling,
        steps_per_round=study.averaging.steps,
        noise_training=agreed.training,
        noise_count=agreed.count,
        noise_evaluation=agreed.evaluation,
        departments=departments,
    )


def _department(
    study: Study,
    agreed: PrivacyPlan,
    name: str,
    *,
    rounds: Sequence[Sequence[str]],
    evaluated: bool,
) -> DepartmentCost:
    answered = sum(name in departments for departments in rounds)
    training = None
    if answered:
        later = [agreed.round_cost(first=False)] * (answered - 1)
        training = accounting.merged(sum(later, start=agreed.round_cost(first=True)))
    evaluation = accounting.merged(agreed.evaluation_cost()) if evaluated else None
    parts = [part for part in (training, evaluation) if part is not None]
    return DepartmentCost(
        department=name,
        rounds=answered,
        training=training,
        evaluation=evaluation,
        epsilon=_dearest(study, parts, many=1),
    )


def _dearest(study: Study, parts: Sequence[PrivacyCost], *, many: int) -> float | None:
    """Give the largest ε of `many` copies of one of the costs; None where there is no bound."""
    if study.privacy.protection is Protection.NONE:
        return None
    delta = study.privacy.delta
    if delta is None:
        raise AccountingError("a protected study without δ")
    unique = list(dict.fromkeys(parts))
    return max((accounting.epsilon(part, delta=delta, copies=many) for part in unique), default=0.0)


def _for_resident(study: Study, departments: Sequence[DepartmentCost]) -> float | None:
    parts = [
        part
        for department in departments
        for part in (department.training, department.evaluation)
        if part is not None
    ]
    return _dearest(study, parts, many=copies(study))
