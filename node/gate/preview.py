"""What a steward is asked to approve, in words: read before the signature, not after."""

from dataclasses import dataclass

from models.governance.study import Protection, Study
from models.governance.words import copies, odds_in_words


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
    training, privacy = study.training, study.privacy
    hidden = f" with hidden layers {study.model.hidden}" if study.model.hidden else ""
    bins = f" on {study.model.bins} bins" if study.model.bins else ""
    return (
        f"{study.model.family}{hidden}{bins}, {training.strategy}, {training.rounds} rounds of "
        f"{training.steps} steps (and {privacy.spare_rounds} to repeat after a crash), residents "
        f"sampled at {training.sampling_rate.value:g}, learning rate {training.learning_rate:g}; "
        f"{privacy.holdout.value:.0%} of the residents set aside for evaluation"
    )


def protection(study: Study) -> str:
    """Give the study's protection of a resident in words."""
    settings = study.privacy
    if settings.protection is Protection.NONE or settings.epsilon is None or settings.delta is None:
        return "none: no noise is added. Allowed only for data that you declared public."
    departments = copies(study)
    return (
        f"a resident's gradient is clipped to {settings.clip.value:g} and noise is added at this "
        f"node before anything leaves it; epsilon "
        f"{settings.epsilon.value:g}, delta {settings.delta.value:g} for one resident with all "
        f"rows, in up to {departments} of the departments. "
        f"{odds_in_words(settings.epsilon.value, settings.delta).en}"
    )


def leaves(study: Study) -> str:
    """Give what leaves the department, and what does not."""
    training = study.training
    noise = "" if study.privacy.protection is Protection.NONE else "noisy "
    weight = (
        "a constant weight" if training.weights == "equal" else f"one {noise}count of residents"
    )
    end = f"; at the end {noise}histograms of the model's scores on residents set aside"
    return (
        f"per round the {noise}parameters of the model and {weight}"
        f"{end if study.privacy.holdout.value else ''}. No record, no resident's id, no value of "
        f"a single resident."
    )
