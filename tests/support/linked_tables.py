"""Linked studies for tests of what is computed from their tables: residents in the clear.

Nothing here shares or protects anything: the tables are counted plainly, in the layout that the
servers would have used, and noise is drawn from a public generator.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from linked_studies import TEXT, linked_study

from models.governance.linked import LinkedPrivacy, LinkedStudy, LinkedVariable
from models.governance.questions import Question
from models.governance.study import Protection
from models.linkage.groups import LAG, Derived, Group, Layout, Target
from models.linkage.layout import layout
from models.linkage.plan import plan
from models.linkage.tables import NoisyTable, Opened
from models.quantities import Delta, Epsilon, NoiseVariance
from models.schema import CategoryColumn, NumericColumn, StudyColumn

Rows = Mapping[str, npt.NDArray[np.int64]]
"""Category of each resident by variable; -1: not counted."""


def category(name: str, *categories: str, **more: object) -> CategoryColumn:
    return CategoryColumn(name=name, meaning=TEXT, categories=categories, **more)


def whole(name: str, first: int, last: int, **more: object) -> NumericColumn:
    return NumericColumn(
        name=name, type="integer", meaning=TEXT, minimum=first, maximum=last, **more
    )


def number(name: str, *path: float, **more: object) -> NumericColumn:
    return NumericColumn(
        name=name,
        type="number",
        meaning=TEXT,
        minimum=path[0],
        maximum=path[-1],
        edges=path[1:-1],
        **more,
    )


def variable(
    department: str, column: StudyColumn | None, *, name: str = "", **more: object
) -> tuple[LinkedVariable, StudyColumn | None]:
    own = None if column is None else column.name
    made = LinkedVariable(
        name=name or own or "", department=department, dataset="records", column=own, **more
    )
    return made, column


def study(
    variables: Sequence[tuple[LinkedVariable, StudyColumn | None]],
    *questions: Question,
    epsilon: float = 1.0,
    residents: int = 20_000,
) -> LinkedStudy:
    privacy = LinkedPrivacy(
        protection=Protection.SECURE_SUM, epsilon=Epsilon(epsilon), delta=Delta(1e-6)
    )
    return linked_study(variables, questions, privacy=privacy, residents=residents)


def clear(asked: LinkedStudy, rows: Rows) -> Opened:
    """Give the tables without noise."""
    made = layout(asked)
    tables = tuple(
        NoisyTable(
            question=target.question,
            table=target.table,
            axes=target.axes,
            counts=_counts(made, target, rows),
            variance=NoiseVariance(0.0),
        )
        for target in made.targets
    )
    return Opened(tables=tables, totals=())


def noisy(
    opened: Opened, variance: float, generator: np.random.Generator, *, said: float | None = None
) -> Opened:
    """Give the tables with noise; `said`: the variance that they claim to have."""
    return replace(
        opened,
        tables=tuple(
            replace(
                table,
                counts=table.counts + generator.normal(0.0, variance**0.5, table.counts.shape),
                variance=NoiseVariance(variance if said is None else said),
            )
            for table in opened.tables
        ),
    )


def variance(asked: LinkedStudy) -> float:
    """Give the variance of the noise that the study's plan puts into each cell."""
    return plan(asked).noise.variance.value


def _counts(made: Layout, target: Target, rows: Rows) -> npt.NDArray[np.float64]:
    shape = [axis.width for axis in target.axes]
    left, wide = _places(made, target.left, rows)
    if target.right is None:
        return np.bincount(left[left >= 0], minlength=wide).reshape(shape).astype(float)
    assert target.select is None, "matches are not counted here"
    right, other = _places(made, target.right, rows)
    both = (left >= 0) & (right >= 0)
    cells = left[both] * other + right[both]
    return np.bincount(cells, minlength=wide * other).reshape(shape).astype(float)


def _places(made: Layout, place: int, rows: Rows) -> tuple[npt.NDArray[np.int64], int]:
    own = len(made.groups)
    if place < own:
        return _in_group(made.groups[place], rows), made.groups[place].width
    derived = made.derived[place - own]
    return _in_derived(made, derived, rows), derived.width


def _in_group(group: Group, rows: Rows) -> npt.NDArray[np.int64]:
    assert not group.stacked
    codes = [rows[axis.variable] for axis in group.axes]
    found = np.zeros(len(codes[0]), dtype=np.int64)
    for axis, code in zip(group.axes, codes, strict=True):
        found = np.where((found >= 0) & (code >= 0), found * axis.width + code, -1)
    return found


def _in_derived(made: Layout, derived: Derived, rows: Rows) -> npt.NDArray[np.int64]:
    left, right = (_in_group(made.groups[place], rows) for place in (derived.left, derived.right))
    both = (left >= 0) & (right >= 0)
    if derived.kind == LAG:
        lag = right + derived.offset - left
        return np.where(both & (lag >= 0) & (lag < derived.width), lag, -1)
    return np.where(both, left * made.groups[derived.right].width + right, -1)
