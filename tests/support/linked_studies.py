"""Linked studies for tests: two schools' and social services' variables, and what stands beside."""

from collections.abc import Mapping, Sequence

from models.governance.linked import (
    Committee,
    LinkedPrivacy,
    LinkedStudy,
    LinkedVariable,
    RegisterTerms,
    Server,
)
from models.governance.questions import Hazard, Question, Relations, Table
from models.governance.roster import Member, Roster
from models.governance.study import LegalBasis, Protection
from models.quantities import Delta, Epsilon
from models.schema import Bilingual, CategoryColumn, NumericColumn, StudyColumn

TEXT = Bilingual(sv="Text", en="Text")
PRIVATE = LinkedPrivacy(
    protection=Protection.SECURE_SUM, epsilon=Epsilon(1.0), delta=Delta(1e-6), unit="household"
)
OPEN = LinkedPrivacy(protection=Protection.NONE)


def category(name: str, *levels: str) -> CategoryColumn:
    return CategoryColumn(name=name, meaning=TEXT, categories=levels)


def integer(name: str, low: int, high: int, *, edges: Sequence[float] = ()) -> NumericColumn:
    return NumericColumn(
        name=name,
        type="integer",
        meaning=TEXT,
        minimum=float(low),
        maximum=float(high),
        edges=tuple(edges),
    )


def own(
    name: str, department: str, *, of: str = "resident", bins: int = 0, absent: bool = False
) -> LinkedVariable:
    return LinkedVariable(
        name=name,
        department=department,
        dataset=f"{department}_table",
        column=name,
        of=of,
        bins=bins,
        absent=absent,
    )


def linked_study(
    variables: Sequence[tuple[LinkedVariable, StudyColumn | None]],
    questions: Sequence[Question],
    *,
    privacy: LinkedPrivacy = PRIVATE,
    servers: tuple[str, str] | None = None,
    residents: int = 1000,
    identities: dict[str, str] | None = None,
    code: str = "0" * 64,
) -> LinkedStudy:
    departments = tuple(dict.fromkeys(item.department for item, _ in variables))
    owners = {item.name: item.department for item, _ in variables}
    servers = servers or ("auditor", "clinic" if multiplies(questions, owners) else "social")
    parties = sorted({*departments, *servers})
    keys = identities or {name: f"{i + 1:064x}" for i, name in enumerate(parties)}
    return LinkedStudy(
        study="linked-test",
        title=TEXT,
        purpose=TEXT,
        legal_basis=LegalBasis(article_6="e", provision="a provision"),
        contact="somebody",
        departments=departments,
        committee=Committee(
            coordinator="The city's office",
            servers=(
                Server(name=servers[0], owner="The auditors"),
                Server(name=servers[1], owner="The social welfare board"),
            ),
        ),
        register=RegisterTerms(date="2024-12-31", residents=residents),
        variables=tuple(item for item, _ in variables),
        questions=tuple(questions),
        privacy=privacy,
        retention_days=30,
        columns=tuple(column for _, column in variables),
        code=code,
        roster=Roster(
            members=tuple(Member(name=name, identity=keys[name]) for name in parties),
            minimum=len(parties),
        ),
    )


def multiplies(questions: Sequence[Question], owners: Mapping[str, str]) -> bool:
    """Tell whether servers multiply columns of two departments: then none of them may be one."""
    for question in questions:
        if isinstance(question, Hazard):
            return True
        if isinstance(question, Relations):
            pairs: Sequence[Sequence[str]] = question.crossed
            most = 1
        else:
            pairs, most = [named for named in [question.of] if question.match is None], 2
        if any(len({owners[name] for name in names}) > most for names in pairs):
            return True
    return False


def table(name: str, *of: str) -> Table:
    return Table(kind="table", name=name, title=TEXT, of=of)


def school_study(**changes: object) -> LinkedStudy:
    """Give the study that most tests use: eligible pupils by long-term assistance."""
    return linked_study(
        [
            (own("eligible", "school"), category("eligible", "no", "yes")),
            (
                own("assistance", "social", of="household", absent=True),
                category("assistance", "no", "yes"),
            ),
        ],
        [table("eligibility", "eligible", "assistance")],
        **changes,
    )
