"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from coordinator.client.api import Datalabbet
from coordinator.client.output import Form

Output = Annotated[
    Form, typer.Option("--output", "-o", help="How to print data: for people, or as JSON.")
]
Profile = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        help="The profile folder. Default: DATALABBET_PROFILE, else ~/.config/datalabbet.",
        show_default=False,
    ),
]
Run = Annotated[int, typer.Argument(min=2, max=2**63 - 1, help="The run's id.")]
StudyReference = Annotated[str, typer.Argument(metavar="STUDY", help="The study's id or hash.")]
StudyFile = Annotated[Path, typer.Argument(metavar="FILE", help="The study file (YAML).")]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", min=0.1, help="Seconds to wait at most; the run itself goes on."),
]


def connect(profile: Path | None) -> Datalabbet:
    """Give the connection of the chosen profile."""
    return Datalabbet.connect(profile)


def group(help_text: str) -> typer.Typer:
    """Give an empty group of commands."""
    return typer.Typer(help=help_text, no_args_is_help=True)
