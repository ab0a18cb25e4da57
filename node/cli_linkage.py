"""`datalabbet-node data linkage`: how well the datasets are linked to the register."""

from pathlib import Path
from typing import Annotated

import typer

from models.errors import DataContractError, NotFoundError
from node.cli_data import data
from node.datasets import Dataset
from node.home import open_home
from node.linkage_report import as_data, as_text
from node.output import Form, Json, Output, ending, say, show
from node.shelf import chosen


@data.command()
@ending
def linkage(
    context: typer.Context,
    *,
    dataset: Annotated[
        str | None, typer.Argument(help="Only this dataset (else all that declare a linkage).")
    ] = None,
    output: Output = Form.TABLE,
) -> None:
    """Report how the records' numbers lead to residents of the register. Stays at the node.

    Counts of rows, also small ones, and never a value. Nothing here is sent anywhere.
    """
    from node import app  # noqa: PLC0415 - opens the vault's libraries

    told: list[Json] = []
    texts = []
    failed = False
    for item, found in app.linkage(_datasets(context, dataset)):
        if isinstance(found, DataContractError):  # the other datasets are reported all the same
            failed = True
            name = item.declaration.name
            said = {"code": found.code, "message": found.message, "hint": found.hint}
            told.append({"dataset": name, "error": said})
            texts.append(f"{name}: cannot be linked: {found.message}\n  {found.hint}")
        else:
            told.append(as_data(found))
            texts.append(as_text(found, app.WAYS))
    show(output, data={"datasets": told}, text="\n\n".join(texts))
    if failed:
        say("Nothing can be linked before this is mended.")
        raise typer.Exit(1)


def _datasets(context: typer.Context, name: str | None) -> tuple[Dataset, ...]:
    every = chosen(open_home(Path(context.obj)).shelf().datasets(), name)
    found = tuple(item for item in every if name is not None or item.linkage is not None)
    if not found:
        raise NotFoundError(
            "no dataset declares a linkage",
            hint="Say `linkage: {}` in the declarations of the datasets that name residents.",
        )
    return found


__all__ = ["data"]
