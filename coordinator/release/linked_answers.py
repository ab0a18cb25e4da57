"""The answers of a linked release as Markdown: every figure with its interval."""

from collections.abc import Iterable, Iterator, Sequence

from coordinator.release.card_parts import plain, table
from models.linkage.estimates.figures import Answer, Figure, Series, Wald

_MOST_ROWS = 60
"""Rows of one answer on the card; `results.json` has them all."""

_ADJUSTED, _CRUDE = "log-odds", "crude log-odds"


def answered(answers: Sequence[Answer]) -> str:
    """Give all that was found for one question."""
    return "\n\n".join(_answer(answer) for answer in answers)


def _answer(answer: Answer) -> str:
    parts = [f"**{plain(answer.analysis).capitalize()}**"]
    odds = [figure for figure in answer.figures if figure.kind in {_ADJUSTED, _CRUDE}]
    others = [figure for figure in answer.figures if figure.kind not in {_ADJUSTED, _CRUDE}]
    if others:
        parts.append(_cut(("Figure", "Value with interval", "Remark"), map(_row, others)))
    if odds:
        head = ("Log-odds of", "Adjusted for the other terms", "Crude, by itself", "Remark")
        parts.append(_cut(head, _beside(odds)))
    parts += [_test(test) for test in answer.tests]
    parts += [_curve(series) for series in answer.series]
    parts += [plain(note) for note in answer.notes]
    return "\n\n".join(parts)


def _row(figure: Figure) -> tuple[str, str, str]:
    return (f"{figure.name} ({figure.kind})", interval(figure), _remark(figure))


def _beside(figures: Sequence[Figure]) -> Iterator[tuple[str, str, str, str]]:
    """Give adjusted and crude figures of the same name in one row: they may differ in sign."""
    adjusted = {figure.name: figure for figure in figures if figure.kind == _ADJUSTED}
    crude = {figure.name: figure for figure in figures if figure.kind == _CRUDE}
    for name in dict.fromkeys((*adjusted, *crude)):
        pair = (adjusted.get(name), crude.get(name))
        remarks = dict.fromkeys(_remark(figure) for figure in pair if figure is not None)
        yield (
            name,
            *("" if figure is None else interval(figure) for figure in pair),  # type: ignore[misc]
            "; ".join(filter(None, remarks)),
        )


def interval(figure: Figure) -> str:
    """Give a figure with its 95 % interval: a count in whole residents."""
    if figure.value is None or figure.low is None or figure.high is None:
        return "not determined"
    if figure.kind == "residents":
        return f"{figure.value:,.0f} ({figure.low:,.0f} to {figure.high:,.0f})"
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"


def _remark(figure: Figure) -> str:
    drowned = "**drowned in noise: tells nothing**" if figure.drowned else ""
    return "; ".join(filter(None, (drowned, figure.note)))


def _test(test: Wald) -> str:
    return (
        f"Any effect of {plain(test.name)} at all: chi-square {test.statistic:.2f} with "
        f"{test.degrees} degrees of freedom, p = {test.p:.3g} (noise included)."
    )


def _curve(series: Series) -> str:
    if not series.points:
        return f"The curve of {plain(series.name)} ({series.kind}) has no points."
    last = series.points[-1]
    return (
        f"The curve of {plain(series.name)} ({series.kind}, {len(series.points)} points) is in "
        f"`results.json`; at {last.at:g} it is {last.value:.3f} ({last.low:.3f} to "
        f"{last.high:.3f})."
    )


def _cut(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    listed = list(rows)
    rest = len(listed) - _MOST_ROWS
    text = table(head, listed[:_MOST_ROWS])
    return f"{text}\n\nAnd {rest:,} more in `results.json`." if rest > 0 else text
