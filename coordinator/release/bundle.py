"""A release as files: the model twice, the card and the record."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata

import numpy as np
import numpy.typing as npt

from coordinator.release import costs, onnx_file, sum_costs, tensors
from coordinator.release.card import card
from coordinator.release.quality import quality_of
from coordinator.release.sum_costs import Answered
from models.errors import RunFailedError
from models.evaluation.metrics import Metrics
from models.families import network
from models.families.encoding import Encoder
from models.governance.any_record import AnyRecord
from models.governance.record import (
    FORMAT,
    ProtectionRecord,
    RecordedFile,
    ReleaseRecord,
    Software,
    by_round,
)
from models.governance.study import Study
from models.governance.views import ReleaseFile, ReleaseSummary

_SOFTWARE = ("datalabbet", "dp-accounting", "flwr", "numpy", "onnx", "safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseBundle:
    """A record and all files by name, `record.json` included."""

    record: AnyRecord
    files: Mapping[str, bytes]

    @property
    def summary(self) -> ReleaseSummary:
        """Give the release in short."""
        entries = [RecordedFile.of(name, content) for name, content in sorted(self.files.items())]
        return ReleaseSummary(
            run_id=self.record.run_id,
            study=self.record.study.study,
            created_at=self.record.created_at,
            files=tuple(
                ReleaseFile(name=item.name, size=item.size, sha256=item.sha256) for item in entries
            ),
        )


def build(
    *,
    study: Study,
    run_id: int,
    parameters: Mapping[str, npt.NDArray[np.float32]],
    metrics: Metrics | None,
    departments_by_round: Sequence[Sequence[str]],
    evaluated_by: Sequence[str],
    created_at: datetime,
    summed: Answered | None = None,
) -> ReleaseBundle:
    """Give the release of a finished run; with secure sums, a round is a step.

    `summed`: who was in each sum, for a training with secure sums.

    Everything here is computed from what departments already released: it costs nothing.

    Raises:
        RunFailedError: no round was completed, or a department outside the study answered.
        AccountingError: the cost cannot be computed; then there is no release.
        ProtocolViolationError: the parameters are not those of the study's network.
    """
    rounds = tuple(tuple(sorted(departments)) for departments in departments_by_round)
    evaluated = tuple(sorted(evaluated_by))
    counted = () if summed is None else tuple(summed.histogram)
    _check_departments(study, (*rounds, evaluated, counted))
    if not rounds:
        raise RunFailedError("a run without a completed round has nothing to release")
    spec = network.NetworkSpec.of(study)
    network.check(spec, parameters)
    if summed is None:
        protection = costs.protection(study=study, rounds=rounds, evaluated_by=evaluated)
    else:
        protection = sum_costs.protection(study=study, answered=summed)
    notes = _notes(study, str(run_id), protection)
    files = {
        "model.onnx": onnx_file.encode(spec, parameters, notes=notes),
        "model.safetensors": tensors.encode(parameters, notes=notes),
    }
    quality = quality_of(metrics)
    listed = [RecordedFile.of(name, content) for name, content in sorted(files.items())]
    files["card.md"] = card(
        study=study,
        run=str(run_id),
        created=created_at.strftime("%Y-%m-%d %H:%M %Z"),
        protection=protection,
        rounds=rounds,
        evaluated_by=evaluated,
        quality=quality,
        files=listed,
    ).encode()
    record = ReleaseRecord(
        run=str(run_id),
        study_hash=study.digest(),
        study=study,
        created_at=created_at,
        protection=protection,
        rounds=by_round(rounds),
        evaluated_by=evaluated,
        quality=quality,
        software=software(),
        files=tuple(RecordedFile.of(name, content) for name, content in sorted(files.items())),
    )
    return ReleaseBundle(record=record, files={**files, "record.json": record.canonical()})


def _check_departments(study: Study, groups: Sequence[Sequence[str]]) -> None:
    for group in groups:
        if len(set(group)) != len(group) or not set(group) <= set(study.departments):
            raise RunFailedError("the run names a department twice, or one outside its study")


def _notes(study: Study, run: str, protection: ProtectionRecord) -> dict[str, str]:
    """Give the metadata inside the model files; their place is with the record, but they travel."""
    encoder = Encoder.of(study.inputs, bins=study.model.bins)
    return {
        "format": FORMAT,
        "study": study.study,
        "study_hash": study.digest(),
        "run": run,
        "epsilon": "no bound" if protection.epsilon is None else f"{protection.epsilon:.6g}",
        "delta": "no bound" if protection.delta is None else f"{protection.delta.value:g}",
        "unit": protection.unit,
        "features": "\n".join(encoder.names),
        "classes": "\n".join(study.target.categories),
        "prohibited": "decisions about individuals",
    }


def software() -> tuple[Software, ...]:
    """Give the programs that made a release, with their versions."""
    named = [Software(name="python", version=platform.python_version())]
    for name in _SOFTWARE:
        try:
            named.append(Software(name=name, version=metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return tuple(named)
