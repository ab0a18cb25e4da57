"""`python -m demo.simulation`: one department's data as if many departments held it.

A planning tool, for data that one already holds: how long rounds take, how good the model
becomes and what ε buys with 100 or 1,000 departments. The departments are virtual. They run the
nodes' own ClientApp and real training with noise, under the coordinator's own rounds and
strategies; approvals, ledgers, certificates and connections are no part of it. Nothing is
released, and nothing that it prints is protected.
"""

import importlib.util
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from click import ClickException
from click.exceptions import Abort

from models.errors import ConfigurationError, UsageError
from node.output import Form, Output, ending, report, say, show

cli = typer.Typer(
    pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]}
)

_INTERRUPTED = 130


@cli.command()
@ending
def simulate(
    *,
    declaration: Annotated[
        Path, typer.Option(metavar="FILE", help="A dataset's declaration; its data beside it.")
    ],
    study: Annotated[
        Path, typer.Option(metavar="STUDY", help="The study file; its departments are replaced.")
    ],
    nodes: Annotated[int, typer.Option(min=2, max=1000, help="How many virtual departments.")],
    rounds: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Rounds. Default: the study's.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**62, help="Another seed deals the residents out anew.")
    ] = 0,
    output: Output = Form.TABLE,
) -> None:
    """Try a study on one dataset as if many departments held it: time, AUC and ε.

    For planning, on data you hold yourself. Nothing is approved, charged or released, and what
    is printed is not protected.
    """
    require_ray()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the copies are removed
    from demo import forecast  # noqa: PLC0415 - torch and Flower; --help stays quick

    wish = forecast.Wish(
        declaration=declaration, study=study, nodes=nodes, rounds=rounds, seed=seed
    )
    found = forecast.forecast(wish, clock=time.monotonic, tell=lambda text: say(f"- {text}"))
    show(output, data=found.document(), text=found.text())


def require_ray() -> None:
    """Refuse where Ray is not installed.

    Raises:
        ConfigurationError: it is not.
    """
    if importlib.util.find_spec("ray") is None:
        raise ConfigurationError(
            "a simulation needs Ray, which is not installed",
            hint="Install the extra: pip install 'datalabbet[simulation]'",
        )


def main() -> None:
    """Run the command and exit with its code: those of all commands."""
    try:
        sys.exit(cli(standalone_mode=False) or 0)
    except ClickException as error:
        report(UsageError(error.format_message(), hint="See --help."), Form.TABLE)
        sys.exit(UsageError.exit_code)
    except (Abort, KeyboardInterrupt):
        say("Stopped.")
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
