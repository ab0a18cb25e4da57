"""What a linked study computes: columns of zeros and ones, and the tables that are opened.

Every party derives the same layout from the approved study. Departments put *groups* of columns on
the spine, one row per resident of the register: a block crosses some variables of one department
(a row has at most one 1 in it), a stack puts variables side by side. A *derived* group multiplies
two groups of different departments, row by row; nobody ever has it but as shares. A *target* is one
table that is opened: Σ over rows of left ⊗ right, of which some cells may be added up or left out.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from models.errors import UsageError
from models.governance.linked import LinkedStudy
from models.governance.questions import Hazard, Relations, Table
from models.linkage.coding import Coding, coding
from models.linkage.groups import LAG, PRODUCT, Derived, Group, Layout, Target

MOST_COLUMNS = 20_000
MOST_CELLS = 2_000_000
MOST_DERIVED = 4096
"""Columns that one derived group may have: they go from server to server for every resident."""


class _Maker:
    """Collects groups, each once."""

    def __init__(self, study: LinkedStudy) -> None:
        self.study = study
        self.groups: list[Group] = []
        self.derived: list[Derived] = []
        self.targets: list[Target] = []

    def group(self, names: Sequence[str], *, stacked: bool = False) -> int:
        """Give the place of the group of these variables, which are of one department."""
        [department] = {self.study.variable(name).department for name in names}
        axes = tuple(coding(self.study, name) for name in names)
        made = Group(department=department, axes=axes, stacked=stacked)
        if made not in self.groups:
            self.groups.append(made)
        return self.groups.index(made)

    def product(self, left: int, right: int) -> Derived:
        """Give the derived group of all products of two groups."""
        one, other = self.groups[left], self.groups[right]
        return Derived(
            left=left,
            right=right,
            kind=PRODUCT,
            width=one.width * other.width,
            axes=(*one.axes, *other.axes),
        )

    def by_department(self, names: Sequence[str]) -> list[list[str]]:
        """Give the names, those of a department together."""
        found: dict[str, list[str]] = {}
        for name in names:
            found.setdefault(self.study.variable(name).department, []).append(name)
        return list(found.values())


@lru_cache(maxsize=64)
def layout(study: LinkedStudy) -> Layout:
    """Give what a study computes.

    Raises:
        UsageError: a question cannot be asked so, or is too large; the text says what to change.
    """
    maker = _Maker(study)
    for question in study.questions:
        if isinstance(question, Table):
            _table(maker, question)
        elif isinstance(question, Relations):
            _relations(maker, question)
        else:
            _hazard(maker, question)
    made = Layout(
        groups=tuple(maker.groups),
        derived=tuple(item for item in maker.derived),
        targets=tuple(_placed(maker)),
    )
    _check(study, made)
    return made


def _placed(maker: _Maker) -> Iterator[Target]:
    """Give the targets; derived groups (negative places so far) come after all groups."""
    for target in maker.targets:
        yield Target(
            question=target.question,
            table=target.table,
            left=_place(maker, target.left),
            right=None if target.right is None else _place(maker, target.right),
            axes=target.axes,
            select=target.select,
            based=target.based,
            matched=target.matched,
        )


def _place(maker: _Maker, place: int) -> int:
    return place if place >= 0 else len(maker.groups) - 1 - place


def _derive(maker: _Maker, made: Derived) -> int:
    """Give the place of a derived group for now: -1, -2, ..."""
    if made.width > MOST_DERIVED:
        raise UsageError(
            f"products of two departments' variables would need {made.width:,} columns for every "
            f"resident; {MOST_DERIVED:,} are the most",
            hint="Ask for fewer categories, or put variables of one department together.",
        )
    if made not in maker.derived:
        maker.derived.append(made)
    return -1 - maker.derived.index(made)


def _table(maker: _Maker, question: Table) -> None:
    if question.match is not None:
        _matched(maker, question)
        return
    parts = maker.by_department(question.of)
    if len(parts) > 3:  # noqa: PLR2004 - products of two, and a third
        raise UsageError(
            f"the table {question.name} is over {len(parts)} departments; three are the most",
            hint="Ask for several tables.",
        )
    places = [maker.group(part) for part in parts]
    places.sort(key=lambda place: maker.groups[place].width)
    axes = tuple(axis for place in places for axis in maker.groups[place].axes)
    left, right = places[0], places[1] if len(places) > 1 else None
    if len(places) == 3:  # noqa: PLR2004
        left, right = _derive(maker, maker.product(places[0], places[1])), places[2]
    maker.targets.append(
        Target(
            question=question.name,
            table=question.name,
            left=left,
            right=right,
            axes=axes,
            based=tuple(axis.variable for axis in axes),
        )
    )


def _matched(maker: _Maker, question: Table) -> None:
    match = question.match
    assert match is not None  # noqa: S101 - asked by the caller
    others = [name for name in question.of if name != match.name]
    axes = [coding(maker.study, name) for name in match.variables]
    by = coding(maker.study, match.by)
    if question.of[-1] != match.name or len(axes) != by.width:
        raise UsageError(
            f"the table {question.name}: the match must be its last axis, and have one variable "
            f"for each of the {by.width} categories of {match.by}"
        )
    if len({axis.labels for axis in axes}) != 1:
        raise UsageError(f"the table {question.name}: the matched variables differ in categories")
    own = [maker.study.variable(name) for name in match.variables]
    if len({(item.of, item.absent) for item in own}) != 1:
        raise UsageError(
            f"the table {question.name}: the matched variables differ in `of` or `absent`",
            hint="How far one resident can move the table would depend on which of them counts.",
        )
    names = (*others, match.by)
    for part, what in ((names, "axes"), (match.variables, "matched variables")):
        if len(maker.by_department(part)) != 1:
            raise UsageError(f"the table {question.name}: its {what} must be of one department")
    left, right = maker.group(names), maker.group(match.variables, stacked=True)
    kept = tuple(coding(maker.study, name) for name in others)
    last = replace(axes[0], variable=match.name)
    width = last.width
    select = tuple(
        (other * by.width + place, place * width + value, other * width + value)
        for other in range(math.prod(axis.width for axis in kept))
        for place in range(by.width)
        for value in range(width)
    )
    maker.targets.append(
        Target(
            question=question.name,
            table=question.name,
            left=left,
            right=right,
            axes=(*kept, last),
            select=select,
            based=names,
            matched=match.variables,
        )
    )


def _relations(maker: _Maker, question: Relations) -> None:
    names = dict.fromkeys((*question.of, *([question.outcome] if question.outcome else [])))
    for name in (*names, *itertools.chain(*question.crossed)):
        if maker.study.variable(name).of == "household":
            raise UsageError(
                f"{question.name}: {name} is about households, and relations are about residents",
                hint="Ask for a table with a variable of the residents' own.",
            )
    places = [(name, maker.group([name])) for name in names]
    for one, other in question.crossed:
        parts = maker.by_department((one, other))
        if len(parts) == 1:
            places.append((f"{one}*{other}", maker.group((one, other))))
        else:
            made = maker.product(maker.group([one]), maker.group([other]))
            places.append((f"{one}*{other}", _derive(maker, made)))
    for name, place in places:
        maker.targets.append(_relation(maker, question, ((name, place),)))
    for pair in itertools.combinations(places, 2):
        maker.targets.append(_relation(maker, question, pair))


def _relation(maker: _Maker, question: Relations, parts: Sequence[tuple[str, int]]) -> Target:
    groups = [
        maker.groups[place] if place >= 0 else maker.derived[-1 - place] for _, place in parts
    ]
    axes = tuple(axis for group in groups for axis in group.axes)
    return Target(
        question=question.name,
        table=f"{question.name}/{'/'.join(name for name, _ in parts)}",
        left=parts[0][1],
        right=parts[1][1] if len(parts) > 1 else None,
        axes=axes,
        based=tuple(axis.variable for axis in axes),
    )


def _hazard(maker: _Maker, question: Hazard) -> None:
    lasting = (question.duration, question.event, *question.strata)
    if len(maker.by_department((question.start, *lasting))) != 1:
        raise UsageError(
            f"{question.name}: start, duration, event and strata are of one department"
        )
    if len(maker.by_department((question.start, question.entry))) != 2:  # noqa: PLR2004
        raise UsageError(f"{question.name}: entry is of another department than start")
    start, entry = coding(maker.study, question.start), coding(maker.study, question.entry)
    months = coding(maker.study, question.duration)
    for axis in (start, entry, months):
        months_only = len(axis.middles) == axis.width
        if not months_only or any(b - a != 1 for a, b in itertools.pairwise(axis.middles)):
            raise UsageError(
                f"{question.name}: {axis.variable} must be a whole number of months, which is "
                "never missing; without `absent`"
            )
    if coding(maker.study, question.event).width != 2:  # noqa: PLR2004
        raise UsageError(f"{question.name}: {question.event} must have two categories")
    left, right = maker.group([question.start]), maker.group([question.entry])
    longest = int(months.middles[-1])
    lags = Coding(
        variable=question.entry,
        labels=tuple(f"in month {k + 1}" for k in range(longest)),
        middles=tuple(float(k) for k in range(longest)),
    )
    made = Derived(
        left=left,
        right=right,
        kind=LAG,
        width=longest,
        axes=(lags,),
        offset=int(entry.middles[0] - start.middles[0]),
    )
    place, lasted = _derive(maker, made), maker.group(lasting)
    axes = maker.groups[lasted].axes
    maker.targets.append(
        Target(
            question=question.name,
            table=f"{question.name}/all",
            left=lasted,
            right=None,
            axes=axes,
            based=lasting,
        )
    )
    maker.targets.append(
        Target(
            question=question.name,
            table=f"{question.name}/after",
            left=place,
            right=lasted,
            axes=(lags, *axes),
            based=(question.start, question.entry, *lasting),
        )
    )


def _check(study: LinkedStudy, made: Layout) -> None:
    owning = sorted(set(study.committee.names) & set(study.departments))
    if made.derived and owning:
        raise UsageError(
            f"the study {study.study} multiplies columns of two departments, and its server "
            f"{owning[0]} is one of its departments: it knows which row is whose, and with a "
            "changed program could make a resident of its choice stand out",
            hint="Choose servers that are none of the departments, such as a witness and a "
            "department that the study does not ask.",
        )
    columns = sum(group.width for group in made.groups)
    for count, most, what in (
        (columns, MOST_COLUMNS, "columns"),
        (made.cells, MOST_CELLS, "cells"),
    ):
        if count > most:
            raise UsageError(
                f"the study {study.study} would have {count:,} {what}; {most:,} are the most",
                hint="Ask for fewer categories, or fewer variables at once.",
            )
