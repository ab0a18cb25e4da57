"""Comparing rows with the residents that their mistyped numbers may mean.

How often strangers agree is counted in the register. How often a row agrees with its own resident,
and how many mistyped numbers are a registered resident's at all, is assumed and never learned from
the records: so no resident's rows decide whom another's rows are led to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from node.promises import Compared
from node.vault import scoring
from node.vault.matching import Numbers
from node.vault.register import Register
from node.vault.scoring import Rates
from node.vault.survey import Ids

OWN = 0.95
"""The assumed share of rows that agree in a column with their own resident: some have moved."""

MEANT = 0.9
"""The assumed share of numbers with a fault that are one slip away from the one that is meant."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """The rows of a column of ids, and how they are compared with the register.

    Attributes:
        ids: the column.
        values: by compared column, shape (rows,), texts; None where a row says nothing.
        compare: by compared column, the register's.
    """

    ids: Ids
    values: Mapping[str, npt.NDArray[np.object_]]
    compare: Mapping[str, Compared]


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The likeliest resident for a number: the place in the register, and how likely it is."""

    place: int
    probability: float


def best(
    rows: Rows, *, doubtful: Mapping[int, str], register: Register, numbers: Numbers
) -> dict[int, Best]:
    """Give the likeliest resident for each number with a fault that has any candidate.

    Args:
        rows: the column of ids.
        doubtful: by code of an id, the digits of a number with a fault.
        register: whom a number may mean.
        numbers: of that register.
    """
    near = {code: numbers.near(digits) for code, digits in doubtful.items()}
    pairs = [(number, code, place) for number, code in enumerate(doubtful) for place in near[code]]
    if not pairs:
        return {}
    said = _said(rows, [code for code in doubtful if near[code]])
    places = np.array([place for *_, place in pairs], dtype=np.int64)
    own, theirs, rates = {}, {}, {}
    for column, compared in rows.compare.items():
        there = register.columns[compared.column]
        own[column] = np.array([said[column][code] for _, code, _ in pairs], dtype=object)
        theirs[column] = there[places]
        rates[column] = _rates(there)
    found = scoring.probabilities(
        scoring.factors(rates, rows=own, candidates=theirs, pairs=len(pairs)),
        number=np.array([number for number, *_ in pairs], dtype=np.int64),
        chances=[numbers.chance(digits) for digits in doubtful.values()],
        meant=MEANT,
    )
    likeliest: dict[int, Best] = {}
    for (_, code, place), probability in zip(pairs, found.tolist(), strict=True):
        if code not in likeliest or probability > likeliest[code].probability:
            likeliest[code] = Best(place=place, probability=probability)
    return likeliest


def _rates(there: npt.NDArray[np.object_]) -> Rates:
    """Give how often a column agrees.

    Strangers are those whose numbers are next to each other: mostly born on the same day, as the
    candidates of a mistyped number are. Where they agree as often as anybody with himself, the
    column says nothing.
    """
    one, other = there, np.roll(there, 1)
    known = np.array([a is not None and b is not None for a, b in zip(one, other, strict=True)])
    alike = scoring.rate(int((one[known] == other[known]).sum()), int(known.sum()))
    return Rates(own=OWN, stranger=min(alike, OWN))


def _said(rows: Rows, codes: Sequence[int]) -> dict[str, dict[int, str | None]]:
    """Give what the rows of doubtful ids say, in the register's words.

    A number stands in several rows if it was copied; where they disagree, nothing is said.
    """
    wanted = np.isin(rows.ids.codes, codes)
    here = rows.ids.codes[wanted].tolist()
    said: dict[str, dict[int, str | None]] = {}
    for column, compared in rows.compare.items():
        heard: dict[int, set[str]] = {code: set() for code in codes}
        for code, value in zip(here, rows.values[column][wanted].tolist(), strict=True):
            if (word := compared.word(value)) is not None:
                heard[code].add(word)
        said[column] = {
            code: next(iter(ones)) if len(ones) == 1 else None for code, ones in heard.items()
        }
    return said
