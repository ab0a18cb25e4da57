"""Figures of linked releases as SVG: equal data gives equal bytes, and grey is enough to read them.

Needs matplotlib: `pip install 'datalabbet[figures]'`.
"""

import io
import math
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from coordinator.client.trends import Trend, days
from models.errors import UsageError
from models.linkage.estimates.figures import Answer, Figure, Series

if TYPE_CHECKING:  # an optional library, imported where it is used
    from matplotlib.axes import Axes

    Panel = Callable[[Axes], None]

MOST = 24
"""Panels on one page."""

_COLUMNS = 2
_STYLES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
_GREYS = ("0.0", "0.25", "0.4", "0.5", "0.6", "0.7")
_AXES = {
    "residents": "residents",
    "share": "share of residents",
    "difference": "difference of shares",
    "mean": "mean",
    "mean difference": "difference of means",
    "log-mean": "mean of logarithms",
    "log-ratio": "log of the ratio",
    "log-odds": "log-odds (adjusted)",
    "crude log-odds": "log-odds (crude)",
    "correlation": "correlation",
    "slope": "slope",
    "hazard": "chance of leaving in the month",
    "survival": "share still there",
}
_ROUND = {"color": "0.0", "linestyle": "none", "marker": "o", "capsize": 3, "markersize": 5}
_HOLLOW = "hollow: noise drowns the figure"
_INTERVAL = "Bars: 95 % intervals, sampling and privacy noise together"


def trend(found: Sequence[Trend], *, title: str) -> bytes:
    """Give one panel per figure: its values by day of release (UTC).

    Raises:
        UsageError: nothing to draw, too much for a page, or matplotlib is not installed.
    """
    shown = [item for item in found if any(seen.figure.value is not None for seen in item.observed)]
    return _svg([partial(_over_time, item=item) for item in shown], title=title)


def results(answers: Iterable[Answer], *, title: str) -> bytes:
    """Give one panel for each kind of figure of an answer, and one for each kind of curve.

    Raises:
        UsageError: nothing to draw, too much for a page, or matplotlib is not installed.
    """
    return _svg([panel for answer in answers for panel in _panels(answer)], title=title)


def _panels(answer: Answer) -> Iterator["Panel"]:
    heading = f"{answer.question}: {answer.analysis}"
    known = [figure for figure in answer.figures if figure.value is not None]
    for kind in dict.fromkeys(figure.kind for figure in known):
        figures = [figure for figure in known if figure.kind == kind]
        yield partial(_forest, heading=heading, figures=figures)
    for shape in dict.fromkeys(series.kind for series in answer.series):
        curves = [series for series in answer.series if series.kind == shape]
        yield partial(_curves, heading=heading, series=curves)


def _over_time(axes: "Axes", *, item: Trend) -> None:
    known = [seen for seen in item.observed if seen.figure.value is not None]
    for place, seen in enumerate(known):
        _point(axes, seen.figure, at=place, upright=True)
    values = [seen.figure.value or 0.0 for seen in known]
    axes.plot(range(len(known)), values, color="0.6", linewidth=1, zorder=1)
    axes.set_xticks(list(range(len(known))), days(known), rotation=20, ha="right")
    axes.set_xlim(-0.5, len(known) - 0.5)
    axes.set_title(_wrapped(f"{item.question}: {item.name}", 46), fontsize=9)
    axes.set_xlabel("day of the release")
    axes.set_ylabel(_AXES.get(item.kind, item.kind))


def _forest(axes: "Axes", *, heading: str, figures: Sequence[Figure]) -> None:
    """Draw figures under each other, the first on top."""
    for place, figure in enumerate(figures):
        _point(axes, figure, at=-place, upright=False)
    names = [_wrapped(figure.name, 34) for figure in figures]
    axes.set_yticks([-place for place in range(len(figures))], names, fontsize=7)
    axes.set_ylim(0.5 - len(figures), 0.5)
    kind = figures[0].kind
    if kind not in {"residents", "share", "mean", "log-mean"}:
        axes.axvline(0.0, color="0.7", linewidth=1, zorder=0)
    axes.set_xlabel(_AXES.get(kind, kind))
    axes.set_title(_wrapped(heading, 56), fontsize=9)


def _curves(axes: "Axes", *, heading: str, series: Sequence[Series]) -> None:
    for place, item in enumerate(series):
        grey, style = _GREYS[place % len(_GREYS)], _STYLES[place % len(_STYLES)]
        months = [point.at for point in item.points]
        values = [point.value for point in item.points]
        name = _wrapped(item.name, 40)
        axes.plot(months, values, color=grey, linestyle=style, label=name)
        low, high = zip(*((point.low, point.high) for point in item.points), strict=True)
        axes.fill_between(months, low, high, color=grey, alpha=0.12, linewidth=0)
    axes.legend(fontsize=7, frameon=False)
    axes.set_xlabel("month")
    axes.set_ylabel(_AXES.get(series[0].kind, series[0].kind))
    axes.set_title(_wrapped(heading, 56), fontsize=9)


def _point(axes: "Axes", figure: Figure, *, at: float, upright: bool) -> None:
    assert figure.value is not None  # noqa: S101 - asked by the caller
    assert figure.low is not None  # noqa: S101 - a figure has all of them, or none
    assert figure.high is not None  # noqa: S101
    bars = [[figure.value - figure.low], [figure.high - figure.value]]
    fill = "white" if figure.drowned else "0.0"
    place = {"x": [at], "y": [figure.value], "yerr": bars}
    if not upright:
        place = {"x": [figure.value], "y": [at], "xerr": bars}
    axes.errorbar(**place, **_ROUND, markerfacecolor=fill, zorder=2)  # type: ignore[arg-type]


def _svg(panels: Sequence["Panel"], *, title: str) -> bytes:
    """Draw the panels row by row: texts as texts, and nothing that differs between two calls."""
    if not panels:
        raise UsageError("there is no such figure to draw", hint="Ask for another question.")
    if len(panels) > MOST:
        raise UsageError(
            f"{len(panels)} panels do not fit on a page, which holds {MOST}",
            hint="Choose some with --question and --only.",
        )
    try:
        import matplotlib as mpl  # noqa: PLC0415 - optional
        from matplotlib.figure import Figure as Page  # noqa: PLC0415
    except ImportError:
        raise UsageError(
            "figures need the library matplotlib, which is not installed",
            hint="Install it: pip install 'datalabbet[figures]'.",
        ) from None
    columns = min(_COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    made = io.BytesIO()
    with mpl.rc_context():
        mpl.rcdefaults()  # a person's own settings would change the bytes
        mpl.rcParams["svg.fonttype"] = "none"
        mpl.rcParams["svg.hashsalt"] = "datalabbet"
        mpl.rcParams["text.parse_math"] = False
        page = Page(figsize=(5.6 * columns, 3.6 * rows + 0.8), layout="constrained")
        places = page.subplots(rows, columns, squeeze=False).flatten().tolist()
        for unused in places[len(panels) :]:
            unused.remove()
        for axes, draw in zip(places, panels, strict=False):
            draw(axes)
        page.suptitle(_wrapped(title, 60 * columns))
        page.supxlabel(_wrapped(f"{_INTERVAL}; {_HOLLOW}.", 80 * columns), fontsize=7)
        about = {"Date": None, "Creator": "datalabbet", "Title": title}
        page.savefig(made, format="svg", metadata=about)
    return made.getvalue()


def _wrapped(text: str, width: int) -> str:
    return textwrap.fill(text, width)
