"""A study: what is asked, of whom, on which ground, with which protection.

A study is a file that people read, diff and sign. `StudyDraft` is that file; `Study` is the
draft with the declared columns copied in (`models.governance.resolution`), so that its hash
binds purpose, variables, bounds, method, privacy parameters, program and roster together.
Departments approve the hash.
"""

import enum
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from models import documents
from models.errors import UsageError
from models.governance.roster import Mode, Roster
from models.governance.step import Hex64
from models.quantities import ClipNorm, Delta, Epsilon, SamplingRate, Share
from models.schema import (
    STRICT,
    Bilingual,
    CategoryColumn,
    Line,
    Name,
    Slug,
    StudyColumn,
    Variable,
)

Rate = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]


class Protection(enum.StrEnum):
    """What protects residents in a study; the names are meant to be read aloud."""

    SECURE_SUM = "secure-sum"
    LOCAL_NOISE = "local-noise"
    NONE = "none: secure sum and disclosure rules only"


@dataclass(frozen=True, slots=True, kw_only=True)
class LegalBasis:
    """The ground for the processing: GDPR article 6 (and 9), and the national provision."""

    __pydantic_config__ = STRICT

    article_6: Literal["a", "b", "c", "d", "e", "f"]
    article_9: Literal["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] | None = None
    provision: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """The model family. `bins`: quantise numeric columns into so many public bins (0: scale)."""

    __pydantic_config__ = STRICT

    family: Literal["logistic", "mlp"]
    bins: Annotated[int, Field(strict=True, ge=0, le=100)] = 0
    hidden: Annotated[
        tuple[Annotated[int, Field(strict=True, ge=1, le=1024)], ...], Field(max_length=4)
    ] = ()

    def __post_init__(self) -> None:
        """Refuse a one-bin model, and hidden layers where the family has none (or lacks them)."""
        if self.bins == 1:
            raise ValueError("bins must be 0 (scale) or at least 2")
        if (self.family == "mlp") != bool(self.hidden):
            raise ValueError("hidden layers belong to the family mlp, which needs at least one")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """How the rounds of federated averaging go.

    Attributes:
        rounds: rounds of federated training.
        steps: gradient steps each node takes in a round.
        sampling_rate: probability with which a resident takes part in a step.
        learning_rate: of the node's gradient steps.
        server_learning_rate: of the strategy `fedadam`; unused by the others.
        proximal: μ of the strategy `fedprox`; required there and 0 elsewhere.
        weights: how departments weigh in the mean; `noisy-count` costs a part of ε.
    """

    __pydantic_config__ = STRICT

    strategy: Literal["fedavg", "fedprox", "fedadam"] = "fedavg"
    rounds: Annotated[int, Field(strict=True, ge=1, le=1000)]
    steps: Annotated[int, Field(strict=True, ge=1, le=1000)]
    sampling_rate: SamplingRate
    learning_rate: Rate
    server_learning_rate: Rate = 0.1
    proximal: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 0.0
    weights: Literal["equal", "noisy-count"] = "noisy-count"

    def __post_init__(self) -> None:
        """Refuse a proximal term outside `fedprox`, and `fedprox` without one."""
        if (self.strategy == "fedprox") != (self.proximal > 0):
            raise ValueError("proximal must be above 0 for fedprox and absent elsewhere")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureSumSettings:
    """How departments are summed. Steps, clip and step sizes follow from `models.training`.

    With local noise it says how the departments' updates are masked. Then `residents` only bounds
    what a department may weigh, every department's noise is enough without the others', whatever
    `colluders` says, and who is sampled is said under `training`.

    Attributes:
        residents: how many residents all departments have together: a public number, not one
            that was counted for the study. It scales the steps; a wrong one costs usefulness only.
        mode, witness: whose masks cover a message (`models.governance.roster.Mode`).
        attempts: how often a step may be tried.
        colluders: departments that may pool what they know with the coordinator while the noise
            of the others alone keeps (ε, δ).
        sampling_rate: probability with which a resident takes part in a step; 1 is everybody.
    """

    __pydantic_config__ = STRICT

    residents: Annotated[int, Field(strict=True, ge=1, le=100_000_000)]
    mode: Mode = Mode.PAIRWISE
    witness: Slug | None = None
    attempts: Annotated[int, Field(strict=True, ge=1, le=1000)] = 3
    colluders: Annotated[int, Field(strict=True, ge=0, le=998)] = 1
    sampling_rate: SamplingRate = SamplingRate(1.0)

    def __post_init__(self) -> None:
        """Refuse a witness outside its modes, and the modes without one."""
        if (self.witness is not None) != self.mode.witnessed:
            raise ValueError("a witness belongs to the modes witness and both, which need one")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacySettings:
    """The protection of each resident, over everything the study releases.

    Attributes:
        epsilon, delta: (ε, δ) for one resident, all rounds, evaluation and departments together.
            None exactly when `protection` is `none`.
        clip: the largest L2 norm of one resident's gradient, all of the resident's rows together;
            1 if left out. A secure sum has one of its own.
        departments_per_resident: the most departments of the cohort that one resident can be in;
            None means all of them.
        holdout: share of residents set aside for evaluation.
        spare_rounds: rounds (steps of a secure sum) that may be asked for again after a crash;
            each is paid for.
    """

    __pydantic_config__ = STRICT

    protection: Protection
    unit: Literal["resident"] = "resident"
    epsilon: Epsilon | None = None
    delta: Delta | None = None
    clip: ClipNorm | None = None
    departments_per_resident: Annotated[int, Field(strict=True, ge=1, le=1000)] | None = None
    holdout: Share = Share(0.2)
    spare_rounds: Annotated[int, Field(strict=True, ge=0, le=100)] = 1

    def __post_init__(self) -> None:
        """Refuse protection without ε and δ, and ε or δ without protection."""
        private = self.protection is not Protection.NONE
        for name, value in (("epsilon", self.epsilon), ("delta", self.delta)):
            if private and value is None:
                raise ValueError(f"{name} is required with protection {self.protection.value!r}")
            if not private and value is not None:
                raise ValueError(f"{name} says nothing with protection {self.protection.value!r}")
        if self.protection is Protection.SECURE_SUM and self.clip is not None:
            raise ValueError("clip belongs to local noise; a secure sum has one of its own")

    @property
    def bound(self) -> ClipNorm:
        """Give the clip of federated averaging."""
        return self.clip or ClipNorm(1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyDraft:
    """The study file, as its author writes it. `variables` name columns of `dataset`.

    A study with the protection `secure-sum` has `secure_sum`, every other one `training`. One with
    `local-noise` may have both: then its updates are averaged under masks.
    """

    __pydantic_config__ = STRICT

    study: Slug
    title: Bilingual
    purpose: Bilingual
    legal_basis: LegalBasis
    contact: Line
    departments: Annotated[tuple[Slug, ...], Field(min_length=1, max_length=1000)]
    dataset: Name
    variables: Annotated[tuple[Name, ...], Field(min_length=1, max_length=499)]
    outcome: Name
    model: ModelSettings
    training: TrainingSettings | None = None
    secure_sum: SecureSumSettings | None = None
    privacy: PrivacySettings
    minimum_cohort: Annotated[int, Field(strict=True, ge=2, le=1000)] = 3
    retention_days: Annotated[int, Field(strict=True, ge=1, le=36500)]

    def __post_init__(self) -> None:
        """Refuse doubles, an outcome among the variables and a cohort that cannot be met."""
        if len(set(self.departments)) != len(self.departments):
            raise ValueError("each department may be named once")
        if len(set(self.variables)) != len(self.variables):
            raise ValueError("each variable may be named once")
        if self.outcome in self.variables:
            raise ValueError("the outcome must not be among the variables")
        if self.minimum_cohort > len(self.departments):
            raise ValueError("minimum_cohort must not exceed the number of departments")
        self._check_blocks()
        if self.secure_sum is not None:
            self._check_sum(self.secure_sum)

    def _check_blocks(self) -> None:
        protection = self.privacy.protection
        sums = {
            Protection.SECURE_SUM: (True,),
            Protection.LOCAL_NOISE: (True, False),
            Protection.NONE: (False,),
        }[protection]
        trains = protection is not Protection.SECURE_SUM
        if (self.secure_sum is not None) not in sums or (self.training is not None) != trains:
            raise ValueError(
                "secure_sum belongs to the protection secure-sum, and may be added to local-noise; "
                "training belongs to every protection but secure-sum"
            )

    def _check_sum(self, settings: SecureSumSettings) -> None:
        if self.training is not None and settings.sampling_rate != SamplingRate(1.0):
            raise ValueError("with local noise the sampling_rate is that of training")
        if settings.mode.pairs and self.minimum_cohort != len(self.departments):
            raise ValueError(
                f"in the mode {settings.mode} every department takes part: "
                "minimum_cohort must be their number"
            )
        if settings.witness in self.departments:
            raise ValueError("the witness must not be one of the departments")
        if settings.colluders >= self.minimum_cohort:
            raise ValueError("colluders must be fewer than minimum_cohort")

    @property
    def averaging(self) -> TrainingSettings:
        """Give the settings of federated averaging.

        Raises:
            UsageError: the study is trained with secure sums.
        """
        if self.training is None:
            raise UsageError(f"the study {self.study} is trained with secure sums")
        return self.training

    @property
    def summed(self) -> SecureSumSettings:
        """Give the settings of the secure sum.

        Raises:
            UsageError: the study is trained with federated averaging.
        """
        if self.secure_sum is None:
            raise UsageError(f"the study {self.study} is not trained with secure sums")
        return self.secure_sum

    @property
    def masked(self) -> bool:
        """Tell whether federated averaging, with all of its local noise, goes on under masks."""
        return self.training is not None and self.secure_sum is not None

    @property
    def parties(self) -> tuple[str, ...]:
        """Give whose approval the study needs: its departments, and its witness if it has one."""
        witness = self.secure_sum and self.secure_sum.witness
        return (*self.departments, witness) if witness else self.departments


@dataclass(frozen=True, slots=True, kw_only=True)
class Study(StudyDraft):
    """A draft with all that it refers to: what is proposed, hashed, approved and run.

    Attributes:
        columns: the declared variables in the draft's order, then the outcome.
        code: digest of the program that may compute the answers (`protos.installed`).
        roster: the identity keys of those who sum, and on which terms; with `secure_sum` only.
    """

    __pydantic_config__ = STRICT

    columns: Annotated[tuple[StudyColumn, ...], Field(min_length=2, max_length=500)]
    code: Hex64
    roster: Roster | None = None

    def __post_init__(self) -> None:
        """Refuse columns that are not the named ones, and an outcome that has no classes."""
        StudyDraft.__post_init__(self)
        if tuple(c.name for c in self.columns) != (*self.variables, self.outcome):
            raise ValueError("columns must be the variables in order, then the outcome")
        if not isinstance(self.columns[-1], CategoryColumn):
            raise ValueError("the outcome must be a column with categories")  # noqa: TRY004
        if self.columns[-1].missing is not None:
            raise ValueError("the outcome must not allow missing values")
        self._check_roster()

    def _check_roster(self) -> None:
        if self.secure_sum is None or self.roster is None:
            if self.secure_sum is not None or self.roster is not None:
                raise ValueError("a roster belongs to a secure sum, which needs one")
            return
        witness = self.roster.witness
        terms = self.roster.mode, self.roster.minimum, self.roster.attempts, self.roster.colluders
        asked = self.secure_sum
        if (
            {member.name for member in self.roster.members} != set(self.departments)
            or (witness.name if witness else None) != asked.witness
            or terms != (asked.mode, self.minimum_cohort, asked.attempts, asked.colluders)
        ):
            raise ValueError("the roster is not that of the departments and settings")

    @property
    def signed_roster(self) -> Roster:
        """Give the roster, which every approval signs with the study.

        Raises:
            UsageError: the study is not trained with secure sums.
        """
        if self.roster is None:
            raise UsageError(f"the study {self.study} is not trained with secure sums")
        return self.roster

    @property
    def inputs(self) -> tuple[Variable, ...]:
        """Give the columns the model reads."""
        return self.columns[:-1]

    @property
    def target(self) -> CategoryColumn:
        """Give the outcome's column; its last category is the positive class if it has two."""
        target = self.columns[-1]
        assert isinstance(target, CategoryColumn)  # noqa: S101 - __post_init__ refused others
        return target

    def canonical(self) -> bytes:
        """Give the canonical bytes (RFC 8785 JSON) of the study."""
        return documents.write(self)

    def digest(self) -> str:
        """Give the hash that departments approve: 64 hex digits over the whole study."""
        return documents.digest(self.canonical(), domain="study")
