"""Numbers of residents, and keys, held to their declaration.

Personal numbers are given as twelve digits however they are written, so that a resident is the
same in every table and department.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from models.linkage.identity import (
    Admission,
    Identity,
    Mode,
    Refusal,
    is_ten_digits,
    read,
    readings,
)
from models.schema import KeyColumn, Missing
from node.datasets import Dataset, IdentityForm
from node.vault.cells import (
    CODES,
    FINE,
    AnyProblem,
    Held,
    Note,
    Problem,
    coded,
    fine,
    mark_spoiled,
    note,
)
from node.vault.chunks import Cells

Read = tuple[str, AnyProblem | None]
"""What a text names, and what is wrong with it."""

Reads = Callable[[Sequence[str]], list[Read]]
"""What reads the different texts of a stretch of rows."""

Mend = Callable[[str, Reads], Reads]
"""What gives, for a column and what reads its ids as they are written, what reads them mended."""

_REMEMBERED = 1 << 16
"""A resident's rows can lie far apart: so many texts are not looked at again (about 20 MB)."""

_TOO_MANY = 3
"""So many different ids are no chance; of fewer, nothing is concluded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """What reads the different texts of a stretch of rows: residents' ids, and keys."""

    residents: Reads
    keys: Reads

    def of(self, column: str, mend: Mend | None) -> "Reader":
        """Give what reads a column whose ids are mended; None: they are not."""
        if mend is None:
            return self
        return Reader(residents=mend(column, self.residents), keys=self.keys)


def reader(dataset: Dataset) -> Reader:
    """Give what reads the residents of a dataset; it forgets them when it is let go of."""
    admission = dataset.admission

    @lru_cache(maxsize=_REMEMBERED)
    def personal(text: str) -> Read:
        found = read(text, extracted=dataset.extracted)
        if isinstance(found, Identity):
            return found.digits, admission.refusal(found)
        return "", admission.refusal_of_mistyped(text) or found

    def personals(texts: Sequence[str]) -> list[Read]:
        return [personal(text) for text in texts]

    def opaques(texts: Sequence[str]) -> list[Read]:
        doubted = _doubted(texts, admission)
        return [
            (text.strip(), Refusal.REAL if text in doubted else admission.refusal_of_id(text))
            for text in texts
        ]

    def plain(texts: Sequence[str]) -> list[Read]:
        return [(text.strip(), None) for text in texts]

    own = dataset.identity_form is IdentityForm.PERSONNUMMER
    # In production a key may be anything: it names no resident.
    keys = opaques if admission.mode is Mode.DEMO else plain
    return Reader(residents=personals if own else opaques, keys=keys)


def _doubted(texts: Sequence[str], admission: Admission) -> Collection[str]:
    """Give the ids of ten bare digits that are real numbers, if too many are for chance.

    Of random ids of ten digits one in 140 passes for a person's number: single ones tell
    nothing. Where more are than are not, they are no serial numbers.
    """
    if admission.mode is Mode.PRODUCTION:
        return ()
    ten = [text for text in texts if is_ten_digits(text)]
    real = {text for text in ten if admission.refusal_of_ten_digits(text) is Refusal.REAL}
    others = sum(not readings(text) for text in ten)
    return real if len(real) >= _TOO_MANY and len(real) > others else ()


def residents(cells: Cells, read: Reader) -> Held:
    """Give whose the rows are, as texts; personal numbers as twelve digits."""
    return _held(cells, read.residents, absent=Problem.NO_RESIDENT, missing=None)


def column(cells: Cells, declared: KeyColumn, read: Reader) -> Held:
    """Give keys, or other residents' numbers, as texts, with None for what is missing."""
    pattern = None if declared.pattern is None else re.compile(declared.pattern)

    def keys(texts: Sequence[str]) -> list[Read]:
        return [
            (bare, problem or (None if _fits(bare, pattern) else Problem.OTHER_PATTERN))
            for bare, problem in read.keys(texts)
        ]

    read_all = read.residents if declared.type == "resident" else keys
    return _held(cells, read_all, absent=Problem.MISSING, missing=declared.missing)


def _fits(text: str, pattern: re.Pattern[str] | None) -> bool:
    return pattern is None or pattern.fullmatch(text) is not None


def _held(
    cells: Cells,
    read_all: Reads,
    *,
    absent: Problem,
    missing: Missing | None,
) -> Held:
    """Look at each different text once: a person's number stands in many rows."""
    texts = coded(cells.values)
    listed = () if missing is None else missing.values
    gone = np.array([text.strip() in listed for text in texts.texts], dtype=np.bool_)[texts.rows]
    if missing is not None:
        gone |= cells.values.is_null().to_numpy(zero_copy_only=False)
    found = [
        one if text.strip() else ("", absent)
        for text, one in zip(texts.texts, read_all(texts.texts), strict=True)
    ]
    values = np.array([value for value, _ in found], dtype=object)[texts.rows]
    values[gone] = None
    codes = [FINE if problem is None else CODES[problem] for _, problem in found]
    problems = np.array(codes, dtype=np.int8)[texts.rows]
    problems[gone] = FINE
    blanks = [
        problem is None and (text != text.strip() or len(text.split()) > len(value.split()))
        for text, (value, problem) in zip(texts.texts, found, strict=True)
    ]
    notes = fine(len(values))
    note(notes, np.array(blanks, dtype=np.bool_)[texts.rows] & ~gone, Note.BLANKS)
    mark_spoiled(problems, cells)
    return Held(values=values, problems=problems, notes=notes)
