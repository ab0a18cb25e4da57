"""All answers of a release: every analysis of every question, from its tables."""

from collections.abc import Mapping

from models.governance.linked import LinkedStudy
from models.governance.questions import CellFit, Hazard, Relations, Table
from models.linkage.estimates.cell_fit import fit_cells
from models.linkage.estimates.comparison import compare
from models.linkage.estimates.figures import Answer
from models.linkage.estimates.hazard import leave
from models.linkage.estimates.relations import relate
from models.linkage.tables import NoisyTable, Opened


def answers(study: LinkedStudy, opened: Opened) -> tuple[Answer, ...]:
    """Give one answer for each analysis, in the order of the study. Pure; costs no budget.

    A table without analyses has no answer: its cells are the release. What the tables do not
    determine is said figure by figure; nothing is refused (`asked.check` does that, beforehand).

    Args:
        study: that was run.
        opened: its tables.
    """
    tables = {table.table: table for table in opened.tables}
    found: list[Answer] = []
    for question in study.questions:
        if isinstance(question, Table):
            found += _of_table(question, tables)
        elif isinstance(question, Relations):
            found += relate(question, tables)
        else:
            found.append(_of_hazard(question, tables))
    return tuple(found)


def _of_table(question: Table, tables: Mapping[str, NoisyTable]) -> list[Answer]:
    table = tables[question.name]
    return [
        fit_cells(asked, table) if isinstance(asked, CellFit) else compare(asked, table)
        for asked in question.analyses
    ]


def _of_hazard(question: Hazard, tables: Mapping[str, NoisyTable]) -> Answer:
    return leave(question, tables[f"{question.name}/all"], tables[f"{question.name}/after"])
