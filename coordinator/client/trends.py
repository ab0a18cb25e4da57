"""A recurring linked study over time: the same figures from all of its releases."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from coordinator.client.output import Json, Sheet
from models.linkage.estimates.figures import Answer, Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Dated:
    """The answers of one release: its run, when it was made, and what it found."""

    run_id: int
    made: datetime
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One figure in one release."""

    run_id: int
    made: datetime
    figure: Figure


def days(observed: Sequence[Observed]) -> list[str]:
    """Give the day of each release (UTC), with its time of day where a day has several."""
    found = [f"{seen.made:%Y-%m-%d}" for seen in observed]
    if len(set(found)) == len(found):
        return found
    return [f"{seen.made:%Y-%m-%d %H:%M:%S}" for seen in observed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A figure's difference between two releases, with a cautious 95 % interval.

    As if the two were of different residents: where they are mostly the same ones, who stay as
    they were, the true interval is narrower.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """One figure over time: which it is, and its values, oldest first."""

    question: str
    analysis: str
    kind: str
    name: str
    observed: tuple[Observed, ...]

    @property
    def change(self) -> Change | None:
        """Give the difference from the first to the last release; None without two values."""
        found = [_sides(item.figure) for item in self.observed]
        known = [item for item in found if item is not None]
        if len(known) < 2:  # noqa: PLR2004 - a difference has two ends
            return None
        (first, low, high), (last, under, over) = known[0], known[-1]
        value = last - first
        down = math.hypot(last - under, high - first)
        up = math.hypot(over - last, first - low)
        return Change(value=value, low=value - down, high=value + up)


def _sides(figure: Figure) -> tuple[float, float, float] | None:
    if figure.value is None or figure.low is None or figure.high is None:
        return None
    return figure.value, figure.low, figure.high


def trends(releases: Sequence[Dated], *, question: str = "", only: str = "") -> tuple[Trend, ...]:
    """Give every figure over time, in the order of the newest release that has it.

    Args:
        releases: in any order.
        question: only of this question; empty: of all.
        only: only figures whose name, kind or analysis has this text; empty: all.
    """
    found: dict[tuple[str, str, str, str], list[Observed]] = {}
    for release in sorted(releases, key=lambda item: (item.made, item.run_id), reverse=True):
        for answer in release.answers:
            for figure in answer.figures:
                place = (answer.question, answer.analysis, figure.kind, figure.name)
                seen = Observed(run_id=release.run_id, made=release.made, figure=figure)
                found.setdefault(place, []).append(seen)
    return tuple(
        Trend(
            question=place[0],
            analysis=place[1],
            kind=place[2],
            name=place[3],
            observed=tuple(reversed(observed)),
        )
        for place, observed in found.items()
        if question in {"", place[0]} and only.lower() in " ".join(place[1:]).lower()
    )


def as_json(found: Sequence[Trend]) -> Json:
    """Give trends as JSON."""
    return [
        {
            "question": item.question,
            "analysis": item.analysis,
            "kind": item.kind,
            "figure": item.name,
            "releases": [
                {
                    "run": str(seen.run_id),
                    "made": seen.made.isoformat().replace("+00:00", "Z"),
                    "value": seen.figure.value,
                    "low": seen.figure.low,
                    "high": seen.figure.high,
                    "drowned": seen.figure.drowned,
                }
                for seen in item.observed
            ],
            "change": None
            if item.change is None
            else {"value": item.change.value, "low": item.change.low, "high": item.change.high},
        }
        for item in found
    ]


def sheet(found: Sequence[Trend]) -> Sheet:
    """Give one row per figure and release, and under them the change from first to last."""
    rows: list[tuple[str, ...]] = []
    for item in found:
        what = f"{item.kind}: {item.name}"
        rows += [
            (item.question, what, day, said(seen.figure), _drowned(seen.figure))
            for day, seen in zip(days(item.observed), item.observed, strict=True)
        ]
        if (change := item.change) is not None:
            text = f"{change.value:+.3g} ({change.low:+.3g} to {change.high:+.3g})"
            rows.append((item.question, what, "change", text, ""))
    return Sheet(
        head=("question", "figure", "released", "value (95 % interval)", ""),
        rows=tuple(rows),
        empty="No release has such a figure.",
    )


def said(figure: Figure) -> str:
    """Give a figure with its interval."""
    if figure.value is None or figure.low is None or figure.high is None:
        return "not determined"
    form = ".0f" if figure.kind == "residents" else ".3f"
    return f"{figure.value:{form}} ({figure.low:{form}} to {figure.high:{form}})"


def _drowned(figure: Figure) -> str:
    return "drowned in noise" if figure.drowned else ""
