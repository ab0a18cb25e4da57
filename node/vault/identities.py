"""Numbers of residents, and keys, held to their declaration.

Personal numbers are given as twelve digits however they are written, so that a resident is the
same in every table and department.
"""

import re
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from models.linkage.identity import Identity, Mode, looks_real, read
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

Read = Callable[[str], tuple[str, AnyProblem | None]]
"""From a text to what it names, and what is wrong with it."""

_REMEMBERED = 1 << 16
"""A resident's rows can lie far apart: so many texts are not looked at again (about 20 MB)."""


def reader(dataset: Dataset) -> Read:
    """Give what reads the residents of a dataset; it forgets them when it is let go of."""
    admission = dataset.admission

    def personal(text: str) -> tuple[str, AnyProblem | None]:
        found = read(text, extracted=dataset.extracted)
        if isinstance(found, Identity):
            return found.digits, admission.refusal(found)
        return "", found

    def opaque(text: str) -> tuple[str, AnyProblem | None]:
        bare = text.strip()
        # In demo mode alone: elsewhere an id may be anything.
        slipped = looks_real(bare) if admission.mode is Mode.DEMO else None
        return bare, None if slipped is None else admission.refusal(slipped)

    if dataset.identity_form is IdentityForm.PERSONNUMMER:
        return lru_cache(maxsize=_REMEMBERED)(personal)
    return opaque


def residents(cells: Cells, read_one: Read) -> Held:
    """Give whose the rows are, as texts; personal numbers as twelve digits."""
    return _held(cells, read_one, absent=Problem.NO_RESIDENT, missing=None)


def column(cells: Cells, declared: KeyColumn, read_one: Read) -> Held:
    """Give keys, or other residents' numbers, as texts, with None for what is missing."""
    pattern = None if declared.pattern is None else re.compile(declared.pattern)

    def key(text: str) -> tuple[str, AnyProblem | None]:
        bare = text.strip()
        kept = pattern is None or pattern.fullmatch(bare) is not None
        return bare, None if kept else Problem.OTHER_PATTERN

    read_key = read_one if declared.type == "resident" else key
    return _held(cells, read_key, absent=Problem.MISSING, missing=declared.missing)


def _held(
    cells: Cells,
    read_one: Read,
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
    found = [read_one(text) if text.strip() else ("", absent) for text in texts.texts]
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
