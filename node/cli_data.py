"""`datalabbet-node data`: the declared datasets, held against their records."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from models.errors import UsageError
from models.schema import CategoryColumn, NumericColumn
from node.datasets import Dataset
from node.home import open_home
from node.output import Form, Json, Output, ending, pairs, say, show, table
from node.shelf import Shelf, chosen
from node.sources import CsvSource, ParquetSource, Source, SqlSource

data = typer.Typer(help="Check and describe the declared datasets.", no_args_is_help=True)

OneDataset = Annotated[
    str | None, typer.Option("--dataset", help="Only this dataset (else all of them).")
]


def _datasets(context: typer.Context, name: str | None) -> tuple[Dataset, ...]:
    return chosen(Shelf(open_home(Path(context.obj)).datasets).datasets(), name)


@data.command()
@ending
def check(
    context: typer.Context,
    *,
    dataset: OneDataset = None,
    limit: Annotated[int, typer.Option(min=0, help="The most violations to list.")] = 20,
    output: Output = Form.TABLE,
) -> None:
    """Hold the records against the declaration. Names file, column and row, never a value."""
    from node import app  # noqa: PLC0415 - opens the vault's libraries

    reports = [
        (item.declaration.name, app.check_data(item, limit=limit))
        for item in _datasets(context, dataset)
    ]
    told: list[Json] = [
        {
            "dataset": name,
            "file": report.file,
            "rows": report.rows,
            "usable": report.usable,
            "residents": report.residents,
            "clean": report.clean,
            "totals": [
                {"column": t.column, "problem": t.problem, "rows": t.rows} for t in report.totals
            ],
            "violations": [
                {"file": v.file, "column": v.column, "row": v.row, "problem": v.problem}
                for v in report.violations
            ],
        }
        for name, report in reports
    ]
    lines = []
    for name, report in reports:
        lines.append(
            f"{name}: {report.rows} rows read, {report.usable} usable, {report.residents} residents"
        )
        lines += [f"  {t.rows} rows: {t.column or 'row'}: {t.problem}" for t in report.totals]
        lines += [f"    {violation}" for violation in report.violations]
    show(output, data={"datasets": told}, text="\n".join(lines))
    if not all(report.clean for _, report in reports):
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


def _range(column: NumericColumn | CategoryColumn) -> str:
    if isinstance(column, CategoryColumn):
        allowed = ", ".join(column.categories)
    else:
        allowed = f"{column.minimum:g} to {column.maximum:g} {column.unit}".strip()
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
    source: Source
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
