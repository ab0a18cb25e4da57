"""`datalabbet releases`: reading what finished runs released."""

from pathlib import Path
from typing import Annotated

import typer

from coordinator.client import views
from coordinator.client.options import Output, Profile, Run, connect, group
from coordinator.client.output import Form, say, show

app = group("Releases: models with their cards, named by the run that made them.")


@app.command("list")
def list_all(*, output: Output = Form.TABLE, profile: Profile = None) -> None:
    """List the releases, newest first."""
    with connect(profile) as city:
        found = city.releases()
    data = [views.release_json(summary) for summary in found]
    show(output, data=data, text=views.releases_sheet(found))


@app.command("show")
def show_one(*, run: Run, output: Output = Form.TABLE, profile: Profile = None) -> None:
    """Show the release of a run: its quality with intervals, its protection, its files."""
    with connect(profile) as city:
        record = city.release(run)
    show(output, data=views.document(record), text=views.record_text(record))


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
    say("Read card.md first: it says what the model may not be used for.")
