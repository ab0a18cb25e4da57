"""What a study's privacy will cost, before anything is spent."""

from dataclasses import dataclass

from coordinator.client.output import Json
from models.errors import AccountingError
from models.governance.cost import PrivacyCost, SampledGaussianEvent
from models.governance.study import Study
from models.privacy import accounting
from models.privacy.plan import PrivacyPlan, plan
from models.quantities import NoiseMultiplier


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One kind of release: its noise, how often it may happen, and what one of it costs.

    Attributes:
        noise: standard deviation of the noise over the most that one resident can add.
        loss: ε of one of it, in one department, at the study's δ.
    """

    name: str
    noise: NoiseMultiplier
    times: int
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The privacy plan of a study, priced. `total` is ε with every spare round used."""

    parts: tuple[Part, ...]
    total: float
    plan: PrivacyPlan


def preview(study: Study) -> Preview | None:
    """Give what the study costs a resident; None if it has no protection.

    Raises:
        UsageError: no reasonable noise keeps the study's ε.
    """
    agreed, delta = plan(study), study.privacy.delta
    if agreed.training is None or delta is None:
        return None
    if agreed.count is None or agreed.evaluation is None:
        raise AccountingError("a plan with training noise lacks other noise")

    def loss(cost: PrivacyCost) -> float:
        return accounting.epsilon(cost, delta=delta)

    step = SampledGaussianEvent(sampling=agreed.sampling, noise=agreed.training, count=1)
    first = agreed.round_cost(first=True).events
    parts = (
        ("gradient step", agreed.training, agreed.steps * agreed.attempts, (step,)),
        ("round", agreed.training, agreed.attempts, agreed.round_cost(first=False).events),
        ("count of residents", agreed.count, agreed.draws, first[:1]),
        ("evaluation", agreed.evaluation, agreed.draws, agreed.evaluation_cost().events),
    )
    return Preview(
        parts=tuple(
            Part(name=name, noise=noise, times=times, loss=loss(PrivacyCost(events=events)))
            for name, noise, times, events in parts
        ),
        total=agreed.total(study),
        plan=agreed,
    )


def as_json(found: Preview | None, study: Study) -> Json:
    """Give the preview as JSON."""
    if found is None:
        return None
    privacy = study.privacy
    return {
        "epsilon": privacy.epsilon.value if privacy.epsilon else None,
        "delta": privacy.delta.value if privacy.delta else None,
        "unit": privacy.unit,
        "departments_per_resident": found.plan.departments,
        "epsilon_if_all_is_used": found.total,
        "sampling_rate": found.plan.sampling.value,
        "parts": [
            {
                "name": part.name,
                "noise_multiplier": part.noise.value,
                "times": part.times,
                "epsilon_each": part.loss,
            }
            for part in found.parts
        ],
    }


def as_text(found: Preview | None, study: Study) -> str:
    """Give the preview for reading."""
    if found is None:
        return "Privacy: none. Every department must have declared the data public."
    privacy = study.privacy
    assert privacy.epsilon is not None  # noqa: S101 - a plan with noise has both
    assert privacy.delta is not None  # noqa: S101
    rows = [("released", "times", "noise", "epsilon each"), *(_row(part) for part in found.parts)]
    widths = [max(len(row[place]) for row in rows) for place in range(4)]
    table = "\n".join(
        "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return (
        f"Privacy of one resident, in up to {found.plan.departments} of "
        f"{len(study.departments)} departments: epsilon {privacy.epsilon.value:g}, "
        f"delta {privacy.delta.value:g}.\n{table}\n"
        f"All of it, spare rounds included, in all departments: epsilon {found.total:.3f}.\n"
        f"Each step samples a resident with probability {found.plan.sampling.value:g}; training "
        "and evaluation use different residents."
    )


def _row(part: Part) -> tuple[str, str, str, str]:
    return part.name, str(part.times), f"{part.noise.value:g}", f"{part.loss:.3f}"
