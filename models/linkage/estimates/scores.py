"""Fitted models that can be applied to rows: sums of weights of categories and of products."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import special

from models.errors import UsageError
from models.linkage.coding import Codes
from models.schema import STRICT, Finite, Name

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A number for each category of a variable, in the order of its `Coding`.

    Attributes:
        variable: whose categories they are.
        values: of each category.
        offset: of a number whose weight counts per unit: `values` are the middles of its bins less
            this, and the number itself less this is as good. None: categories only.
        otherwise: what counts for a number that is missing.
    """

    __pydantic_config__ = STRICT

    variable: Name
    values: Annotated[tuple[Finite, ...], Field(min_length=1, max_length=1000)]
    offset: Finite | None = None
    otherwise: Finite = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTerm:
    """One term: the product of its parts, times its weight."""

    __pydantic_config__ = STRICT

    name: str
    parts: Annotated[tuple[Part, ...], Field(min_length=1, max_length=2)]
    weight: Finite


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A fitted model.

    Attributes:
        kind: `logistic`: the sum is the log-odds of the outcome's last category; `linear`: the sum
            is the outcome.
        outcome: the variable that is predicted.
        intercept, terms: what is added up.
    """

    __pydantic_config__ = STRICT

    kind: Literal["logistic", "linear"]
    outcome: Name
    intercept: Finite
    terms: Annotated[tuple[ScoreTerm, ...], Field(max_length=20_000)]

    def sums(
        self, rows: Mapping[str, Codes], numbers: Mapping[str, Doubles] | None = None
    ) -> Doubles:
        """Give the sum for each row.

        Args:
            rows: the category of each row by variable (`Coding.codes`); a row that a variable
                does not count has 0 for its terms.
            numbers: variables for which each row has its number (NaN: missing), which tells more
                than its bin; used where the model has a weight per unit.

        Raises:
            UsageError: a variable of the model is in neither, or they differ in length.
        """
        own = {} if numbers is None else numbers
        lengths = {len(codes) for codes in rows.values()} | {len(item) for item in own.values()}
        if len(lengths) != 1:
            raise UsageError("a model needs its variables, each for the same rows")
        total = np.full(lengths.pop(), self.intercept)
        for term in self.terms:
            product = np.full(len(total), term.weight)
            for part in term.parts:
                product *= self._part(part, rows, own)
            total += product
        return total

    def _part(
        self, part: Part, rows: Mapping[str, Codes], numbers: Mapping[str, Doubles]
    ) -> Doubles:
        if part.offset is not None and part.variable in numbers:
            found = numbers[part.variable] - part.offset
            return np.where(np.isnan(found), part.otherwise, found)
        if part.variable not in rows:
            raise UsageError(f"the model of {self.outcome} needs the categories of {part.variable}")
        codes = rows[part.variable]
        return np.where(codes >= 0, np.asarray(part.values)[codes], 0.0)

    def predict(
        self, rows: Mapping[str, Codes], numbers: Mapping[str, Doubles] | None = None
    ) -> Doubles:
        """Give each row's probability (logistic) or expected outcome (linear); see `sums`."""
        found = self.sums(rows, numbers)
        return np.asarray(special.expit(found)) if self.kind == "logistic" else found
