"""`datalabbet releases`: reading what finished runs released."""

from pathlib import Path
from typing import Annotated

import typer

from coordinator.client import exports, views
from coordinator.client.linked_commands import Drawing, Only, Question
from coordinator.client.options import Output, Profile, Run, connect, group
from coordinator.client.output import Form, say, show

app = group("Releases: models and answers with their cards, named by the run that made them.")


@app.command("list")
def list_all(*, output: Output = Form.TABLE, profile: Profile = None) -> None:
    """List the releases, newest first."""
    with connect(profile) as city:
        found = city.releases()
    data = [views.release_json(summary) for summary in found]
    show(output, data=data, text=views.releases_sheet(found))


@app.command("show")
def show_one(*, run: Run, output: Output = Form.TABLE, profile: Profile = None) -> None:
    """Show the release of a run: how good or sharp it is, its protection, its files."""
    with connect(profile) as city:
        record = city.release(run)
    show(output, data=views.document(record), text=views.record_text(record))


@app.command("results")
def results(
    *,
    run: Run,
    question: Question = "",
    only: Only = "",
    figure: Drawing = None,
    output: Output = Form.TABLE,
    profile: Profile = None,
) -> None:
    """Show the answers of a linked study's run: figures with 95 % intervals, tests and curves."""
    # The estimates import for a second: only here.
    from coordinator.client import answer_views, figures  # noqa: PLC0415

    with connect(profile) as city:
        found = city.results(run)
    answers = answer_views.chosen(found.answers, question=question, only=only)
    study = found.record.study
    if figure is not None:
        exports.write_bytes(figure, figures.results(answers, title=study.title.en))
        say(f"Drawn in {figure}.")
    titles = {item.name: item.title.en for item in study.questions}
    show(
        output,
        data=answer_views.as_json(run, answers),
        text=answer_views.text(answers, titles=titles),
    )


@app.command("export")
def export(
    *,
    run: Run,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder.")],
    output: Output = Form.TABLE,
    profile: Profile = None,
) -> None:
    """Download the release of a run into a new folder: whole and checked, or not at all."""
    with connect(profile) as city:
        written = city.export(run, folder)
    files = sorted(path.name for path in written.iterdir())
    show(
        output,
        data={"run": str(run), "folder": str(written), "files": files},
        text=str(written),
    )
    say("Read card.md first: it says what the release may not be used for.")
