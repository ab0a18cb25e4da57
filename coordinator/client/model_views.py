"""Studies that train a model, and their releases, for reading: names and texts, line by line."""

from models.governance.record import Interval, ReleaseRecord
from models.governance.study import Study

Lines = list[tuple[str, str]]


def study_lines(study: Study, *, epsilon: str) -> Lines:
    """Give what only a study that trains a model has. `epsilon`: the protection, in short."""
    return [
        ("dataset", study.dataset),
        ("variables", ", ".join(study.variables)),
        ("outcome", f"{study.outcome} ({', '.join(study.target.categories)})"),
        ("model", f"{study.model.family}, {_course(study)}"),
        ("protection", study.privacy.protection.value),
        ("epsilon", epsilon),
        ("minimum cohort", f"{study.minimum_cohort} of {len(study.departments)} departments"),
    ]


def _course(study: Study) -> str:
    """Give how the departments train together, in short."""
    if study.training is not None:
        masks = f" under masks ({study.summed.mode.value})" if study.masked else ""
        return f"{study.training.rounds} rounds{masks}"
    return f"steps of secure sums ({study.summed.mode.value})"


def record_lines(record: ReleaseRecord) -> Lines:
    """Give what only the release of a model has."""
    protection, quality = record.protection, record.quality
    spent = "no bound" if protection.epsilon is None else f"{protection.epsilon:.4g}"
    delta = "" if protection.delta is None else f" (delta {protection.delta.value:g})"
    lines = [
        ("rounds" if protection.secure_sum is None else "steps", str(record.rounds[-1].last)),
        ("epsilon spent", spent + delta),
        ("protection", protection.in_words.en),
    ]
    if quality is None:
        return [*lines, ("quality", "not evaluated")]
    return [
        *lines,
        ("AUC", interval(quality.auc)),
        ("accuracy", interval(quality.accuracy)),
        ("calibration error", interval(quality.calibration_error)),
    ]


def interval(figure: Interval | None) -> str:
    """Give a figure with its 95 % interval."""
    if figure is None:
        return "withheld: too uncertain"
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"
