"""`datalabbet catalogue` and `datalabbet members`: what there is, and who."""

from typing import Annotated

import typer

from coordinator.client import views
from coordinator.client.options import Output, Profile, connect, group
from coordinator.client.output import Form, show
from models.errors import NotFoundError

app = group("The catalogue: which datasets exist, as their stewards declare them.")


@app.command("list")
def list_all(
    *,
    department: Annotated[
        str, typer.Option("--department", help="Only this department's datasets.")
    ] = "",
    output: Output = Form.TABLE,
    profile: Profile = None,
) -> None:
    """List the datasets of all departments."""
    with connect(profile) as city:
        entries = city.catalogue(department)
    show(output, data=views.entries_json(entries), text=views.entries_sheet(entries))


@app.command("show")
def show_one(
    *,
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="The dataset's name.")],
    department: Annotated[
        str, typer.Option("--department", help="Only this department's declaration.")
    ] = "",
    output: Output = Form.TABLE,
    profile: Profile = None,
) -> None:
    """Show the columns of a dataset, with their bounds, categories and meaning."""
    with connect(profile) as city:
        entries = [e for e in city.catalogue(department) if e.declaration.name == dataset]
    if not entries:
        raise NotFoundError(
            f"no department has declared the dataset {dataset}",
            hint="`datalabbet catalogue list` shows what there is.",
        )
    show(output, data=views.entries_json(entries), text=views.columns_sheet(entries))


def members(*, output: Output = Form.TABLE, profile: Profile = None) -> None:
    """List departments and people: who is connected, and whose certificate ends when."""
    with connect(profile) as city:
        found = city.members()
    show(output, data=views.members_json(found), text=views.members_sheet(found))
