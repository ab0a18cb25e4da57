"""Answers of linked releases for reading: figures with intervals, tests and curves in rows."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from coordinator.client.output import Json, pairs
from coordinator.client.trends import said
from coordinator.client.views import document
from models.errors import NotFoundError
from models.linkage.estimates.figures import Answer, Figure, Series

_SHOWN = 12
"""Points of a curve that are printed; `--output json` and the figure have all."""


def chosen(answers: Sequence[Answer], *, question: str = "", only: str = "") -> list[Answer]:
    """Give the answers to one question (empty: to all), with what has the text `only` in it.

    Raises:
        NotFoundError: nothing is left.
    """
    found = [_with(item, only.lower()) for item in answers if question in {"", item.question}]
    left = [item for item in found if item.figures or item.series or item.tests]
    if not left:
        raise NotFoundError(
            "the release has no such figure",
            hint=f"Its questions are {', '.join(dict.fromkeys(a.question for a in answers))}.",
        )
    return left


def _with(answer: Answer, text: str) -> Answer:
    if text in answer.analysis.lower():
        return answer
    return replace(
        answer,
        figures=tuple(f for f in answer.figures if text in f"{f.kind} {f.name}".lower()),
        series=tuple(s for s in answer.series if text in f"{s.kind} {s.name}".lower()),
        tests=tuple(test for test in answer.tests if text in test.name.lower()),
    )


def as_json(run: int, answers: Sequence[Answer]) -> Json:
    """Give answers as JSON."""
    return {"run": str(run), "answers": [document(answer) for answer in answers]}


def text(answers: Sequence[Answer], *, titles: dict[str, str]) -> str:
    """Give answers for reading; `titles`: of the study's questions, by name."""
    blocks: list[str] = []
    told: set[str] = set()
    for answer in answers:
        if answer.question not in told:
            told.add(answer.question)
            blocks.append(f"{answer.question}: {titles.get(answer.question, '')}".rstrip(": "))
        blocks.append("\n".join(_answer(answer)))
    return "\n\n".join(blocks)


def _answer(answer: Answer) -> Iterable[str]:
    yield f"  {answer.analysis}"
    rows = [_row(figure) for figure in answer.figures]
    if rows:
        yield _indented(_aligned(rows))
    for test in answer.tests:
        p = "p < 0.001" if test.p < 0.001 else f"p = {test.p:.3f}"  # noqa: PLR2004 - as people write it
        yield f"    {test.name}: chi-square {test.statistic:.1f}, {test.degrees} df, {p}"
    for series in answer.series:
        yield f"    {series.kind}, {series.name}:"
        yield _indented(pairs(_points(series)), by=6)
    for note in answer.notes:
        yield f"    {note}"


def _row(figure: Figure) -> tuple[str, ...]:
    marks = ["drowned in noise"] if figure.drowned else []
    return (
        f"{figure.kind}:",
        figure.name,
        said(figure),
        "; ".join([*marks, figure.note]).strip("; "),
    )


def _points(series: Series) -> list[tuple[str, str]]:
    """Give some points of a curve, spread evenly, first and last among them."""
    points = series.points
    if len(points) > _SHOWN:
        step = (len(points) - 1) / (_SHOWN - 1)
        points = tuple(points[round(step * place)] for place in range(_SHOWN))
    return [(f"{p.at:g}", f"{p.value:.3f} ({p.low:.3f} to {p.high:.3f})") for p in points]


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _indented(block: str, *, by: int = 4) -> str:
    return "\n".join(" " * by + line for line in block.splitlines())
