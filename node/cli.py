"""The command `datalabbet-node`.

Exit codes: 0 done, 1 refused or failed, 2 connection or credentials, 3 no answer in time,
4 wrong use or input, 5 a mistake in the program.
"""

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer
from click import ClickException
from click.exceptions import Abort, NoArgsIsHelpError

from models.errors import DatalabbetError, UsageError
from models.governance import token as tokens
from models.linkage.identity import Mode
from models.randomness import SystemEntropy
from node import doctor as doctors
from node import home as homes
from node.cli_gate import gate
from node.cli_ledger import ledger
from node.cli_linkage import data
from node.cli_studies import studies
from node.config import HOME_VARIABLE, now, version
from node.home import Home
from node.link.enrolment import Addresses, enrol
from node.output import Form, Json, Output, ending, pairs, report, say, show
from node.status import status as status_of

cli = typer.Typer(
    name="datalabbet-node",
    help="A department's node of Datalabbet. It decides what runs on its records.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
cli.add_typer(gate)  # without a name: its commands are the program's own
cli.add_typer(data, name="data")
cli.add_typer(studies, name="studies")
cli.add_typer(ledger, name="ledger")

_STDIN = "-"
_DEFAULT_HOME = Path("datalabbet-node")


def main() -> None:
    """Run the command and exit with its code."""
    form = Form.JSON if "json" in _given("--output") else Form.TABLE
    try:
        sys.exit(cli(standalone_mode=False) or 0)
    except NoArgsIsHelpError:
        sys.exit(UsageError.exit_code)  # the help has been printed
    except ClickException as error:
        report(UsageError(error.format_message(), hint="See --help."), form)
        sys.exit(UsageError.exit_code)
    except Abort:
        say("Stopped.")
        sys.exit(1)
    except DatalabbetError as error:
        report(error, form)
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001 - the last line before the user
        place = traceback.extract_tb(error.__traceback__)[-1]
        # The text of an unexpected exception can quote a record: its place is enough to find it.
        text = f"a mistake in the program: {type(error).__name__} at {place.name}:{place.lineno}"
        report(DatalabbetError(text, hint="Please report this line."), form)
        sys.exit(DatalabbetError.exit_code)


def _given(option: str) -> tuple[str, ...]:
    """Give what follows an option on the command line, before it is parsed."""
    words = sys.argv[1:]
    after = [words[i + 1] for i, word in enumerate(words[:-1]) if word == option]
    joined = [word.partition("=")[2] for word in words if word.startswith(f"{option}=")]
    return (*after, *joined)


def _show_version(value: bool) -> None:  # noqa: FBT001 - typer's signature
    if value:
        show(Form.TABLE, data=version(), text=version())
        raise typer.Exit


@cli.callback()
def root(
    context: typer.Context,
    *,
    home: Annotated[
        Path, typer.Option(envvar=HOME_VARIABLE, help="The node's home folder.")
    ] = _DEFAULT_HOME,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Keep the home for the command."""
    context.obj = home.expanduser()


def opened(context: typer.Context) -> Home:
    """Give the home of the command."""
    return homes.open_home(Path(context.obj))


@cli.command()
@ending
def init(
    context: typer.Context,
    *,
    mode: Annotated[
        Mode | None,
        typer.Option(help="production (default): people's records. demo: invented residents."),
    ] = None,
    output: Output = Form.TABLE,
) -> None:
    """Make the node's home: node.toml, datasets/ and state/. What is there stays as it is."""
    made = [str(path) for path in homes.create(Path(context.obj), mode=mode)]
    text = "\n".join(f"made {path}" for path in made) or "everything is there already"
    show(output, data={"home": str(context.obj), "made": made}, text=text)


@cli.command(name="enrol")
@ending
def enrol_command(
    context: typer.Context,
    *,
    token_file: Annotated[
        str, typer.Option("--token-file", help="The file with the token, or - for stdin.")
    ],
    coordinator: Annotated[
        str | None, typer.Option(help="HOST:PORT of the coordinator (mutual TLS).")
    ] = None,
    enrol_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Its port for enrolment.")
    ] = None,
    output: Output = Form.TABLE,
) -> None:
    """Exchange a token for a certificate. The keys are made here and stay here."""
    home = opened(context)
    address = coordinator or home.settings.coordinator
    if address is None:
        raise UsageError(
            "where the coordinator is has not been said",
            hint="Give --coordinator HOST:PORT, or set it in node.toml.",
        )
    host = address.rpartition(":")[0]
    credentials = enrol(
        home.keyring(),
        tokens.parse(_read(token_file)),
        addresses=Addresses(
            coordinator=address, enrolment=f"{host}:{enrol_port or home.settings.enrol_port}"
        ),
        now=now(),
        entropy=SystemEntropy(),
    )
    expires = credentials.certificate.not_after
    show(
        output,
        data={
            "department": credentials.department,
            "coordinator": credentials.membership.coordinator,
            "expires_at": expires.isoformat(),
        },
        text=f"Enrolled as {credentials.department}. The certificate is valid until "
        f"{expires:%Y-%m-%d} and renews itself while the node runs.",
    )


def _read(token_file: str) -> str:
    try:
        return sys.stdin.read() if token_file == _STDIN else Path(token_file).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise UsageError(
            f"the token file {token_file} cannot be read",
            hint="Give a file with the line that `datalabbet-coordinator enrol-token` printed.",
        ) from None


@cli.command()
@ending
def run(context: typer.Context, *, output: Output = Form.TABLE) -> None:
    """Run the node in the foreground until SIGTERM or Ctrl-C. It logs JSON lines on stderr."""
    del output  # it prints nothing; an error that ends it is reported in this form
    _run(opened(context), witness=False)


@cli.command()
@ending
def witness(context: typer.Context, *, output: Output = Form.TABLE) -> None:
    """Run this node as the witness of secure sums, who has no records. Ends as `run` does."""
    del output
    _run(opened(context), witness=True)


def _run(home: Home, *, witness: bool) -> None:
    from node import app  # noqa: PLC0415 - opens the vault's libraries

    app.run(home, witness=witness)
    # All is closed and on disk. Tearing down torch's and gRPC's threads takes seconds more, and
    # a step still at work in a thread would crash there.
    sys.stderr.flush()
    os._exit(0)


@cli.command()
@ending
def status(context: typer.Context, *, output: Output = Form.TABLE) -> None:
    """Show what this node is, and what studies have spent here. Asks nobody else."""
    found = status_of(opened(context))
    rows = [(name.replace("_", " "), str(value)) for name, value in found.items()]
    show(output, data=found, text=pairs(rows))


@cli.command()
@ending
def doctor(context: typer.Context, *, output: Output = Form.TABLE) -> None:
    """Check settings, folders, certificates, coordinator, clock, disk and data."""
    from node import app  # noqa: PLC0415 - opens the vault's libraries

    findings = doctors.examine(Path(context.obj), check=app.check_data, now=now)
    failed = any(item.state is doctors.State.FAILED for item in findings)
    data: Json = {
        "ok": not failed,
        "findings": [
            {"check": i.check, "state": i.state.value, "found": i.found, "mend": i.mend}
            for i in findings
        ],
    }
    lines = []
    for item in findings:
        lines.append(f"{item.state.value:<8} {item.check}: {item.found}")
        if item.mend:
            lines.append(f"         -> {item.mend}")
    show(output, data=data, text="\n".join(lines))
    if failed:
        raise typer.Exit(1)
