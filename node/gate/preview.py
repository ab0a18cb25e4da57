"""What a steward is asked to approve, in words: read before the signature, not after."""

from typing import TYPE_CHECKING

from models.governance.any_study import AnyStudy
from models.governance.linked import LinkedStudy
from models.governance.study import Protection, Study
from models.governance.words import against_whom, copies, odds_in_words
from models.training.kinds import DOCUMENT, OCTETS, Form, Kind, Leaving, Noise
from node.gate import linked_preview
from node.gate.points import Point, why

if TYPE_CHECKING:
    from models.training.plan import TrainingPlan


def preview(study: AnyStudy) -> tuple[Point, ...]:
    """Give all that an approval of the study says yes to."""
    if isinstance(study, LinkedStudy):
        return linked_preview.preview(study)
    lines = (
        *why(study),
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
    hidden = f" with hidden layers {study.model.hidden}" if study.model.hidden else ""
    bins = f" on {study.model.bins} bins" if study.model.bins else ""
    spare = study.privacy.spare_rounds
    if study.training is not None:
        training = study.training
        how = (
            f"{training.strategy}, {training.rounds} rounds of {training.steps} steps (and {spare} "
            f"to repeat after a crash), residents sampled at {training.sampling_rate.value:g}, "
            f"learning rate {training.learning_rate:g}"
        )
        how += ", updates averaged in a secure sum" if study.masked else ""
    else:
        plan = _plan(study)
        how = (
            f"{plan.recipe.steps} steps of descent, each a secure sum over the departments (and "
            f"{spare} to repeat after a failure), residents sampled at "
            f"{plan.terms.sampling.value:g}, first step size {plan.recipe.rate:.3g}; scaled to "
            f"{plan.terms.residents} residents in all departments together"
        )
    return (
        f"{study.model.family}{hidden}{bins}, {how}; "
        f"{study.privacy.holdout.value:.0%} of the residents set aside for evaluation"
    )


def protection(study: Study) -> str:
    """Give the study's protection of a resident in words."""
    settings = study.privacy
    if settings.protection is Protection.NONE or settings.epsilon is None or settings.delta is None:
        return "none: no noise is added. Allowed only for data that you declared public."
    departments = copies(study)
    if study.training is not None:
        how = (
            f"a resident's gradient is clipped to {settings.bound.value:g} and noise is added at "
            "this node before anything leaves it"
        )
        if study.masked:
            how += (
                f"; what leaves is hidden besides under {_masks(study)}, so that the coordinator "
                "reads sums only: the epsilon does not rest on that"
            )
    else:
        how = _summed(study)
    return (
        f"{how}; epsilon {settings.epsilon.value:g}, delta {settings.delta.value:g} for one "
        f"resident with all rows, in up to {departments} of the departments{_true(study)}. "
        f"{odds_in_words(settings.epsilon.value, settings.delta).en}"
    )


def _true(study: Study) -> str:
    """Give what the steward has to know to be true, if the study relies on it."""
    if copies(study) == len(study.departments):
        return ""
    return " (that must be true: whoever is in more of them is protected less)"


def _summed(study: Study) -> str:
    settings, clip = study.summed, _plan(study).recipe.clip.value
    return (
        f"a resident's gradient is clipped to {clip:g}; this node adds its share of the noise and "
        f"hides what it sends under {_masks(study)}; {_colluders(settings.colluders)}. "
        f"{against_whom(study).en}"
    )


def _colluders(number: int) -> str:
    if number:
        return (
            f"the noise is enough even if {number} of the departments tell the coordinator all "
            "they know"
        )
    return (
        "the noise is enough only if no department tells the coordinator its share: a department "
        "itself, who knows its own, sees less noise than epsilon promises"
    )


def _masks(study: Study) -> str:
    settings = study.summed
    return {
        "pairwise": "masks that each pair of departments shares",
        "witness": f"a mask that each department shares with the witness {settings.witness}",
        "both": f"masks of each pair of departments and of the witness {settings.witness}",
    }[settings.mode.value]


def leaves(study: Study) -> str:
    """Give what leaves the department, and what does not, in one sentence each."""
    end = f"; at the end {_noisy(study)}histograms of the model's scores on residents set aside"
    end = end if study.privacy.holdout.value else ""
    if study.training is None:
        what = (
            "masked integers that are only good in a sum over the departments: per step the noisy "
            f"sum of the residents' gradients, once a histogram of levels and outcomes{end}"
        )
    else:
        equal = study.training.weights == "equal"
        weight = "a constant weight" if equal else f"one {_noisy(study)}count of residents"
        what = f"per round the {_noisy(study)}parameters of the model and {weight}{end}"
        what += "; all as masked integers, only good in a sum" if study.masked else ""
    return f"{what}. No record, no resident's id, no value of a single resident."


def _noisy(study: Study) -> str:
    return "" if study.privacy.protection is Protection.NONE else "noisy "


def _plan(study: Study) -> "TrainingPlan":
    from models.training.studies import training_plan  # noqa: PLC0415 - see `node.gate.gate`

    return training_plan(study)


MESSAGES = ("message", "most often", "holds", "noise and bound")


def messages(leaving: Leaving) -> tuple[tuple[str, str, str, str], ...]:
    """Give the rows of a table under `MESSAGES`: exactly what would leave."""
    return tuple((_named(kind), _often(kind), _held(kind), _hidden(kind)) for kind in leaving.kinds)


def meanings(leaving: Leaving) -> tuple[str, ...]:
    """Give what each message says, in the order of the table."""
    return tuple(f"{_named(kind)}: {kind.meaning}" for kind in leaving.kinds)


def short(leaving: Leaving) -> str:
    """Give all that would leave in one line, under its hash."""
    kinds = "; ".join(f"{_named(kind)} {_often(kind)}: {_held(kind)}" for kind in leaving.kinds)
    return f"{leaving.digest()} ({kinds})"


def _named(kind: Kind) -> str:
    return f"{kind.step}/1..{kind.numbers}" if kind.numbers > 1 else kind.step


def _often(kind: Kind) -> str:
    return "when asked" if kind.times is None else f"{kind.times} times"


def _held(kind: Kind) -> str:
    return ", ".join(_form(form) for form in kind.arrays)


def _form(form: Form) -> str:
    if form.dtype in {DOCUMENT, OCTETS}:
        return f"{form.name} ({form.dtype}, at most {-(-form.shape[0] >> 10):,} KiB)"
    return f"{form.name} {form.dtype} [{' x '.join(map(str, form.shape)) or 'one number'}]"


def _hidden(kind: Kind) -> str:
    if not kind.noise:
        return "nothing of a resident"
    text = "; ".join(_noise(noise) for noise in kind.noise)
    if kind.scale is None:
        return text
    unit = "" if kind.bits is None else f"2^{kind.bits} are one bound, "
    cut = "" if kind.largest is None else f"own value cut to {kind.largest}, "
    return f"{text}; in integers: {unit}{cut}own noise of standard deviation {kind.scale}"


def _noise(noise: Noise) -> str:
    sampled = f", sampled at {noise.sampling.value:g}" if noise.sampling.value < 1 else ""
    count = f", {noise.count} of them in a message" if noise.count > 1 else ""
    if noise.multiplier is None:
        return f"none on {noise.about}{sampled}{count}"
    return (
        f"{noise.multiplier.value:.4g} x the bound {noise.bound.value:.4g} of one resident, on "
        f"{noise.about}{sampled}{count}"
    )
