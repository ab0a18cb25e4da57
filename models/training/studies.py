"""The training that a study describes: its terms and plan, the same wherever they are computed."""

from functools import lru_cache

from models.errors import BudgetExhaustedError, UsageError
from models.families import network
from models.families.additive import Shape
from models.families.encoding import Encoder
from models.families.network import NetworkSpec
from models.governance.cost import PrivacyCost
from models.governance.study import Study
from models.governance.words import copies
from models.privacy.plan import covers
from models.training import plan
from models.training.plan import TrainingPlan
from models.training.terms import Terms


def terms(study: Study) -> Terms:
    """Give what the study's departments agree on.

    The noise is that of the whole cohort in the modes that need all of it, and else of the
    smallest set that may answer (`Roster.carriers`).

    Raises:
        UsageError: the study is not trained with secure sums.
    """
    settings, privacy = study.summed, study.privacy
    if study.masked:
        raise UsageError(f"the study {study.study} is not trained with secure sums")
    if privacy.epsilon is None or privacy.delta is None:
        raise UsageError("a secure sum needs epsilon and delta")
    departments = len(study.departments)
    return Terms(
        epsilon=privacy.epsilon,
        delta=privacy.delta,
        residents=settings.residents,
        shape=shape(study),
        cohort=departments,
        carriers=study.signed_roster.carriers(departments),
        departments=copies(study),
        sampling=settings.sampling_rate,
        holdout=privacy.holdout,
        spare=privacy.spare_rounds,
    )


@lru_cache(maxsize=64)
def training_plan(study: Study) -> TrainingPlan:
    """Give the plan of a study. Pure; takes a second, for it searches the least noise.

    Raises:
        UsageError: the study is not trained with secure sums, or no reasonable noise keeps its ε.
    """
    return plan.make(terms(study))


def shape(study: Study) -> Shape | NetworkSpec:
    """Give the size of the study's model: additive where it is logistic on bins, else a network."""
    if study.model.family != "logistic" or not study.model.bins:
        return NetworkSpec.of(study)
    return Shape(
        levels=Encoder.of(study.inputs, bins=study.model.bins).width,
        columns=len(study.inputs),
        classes=network.classes(study),
    )


def check(
    study: Study, *, training: PrivacyCost | None = None, evaluation: PrivacyCost | None = None
) -> None:
    """Refuse what one department would have charged in all, if the study's plan does not cover it.

    As `models.privacy.plan.check`: every event must be one of the plan's, no more often than the
    plan says. Then everything is within (ε, δ) (`models.training.plan`).

    Raises:
        BudgetExhaustedError: it is not covered.
    """
    allowed = training_plan(study)
    pairs = (
        (training, allowed.training_events(), "training"),
        (evaluation, allowed.evaluation_events(), "evaluation"),
    )
    for spent, events, what in pairs:
        if spent is None:
            continue
        if not events or not covers(PrivacyCost(events=events), spent):
            raise BudgetExhaustedError(
                f"the {what} of the study {study.study} may not be repeated: its ε is spent",
                hint="a new study, with an ε of its own, is needed",
            )
