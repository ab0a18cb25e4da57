"""What a run with secure sums cost residents, from the sums that were received."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from models.errors import AccountingError
from models.governance.cost import PrivacyCost
from models.governance.record import DepartmentCost, ProtectionRecord, SecureSumRecord
from models.governance.study import Study
from models.governance.words import copies, protection_in_words
from models.privacy import accounting
from models.training import messages
from models.training.messages import EVALUATE, HISTOGRAM
from models.training.plan import TrainingPlan
from models.training.studies import training_plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The departments in each sum that was received: the histogram, each step, the evaluation.

    `attempts`: by step, the attempt that gave the sum, where it was not the first.
    """

    histogram: Sequence[str]
    steps: Sequence[Sequence[str]]
    evaluation: Sequence[str]
    attempts: Mapping[str, int] = field(default_factory=dict)

    def times(self, step: str) -> int:
        """Give how many sums of the step may have been seen."""
        return self.attempts.get(step, 1)


def protection(*, study: Study, answered: Answered) -> ProtectionRecord:
    """Give what protected residents in a run: from any one department, and from all.

    Formal guarantee: the events are joint, so each sum counts once, whoever of the departments a
    resident is in (`JointGaussianEvent`); ε is that of all sums together, and holds as long as no
    more than the study's colluders pool what they know. Training and evaluation use disjoint
    residents, so the dearer of the two counts. A sum counts as often as its step was
    attempted: a coordinator that is killed may have read an earlier attempt's sum and lost it.
    What departments charged for attempts at other sums, of which nobody saw more than masked
    messages, is in their own ledgers, which never exceed the study's ε.

    Raises:
        AccountingError: a cost cannot be computed.
    """
    plan, roster = training_plan(study), study.signed_roster
    departments = tuple(_department(study, plan, name, answered) for name in study.departments)
    epsilon = _dearest(study, _costs(plan, answered, None))
    return ProtectionRecord(
        in_words=protection_in_words(study, epsilon),
        epsilon=epsilon,
        epsilon_approved=study.privacy.epsilon.value if study.privacy.epsilon else None,
        delta=study.privacy.delta,
        departments_per_resident=copies(study),
        sampling_rate=plan.terms.sampling,
        steps_per_round=1,
        noise_training=None,
        noise_count=None,
        noise_evaluation=None,
        departments=departments,
        secure_sum=SecureSumRecord(
            mode=roster.mode,
            witness=roster.witness.name if roster.witness else None,
            colluders=roster.colluders,
            carriers=plan.terms.carriers,
            sums=len(answered.steps) + bool(answered.histogram) + bool(answered.evaluation),
            histogram_by=tuple(answered.histogram),
            noise_histogram=plan.sums[HISTOGRAM].noise if HISTOGRAM in plan.sums else None,
            noise_step=plan.gradient.noise,
            noise_evaluation=plan.evaluation.noise if plan.evaluation else None,
        ),
    )


def _department(study: Study, plan: TrainingPlan, name: str, answered: Answered) -> DepartmentCost:
    training, evaluation = _costs(plan, answered, name)
    return DepartmentCost(
        department=name,
        rounds=sum(name in those for those in answered.steps),
        training=training,
        evaluation=evaluation,
        epsilon=_dearest(study, (training, evaluation)),
    )


def _costs(
    plan: TrainingPlan, answered: Answered, name: str | None
) -> tuple[PrivacyCost | None, PrivacyCost | None]:
    """Give what training and evaluation cost: the sums with `name` in them; None: all sums."""

    def inside(those: Sequence[str]) -> bool:
        return bool(those) if name is None else name in those

    def seen(step: str) -> list[PrivacyCost]:
        return [messages.cost(plan, step)] * answered.times(step)

    training = seen(HISTOGRAM) if inside(answered.histogram) else []
    for number, those in enumerate(answered.steps, start=1):
        training += seen(messages.train(number)) if inside(those) else []
    evaluation = seen(EVALUATE) if inside(answered.evaluation) else []
    return _merged(training), _merged(evaluation)


def _merged(costs: Sequence[PrivacyCost]) -> PrivacyCost | None:
    if not costs:
        return None
    return accounting.merged(PrivacyCost(events=tuple(e for cost in costs for e in cost.events)))


def _dearest(study: Study, parts: Sequence[PrivacyCost | None]) -> float:
    delta = study.privacy.delta
    if delta is None:
        raise AccountingError("a protected study without δ")
    return max(
        (accounting.epsilon(part, delta=delta) for part in parts if part is not None), default=0.0
    )
