"""`datalabbet linked`: recurring linked studies over time."""

from pathlib import Path
from typing import Annotated

import typer

from coordinator.client import exports
from coordinator.client.options import Output, Profile, connect, group
from coordinator.client.output import Form, say, show
from models.errors import NotFoundError

Question = Annotated[str, typer.Option("--question", help="Only of this question.")]
Only = Annotated[
    str,
    typer.Option("--only", help="Only figures whose name, kind or analysis has this text."),
]
Drawing = Annotated[
    Path | None,
    typer.Option("--figure", metavar="FILE.svg", help="Draw them too, as SVG (extra `figures`)."),
]

app = group("Linked studies that are answered again and again.")


@app.callback()
def root() -> None:
    """Linked studies that are answered again and again."""


@app.command("trend")
def trend(
    *,
    studies: Annotated[
        list[str],
        typer.Argument(
            metavar="STUDY...", help="Ids of studies; of several, those that follow each other."
        ),
    ],
    question: Question = "",
    only: Only = "",
    figure: Drawing = None,
    output: Output = Form.TABLE,
    profile: Profile = None,
) -> None:
    """Show each figure of all releases of a study, by day of release, with 95 % intervals.

    The change from first to last comes with a cautious interval, as if the residents were others.
    """
    # The estimates import for a second: only here.
    from coordinator.client import figures, trends  # noqa: PLC0415

    with connect(profile) as city:
        runs = [item.run_id for item in city.releases() if item.study in studies]
        found = [city.results(run) for run in runs]
    if not found:
        raise NotFoundError(
            f"there is no release of {', '.join(studies)}",
            hint="`datalabbet releases list` shows the releases.",
        )
    lines = trends.trends([item.dated for item in found], question=question, only=only)
    if figure is not None:
        title = found[0].record.study.title.en
        exports.write_bytes(figure, figures.trend(lines, title=title))
        say(f"Drawn in {figure}.")
    data = {"studies": sorted(studies), "figures": trends.as_json(lines)}
    show(output, data=data, text=trends.sheet(lines))
