"""From a study file to a study: the declared columns, the program and the keys copied in."""

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType

from models import documents
from models.errors import FieldProblem, InvalidDocumentError
from models.governance.roster import Member, Roster
from models.governance.study import Protection, Study, StudyDraft
from models.schema import CategoryColumn, Column, Declaration, NumericColumn, Variable


def resolve(
    draft: StudyDraft,
    declarations: Mapping[str, Declaration | None],
    *,
    code: str,
    identities: Mapping[str, str] = MappingProxyType({}),
) -> Study:
    """Give the study that `draft` describes, with the columns its departments declare.

    Args:
        draft: the study file.
        declarations: per department of the draft, its declaration of the draft's dataset.
        code: digest of the program that the study is made for.
        identities: per department (and witness), its identity key in hex; for secure sums.

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
    problems += _unknown(draft, identities)
    if problems:
        raise InvalidDocumentError(what, tuple(problems))
    mapping = {item.name: getattr(draft, item.name) for item in fields(draft)}
    mapping["columns"] = tuple(chosen[name] for name in (*draft.variables, draft.outcome))
    mapping["code"] = code
    mapping["roster"] = None if draft.secure_sum is None else _roster(draft, identities)
    return documents.read(Study, mapping, what=what)


def _unknown(draft: StudyDraft, identities: Mapping[str, str]) -> list[FieldProblem]:
    if draft.secure_sum is None:
        return []
    return [
        FieldProblem(
            field="departments" if name in draft.departments else "secure_sum.witness",
            problem=f"{name} has not enrolled a node, whose identity key a secure sum needs",
        )
        for name in draft.parties
        if name not in identities
    ]


def _roster(draft: StudyDraft, identities: Mapping[str, str]) -> Roster:
    settings = draft.summed
    witness = settings.witness
    return Roster(
        members=tuple(
            Member(name=name, identity=identities[name]) for name in sorted(draft.departments)
        ),
        mode=settings.mode,
        witness=None if witness is None else Member(name=witness, identity=identities[witness]),
        minimum=draft.minimum_cohort,
        attempts=settings.attempts,
        colluders=settings.colluders,
    )


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
