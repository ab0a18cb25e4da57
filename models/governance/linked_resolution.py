"""From the file of a linked study to a study: the declared columns, program and keys copied in."""

from collections.abc import Iterator, Mapping
from dataclasses import fields

from models import documents
from models.errors import FieldProblem, InvalidDocumentError
from models.governance.linked import LinkedDraft, LinkedStudy, LinkedVariable
from models.governance.roster import Member, Roster
from models.governance.study import Protection
from models.schema import CategoryColumn, Declaration, NumericColumn, Variable

Declared = Mapping[tuple[str, str], Declaration | None]
"""Per department and dataset, the declaration in the catalogue; None or no entry: there is none."""


def resolve_linked(
    draft: LinkedDraft, declarations: Declared, *, code: str, identities: Mapping[str, str]
) -> LinkedStudy:
    """Give the study that `draft` describes, with the columns its departments declare.

    Args:
        draft: the study file.
        declarations: per department and dataset that `draft` reads (`datasets`), its declaration.
        code: digest of the program that the study is made for.
        identities: per department and server, its identity key in hex.

    Raises:
        InvalidDocumentError: a dataset or column is not declared, a number lacks bins, or a party
            has enrolled no node. Every problem is listed, with its place in the file.
    """
    problems: list[FieldProblem] = []
    chosen: list[Variable | None] = []
    for place, item in enumerate(draft.variables):
        found = list(_problems(draft, item, place, declarations))
        problems += found
        chosen.append(None if found else _column(item, declarations))
    problems += _unknown(draft, identities)
    what = f"the study {draft.study}"
    if problems:
        raise InvalidDocumentError(what, tuple(problems))
    mapping = {item.name: getattr(draft, item.name) for item in fields(LinkedDraft)}
    mapping["columns"] = tuple(chosen)
    mapping["code"] = code
    mapping["roster"] = _roster(draft, identities)
    return documents.read(LinkedStudy, mapping, what=what)


def datasets(draft: LinkedDraft) -> tuple[tuple[str, str], ...]:
    """Give each department and dataset that a study reads, once, in the order of its variables."""
    return tuple(dict.fromkeys((item.department, item.dataset) for item in draft.variables))


def _problems(
    draft: LinkedDraft, item: LinkedVariable, place: int, declarations: Declared
) -> Iterator[FieldProblem]:
    """Give all that is wrong with one variable."""
    field = f"variables.{place}"
    declaration = declarations.get((item.department, item.dataset))
    if declaration is None:
        text = f"{item.department} has not declared the dataset {item.dataset}"
        yield FieldProblem(field=f"{field}.dataset", problem=text)
        return
    if draft.privacy.protection is Protection.NONE and not declaration.public:
        text = f"{item.department} has not declared {item.dataset} public"
        yield FieldProblem(field="privacy.protection", problem=text)
    if item.column is None:
        if item.bins:
            text = "bins belong to numbers; without a column there is none"
            yield FieldProblem(field=f"{field}.bins", problem=text)
        return
    column = declaration.column(item.column)
    if column is None:
        text = f"{item.department} does not declare the column {item.column} in {item.dataset}"
        yield FieldProblem(field=f"{field}.column", problem=text)
    elif isinstance(column, CategoryColumn):
        if item.bins:
            text = f"{item.column} has categories; bins belong to numbers"
            yield FieldProblem(field=f"{field}.bins", problem=text)
    elif not isinstance(column, NumericColumn):
        text = (
            f"{item.column} is of type {column.type}, which no study reads: "
            "derive a number or a category from it in an analysis table"
        )
        yield FieldProblem(field=f"{field}.column", problem=text)


def _column(item: LinkedVariable, declarations: Declared) -> Variable | None:
    declaration = declarations[(item.department, item.dataset)]
    found = declaration and item.column and declaration.column(item.column)
    return found if isinstance(found, NumericColumn | CategoryColumn) else None


def _unknown(draft: LinkedDraft, identities: Mapping[str, str]) -> Iterator[FieldProblem]:
    for name in draft.parties:
        if name not in identities:
            field = "departments" if name in draft.departments else "committee.servers"
            text = f"{name} has not enrolled a node, whose identity key a linked study needs"
            yield FieldProblem(field=field, problem=text)


def _roster(draft: LinkedDraft, identities: Mapping[str, str]) -> Roster:
    """Give the keys of all parties: every pair shares secrets, and nobody may be missing.

    A server that pools what it knows with another opens the records (the committee's owners say
    who that could be), so the terms promise nothing against it.
    """
    names = sorted(draft.parties)
    return Roster(
        members=tuple(Member(name=name, identity=identities[name]) for name in names),
        minimum=len(names),
        attempts=1,
        colluders=0,
    )
