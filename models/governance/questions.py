"""What a linked study may ask, and what is computed from the answer.

An answer is a table of noisy counts; figures that are computed from it cost nothing more.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Discriminator, Field

from models.schema import STRICT, Bilingual, Finite, Name

_FEW = Annotated[int, Field(strict=True, ge=1, le=20)]
_Names = Annotated[tuple[Name, ...], Field(max_length=20)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How an outcome differs between the categories of another variable of the table.

    `scale`: the difference of shares of each category, of means, or of means of logarithms (the
    logarithm of a ratio); numbers stand for the middle of their bin. `as_first`: variables whose
    `no record` counts as their first category.
    """

    __pydantic_config__ = STRICT

    kind: Literal["compare"]
    outcome: Name
    by: Name
    scale: Literal["share", "mean", "log-mean"] = "share"
    as_first: _Names = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CellFit:
    """A logistic regression on the cells of a table.

    Attributes:
        outcome: of two categories; the last is the positive one.
        terms: variables; categories become indicators (the first is the reference), except those
            in `linear`, for which the middle of the bin, or else the category's number, counts.
        centres: what is taken off each of `linear`, in order; none: nothing. With a product, the
            other term's effect is the one at this value.
        products: pairs of terms whose product is a term of its own.
        test: terms that are tested together: is there any effect at all?
        as_first: variables whose `no record` counts as their first category.
    """

    __pydantic_config__ = STRICT

    kind: Literal["logistic"]
    outcome: Name
    terms: Annotated[tuple[Name, ...], Field(min_length=1, max_length=20)]
    linear: _Names = ()
    centres: Annotated[tuple[Finite, ...], Field(max_length=20)] = ()
    products: Annotated[tuple[tuple[Name, Name], ...], Field(max_length=20)] = ()
    test: _Names = ()
    as_first: _Names = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Takes, of several variables of another department, the one for a category.

    `variables[i]` counts for residents in the i-th category of `by`: a year, for example.
    """

    __pydantic_config__ = STRICT

    name: Name
    by: Name
    variables: Annotated[tuple[Name, ...], Field(min_length=2, max_length=200)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """How many residents are in each combination of categories, over up to three departments.

    Attributes:
        of: the axes, in order; `match.name` may be the last of them.
        analyses: what is computed from the released table; it costs nothing more.
    """

    __pydantic_config__ = STRICT

    kind: Literal["table"]
    name: Name
    title: Bilingual
    of: Annotated[tuple[Name, ...], Field(min_length=1, max_length=8)]
    match: Match | None = None
    analyses: Annotated[
        tuple[Annotated[Comparison | CellFit, Discriminator("kind")], ...], Field(max_length=20)
    ] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Relations:
    """All tables of one and of two variables at once (their Gram matrix).

    From it follow shares, means, correlations, regressions and the ranked list of relations.

    Attributes:
        of: the variables.
        crossed: pairs of variables that count as one more variable: interactions.
        outcome: what linear, logistic and additive models are fitted to; None: no model.
    """

    __pydantic_config__ = STRICT

    kind: Literal["relations"]
    name: Name
    title: Bilingual
    of: Annotated[tuple[Name, ...], Field(min_length=2, max_length=200)]
    crossed: Annotated[tuple[tuple[Name, Name], ...], Field(max_length=50)] = ()
    outcome: Name | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hazard:
    """Leaving a state, month by month, before and after something that another department did.

    One department knows when the state began (`start`: a number of months on a common calendar),
    how many months it lasted (`duration`: 1, 2, ...) and whether it ended then (`event`; else it
    was still going on). The other knows in which calendar month (`entry`) its measure began.

    Attributes:
        start, duration, event, strata: variables of the first department.
        entry: variable of the second, on the calendar of `start`.
        bands: last months of the state for which a measure counts as begun early, later, ...; a
            measure begun after the last of them is one more band.
        window: for so many months a measure can have an effect.
    """

    __pydantic_config__ = STRICT

    kind: Literal["hazard"]
    name: Name
    title: Bilingual
    start: Name
    duration: Name
    event: Name
    entry: Name
    strata: _Names = ()
    bands: Annotated[tuple[_FEW, ...], Field(min_length=1, max_length=5)]
    window: Annotated[int, Field(strict=True, ge=1, le=120)]


Question = Annotated[Table | Relations | Hazard, Discriminator("kind")]


def named(question: Table | Relations | Hazard) -> Iterator[str]:
    """Give every variable that a question names, as often as it does."""
    if isinstance(question, Hazard):
        yield from (question.start, question.duration, question.event, question.entry)
        yield from question.strata
        return
    if isinstance(question, Relations):
        yield from question.of
        for pair in question.crossed:
            yield from pair
        if question.outcome is not None:
            yield question.outcome
        return
    matched = question.match
    yield from (name for name in question.of if matched is None or name != matched.name)
    if matched is not None:
        yield matched.by
        yield from matched.variables
