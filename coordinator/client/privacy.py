"""What a study's privacy will cost, before anything is spent."""

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.client.output import Json
from models.errors import AccountingError
from models.governance.cost import PrivacyCost, SampledGaussianEvent
from models.governance.study import Protection, Study
from models.governance.words import copies
from models.privacy import accounting
from models.privacy.plan import plan
from models.quantities import NoiseMultiplier, SamplingRate
from models.training import messages
from models.training.studies import training_plan
from models.training.words import protects


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One kind of release: its noise, how often it may happen, and what one of it costs.

    Attributes:
        noise: standard deviation of the noise over the most that one resident can add.
        loss: ε of one of it at the study's δ: in one department, or of a secure sum in all.
    """

    name: str
    noise: NoiseMultiplier
    times: int
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The privacy plan of a study, priced. `total` is ε with every spare attempt used."""

    parts: tuple[Part, ...]
    total: float
    sampling: SamplingRate


def preview(study: Study) -> Preview | None:
    """Give what the study costs a resident; None if it has no protection.

    Raises:
        UsageError: no reasonable noise keeps the study's ε.
    """
    if study.privacy.protection is Protection.NONE:
        return None
    return _summed(study) if study.training is None else _averaged(study)


def _averaged(study: Study) -> Preview:
    """Price federated averaging under local noise."""
    agreed = plan(study)
    if agreed.training is None or agreed.count is None or agreed.evaluation is None:
        raise AccountingError("a study with protection lacks noise")
    step = SampledGaussianEvent(sampling=agreed.sampling, noise=agreed.training, count=1)
    first = agreed.round_cost(first=True).events
    rows = (
        ("gradient step", agreed.training, agreed.steps * agreed.attempts, (step,)),
        ("round", agreed.training, agreed.attempts, agreed.round_cost(first=False).events),
        ("count of residents", agreed.count, agreed.draws, first[:1]),
        ("evaluation", agreed.evaluation, agreed.draws, agreed.evaluation_cost().events),
    )
    parts = tuple(
        Part(name=name, noise=noise, times=times, loss=_loss(study, PrivacyCost(events=events)))
        for name, noise, times, events in rows
    )
    return Preview(parts=parts, total=agreed.total(study), sampling=agreed.sampling)


def _summed(study: Study) -> Preview:
    """Price a training with secure sums."""
    agreed = training_plan(study)
    draws, steps = agreed.terms.draws, agreed.recipe.steps + agreed.terms.spare
    rows = (
        ("histogram of levels", messages.HISTOGRAM, draws),
        ("gradient step", messages.train(1), steps),
        ("evaluation", messages.EVALUATE, draws),
    )
    parts = tuple(
        Part(
            name=name,
            noise=agreed.sums[step].noise,
            times=times,
            loss=_loss(study, messages.cost(agreed, step)),
        )
        for name, step, times in rows
        if step in agreed.sums
    )
    total = max(agreed.training_epsilon(), agreed.evaluation_epsilon())
    return Preview(parts=parts, total=total, sampling=agreed.terms.sampling)


def _loss(study: Study, cost: PrivacyCost) -> float:
    assert study.privacy.delta is not None  # noqa: S101 - a study with protection has it
    return accounting.epsilon(cost, delta=study.privacy.delta)


def as_json(found: Preview | None, study: Study) -> Json:
    """Give the preview as JSON."""
    if found is None:
        return None
    privacy = study.privacy
    return {
        "protection": privacy.protection.value,
        "epsilon": privacy.epsilon.value if privacy.epsilon else None,
        "delta": privacy.delta.value if privacy.delta else None,
        "unit": privacy.unit,
        "departments_per_resident": copies(study),
        "epsilon_if_all_is_used": found.total,
        "sampling_rate": found.sampling.value,
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
    return (
        f"Privacy of one resident, in up to {copies(study)} of "
        f"{len(study.departments)} departments: epsilon {privacy.epsilon.value:g}, "
        f"delta {privacy.delta.value:g}.\n{table(found)}\n"
        f"All of it, spare attempts included, in all departments: epsilon {found.total:.3f}.\n"
        f"{_sampling(found.sampling)}; training and evaluation use different residents.\n"
        f"{protects(study).en}"
    )


def table(found: Preview) -> str:
    """Give what is released, how often, and with which noise."""
    head = ("released", "times", "noise", "epsilon each")
    return aligned([head, *(_row(part) for part in found.parts)])


def aligned(rows: Sequence[tuple[str, ...]]) -> str:
    """Give rows of equally many cells as aligned, indented lines."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    lines = (
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(f"  {line.rstrip()}" for line in lines)


def _sampling(rate: SamplingRate) -> str:
    if rate.value == 1:
        return "Every resident is in every step"
    return f"Each step samples a resident with probability {rate.value:g}"


def _row(part: Part) -> tuple[str, str, str, str]:
    return part.name, str(part.times), f"{part.noise.value:g}", f"{part.loss:.3f}"
