"""Whether the analyses of a study can be computed at all: asked before it is proposed."""

import itertools
import math
from dataclasses import replace

from models.errors import UsageError
from models.governance.linked import LinkedStudy
from models.governance.questions import CellFit, Comparison, Hazard, Relations, Table
from models.linkage.coding import Coding, coding
from models.linkage.estimates.levels import counted, levels

_MOST_COLUMNS = 400
"""Terms of one regression; their covariance is computed in full."""


def check(study: LinkedStudy) -> None:
    """Refuse analyses that no table could answer.

    Raises:
        UsageError: names the question, the variable, and what to change.
    """
    for question in study.questions:
        if isinstance(question, Table):
            for analysis in question.analyses:
                if isinstance(analysis, CellFit):
                    _check_fit(study, question, analysis)
                else:
                    _check_comparison(study, question, analysis)
        elif isinstance(question, Relations):
            _check_relations(study, question)
        else:
            _check_hazard(study, question)


def _axis(study: LinkedStudy, question: Table, name: str) -> Coding:
    """Give an axis of a table; a match has the categories of what it matches."""
    if name not in question.of:
        raise UsageError(
            f"{question.name}: {name} is not among the table's variables",
            hint=f"Add {name} to `of`, or take it out of the analysis.",
        )
    if question.match is not None and name == question.match.name:
        return replace(coding(study, question.match.variables[0]), variable=name)
    return coding(study, name)


def _two(question: Table | Relations, axis: Coding) -> None:
    if len(counted(axis)) != 2 or axis.middles:  # noqa: PLR2004
        raise UsageError(
            f"{question.name}: the outcome {axis.variable} must have two categories, beside "
            "`missing` and `no record`"
        )


def _first(study: LinkedStudy, question: Table, names: tuple[str, ...]) -> None:
    for name in names:
        if _axis(study, question, name).absent < 0:
            raise UsageError(
                f"{question.name}: {name} has no category `no record` to count as the first",
                hint="Take it out of `as_first`, or give the variable `absent: true`.",
            )


def _check_comparison(study: LinkedStudy, question: Table, asked: Comparison) -> None:
    outcome = _axis(study, question, asked.outcome)
    if asked.by == asked.outcome:
        raise UsageError(f"{question.name}: {asked.by} is compared with itself")
    _axis(study, question, asked.by)
    _first(study, question, asked.as_first)
    if asked.scale != "share" and not outcome.middles:
        raise UsageError(
            f"{question.name}: the categories of {asked.outcome} have no mean",
            hint="Use `scale: share`.",
        )
    if asked.scale == "log-mean" and min(outcome.middles) <= 0:
        raise UsageError(
            f"{question.name}: {asked.outcome} has a bin whose middle is not above 0, and no "
            "logarithm",
            hint="Use `scale: mean`, or choose other edges.",
        )


def _check_fit(study: LinkedStudy, question: Table, asked: CellFit) -> None:
    _two(question, _axis(study, question, asked.outcome))
    axes = {name: _axis(study, question, name) for name in asked.terms}
    _first(study, question, asked.as_first)
    if asked.outcome in axes or len(axes) != len(asked.terms):
        raise UsageError(f"{question.name}: a term is named twice, or is the outcome")
    named = (*asked.linear, *asked.test, *itertools.chain(*asked.products))
    for name in named:
        if name not in axes:
            raise UsageError(
                f"{question.name}: {name} is not a term", hint=f"Add {name} to `terms`."
            )
    if any(one == other for one, other in asked.products):
        raise UsageError(f"{question.name}: a product needs two different terms")
    if asked.centres and len(asked.centres) != len(asked.linear):
        raise UsageError(f"{question.name}: `centres` needs a number for each of `linear`")
    widths = {
        name: 1 if name in asked.linear else len(levels(axis)) - 1 for name, axis in axes.items()
    }
    columns = sum(widths.values()) + sum(widths[a] * widths[b] for a, b in asked.products)
    _few(question, columns)


def _check_relations(study: LinkedStudy, question: Relations) -> None:
    if question.outcome is None:
        return
    outcome = coding(study, question.outcome)
    if not outcome.middles:
        _two(question, outcome)
    names = [name for name in question.of if name != question.outcome]
    if not names:
        raise UsageError(f"{question.name}: a model needs a variable beside its outcome")
    widths = {
        name: len(levels(coding(study, name))) - 1
        for name in (*names, *itertools.chain(*question.crossed))
    }
    _few(
        question,
        sum(widths[name] for name in names)
        + sum(widths[a] * widths[b] for a, b in question.crossed),
    )


def _check_hazard(study: LinkedStudy, question: Hazard) -> None:
    if any(not a < b for a, b in itertools.pairwise(question.bands)):
        raise UsageError(f"{question.name}: `bands` must rise")
    widths = [len(levels(coding(study, name))) for name in question.strata]
    _few(question, sum(widths) + len(question.bands))
    if math.prod(widths) > _MOST_COLUMNS:
        raise UsageError(f"{question.name}: the strata have too many combinations")


def _few(question: Table | Relations | Hazard, columns: int) -> None:
    if columns > _MOST_COLUMNS:
        raise UsageError(
            f"{question.name}: a model would have {columns:,} terms; {_MOST_COLUMNS} are the most",
            hint="Use fewer variables, or fewer categories.",
        )
