"""Residents that nobody is: records in a declared form, to try a training on before it is run.

Every number comes from the declared columns and a public seed. What is invented is uneven, as
records are: some categories are common and others rare, numbers lean to their lower bound, a
tenth of what may be missing is. One row per resident. The outcome follows from all columns by
public effects drawn at random, as strongly as `Assumptions` say.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.errors import UsageError
from models.families.encoding import AnyColumn, Encoder
from models.privacy.sampler import Integers
from models.randomness import public_generator
from models.schema import CategoryColumn

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

_MISSING = 0.1
_LEAN = (2.0, 4.0)
"""Of a beta distribution over the bounds of a number: mean one third."""

_TURNS = 40
_STRONGEST = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What is assumed of records that nobody has looked at.

    Attributes:
        signal: the AUC of a model that knew the truth: how well the columns foretell the outcome.
        share: of two outcomes, how common the last one is; more than two are about as common.
    """

    signal: float = 0.8
    share: float = 0.3

    def __post_init__(self) -> None:
        """Refuse a truth that no records can have.

        Raises:
            UsageError: with a text that names it.
        """
        if not 0.5 < self.signal <= 0.99:  # noqa: PLR2004 - chance, and nearly no doubt
            raise UsageError("the signal must be above 0.5 and at most 0.99")
        if not 0.001 <= self.share <= 0.999:  # noqa: PLR2004 - rarer needs its own thoughts
            raise UsageError("the share must be between 0.001 and 0.999")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Records:
    """Invented rows, one per resident.

    Attributes:
        inputs: encoded, (rows, inputs).
        outcomes: index of the class per row.
        chances: the true probability of each class, (rows, classes).
    """

    inputs: Floats
    outcomes: Integers
    chances: Doubles

    def part(self, start: int, stop: int) -> "Records":
        """Give the rows from `start` up to `stop`."""
        rows = slice(start, stop)
        return Records(
            inputs=self.inputs[rows], outcomes=self.outcomes[rows], chances=self.chances[rows]
        )


def invent(
    encoder: Encoder, *, classes: int, rows: int, assumed: Assumptions, seed: bytes
) -> Records:
    """Give so many rows in the encoder's form; the same seed gives the same ones."""
    generator = public_generator(seed)
    outputs = 1 if classes == 2 else classes  # noqa: PLR2004 - as the model has
    values: dict[str, npt.NDArray[np.generic]] = {}
    scores = np.zeros((rows, outputs))
    for column in encoder.columns:
        values[column.name], effects = _column(column, rows, outputs=outputs, generator=generator)
        scores += generator.normal(size=outputs) * _even(effects)
    chances = _chances(_even(scores), assumed)
    drawn = generator.random(rows)[:, None] > np.cumsum(chances, axis=1)[:, :-1]
    outcomes: Integers = drawn.sum(axis=1).astype(np.int64)
    return Records(inputs=encoder.encode(values), outcomes=outcomes, chances=chances)


def expected_auc(scores: Doubles, chances: Doubles) -> float:
    """Give the AUC that scores (rows, classes) have on average over outcomes of these chances.

    Of two classes that of the last; of more the mean of each against the rest. Not drawing the
    outcomes leaves their chance out of the figure. Equal scores count half.
    """
    if scores.shape[1] == 2:  # noqa: PLR2004 - one of two says it all
        return _auc(scores[:, 1], chances[:, 1])
    each = [_auc(scores[:, one], chances[:, one]) for one in range(scores.shape[1])]
    return float(np.mean(each))


def _auc(scores: Doubles, chance: Doubles) -> float:
    _, places = np.unique(scores, return_inverse=True)
    yes = np.bincount(places, chance)
    no = np.bincount(places, 1.0 - chance)
    below = np.cumsum(no) - no / 2
    return float((yes * below).sum() / (yes.sum() * no.sum()))


def _column(
    column: AnyColumn,
    rows: int,
    *,
    outputs: int,
    generator: np.random.Generator,  # noqa: TID251 - the public one
) -> tuple[npt.NDArray[np.generic], Doubles]:
    """Give the values of a column as the vault would, and what they do to the scores."""
    lacking = np.zeros(rows, dtype=np.bool_)
    if column.missing is not None:
        lacking = generator.random(rows) < _MISSING
    if isinstance(column, CategoryColumn):
        size = len(column.categories)
        codes = generator.choice(size, size=rows, p=generator.dirichlet(np.ones(size)))
        effects = generator.normal(size=(size + 1, outputs))
        codes = np.where(lacking, size, codes)
        return np.where(lacking, -1, codes).astype(np.int64), effects[codes]
    part = generator.beta(*_LEAN, size=rows)
    values = column.minimum * (1 - part) + column.maximum * part
    if column.type == "integer":
        values = np.rint(values)
    effects = np.where(lacking, 0.0, part - part.mean())[:, None] * np.ones(outputs)
    return np.where(lacking, np.nan, values), effects


def _even(effects: Doubles) -> Doubles:
    """Give effects of mean 0 and variance 1; what is the same for everybody has none."""
    spread = effects.std(axis=0)
    result: Doubles = (effects - effects.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return result


def _chances(scores: Doubles, assumed: Assumptions) -> Doubles:
    """Give the chances of the classes whose AUC is that of the signal, by bisection."""
    low, high = 0.0, _STRONGEST
    for _ in range(_TURNS):
        middle = (low + high) / 2
        found = _at(middle * scores, assumed.share)
        low, high = (middle, high) if expected_auc(found, found) < assumed.signal else (low, middle)
    return _at(low * scores, assumed.share)


def _at(scores: Doubles, share: float) -> Doubles:
    if scores.shape[1] > 1:
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        result: Doubles = raised / raised.sum(axis=1, keepdims=True)
        return result
    low, high = -1000.0, 1000.0
    for _ in range(_TURNS):
        middle = (low + high) / 2
        low, high = (middle, high) if _sigmoid(scores + middle).mean() < share else (low, middle)
    chance = _sigmoid(scores + low)
    return np.hstack([1.0 - chance, chance])


def _sigmoid(values: Doubles) -> Doubles:
    result: Doubles = 1.0 / (1.0 + np.exp(-np.clip(values, -700.0, 700.0)))
    return result
