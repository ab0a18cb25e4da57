"""How sharp the answers of a linked study will be, before any budget is spent.

The answers are computed from tables that nobody counted: public sizes, spread over the categories
as if no variable had to do with another, with the noise that the study's plan would add. Their
intervals are about as wide as the real ones will be; their values mean nothing.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from models.errors import UsageError
from models.governance.linked import LinkedStudy
from models.governance.questions import Hazard
from models.linkage.coding import Coding
from models.linkage.estimates import figures
from models.linkage.estimates.answers import answers
from models.linkage.estimates.figures import Answer, Figure, Kind
from models.linkage.groups import Target
from models.linkage.plan import plan
from models.linkage.tables import Counts, NoisyTable, Opened
from models.quantities import NoiseVariance

MEASURED = 0.5
"""Part of the residents of a hazard question whose measure begins within the state, unless told."""

_SHOWN: frozenset[Kind] = frozenset(
    ("share", "mean", "difference", "mean difference", "log-ratio", "log-odds", "slope")
)
"""Kinds of figures that are planned for one by one; of relations one correlation stands for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What to expect of one figure.

    Attributes:
        question, analysis, kind, name: of the figure.
        half_width: of its 95 % interval, sampling and noise together; None: the tables will not
            determine it.
        noise: the half-width for noise alone.
        cell: variance of the noise in one cell of the question's tables.
        drowns: noise alone is wider than the effects that studies usually look for.
        text: the same in words.
    """

    question: str
    analysis: str
    kind: Kind
    name: str
    half_width: float | None
    noise: float | None
    cell: NoiseVariance
    drowns: bool
    text: str


def expected(study: LinkedStudy, sizes: Mapping[str, int] | None = None) -> tuple[Expectation, ...]:
    """Give what to expect of each figure. Pure; no records are touched.

    Args:
        study: that is planned; its analyses must have passed `estimates.asked.check`.
        sizes: public numbers of residents: by the name of a question, how many it is about (of a
            hazard also `name/after`: how many have the measure); by `variable=category`, how many
            of these are in that category. What is not given is the size of the register, and
            equal shares of the rest.

    Raises:
        UsageError: a size is of nothing in the study, or larger than the register.
    """
    given = dict(sizes or {})
    _check(study, given)
    noise = plan(study).noise.variance
    tables = tuple(
        _table(study, target, given, noise=noise) for target in plan(study).layout.targets
    )
    found = answers(study, Opened(tables=tables, totals=()))
    return tuple(item for answer in found for item in _of(answer, noise))


def _check(study: LinkedStudy, sizes: Mapping[str, int]) -> None:
    known = {question.name for question in study.questions}
    known |= {f"{item.name}/after" for item in study.questions if isinstance(item, Hazard)}
    known |= {
        f"{axis.variable}={label}"
        for target in plan(study).layout.targets
        for axis in target.axes
        for label in axis.labels
    }
    for name, size in sizes.items():
        if name not in known:
            raise UsageError(
                f"{name} is neither a question nor a category of the study {study.study}",
                hint="Write NAME=SIZE for a question, or VARIABLE=CATEGORY=SIZE.",
            )
        if not 0 <= size <= study.register.residents:
            raise UsageError(
                f"{name}: {size:,} residents are not between 0 and the register's "
                f"{study.register.residents:,}"
            )


def _table(
    study: LinkedStudy, target: Target, sizes: Mapping[str, int], *, noise: NoiseVariance
) -> NoisyTable:
    whole = sizes.get(target.question, study.register.residents)
    about = float(whole)
    if target.table.endswith("/after") and _is_hazard(study, target):
        about = min(float(sizes.get(target.table, MEASURED * whole)), about)
    shares = np.ones(())
    for axis in target.axes:
        shares = np.multiply.outer(shares, _shares(axis, sizes, whole=whole))
    return NoisyTable(
        question=target.question,
        table=target.table,
        axes=target.axes,
        counts=about * _diagonal(shares, target.axes, sizes, whole=whole),
        variance=noise,
    )


def _is_hazard(study: LinkedStudy, target: Target) -> bool:
    return any(item.name == target.question for item in study.questions if isinstance(item, Hazard))


def _shares(axis: Coding, sizes: Mapping[str, int], *, whole: int) -> Counts:
    """Give the part of the residents in each category: what is known, and equal parts of the rest.

    Known sizes that are together more than the question is about are all there is.
    """
    known = np.asarray([sizes.get(f"{axis.variable}={label}", -1) for label in axis.labels])
    told = known >= 0
    shares = np.where(told, known / max(whole, 1), 0.0)
    rest = max(1.0 - float(shares.sum()), 0.0)
    shares[~told] = rest / max(int((~told).sum()), 1)
    total = float(shares.sum())
    return shares / total if total > 0 else np.full(axis.width, 1.0 / axis.width)


def _diagonal(
    shares: Counts, axes: tuple[Coding, ...], sizes: Mapping[str, int], *, whole: int
) -> Counts:
    """Keep the cells in which a variable that stands twice has one category."""
    found = shares
    for place, axis in enumerate(axes):
        for earlier in range(place):
            if axes[earlier].variable != axis.variable or axes[earlier].labels != axis.labels:
                continue
            shape = [axis.width if at in {earlier, place} else 1 for at in range(len(axes))]
            own = _shares(axis, sizes, whole=whole)
            same = np.diag(1.0 / np.maximum(own, 1e-300))
            found = found * same.reshape(shape)
    return found


def _of(answer: Answer, noise: NoiseVariance) -> Iterator[Expectation]:
    shown = [figure for figure in answer.figures if figure.kind in _SHOWN]
    relations = [figure for figure in answer.figures if figure.kind == "correlation"]
    relations.sort(key=_width)
    for figure in (*shown, *relations[len(relations) // 2 :][:1]):
        yield _expectation(answer, figure, noise)


def _width(figure: Figure) -> float:
    if figure.low is None or figure.high is None:
        return math.inf
    return (figure.high - figure.low) / 2


def _expectation(answer: Answer, figure: Figure, noise: NoiseVariance) -> Expectation:
    name = "a correlation of two variables" if figure.kind == "correlation" else figure.name
    if figure.noise is None:
        half, alone, drowns = None, None, noise.value > 0
    else:
        # An interval is cut off where the figure cannot be; on the way there it is as wide.
        half, alone = max(_width(figure), figure.noise), figure.noise
        drowns = figures.hides(figure.kind, alone=alone, scale=figure.scale)
    return Expectation(
        question=answer.question,
        analysis=answer.analysis,
        kind=figure.kind,
        name=name,
        half_width=half,
        noise=alone,
        cell=noise,
        drowns=drowns,
        text=_text(name, half=half, alone=alone, drowns=drowns),
    )


def _text(name: str, *, half: float | None, alone: float | None, drowns: bool) -> str:
    if half is None or alone is None:
        why = "it will drown in noise" if drowns else "too few residents"
        return f"{name}: the tables will not determine it ({why})"
    if drowns:
        return (
            f"{name}: this question will drown: noise alone leaves plus or minus {alone:.2g}, more "
            "than the effects that studies usually look for"
        )
    return f"{name}: plus or minus {half:.2g}, of which noise alone leaves {alone:.2g}"
