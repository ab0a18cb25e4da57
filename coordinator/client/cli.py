"""The command `datalabbet`, for the central team and for analysts.

Data goes to stdout (`--output table|json`), everything else to stderr. Exit codes: 0 done,
1 refused or failed, 2 connection or certificate, 3 out of time, 4 wrong input, 5 a bug.
"""

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import click
import typer

from coordinator.client import (
    catalogue_commands,
    config,
    connection,
    exports,
    ledger_commands,
    linked_commands,
    privacy_commands,
    received_commands,
    release_commands,
    run_commands,
    study_commands,
)
from coordinator.client.options import Output, Profile
from coordinator.client.output import Form, pairs, say, show, write_json
from models.errors import DatalabbetError, UsageError
from models.governance import token as tokens

INTERRUPTED = 130

app = typer.Typer(
    help="Joint questions to the departments of a city, without pooling their data.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=(
        "Exit codes: 0 done, 1 refused or failed, 2 connection or certificate, 3 out of time, "
        "4 wrong input, 5 a bug."
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(catalogue_commands.app, name="catalogue")
app.add_typer(study_commands.app, name="study")
app.add_typer(privacy_commands.app, name="privacy")
app.add_typer(run_commands.app, name="run")
app.add_typer(release_commands.app, name="releases")
app.add_typer(linked_commands.app, name="linked")
app.add_typer(received_commands.app, name="ledger")
received_commands.app.command("city")(ledger_commands.city)
app.command("members")(catalogue_commands.members)


@app.callback()
def root(
    *,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an unexpected error.")
    ] = False,
) -> None:
    """Joint questions to the departments of a city, without pooling their data."""
    del debug  # `run` reads it from the arguments, since it must hold before they are parsed


@app.command("enrol")
def enrol(
    *,
    coordinator: Annotated[
        str, typer.Option("--coordinator", metavar="HOST:PORT", help="The coordinator's address.")
    ],
    enrol_address: Annotated[
        str, typer.Option("--enrol-address", metavar="HOST:PORT", help="Its enrolment port.")
    ],
    token_file: Annotated[
        Path, typer.Option("--token-file", help="The file with the token; - for stdin.")
    ],
    output: Output = Form.TABLE,
    profile: Profile = None,
) -> None:
    """Exchange a single-use token for a certificate. The key is made here and stays here."""
    text = sys.stdin.read() if str(token_file) == "-" else exports.read_text(token_file)
    made = connection.enrol(
        folder=config.profile_folder(profile),
        token=tokens.parse(text),
        coordinator=coordinator,
        enrol_address=enrol_address,
    )
    expires = made.certificate.not_valid_after_utc
    who = made.principal
    data = {
        "profile": str(made.folder),
        "role": who.role.value,
        "name": who.name,
        "expires_at": expires.isoformat().replace("+00:00", "Z"),
    }
    lines = [
        ("profile", str(made.folder)),
        ("enrolled as", f"{who.name} ({who.role.value})"),
        ("certificate", f"until {expires:%Y-%m-%d}; renewed by itself while it is in use"),
    ]
    show(output, data=data, text=pairs(lines))


@app.command("version")
def version(*, output: Output = Form.TABLE) -> None:
    """Print the installed version."""
    show(output, data={"version": config.version()}, text=config.version())


def main() -> None:
    """Run the command with the arguments of the process, and end it with the exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run the command, and give its exit code; errors become a sentence and a hint."""
    form = _form(arguments)
    try:
        result = app(args=list(arguments), prog_name="datalabbet", standalone_mode=False)
    except DatalabbetError as error:
        return _fail(form, error)
    except click.ClickException as error:
        return _wrong_arguments(form, error)
    except (KeyboardInterrupt, click.exceptions.Abort):
        say("Interrupted. A run that was started goes on; `datalabbet run stop` stops it.")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the outermost place: everything ends here
        return _bug(form, error, debug="--debug" in arguments)
    return result if isinstance(result, int) else 0


def _form(arguments: Sequence[str]) -> Form:
    """Give the wanted form also for errors in the arguments themselves."""
    joined = " ".join(arguments).replace("=", " ")
    wanted = any(f"{flag} json" in joined for flag in ("--output", "-o"))
    return Form.JSON if wanted else Form.TABLE


def _fail(form: Form, error: DatalabbetError) -> int:
    if form is Form.JSON:
        said = {"code": error.code, "message": error.message, "hint": error.hint}
        write_json({"error": said})
    say(f"Error: {error.message}")
    if error.hint:
        say(f"Hint: {error.hint}")
    return error.exit_code


def _wrong_arguments(form: Form, error: click.ClickException) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        say(error.format_message())
        return UsageError.exit_code
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = f"See: {context.command_path} --help" if context else ""
    return _fail(form, UsageError(error.format_message(), hint=hint))


def _bug(form: Form, error: Exception, *, debug: bool) -> int:
    """Report an unexpected error by a reference: the same bug has the same one."""
    if debug:
        traceback.print_exception(error, file=sys.stderr)
    place = traceback.extract_tb(error.__traceback__)[-1]
    text = f"{type(error).__name__}/{Path(place.filename).name}/{place.name}/{place.lineno}"
    reference = hashlib.sha256(text.encode()).hexdigest()[:8]
    told = DatalabbetError(
        f"something went wrong that should not have (reference {reference})",
        hint="Run it again with `datalabbet --debug …` and report what it prints.",
    )
    return _fail(form, told)


def _add_demo() -> None:
    """Add `datalabbet demo` and `demo-data` where the package `demo` is installed.

    It stands above this package, so it is found by name and not imported.
    """
    if importlib.util.find_spec("demo") and importlib.util.find_spec("demo.cli"):
        app.add_typer(importlib.import_module("demo.cli").app, name="demo")
        commands = importlib.import_module("demo.city.cli").demo_data
        app.add_typer(commands, name="demo-data")


_add_demo()
