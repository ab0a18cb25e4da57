"""What a linked release answers: its figures, curves and tables, as data frames and as rows.

with Datalabbet.connect() as city:
    found = city.results(run)
found.figures               # every figure with its 95 % interval
found.curves                # chances of leaving, and of being left, month by month
found.table("eligibility")  # residents in every cell, and the noise in them
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from coordinator.client.exports import RECORD, collect
from coordinator.client.trends import Dated
from models import documents
from models.errors import NotFoundError, ProtocolViolationError, UsageError
from models.governance.linked_record import LinkedRecord
from models.governance.record import RecordedFile
from models.linkage.estimates.figures import Answer, Figure
from models.linkage.results import ReleasedTable, Results, Tables
from protos import codec

if TYPE_CHECKING:  # takes a second to import; the command prints without it
    import pandas as pd

T = TypeVar("T", Results, Tables)

RESULTS, TABLES = "results.json", "tables.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedResults:
    """The release of a linked study, read and checked.

    Attributes:
        record: what was asked, of whom, under which protection.
        answers: what was found, in the order of the study's questions.
        released: every table, in the same order.
    """

    record: LinkedRecord
    answers: tuple[Answer, ...]
    released: tuple[ReleasedTable, ...]

    @classmethod
    def from_parts(cls, record: LinkedRecord, *, results: bytes, tables: bytes) -> Self:
        """Give the results in the files of a release whose hashes are those of the record.

        Raises:
            InvalidDocumentError: a file is not what its name says.
            ProtocolViolationError: a file is of another run.
        """
        found, cells = _read(Results, results, RESULTS), _read(Tables, tables, TABLES)
        whose = {(item.run, item.study_hash) for item in (found, cells)}
        if whose != {(record.run, record.study_hash)}:
            raise ProtocolViolationError("the files of the release are not all of one run")
        return cls(record=record, answers=found.answers, released=cells.tables)

    @classmethod
    def from_release(cls, folder: Path | str) -> Self:
        """Give the results in an exported release's folder.

        Raises:
            UsageError: the folder does not hold the release of a linked study.
            ProtocolViolationError: a file is not the one that the record names.
        """
        place = Path(folder)
        record = codec.read_record(_content(place, RECORD), what="the release record")
        if not isinstance(record, LinkedRecord):
            raise UsageError(f"{place} holds a model, not the answers of a linked study")
        return cls.of(record, lambda entry: collect(entry, iter([_content(place, entry.name)])))

    @classmethod
    def of(cls, record: LinkedRecord, content: Callable[[RecordedFile], bytes]) -> Self:
        """Give the results of a record, whose files `content` gives, checked.

        Raises:
            NotFoundError: the record names no such files.
        """
        parts = {}
        for name in (RESULTS, TABLES):
            entry = record.file(name)
            if entry is None:
                raise NotFoundError(f"the release of run {record.run} has no {name}")
            parts[name] = content(entry)
        return cls.from_parts(record, results=parts[RESULTS], tables=parts[TABLES])

    @property
    def dated(self) -> Dated:
        """Give the answers with their run and day, for `coordinator.client.trends`."""
        record = self.record
        return Dated(run_id=record.run_id, made=record.created_at, answers=self.answers)

    @property
    def figures(self) -> "pd.DataFrame":
        """Give every figure: one row each.

        Columns: question, analysis, kind, figure; value, low and high (95 % interval, NaN where
        the tables do not determine it); noise (half-width that noise alone would leave); drowned
        and note.
        """
        head = ("question", "analysis", "kind", "figure", "value", "low", "high", "noise")
        rows = [
            (answer.question, answer.analysis, f.kind, f.name, *_numbers(f), f.drowned, f.note)
            for answer in self.answers
            for f in answer.figures
        ]
        return _frame([*head, "drowned", "note"], rows)

    @property
    def curves(self) -> "pd.DataFrame":
        """Give every curve: one row per point, with columns kind, curve, at, value, low, high."""
        rows = [
            (answer.question, series.kind, series.name, p.at, p.value, p.low, p.high)
            for answer in self.answers
            for series in answer.series
            for p in series.points
        ]
        return _frame(["question", "kind", "curve", "at", "value", "low", "high"], rows)

    @property
    def tests(self) -> "pd.DataFrame":
        """Give every test of "no effect at all": terms, chi-square, degrees of freedom and p."""
        rows = [
            (answer.question, answer.analysis, test.name, test.statistic, test.degrees, test.p)
            for answer in self.answers
            for test in answer.tests
        ]
        return _frame(["question", "analysis", "terms", "statistic", "degrees", "p"], rows)

    @property
    def tables(self) -> tuple[str, ...]:
        """Give the names of the tables, for `table`."""
        return tuple(item.table for item in self.released)

    def table(self, name: str) -> "pd.DataFrame":
        """Give a table: one row per cell, a column per variable, then residents and deviation.

        `residents` is NaN where the cell is withheld; `deviation` is the standard deviation of
        the noise in it. Without a table of that name, the first table of the question of that name.

        Raises:
            NotFoundError: there is neither.
        """
        named = [item for item in self.released if item.table == name]
        found = named or [item for item in self.released if item.question == name]
        if not found:
            raise NotFoundError(
                f"the release of run {self.record.run} has no table {name}",
                hint=f"It has {', '.join(self.tables[:20])}.",
            )
        return _cells(found[0])


def _cells(table: ReleasedTable) -> "pd.DataFrame":
    import pandas as pd  # noqa: PLC0415 - see above

    labels = [axis.labels for axis in table.axes]
    index = pd.MultiIndex.from_product(labels, names=[axis.variable for axis in table.axes])
    frame = index.to_frame(index=False)
    frame["residents"] = [math.nan if cell is None else cell for cell in table.cells]
    frame["deviation"] = math.sqrt(table.variance.value)
    return frame


def _numbers(figure: Figure) -> tuple[float, ...]:
    found = (figure.value, figure.low, figure.high, figure.noise)
    return tuple(math.nan if value is None else value for value in found)


def _frame(columns: list[str], rows: Sequence[tuple[object, ...]]) -> "pd.DataFrame":
    import pandas as pd  # noqa: PLC0415 - see above

    return pd.DataFrame(rows, columns=columns)


def _read(kind: type[T], content: bytes, name: str) -> T:
    try:
        mapping = json.loads(content)
    except (ValueError, RecursionError):
        raise ProtocolViolationError(f"{name} is not valid JSON") from None
    return documents.read(kind, mapping, what=name)


def _content(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise UsageError(
            f"{folder / name} cannot be read ({error.strerror})",
            hint="Name the folder that `datalabbet releases export` wrote.",
        ) from None
