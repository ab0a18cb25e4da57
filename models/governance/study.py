"""A study: what is asked, of whom, on which ground, with which protection.

A study is a file that people read, diff and sign. `StudyDraft` is that file; `Study` is the
draft with the declared columns copied in, so that its hash binds purpose, variables, bounds,
method and privacy parameters together. Departments approve the hash.
"""

import enum
from dataclasses import dataclass, fields
from typing import Annotated, Literal

from pydantic import Field

from models import documents
from models.errors import FieldProblem, InvalidDocumentError
from models.quantities import ClipNorm, Delta, Epsilon, SamplingRate, Share
from models.schema import (
    STRICT,
    Bilingual,
    CategoryColumn,
    Column,
    Declaration,
    Line,
    Name,
    NumericColumn,
    Slug,
    StudyColumn,
    Variable,
)

Rate = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]


class Protection(enum.StrEnum):
    """What protects residents in a study; the names are meant to be read aloud."""

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
    """How the rounds go.

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
class PrivacySettings:
    """The protection of each resident, over everything the study releases.

    Attributes:
        epsilon, delta: (ε, δ) for one resident, all rounds, evaluation and departments together.
            None exactly when `protection` is `none`.
        clip: the largest L2 norm of one resident's gradient, all of the resident's rows together.
        departments_per_resident: the most departments of the cohort that one resident can be in;
            None means all of them.
        holdout: share of residents set aside for evaluation.
        spare_rounds: rounds that may be asked for again after a crash (each is paid for).
    """

    __pydantic_config__ = STRICT

    protection: Protection
    unit: Literal["resident"] = "resident"
    epsilon: Epsilon | None = None
    delta: Delta | None = None
    clip: ClipNorm = ClipNorm(1.0)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyDraft:
    """The study file, as its author writes it. `variables` name columns of `dataset`."""

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
    training: TrainingSettings
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Study(StudyDraft):
    """A draft with its declared columns: what is proposed, hashed, approved and run.

    `columns` are the variables in the draft's order, then the outcome.
    """

    __pydantic_config__ = STRICT

    columns: Annotated[tuple[StudyColumn, ...], Field(min_length=2, max_length=500)]

    def __post_init__(self) -> None:
        """Refuse columns that are not the named ones, and an outcome that has no classes."""
        StudyDraft.__post_init__(self)
        if tuple(c.name for c in self.columns) != (*self.variables, self.outcome):
            raise ValueError("columns must be the variables in order, then the outcome")
        if not isinstance(self.columns[-1], CategoryColumn):
            raise ValueError("the outcome must be a column with categories")  # noqa: TRY004
        if self.columns[-1].missing is not None:
            raise ValueError("the outcome must not allow missing values")

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


def resolve(draft: StudyDraft, declarations: dict[str, Declaration | None]) -> Study:
    """Give the study that `draft` describes, with the columns its departments declare.

    `declarations` holds, per department of the draft, its declaration of the draft's dataset.

    Raises:
        InvalidDocumentError: a department or dataset is unknown, a variable is not declared, or
            departments declare a column differently. Every problem is listed.
    """
    problems: list[FieldProblem] = []
    chosen: dict[str, Variable] = {}
    for department in draft.departments:
        declaration = declarations.get(department)
        if declaration is None:
            text = f"{department} has not declared the dataset {draft.dataset}"
            problems.append(FieldProblem(field="departments", problem=text))
            continue
        if draft.privacy.protection is Protection.NONE and not declaration.public:
            text = f"{department} has not declared {draft.dataset} public"
            problems.append(FieldProblem(field="privacy.protection", problem=text))
        for name in (*draft.variables, draft.outcome):
            column = declaration.column(name)
            field = "outcome" if name == draft.outcome else f"variables.{name}"
            if column is None:
                text = f"{department} does not declare the column {name}"
                problems.append(FieldProblem(field=field, problem=text))
            elif not isinstance(column, NumericColumn | CategoryColumn):
                text = (
                    f"{name} is of type {column.type}, which no study reads: "
                    "derive a number or a category from it in an analysis table"
                )
                problems.append(FieldProblem(field=field, problem=text))
            elif not same_codes(chosen.setdefault(name, column), column):
                text = f"{department} declares {name} with another type, bounds or categories"
                problems.append(FieldProblem(field=field, problem=text))
    what = f"the study {draft.study}"
    if problems:
        raise InvalidDocumentError(what, tuple(problems))
    mapping = {item.name: getattr(draft, item.name) for item in fields(draft)}
    mapping["columns"] = tuple(chosen[name] for name in (*draft.variables, draft.outcome))
    return documents.read(Study, mapping, what=what)


def same_codes(one: Column, other: Column) -> bool:
    """Tell whether two variables encode alike; wording and sensitivity may differ."""
    if (one.type, one.missing is None) != (other.type, other.missing is None):
        return False
    if isinstance(one, NumericColumn) and isinstance(other, NumericColumn):
        return (one.minimum, one.maximum, one.edges) == (
            other.minimum,
            other.maximum,
            other.edges,
        )
    if isinstance(one, CategoryColumn) and isinstance(other, CategoryColumn):
        return one.categories == other.categories
    return False
