"""How well a dataset is linked to the register, as data and as text: counts, never a value.

The counts are exact and of small groups too. The report is for the department's own steward; no
part of it is a release, and nothing of it leaves the node.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from node.output import Json, table


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnLinkage:
    """What became of the ids in one column.

    Attributes:
        column: the resident id, or a column of type `resident`.
        rows: of the source, those included that a later row supersedes.
        ways: how many rows each way led to a resident, or did not; see `node.vault.linking.Way`.
        empty: rows without an id, or with one that this node does not take.
        residents: different residents of the register whom rows were led to.
        protected: rows of residents with a protected identity; None if the register has no such
            column.
        doubt: of the rows that comparison led to a resident, how many are expected to be
            somebody else's: the sum of one minus their probabilities.
    """

    column: str
    rows: int
    ways: Mapping[str, int]
    empty: int
    residents: int
    protected: int | None
    doubt: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkageReport:
    """How a dataset was linked.

    Attributes:
        dataset: its name.
        register: name and day of the register, `kir_person of 2024-12-31`.
        register_residents: how many it has.
        columns: the resident id first.
    """

    dataset: str
    register: str
    register_residents: int
    columns: tuple[ColumnLinkage, ...]


def as_data(report: LinkageReport) -> dict[str, Json]:
    """Give a report as JSON has it."""
    return asdict(report)


def as_text(report: LinkageReport, words: Mapping[str, str]) -> str:
    """Give a report as a table: a line for each way, with its rows in each column of ids.

    Args:
        report: what was found.
        words: what each way is called for people.
    """
    lines: list[Sequence[str]] = [
        ("rows", *(str(one.rows) for one in report.columns)),
        *((text, *(str(one.ways[way]) for one in report.columns)) for way, text in words.items()),
        ("no id, or one that this node does not take", *(str(c.empty) for c in report.columns)),
        ("residents", *(str(one.residents) for one in report.columns)),
        ("rows of protected residents", *(_or_dash(one.protected) for one in report.columns)),
        ("expected to be wrong", *(f"{one.doubt:.4f}" for one in report.columns)),
    ]
    head = (report.dataset, *(one.column for one in report.columns))
    told = f"register: {report.register}, {report.register_residents} residents"
    return f"{table(head, lines, empty='')}\n{told}"


def _or_dash(count: int | None) -> str:
    return "-" if count is None else str(count)
