"""What a steward is asked to approve, in words: read before the signature, not after."""

import math
from dataclasses import dataclass

from models.governance.study import Protection, Study
from models.quantities import Delta, Epsilon

_OF = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One line of the preview: what it is about, and the text."""

    about: str
    text: str


def preview(study: Study) -> tuple[Point, ...]:
    """Give all that an approval of the study says yes to."""
    basis = study.legal_basis
    article_9 = f", article 9.2 {basis.article_9}" if basis.article_9 else ""
    lines = (
        ("study", f"{study.study}: {study.title.en} / {study.title.sv}"),
        ("hash", study.digest()),
        ("purpose", f"{study.purpose.en} / {study.purpose.sv}"),
        ("legal basis", f"GDPR article 6.1 {basis.article_6}{article_9}; {basis.provision}"),
        ("contact", study.contact),
        ("departments", f"{', '.join(study.departments)}; at least {study.minimum_cohort} at once"),
        ("dataset", study.dataset),
        ("variables", "; ".join(f"{c.name} ({c.meaning.en})" for c in study.inputs)),
        ("outcome", f"{study.target.name} ({study.target.meaning.en})"),
        ("method", method(study)),
        ("protection", protection(study)),
        ("what leaves", leaves(study)),
        ("kept", f"{study.retention_days} days"),
    )
    return tuple(Point(about=about, text=text) for about, text in lines)


def method(study: Study) -> str:
    """Give what is computed, in words."""
    training = study.training
    return (
        f"{study.model.family}, {training.strategy}, {training.rounds} rounds of "
        f"{training.steps} steps, residents sampled at {training.sampling_rate.value:g}"
    )


def protection(study: Study) -> str:
    """Give the study's protection of a resident in words."""
    settings = study.privacy
    if settings.protection is Protection.NONE or settings.epsilon is None or settings.delta is None:
        return "none: no noise is added. Allowed only for data that you declared public."
    departments = settings.departments_per_resident or len(study.departments)
    return (
        f"noise is added at this node before anything leaves it; epsilon "
        f"{settings.epsilon.value:g}, delta {settings.delta.value:g} for one resident with all "
        f"rows, in up to {departments} of the departments. "
        f"{odds(settings.epsilon, settings.delta)}"
    )


def odds(limit: Epsilon, slack: Delta) -> str:
    """Give ε and δ as odds (Nanayakkara et al. 2023): of 100, e^ε · 5 + 100 δ at most."""
    # Far beyond 100 of 100 the exponential says no more; its argument is capped, not its result.
    most = math.exp(min(limit.value, 10.0)) * _OF + 100 * slack.value
    return (
        f"If a guess about a resident would come true for {_OF} of 100 without the resident's "
        f"records, it comes true for at most {min(100, math.ceil(most))} of 100 with them."
    )


def leaves(study: Study) -> str:
    """Give what leaves the department, and what does not."""
    training = study.training
    noise = "" if study.privacy.protection is Protection.NONE else "noisy "
    weight = (
        "a constant weight" if training.weights == "equal" else f"one {noise}count of residents"
    )
    return (
        f"per round the {noise}parameters of the model and {weight}; at the end {noise}histograms "
        f"of the model's scores on residents set aside. No record, no resident's id, no value of "
        f"a single resident."
    )
