"""A study's noise, computed from the study alone: the same at every node and coordinator.

A plan holds public parameters only. Residents are split in two by a hash of the study and the
resident (`PrivacySettings.holdout`): the ones train, the others evaluate, in every department
alike. So a resident pays for training or for evaluation, never for both, and each part is
calibrated to the whole (ε, δ) of the study.

Formal guarantee: for one resident, in up to `departments` departments of the cohort, everything
that a study releases under its plan is (ε, δ)-differentially private under add or remove of all
rows of the resident, with the ε and δ of the study: (a) each department's mechanisms are those
of `models.privacy.mechanisms` with the plan's noise, (b) a department repeats no step more often
than the plan says (`check`), (c) `accounting.epsilon` bounds what they compose to, all
departments together.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

from models.errors import BudgetExhaustedError
from models.governance.cost import (
    GaussianEvent,
    NonPrivateEvent,
    PrivacyCost,
    SampledGaussianEvent,
)
from models.governance.study import Protection, Study
from models.privacy import accounting
from models.privacy.calibration import Question, calibrate
from models.quantities import NoiseMultiplier, SamplingRate


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyPlan:
    """What protects the residents of one study, step by step, and what each step costs.

    Attributes:
        training: noise of each gradient sum; None (here and below) without protection.
        count: noise of the number of training residents, drawn in a node's first round. It
            scales the gradient steps of every study, whatever its weights.
        evaluation: noise of the score histograms of held-out residents.
        sampling: probability with which a resident is in a step's sample.
        steps: gradient steps of one round.
        attempts: rounds that a node may be asked for, spare ones included.
        draws: how often the count, and the evaluation, may be made: once, and once more after a
            crash if the study has a spare round.
        departments: the most departments of the cohort that one resident can be in.
    """

    training: NoiseMultiplier | None
    count: NoiseMultiplier | None
    evaluation: NoiseMultiplier | None
    sampling: SamplingRate
    steps: int
    attempts: int
    draws: int
    departments: int

    def round_cost(self, *, first: bool) -> PrivacyCost:
        """Give the cost of one round; the `first` of a node also draws its noisy count."""
        if self.training is None or self.count is None:
            return PrivacyCost(events=(NonPrivateEvent(),))
        steps = _steps(self.sampling, self.training, self.steps)
        return PrivacyCost(events=(GaussianEvent(noise=self.count), steps) if first else (steps,))

    def evaluation_cost(self) -> PrivacyCost:
        """Give the cost of one evaluation, paid by held-out residents."""
        if self.evaluation is None:
            return PrivacyCost(events=(NonPrivateEvent(),))
        return PrivacyCost(events=(GaussianEvent(noise=self.evaluation),))

    def whole_cost(self) -> PrivacyCost:
        """Give all that one department may charge a training resident, spare rounds included."""
        if self.training is None or self.count is None:
            return PrivacyCost(events=(NonPrivateEvent(),))
        counts = (GaussianEvent(noise=self.count),) * self.draws
        steps = _steps(self.sampling, self.training, self.steps * self.attempts)
        return PrivacyCost(events=(*counts, steps))

    def whole_evaluation_cost(self) -> PrivacyCost:
        """Give all that one department may charge a held-out resident."""
        return PrivacyCost(events=self.evaluation_cost().events * self.draws)

    def total(self, study: Study) -> float:
        """Give ε at the study's δ if everything the plan allows is used, in all departments."""
        if study.privacy.delta is None:
            return math.inf
        return max(
            accounting.epsilon(cost, delta=study.privacy.delta, copies=self.departments)
            for cost in (self.whole_cost(), self.whole_evaluation_cost())
        )


@lru_cache(maxsize=64)
def plan(study: Study) -> PrivacyPlan:
    """Give the plan of a study: the least noise, to four digits, that keeps its (ε, δ).

    Pure: no data, no randomness (`calibration.calibrate`).

    Raises:
        UsageError: no reasonable noise keeps so small an ε over so many steps.
        AccountingError: δ is smaller than what can be accounted for.
    """
    settings, training = study.privacy, study.averaging
    noises: tuple[NoiseMultiplier | None, ...] = (None, None, None)
    departments = min(
        settings.departments_per_resident or len(study.departments), len(study.departments)
    )
    attempts = training.rounds + settings.spare_rounds
    draws = 1 + min(1, settings.spare_rounds)
    if settings.protection is not Protection.NONE:
        assert settings.epsilon is not None  # noqa: S101 - PrivacySettings refused it
        assert settings.delta is not None  # noqa: S101
        noises = calibrate(
            Question(
                epsilon=settings.epsilon,
                delta=settings.delta,
                departments=departments,
                draws=draws,
                sampling=training.sampling_rate,
                steps=training.steps * attempts,
            )
        )
    return PrivacyPlan(
        training=noises[0],
        count=noises[1],
        evaluation=noises[2],
        sampling=training.sampling_rate,
        steps=training.steps,
        attempts=attempts,
        draws=draws,
        departments=departments,
    )


def check(
    study: Study, *, training: PrivacyCost | None = None, evaluation: PrivacyCost | None = None
) -> None:
    """Refuse what one department would have charged in all, if the plan does not cover it.

    Every event must be one of the plan's, no more often than the plan says. Then what all
    departments of a resident charged is part of what `whole_cost` was calibrated for, and
    `epsilon(…) <= study.privacy.epsilon` holds: this is the same refusal as one by ε, exact when
    departments have spent differently, and it takes microseconds.

    Raises:
        BudgetExhaustedError: it is not covered.
    """
    allowed = plan(study)
    pairs = (
        (training, allowed.whole_cost(), "training"),
        (evaluation, allowed.whole_evaluation_cost(), "evaluation"),
    )
    for spent, whole, what in pairs:
        if spent is not None and not covers(whole, spent):
            raise BudgetExhaustedError(
                f"the {what} of the study {study.study} may not be repeated: its ε is spent",
                hint="a new study, with an ε of its own, is needed",
            )


def covers(whole: PrivacyCost, part: PrivacyCost) -> bool:
    """Tell whether each event of `part` is one of `whole`, no more often."""
    if NonPrivateEvent() in whole.events:
        return all(isinstance(event, NonPrivateEvent) for event in part.events)
    left = accounting.counts(whole)
    return all(count <= left[event] for event, count in accounting.counts(part).items())


def _steps(sampling: SamplingRate, noise: NoiseMultiplier, count: int) -> SampledGaussianEvent:
    return SampledGaussianEvent(sampling=sampling, noise=noise, count=count)
