"""The model card: the release explained to people, in Markdown."""

from collections.abc import Sequence

from coordinator.release import card_parts
from coordinator.release.card_parts import contact, plain, purpose, section, table
from models.governance.record import (
    DepartmentCost,
    Interval,
    ProtectionRecord,
    Quality,
    RecordedFile,
    SecureSumRecord,
)
from models.governance.roster import Mode
from models.governance.study import Protection, Study
from models.governance.words import against_whom, odds_in_words, one_in, round_up
from models.schema import CategoryColumn, NumericColumn


def card(
    *,
    study: Study,
    run: str,
    created: str,
    protection: ProtectionRecord,
    rounds: Sequence[Sequence[str]],
    evaluated_by: Sequence[str],
    quality: Quality | None,
    files: Sequence[RecordedFile],
) -> str:
    """Give the card. Texts of the study are quoted as they are; no number is measured here."""
    return (
        "\n\n".join(
            (
                f"# {plain(study.title.en)}\n\n*{plain(study.title.sv)}*",
                _facts(study, run=run, created=created),
                section("Purpose", purpose(study)),
                section("Data", _data(study, rounds=rounds)),
                section("How it was made", _method(study, rounds=rounds)),
                section("Protection of residents", _protection(study, protection)),
                section("How good it is", _quality(study, quality, evaluated_by)),
                section("Limits", _limits(study, protection)),
                section("Prohibited uses", _PROHIBITED),
                section("Contact and objection", contact(study)),
                section("Sammanfattning på svenska", _swedish(study, protection)),
                section("Files", card_parts.files(files)),
            )
        ).rstrip()
        + "\n"
    )


_PROHIBITED = """\
- **No decisions about individuals.** The model may not be used to decide, prepare or prioritise \
a decision about a single person, nor to rank, select or profile residents.
- It may not be run on named or identifiable residents' records, and its scores may not be kept \
in their files.
- It may not be used for another purpose than the one above without a new study and new approvals.
- No attempt may be made to learn from it whether a resident was in the data."""


def _facts(study: Study, *, run: str, created: str) -> str:
    return table(
        ("", ""),
        [
            ("Study", f"`{study.study}`"),
            ("Study hash", f"`{study.digest()}`"),
            ("Run", f"`{run}`"),
            ("Made", created),
            ("Retention", f"{study.retention_days} days"),
        ],
    )


def _data(study: Study, *, rounds: Sequence[Sequence[str]]) -> str:
    departments = [
        (name, f"{sum(name in answered for answered in rounds)} of {len(rounds)}")
        for name in study.departments
    ]
    columns = [
        (f"`{c.name}`", "outcome" if c is study.target else "input", c.meaning.en, _range(c))
        for c in study.columns
    ]
    answered = "Steps answered" if study.training is None else "Rounds answered"
    return (
        f"Dataset `{study.dataset}`. Raw records stayed in the departments; bounds and "
        f"categories were declared by their stewards, not measured.\n\n"
        f"{table(('Department', answered), departments)}\n\n"
        f"{table(('Column', 'Use', 'Meaning', 'Declared values'), columns)}"
    )


def _range(column: NumericColumn | CategoryColumn) -> str:
    if isinstance(column, NumericColumn):
        text = f"{column.minimum:g} to {column.maximum:g} {column.unit}".strip()
    else:
        text = ", ".join(column.categories)
    return f"{text}; may be missing" if column.missing else text


def _method(study: Study, *, rounds: Sequence[Sequence[str]]) -> str:
    model = study.model
    hidden = f" with hidden layers {', '.join(map(str, model.hidden))}" if model.hidden else ""
    numbers = f"quantised into {model.bins} public bins" if model.bins else "scaled by their bounds"
    family = {"logistic": "Logistic regression", "mlp": "Multilayer perceptron"}[model.family]
    inputs = f"{family}{hidden}; numeric inputs {numbers}, categories one-hot. "
    training = study.training
    if training is None:
        return inputs + _summed(study, len(rounds))
    masks = f" {_masks(study)}" if study.masked else ""
    return (
        f"{inputs}{len(rounds)} rounds of {training.strategy}, {training.steps} gradient steps per "
        f"department and round, each resident in a step with probability "
        f"{training.sampling_rate.value:g}.{masks}"
    )


def _summed(study: Study, steps: int) -> str:
    return (
        f"{steps} steps of gradient descent, each one secure sum over the departments, each "
        f"resident in a step with probability {study.summed.sampling_rate.value:g}. "
        f"{_masks(study)}"
    )


def _masks(study: Study) -> str:
    settings = study.summed
    who = {
        Mode.PAIRWISE: "in pairs, so that every department had to answer",
        Mode.WITNESS: f"with the witness `{settings.witness}`, who saw no value",
        Mode.BOTH: f"in pairs and with the witness `{settings.witness}`, who saw no value",
    }[settings.mode]
    return f"The departments masked their numbers {who}; the coordinator saw sums only."


def _protection(study: Study, protection: ProtectionRecord) -> str:
    if protection.epsilon is None or protection.delta is None:
        return protection.in_words.en
    spent, delta = protection.epsilon, protection.delta
    approved = "" if protection.epsilon_approved is None else f"{protection.epsilon_approved:g}"
    summed = protection.secure_sum
    rounds, whom = ("Rounds", "") if summed is None else ("Steps", against_whom(study).en + "\n\n")
    return (
        f"**ε = {round_up(spent)}, δ = {delta.value:g} ({one_in(delta)})**, for one resident with "
        f"all of the resident's rows, who is in at most {protection.departments_per_resident} of "
        f"the {len(study.departments)} departments (the study's own limit; the bound holds as far "
        "as it is true). "
        f"The departments approved ε = {approved} for the whole study; their own ledgers refuse "
        f"more.\n\n"
        f"In odds: {odds_in_words(spent, delta).en}\n\n"
        f"{whom}"
        "This protects against anyone who has the release, whatever else they know, and stays "
        "true for everything computed from it. It does not protect against conclusions about "
        "groups: if the model shows that something is common among people like you, it shows so "
        "whether you took part or not. It does not protect the departments: what is typical of a "
        "department's residents may show.\n\n"
        + table(
            ("Department", rounds, "ε there"),
            [_cost_row(item) for item in protection.departments],
        )
        + f"\n\n{_noise_text(study, protection)} The recorded events are in `record.json`."
    )


def _noise_text(study: Study, protection: ProtectionRecord) -> str:
    if protection.secure_sum is not None:
        return _shared_noise(study, protection.secure_sum)
    return (
        f"Clip norm {study.privacy.bound.value:g} per resident and step; noise multiplier "
        f"{_noise(protection)}."
    )


def _shared_noise(study: Study, summed: SecureSumRecord) -> str:
    parts = (
        ("histogram", summed.noise_histogram),
        ("step", summed.noise_step),
        ("evaluation", summed.noise_evaluation),
    )
    noise = ", ".join(f"{value.value:.3f} ({name})" for name, value in parts if value)
    return (
        f"{summed.sums} sums were received, each counted once for a resident in any of the "
        "departments: the ε of a department is that of the sums it is in, and they do not add up. "
        f"Noise in a sum, relative to what one department can add for a resident, of which "
        f"{summed.carriers} of the {len(study.departments)} departments' shares alone make up "
        f"all: {noise}."
    )


def _noise(protection: ProtectionRecord) -> str:
    parts = (
        ("training", protection.noise_training),
        ("count", protection.noise_count),
        ("evaluation", protection.noise_evaluation),
    )
    return ", ".join(f"{noise.value:.3f} ({name})" for name, noise in parts if noise)


def _cost_row(item: DepartmentCost) -> tuple[str, str, str]:
    return (
        item.department,
        str(item.rounds),
        "no bound" if item.epsilon is None else round_up(item.epsilon),
    )


def _quality(study: Study, quality: Quality | None, evaluated_by: Sequence[str]) -> str:
    if study.privacy.holdout.value == 0:
        return "Not evaluated: the study set no residents aside. Do not rely on its accuracy."
    if quality is None:
        return "Not evaluated: no held-out result arrived. Do not rely on the model's accuracy."
    reasons = {item.figure: item.reason for item in quality.withheld}
    classes = zip(study.target.categories, quality.auc_by_class, strict=False)
    rows = [
        ("AUC (ability to rank)", _interval(quality.auc, reasons.get("auc"))),
        *((f"AUC of {name} against the rest", _interval(auc)) for name, auc in classes),
        ("Accuracy", _interval(quality.accuracy, reasons.get("accuracy"))),
        (
            "Calibration error",
            _interval(quality.calibration_error, reasons.get("calibration_error")),
        ),
    ]
    steps = [
        (
            f"{step.low:.2f} to {step.high:.2f}",
            "withheld" if step.predicted is None else f"{step.predicted:.3f}",
            _interval(step.observed),
        )
        for step in quality.calibration
    ]
    diagram = table(("Predicted between", "Mean prediction", "Observed share"), steps)
    return (
        f"Measured on residents that were not trained on, at {', '.join(evaluated_by)}: about "
        f"{max(quality.residents.value, 0):.0f} ({max(quality.residents.low, 0):.0f} to "
        f"{max(quality.residents.high, 0):.0f}). Intervals are 95 % and include sampling and "
        f"privacy noise.\n\n{table(('Measure', 'Value with interval'), rows)}"
        + (f"\n\n{diagram}" if steps else "")
    )


def _interval(interval: Interval | None, reason: str | None = None) -> str:
    if interval is None:
        return f"withheld: {reason}" if reason else "withheld"
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def _limits(study: Study, protection: ProtectionRecord) -> str:
    few = [item.department for item in protection.departments if not item.rounds]
    lines = [
        "The model describes associations in the departments' records, not causes.",
        "It holds for residents like those of these departments; for others its error is unknown.",
        "It has learned nothing about values outside the declared bounds.",
        "Accuracy in subgroups was not measured: it may be worse for small groups.",
    ]
    if few:
        lines.append(f"Took no part in training: {', '.join(few)}.")
    if study.privacy.protection is Protection.NONE:
        lines.append("Only data declared public may be used without protection.")
    return "\n".join(f"- {line}" for line in lines)


def _swedish(study: Study, protection: ProtectionRecord) -> str:
    return (
        f"{plain(study.purpose.sv)}\n\n{protection.in_words.sv}\n\n"
        "Modellen får inte användas för beslut om enskilda. Den som invänder vänder sig till den "
        f"förvaltning som har uppgifterna. Kontakt: {plain(study.contact)}."
    )
