"""`datalabbet-node data`: the declared datasets, held against their records."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from models.errors import DataContractError, UsageError
from models.schema import CategoryColumn, Column, DateColumn, NumericColumn
from node.check_report import as_data, as_text
from node.datasets import Dataset
from node.home import open_home
from node.output import Form, Json, Output, ending, pairs, say, show, table
from node.shelf import chosen
from node.sources import CsvSource, ParquetSource, SqlSource, Stored

data = typer.Typer(help="Check and describe the declared datasets.", no_args_is_help=True)

OneDataset = Annotated[
    str | None, typer.Option("--dataset", help="Only this dataset (else all of them).")
]


def _datasets(context: typer.Context, name: str | None) -> tuple[Dataset, ...]:
    return chosen(open_home(Path(context.obj)).shelf().datasets(), name)


@data.command()
@ending
def check(
    context: typer.Context,
    *,
    dataset: OneDataset = None,
    limit: Annotated[
        int, typer.Option(min=0, help="The most rows to list of each problem of a column.")
    ] = 20,
    output: Output = Form.TABLE,
) -> None:
    """Hold the records against the declaration. Names file, column and row, never a value."""
    from node import app  # noqa: PLC0415 - opens the vault's libraries

    told: list[Json] = []
    texts = []
    clean = True
    for item in _datasets(context, dataset):
        name = item.declaration.name
        try:
            report = app.check_data(item, limit=limit)
        except DataContractError as error:  # the other datasets are checked all the same
            clean = False
            said = {"code": error.code, "message": error.message, "hint": error.hint}
            told.append({"dataset": name, "clean": False, "error": said})
            texts.append(f"{name}: cannot be read: {error.message}\n  {error.hint}")
        else:
            clean &= report.clean
            told.append(as_data(name, report))
            texts.append(as_text(name, report))
    show(output, data={"datasets": told}, text="\n".join(texts))
    if not clean:
        say("Rows with a problem are left out of every study until they are mended.")
        raise typer.Exit(1)


@data.command()
@ending
def describe(
    context: typer.Context, *, dataset: OneDataset = None, output: Output = Form.TABLE
) -> None:
    """Show what is declared: this is all that the catalogue tells others. Opens no records."""
    found = _datasets(context, dataset)
    told: list[Json] = []
    texts = []
    for item in found:
        one = item.declaration
        columns = [
            (c.name, c.type, _range(c), c.sensitivity.value, c.meaning.en) for c in one.columns
        ]
        head = ("column", "type", "allowed", "sensitivity", "meaning")
        told.append(
            {
                "dataset": one.name,
                "file": item.file,
                "steward": one.steward,
                "public": one.public,
                "secrecy": one.secrecy,
                "columns": [dict(zip(head, column, strict=True)) for column in columns],
            }
        )
        about = pairs(
            [
                ("dataset", f"{one.name}: {one.title.en} / {one.title.sv}"),
                ("steward", one.steward),
                ("secrecy", one.secrecy),
                ("public", "yes" if one.public else "no"),
            ]
        )
        texts.append(f"{about}\n\n{table(head, columns, empty='')}")
    show(output, data={"datasets": told}, text="\n\n".join(texts))


def _range(column: Column) -> str:
    allowed = ""
    if isinstance(column, CategoryColumn):
        allowed = ", ".join(column.categories)
    elif isinstance(column, DateColumn):
        allowed = f"{column.minimum} to {column.maximum}"
    elif isinstance(column, NumericColumn):
        allowed = f"{column.minimum:g} to {column.maximum:g} {column.unit}".strip()
    elif column.pattern is not None:
        allowed = f"like {column.pattern}"
    return allowed if column.missing is None else f"{allowed}; may be missing"


@data.command()
@ending
def draft(  # noqa: PLR0913 - each is an option of the command
    context: typer.Context,
    *,
    name: Annotated[str, typer.Argument(help="The dataset's name.")],
    file: Annotated[
        str | None, typer.Option(help="A .csv or .parquet file, relative to the datasets folder.")
    ] = None,
    url_file: Annotated[
        str | None, typer.Option(help="A file that holds an SQLAlchemy URL; needs --query.")
    ] = None,
    query: Annotated[str | None, typer.Option(help="One SELECT.")] = None,
    delimiter: Annotated[
        Literal[",", ";", "|", ":", "\t"], typer.Option(help="What separates the cells.")
    ] = ",",
    encoding: Annotated[
        Literal["utf-8", "iso-8859-1", "windows-1252"], typer.Option(help="How text is written.")
    ] = "utf-8",
    decimal: Annotated[Literal[".", ","], typer.Option(help="The decimal sign.")] = ".",
    output: Output = Form.TABLE,
) -> None:
    """Print a draft declaration (YAML) of a source. Bounds and meanings are left to you."""
    source: Stored
    if (file is None) == (url_file is None) or (url_file is None) != (query is None):
        raise UsageError(
            "a draft needs one source", hint="Give --file, or --url-file with --query."
        )
    if file is None:
        source = SqlSource(url_file=url_file, query=query or "")
    elif file.endswith((".parquet", ".pq")):
        source = ParquetSource(path=file)
    else:
        source = CsvSource(path=file, delimiter=delimiter, encoding=encoding, decimal=decimal)
    folder = open_home(Path(context.obj)).datasets
    from node import app  # noqa: PLC0415 - opens the vault's libraries

    text = app.draft(source, name=name, folder=folder)
    show(output, data={"yaml": text}, text=text)
