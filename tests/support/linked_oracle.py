"""The tables of a linked study, in the clear and slowly: what sharing must give without noise.

Records: for each variable, the category of each resident who has a record (absent residents are
left out). Row by row, exactly as the study says it.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from models.governance.linked import LinkedStudy
from models.linkage.coding import NONE, Coding, coding
from models.linkage.groups import LAG, Derived, Group, Target
from models.linkage.plan import plan

Records = Mapping[str, Mapping[int, int]]
"""By variable, the category (place in the coding) by resident (place on the spine)."""


def codes(study: LinkedStudy, records: Records, households: Sequence[int]) -> dict[str, list[int]]:
    """Give each variable's category for every resident, or NONE."""
    counted = {name: _counted(study, records, households, name) for name in study.departments}
    found = {}
    for item in study.variables:
        axis = coding(study, item.name)
        mine = records[item.name]
        row = []
        for resident, household in enumerate(households):
            if item.of == "household":
                here = [mine[r] for r in mine if households[r] == household]
                row.append(max(here) if here else axis.absent)
            elif resident in mine and resident in counted[item.department]:
                row.append(mine[resident])
            else:
                row.append(axis.absent)
        found[item.name] = row
    return found


def _counted(
    study: LinkedStudy, records: Records, households: Sequence[int], department: str
) -> set[int]:
    """Give the residents whose own records count: the first few of each household."""
    own = {
        resident
        for item in study.variables
        if item.department == department and item.of == "resident"
        for resident in records[item.name]
    }
    if study.privacy.unit == "resident" and not study.linking:
        return own
    kept: set[int] = set()
    for resident in sorted(own):
        before = sum(households[other] == households[resident] for other in kept)
        if before < study.privacy.rows_per_household:
            kept.add(resident)
    return kept


def vector(study: LinkedStudy, records: Records, households: Sequence[int]) -> np.ndarray:
    """Give all cells of all targets, in order, without totals."""
    made = plan(study).layout
    known = codes(study, records, households)
    out = []
    for target in made.targets:
        cells = np.zeros(target.cells, dtype=np.int64)
        for resident in range(len(households)):
            left = _ones(made.groups, made.derived, target.left, known, resident)
            if target.right is None:
                right, width = [0], 1
            else:
                right = _ones(made.groups, made.derived, target.right, known, resident)
                width = made.width(target.right)
            for one, other in itertools.product(left, right):
                for cell in _cells(target, one, other, width):
                    cells[cell] += 1
        out.append(cells)
    return np.concatenate(out)


def _cells(target: Target, left: int, right: int, width: int) -> list[int]:
    if target.select is None:
        return [left * width + right]
    return [cell for one, other, cell in target.select if (one, other) == (left, right)]


def _ones(
    groups: Sequence[Group],
    derived: Sequence[Derived],
    place: int,
    known: Mapping[str, Sequence[int]],
    resident: int,
) -> list[int]:
    """Give the columns of a group in which the resident has a 1."""
    if place < len(groups):
        return _own(groups[place], known, resident)
    item = derived[place - len(groups)]
    left, right = (
        _own(groups[item.left], known, resident),
        _own(groups[item.right], known, resident),
    )
    if item.kind == LAG:
        lags = [r + item.offset - one for one in left for r in right]
        return [k for k in lags if 0 <= k < item.width]
    return [one * groups[item.right].width + r for one in left for r in right]


def _own(group: Group, known: Mapping[str, Sequence[int]], resident: int) -> list[int]:
    places = [(axis, known[axis.variable][resident]) for axis in group.axes]
    if group.stacked:
        starts = itertools.accumulate((axis.width for axis in group.axes), initial=0)
        return [s + code for s, (_, code) in zip(starts, places, strict=False) if code != NONE]
    if any(code == NONE for _, code in places):
        return []
    return [_mixed(places)]


def _mixed(places: Sequence[tuple[Coding, int]]) -> int:
    found = 0
    for axis, code in places:
        found = found * axis.width + code
    return found
