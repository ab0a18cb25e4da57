"""The record of a release: what was asked, what ran, what it cost, how good it is.

The record is a document: frozen, canonical, and enough to use the released model without
asking anyone. Evolution law: a field is never removed and never changes its meaning; new
fields are optional; a record that cannot be read so gets a new `format`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from models import documents
from models.governance.cost import PrivacyCost
from models.governance.roster import Mode
from models.governance.step import Hex64
from models.governance.study import Study
from models.quantities import Delta, NoiseMultiplier, SamplingRate
from models.schema import STRICT, Bilingual, Finite, Slug

Format = Literal["datalabbet/release/1"]
FORMAT: Format = "datalabbet/release/1"

RunText = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,18}$")]
"""A run id in decimal. A text, because JSON readers keep integers exact to 2^53 only."""

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Loss = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1, max_length=200)]
Number = Annotated[int, Field(strict=True, ge=0, lt=2**53)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A number and the bounds of its 95 % interval (sampling and privacy noise together)."""

    __pydantic_config__ = STRICT

    value: Finite
    low: Finite
    high: Finite

    def __post_init__(self) -> None:
        """Refuse an interval that does not hold its value."""
        if not self.low <= self.value <= self.high:
            raise ValueError("an interval must hold its value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Residents with a predicted probability from `low` to `high`: predicted and observed share.

    Both are None where too few residents stand out of the noise.
    """

    __pydantic_config__ = STRICT

    low: Finite
    high: Finite
    predicted: Finite | None
    observed: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """A figure that is not shown, and why."""

    __pydantic_config__ = STRICT

    figure: Text
    reason: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How good the model is on residents it was not trained on. None: withheld, see `withheld`.

    Attributes:
        residents: how many were counted.
        auc_by_class: each class against the rest, in the order of the outcome's categories;
            empty with two classes.
        calibration: the reliability diagram.
    """

    __pydantic_config__ = STRICT

    residents: Interval
    auc: Interval | None
    accuracy: Interval | None
    calibration_error: Interval | None
    auc_by_class: tuple[Interval | None, ...] = ()
    calibration: tuple[Calibration, ...] = ()
    withheld: tuple[Withheld, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DepartmentCost:
    """What one department's answers cost a resident there.

    Training and evaluation use different residents, so a resident pays the larger of the two.

    Attributes:
        rounds: training rounds (steps of a secure sum) that the department answered.
        training: their events, or None if it answered no round. Those of secure sums are joint:
            they count the resident in all departments already.
        evaluation: the events of the evaluation, or None if it did not answer.
        epsilon: the ε of the larger, at the study's δ; None: no bound (protection `none`).
    """

    __pydantic_config__ = STRICT

    department: Slug
    rounds: Number
    training: PrivacyCost | None
    evaluation: PrivacyCost | None
    epsilon: Loss | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureSumRecord:
    """Who could see what in a run with secure sums, and the noise that they share.

    Attributes:
        mode, witness, colluders: as the study says (`models.governance.roster`).
        carriers: how many departments' shares alone make up the noise below.
        sums: how many sums were received, of all kinds.
        histogram_by: the departments in the histogram that training started from; empty: none.
        noise_histogram, noise_step, noise_evaluation: standard deviation that surely remains in
            a sum, relative to what one department can add for a resident.
    """

    __pydantic_config__ = STRICT

    mode: Mode
    witness: Slug | None
    colluders: Number
    carriers: Number
    sums: Number
    histogram_by: tuple[Slug, ...]
    noise_histogram: NoiseMultiplier | None
    noise_step: NoiseMultiplier
    noise_evaluation: NoiseMultiplier | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionRecord:
    """What protected residents in this run.

    Attributes:
        in_words: what the numbers mean, for people.
        epsilon: spent by a resident in `departments_per_resident` departments; None: no bound.
        epsilon_approved: the most that the departments' own ledgers allow.
        steps_per_round: noisy gradient steps of one department in a round; 1 with secure sums,
            where a round is one step.
        noise_training, noise_count, noise_evaluation: of one department's own noise; None with
            secure sums, whose noise is in `secure_sum`.
        secure_sum: None, and left out: the departments were not summed so.
    """

    __pydantic_config__ = STRICT

    in_words: Bilingual
    unit: Literal["resident"] = "resident"
    epsilon: Loss | None
    epsilon_approved: Loss | None
    delta: Delta | None
    departments_per_resident: Number
    sampling_rate: SamplingRate
    steps_per_round: Number
    noise_training: NoiseMultiplier | None
    noise_count: NoiseMultiplier | None
    noise_evaluation: NoiseMultiplier | None
    departments: tuple[DepartmentCost, ...]
    secure_sum: Annotated[SecureSumRecord | None, Field(exclude_if=lambda value: value is None)] = (
        None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The departments that answered in each of the rounds `first` to `last`."""

    __pydantic_config__ = STRICT

    first: Number
    last: Number
    departments: tuple[Slug, ...]

    def __post_init__(self) -> None:
        """Refuse a range that is empty or starts before the first round."""
        if not 1 <= self.first <= self.last:
            raise ValueError("first must be at least 1 and at most last")


def by_round(rounds: Sequence[Sequence[str]]) -> tuple[Answers, ...]:
    """Give who answered, with equal neighbouring rounds together. Rounds count from 1."""
    groups: list[Answers] = []
    for number, departments in enumerate(rounds, start=1):
        names = tuple(sorted(departments))
        if groups and groups[-1].departments == names:
            groups[-1] = replace(groups[-1], last=number)
        else:
            groups.append(Answers(first=number, last=number, departments=names))
    return tuple(groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """A program or library that took part at the coordinator."""

    __pydantic_config__ = STRICT

    name: Text
    version: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedFile:
    """A file of the release, beside the record itself."""

    __pydantic_config__ = STRICT

    name: FileName
    size: Number
    sha256: Hex64

    @classmethod
    def of(cls, name: str, content: bytes) -> "RecordedFile":
        """Give the entry for a file's content."""
        return cls(name=name, size=len(content), sha256=hashlib.sha256(content).hexdigest())


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRecord:
    """One release.

    Attributes:
        run: the run that made it.
        rounds: the departments that answered in the completed rounds, in order.
        evaluated_by: the departments whose held-out residents the quality was measured on.
        quality: None if the run was released without evaluation.
        files: every file except `record.json`, which is this document.
    """

    __pydantic_config__ = STRICT

    format: Format = FORMAT
    run: RunText
    study_hash: Hex64
    study: Study
    created_at: AwareDatetime
    protection: ProtectionRecord
    rounds: Annotated[tuple[Answers, ...], Field(min_length=1, max_length=1000)]
    evaluated_by: tuple[Slug, ...]
    quality: Quality | None
    software: tuple[Software, ...]
    files: tuple[RecordedFile, ...]

    def __post_init__(self) -> None:
        """Refuse a hash that is not the study's, and a file named twice."""
        if self.study_hash != self.study.digest():
            raise ValueError("study_hash is not the hash of the study")
        names = [file.name for file in self.files]
        if len(set(names)) != len(names):
            raise ValueError("each file may be named once")

    @property
    def run_id(self) -> int:
        """Give the run's id as a number."""
        return int(self.run)

    def file(self, name: str) -> RecordedFile | None:
        """Give the entry of that file, or None."""
        return next((file for file in self.files if file.name == name), None)

    def canonical(self) -> bytes:
        """Give the canonical bytes (RFC 8785 JSON): the content of `record.json`."""
        return documents.write(self)
