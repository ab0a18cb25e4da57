"""The command `datalabbet-coordinator`: for whoever operates the coordinator's machine.

Data goes to stdout (a table, or with `--output json` one JSON object), all else to stderr. Exit
codes are those of `models.errors`: 0 done, 1 refused or failed, 2 connection, 3 too late,
4 wrong arguments or settings, 5 a mistake of ours. With `--output json` an error is, beside the
text on stderr, the object {"error": {"code", "message", "hint"}} on stdout.
"""

import enum
import json
import logging
import signal
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from typing import Annotated, NoReturn

import click
import typer
from rich.console import Console
from rich.table import Table

from coordinator import config, home, operate
from coordinator.home import Surroundings
from models.errors import DatalabbetError, ProtocolViolationError, UsageError
from models.governance import principal
from models.governance.principal import Principal, Role
from models.randomness import SystemEntropy

_log = logging.getLogger(__name__)


class Output(enum.StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"


Format = Annotated[Output, typer.Option("--output", "-o", help="table or json.")]
Hours = Annotated[int, typer.Option(min=1, max=720, help="How long the token is valid.")]

app = typer.Typer(
    name="datalabbet-coordinator",
    help="Operate the coordinator: set up, run, admit and dismiss members.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_members = typer.Typer(help="Who is enrolled.", no_args_is_help=True)
_db = typer.Typer(help="The database.", no_args_is_help=True)
app.add_typer(_members, name="members")
app.add_typer(_db, name="db")


def _version(asked: bool) -> None:  # noqa: FBT001 - Typer's signature
    if asked:
        typer.echo(metadata.version("datalabbet"))
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    *,
    folder: Annotated[
        Path,
        typer.Option("--home", envvar=config.HOME_VARIABLE, help="The coordinator's folder."),
    ] = Path("datalabbet-coordinator"),
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_version, help="Print the version and end."
        ),
    ] = False,
) -> None:
    del version  # `_version` has acted on it
    context.obj = folder


@app.command()
def init(
    context: typer.Context,
    *,
    name: Annotated[
        list[str] | None,
        typer.Option(help="DNS name or IP address by which members reach it; repeatable."),
    ] = None,
    listen: Annotated[str, typer.Option(help="HOST:PORT for members.")] = "",
    enrol_listen: Annotated[str, typer.Option(help="HOST:PORT for enrolment.")] = "",
    output: Format = Output.TABLE,
) -> None:
    """Make the home: settings, certificate authority, database."""
    folder: Path = context.obj
    chosen: dict[str, str | list[str]] = {
        "names": name or [],
        "listen": listen,
        "enrol_listen": enrol_listen,
    }
    home.write_settings(folder, {key: value for key, value in chosen.items() if value})
    around = _around(context)
    home.initialise(around)
    path = around.state / "authority" / "authority.pem"
    facts = {"home": str(folder), "settings": str(folder / config.FILE), "authority": str(path)}
    _print(facts, output)
    _say(f"Keep {around.state / 'authority'} safe and backed up: who has it can be anyone.")


@app.command()
def run(context: typer.Context, output: Format = Output.TABLE) -> None:
    """Serve until SIGTERM or SIGINT (Ctrl-C)."""
    from coordinator.app import Coordinator  # noqa: PLC0415 - with Flower: the others are quick

    around = _around(context)
    _log_to_stderr(around.settings.log_level)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    coordinator = Coordinator(around)
    try:
        at = coordinator.start()
        if output is Output.JSON:
            typer.echo(json.dumps({"listening": at.main, "enrolment": at.enrolment}))
        else:
            typer.echo(f"listening on {at.main}, enrolment on {at.enrolment}")
        sys.stdout.flush()
        home.write_addresses(around, main=at.main, enrolment=at.enrolment)
        stop.wait()
        _log.info("stopping")
    finally:
        home.remove_addresses(around)
        coordinator.stop()


@app.command("enrol-token")
def enrol_token(
    context: typer.Context,
    *,
    department: Annotated[str, typer.Argument(help="The department's id.")],
    valid_hours: Hours = 24,
    output: Format = Output.TABLE,
) -> None:
    """Print a token with which the department's node enrols, once."""
    _invite(context, _principal(Role.DEPARTMENT, department), valid_hours, output)


@app.command("user-token")
def user_token(
    context: typer.Context,
    *,
    name: Annotated[str, typer.Argument(help="The person's id, such as anna-berg.")],
    role: Annotated[
        Role, typer.Option(help="central: proposes and runs studies; analyst: reads releases.")
    ],
    valid_hours: Hours = 24,
    output: Format = Output.TABLE,
) -> None:
    """Print a token with which a person enrols, once."""
    if role is Role.DEPARTMENT:
        raise UsageError("a person is central or analyst", hint="For a node use enrol-token.")
    _invite(context, _principal(role, name), valid_hours, output)


@_members.command("list")
def members_list(context: typer.Context, output: Format = Output.TABLE) -> None:
    """List departments and people with their certificates' state."""
    found = operate.members(_around(context))
    columns = ("member", "revoked", "certificate_expires_at", "software", "node_id")
    _print_rows(columns, [item.row() for item in found], output, name="members")


@app.command()
def revoke(
    context: typer.Context,
    *,
    member: Annotated[str, typer.Argument(help="department/NAME, central/NAME or analyst/NAME.")],
    output: Format = Output.TABLE,
) -> None:
    """Revoke a member: its calls are refused and its open streams end within seconds."""
    role, _, name = member.partition("/")
    if role not in set(Role):
        raise UsageError("a member is written department/NAME, central/NAME or analyst/NAME")
    operate.revoke(_around(context), _principal(Role(role), name))
    _print({"revoked": member}, output)


@app.command()
def status(context: typer.Context, output: Format = Output.TABLE) -> None:
    """Show whether the coordinator serves, and what it holds. Exit code 1 if it does not."""
    facts = operate.status(_around(context))
    _print(facts, output)
    if not facts["serving"]:
        raise typer.Exit(1)


@_db.command("upgrade")
def db_upgrade(context: typer.Context, output: Format = Output.TABLE) -> None:
    """Bring the database's tables to this version's form (`run` does it too)."""
    engine = home.open_migrated(_around(context))
    _print({"database": engine.dialect.name, "upgraded": True}, output)
    engine.dispose()


def main() -> NoReturn:
    """Run the command and end the process with its exit code."""
    arguments = sys.argv[1:]
    try:
        code = app(args=arguments, standalone_mode=False)
    except DatalabbetError as error:
        _fail(error, arguments)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        _fail(UsageError(error.format_message(), hint=_HELP), arguments)
    except Exception:  # noqa: BLE001 - a mistake of ours: the traceback is for its report
        traceback.print_exc()
        _fail(DatalabbetError("an unexpected error", hint=_REPORT), arguments)
    sys.exit(code if isinstance(code, int) else 0)


_REPORT = "Please report it with the lines above."
_HELP = "`datalabbet-coordinator --help` shows the commands and their options."


def _fail(error: DatalabbetError, arguments: Sequence[str]) -> NoReturn:
    _say(f"error: {error.message}")
    if error.hint:
        _say(f"hint: {error.hint}")
    if {"json", "--output=json", "-ojson"} & set(arguments):
        told = {"code": error.code, "message": error.message, "hint": error.hint}
        typer.echo(json.dumps({"error": told}))
    sys.exit(error.exit_code)


def _around(context: typer.Context) -> Surroundings:
    folder: Path = context.obj
    return Surroundings(
        home=folder, settings=config.load(folder), clock=config.now, entropy=SystemEntropy()
    )


def _principal(role: Role, name: str) -> Principal:
    try:
        return principal.parse(Principal(role, name).uri)
    except ProtocolViolationError:
        raise UsageError(
            "an id has 2 to 63 characters: lower-case letters, digits and hyphens, a letter first"
        ) from None


def _invite(context: typer.Context, who: Principal, valid_hours: int, output: Output) -> None:
    made = operate.invite(_around(context), who, valid=timedelta(hours=valid_hours))
    if output is Output.JSON:
        expires = made.expires_at.isoformat()
        _print({"token": made.text, "identity": who.uri, "expires_at": expires}, output)
        return
    typer.echo(made.text)
    _say(f"Admits {who.role.value}/{who.name} once, until {made.expires_at:%Y-%m-%d %H:%M} UTC.")
    _say("It is shown only now. Give it to that member alone, over a channel you trust.")


def _print(facts: Mapping[str, object], output: Output) -> None:
    if output is Output.JSON:
        typer.echo(json.dumps(facts))
        return
    table = Table(show_header=False, box=None)
    for key, value in facts.items():
        table.add_row(key.replace("_", " "), str(value))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _print_rows(
    columns: Sequence[str], rows: Sequence[Sequence[object]], output: Output, *, name: str
) -> None:
    if output is Output.JSON:
        typer.echo(json.dumps({name: [dict(zip(columns, row, strict=True)) for row in rows]}))
        return
    table = Table(*(column.replace("_", " ") for column in columns))
    for row in rows:
        table.add_row(*(str(value) for value in row))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(
        level=level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )
    for noisy in ("flwr", "alembic", "sqlalchemy"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
