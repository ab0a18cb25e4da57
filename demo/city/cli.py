"""`datalabbet demo-data`: makes the fictional city that demos, tutorials and tests stand on."""

import importlib.util
from pathlib import Path
from typing import Annotated

import click
import typer

from coordinator.client.options import Output, group
from coordinator.client.output import Form, Json, Sheet, say, show
from models.errors import ConfigurationError

DEFAULT_SEED = 20250401
RESIDENTS = {"A": 150_000, "B": 60_000, "C": 9_000}

demo_data = group("Data of a fictional city whose truth is known; nobody in it exists.")


@demo_data.callback()
def root() -> None:
    """Data of a fictional city whose truth is known; nobody in it exists."""


@demo_data.command("generate")
def generate(  # noqa: PLR0913 - one argument for each option
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder of the data.")],
    truth: Annotated[
        Path,
        typer.Option("--truth", metavar="FILE", help="The truth file; never in a node's folder."),
    ],
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Equal seeds give equal bytes.")
    ] = DEFAULT_SEED,
    residents: Annotated[
        int | None,
        typer.Option(
            "--residents",
            help="Residents of a block. Default: 150,000 in A, 60,000 in B, 9,000 in C.",
            show_default=False,
        ),
    ] = None,
    profile: Annotated[
        str,
        typer.Option(
            "--profile",
            click_type=click.Choice(["clean", "dirty"]),
            help="clean, or dirty as real systems deliver.",
        ),
    ] = "clean",
    effects: Annotated[
        Path | None,
        typer.Option(
            "--effects",
            metavar="FILE",
            help="JSON with multipliers of the planted effects j1-j5. Default: all 1.",
            show_default=False,
        ),
    ] = None,
    municipality: Annotated[
        str,
        typer.Option(
            "--municipality",
            click_type=click.Choice(list(RESIDENTS)),
            help="A Exempelstad, B Provköping or C Testby.",
        ),
    ] = "A",
    scale: Annotated[
        int, typer.Option("--scale", help="How many blocks of residents the city has.")
    ] = 1,
    output: Output = Form.TABLE,
) -> None:
    """Make the departments' folders and the truth file: whole, or not at all."""
    _require()
    from demo.city import generate as making  # noqa: PLC0415 - pandas; other commands stay quick
    from demo.city.delivery.delivery import Profile  # noqa: PLC0415 - likewise
    from demo.city.settings import Effects  # noqa: PLC0415 - likewise

    order = making.Order(
        seed=seed,
        residents=RESIDENTS[municipality] if residents is None else residents,
        profile=Profile(profile),
        out=out,
        truth=truth,
        effects=Effects() if effects is None else making.read_effects(effects),
        municipality=municipality,
        scale=scale,
    )
    made = making.generate(order, tell=lambda text: say(f"- {text}"))
    data: Json = {"out": str(out), "truth": str(truth), "rows": made.rows, "defects": made.defects}
    rows = tuple((name, f"{count:,}") for name, count in made.rows.items())
    show(output, data=data, text=Sheet(head=("table", "rows"), rows=rows))
    say(f"The departments' folders are in {out}; the truth is in {truth}. Keep it from the nodes.")


def _require() -> None:
    """Refuse where the one part that not every installation has is missing."""
    if importlib.util.find_spec("pyarrow") is None:
        raise ConfigurationError(
            "making demo data needs pyarrow, which is not installed", hint="pip install pyarrow"
        )
