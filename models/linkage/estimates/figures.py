"""A figure of a linked release: its value, its 95 % interval, and whether noise drowned it."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from models.linkage.estimates.scores import Score
from models.quantities import NoiseVariance
from models.schema import STRICT, Finite

NORMAL = 1.959963984540054
"""The 97.5 % point of the normal distribution."""

Kind = Literal[
    "residents",
    "share",
    "difference",
    "mean",
    "mean difference",
    "log-mean",
    "log-ratio",
    "log-odds",
    "crude log-odds",
    "correlation",
    "slope",
]
_Text = Annotated[str, Field(max_length=1000)]

_FINE: dict[Kind, float] = {
    "share": 0.02,
    "difference": 0.02,
    "mean": 0.02,
    "mean difference": 0.02,
    "log-mean": 0.1,
    "log-ratio": 0.1,
    "log-odds": 0.1,
    "crude log-odds": 0.1,
    "correlation": 0.02,
    "slope": 0.02,
}
"""A half-width of noise below which a figure near zero still says: near zero. Of means and slopes
as a part of the outcome's range."""

_PLAUSIBLE: dict[Kind, float] = dict.fromkeys(_FINE, 0.1) | {
    "log-mean": 0.5,
    "log-ratio": 0.5,
    "log-odds": 0.5,
    "crude log-odds": 0.5,
}
"""The size of an effect that a study usually looks for."""

_WORST = 2.0
"""A half-width of noise of so many plausible effects tells nothing, whatever the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """What leaves a figure open: two variances.

    Attributes:
        sampling: of the residents who happened to be there.
        noise: of the privacy noise.
    """

    sampling: float
    noise: NoiseVariance

    @property
    def alone(self) -> float:
        """Give the half-width of a 95 % interval for the noise alone."""
        return NORMAL * math.sqrt(self.noise.value)

    @property
    def reach(self) -> float:
        """Give the half-width of a 95 % interval for both."""
        return NORMAL * math.sqrt(self.sampling + self.noise.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number of a release.

    Attributes:
        kind: what it is: `share` (0 to 1), `difference` of two shares, `mean`, `mean difference`,
            `log-mean` (of logarithms), `log-ratio`, `log-odds` (adjusted for the other terms),
            `crude log-odds` (for none), `correlation`, `slope` (per unit of the term),
            `residents` (a count).
        name: what of, in words of the study.
        value, low, high: the estimate and its 95 % interval, sampling and noise together; None
            where the tables do not determine it.
        noise: the half-width that noise alone would leave.
        drowned: noise, not the number of residents, is why the figure tells nothing.
        scale: what `drowned` takes for a whole: 1, of means the range of the outcome, of a number's
            weight the change that makes one unit over its range.
        note: what a reader should know.
    """

    __pydantic_config__ = STRICT

    kind: Kind
    name: _Text
    value: Finite | None
    low: Finite | None
    high: Finite | None
    noise: Finite | None
    drowned: bool
    scale: Finite = 1.0
    note: _Text = ""

    def __post_init__(self) -> None:
        """Refuse an interval that does not hold its figure, and half of one."""
        if self.value is None or self.low is None or self.high is None or self.noise is None:
            if not (self.value is self.low is self.high is self.noise is None):
                raise ValueError("a figure has a value, an interval and noise, or none of them")
        elif not self.low <= self.value <= self.high:
            raise ValueError("a figure must lie in its interval")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One point of a curve: `at` is a month; the interval is for this point alone."""

    __pydantic_config__ = STRICT

    at: Finite
    value: Finite
    low: Finite
    high: Finite


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A curve: the chance of leaving in each month (`hazard`) or of being left (`survival`)."""

    __pydantic_config__ = STRICT

    kind: Literal["hazard", "survival"]
    name: _Text
    points: Annotated[tuple[Point, ...], Field(max_length=1000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wald:
    """Whether some terms have any effect at all; the noise is part of the test.

    Attributes:
        name: the terms.
        statistic, degrees: chi-square and its degrees of freedom.
        p: how often chance and noise alone make the statistic at least as large.
    """

    __pydantic_config__ = STRICT

    name: _Text
    statistic: Finite
    degrees: Annotated[int, Field(ge=1)]
    p: Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one analysis of one question found.

    Attributes:
        question: its name in the study.
        analysis: what was done, such as `compare passed by assistance`.
        figures, series, tests, scores: the findings; scores are models that can be applied.
        notes: what holds for all of them.
    """

    __pydantic_config__ = STRICT

    question: str
    analysis: _Text
    figures: Annotated[tuple[Figure, ...], Field(max_length=20_000)]
    series: Annotated[tuple[Series, ...], Field(max_length=1000)] = ()
    tests: Annotated[tuple[Wald, ...], Field(max_length=100)] = ()
    scores: Annotated[tuple[Score, ...], Field(max_length=10)] = ()
    notes: Annotated[tuple[_Text, ...], Field(max_length=100)] = ()


def unknown(kind: Kind, name: str, *, noisy: bool, note: str) -> Figure:
    """Give a figure that the tables do not determine; `noisy`: noise is the reason."""
    return Figure(
        kind=kind, name=name, value=None, low=None, high=None, noise=None, drowned=noisy, note=note
    )


def normal(
    kind: Kind, name: str, *, value: float, spread: Spread, scale: float = 1.0, note: str = ""
) -> Figure:
    """Give a figure whose error is close to normal; `scale` as of `bounded`."""
    reach, alone = spread.reach, spread.alone
    return bounded(
        kind,
        name,
        interval=(value, value - reach, value + reach),
        alone=alone,
        scale=scale,
        note=note,
    )


def bounded(
    kind: Kind,
    name: str,
    *,
    interval: tuple[float, float, float],
    alone: float,
    scale: float = 1.0,
    note: str = "",
) -> Figure:
    """Give a figure with a known interval.

    Args:
        kind: see `Figure`.
        name: see `Figure`.
        note: see `Figure`.
        interval: value, low and high.
        alone: half-width for noise alone.
        scale: see `Figure`.
    """
    value, low, high = interval
    return Figure(
        kind=kind,
        name=name,
        value=value,
        low=low,
        high=high,
        noise=alone,
        drowned=_drowned(kind, value, reach=(high - low) / 2, alone=alone, scale=scale),
        scale=scale,
        note=note,
    )


def hides(kind: Kind, *, alone: float, scale: float = 1.0) -> bool:
    """Tell whether noise of that half-width hides an effect of a size that is usually sought."""
    return alone > _PLAUSIBLE.get(kind, math.inf) * scale


def _drowned(kind: Kind, value: float, *, reach: float, alone: float, scale: float) -> bool:
    """Tell whether noise hides the figure: without it one could see what is there.

    Noise beyond all plausible effects always does. Smaller noise does where it is most of the
    interval, larger than the value, and not so small that "close to zero" is an answer. A count
    is drowned by noise of half its size.
    """
    if kind == "residents":
        return alone > value / 2
    if alone > _WORST * _PLAUSIBLE[kind] * scale:
        return True
    sampling = math.sqrt(max(reach**2 - alone**2, 0.0))
    return alone > max(abs(value), 2 * sampling, _FINE[kind] * scale)
