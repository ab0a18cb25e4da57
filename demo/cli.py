"""`datalabbet demo`: a whole federation on this machine, from nothing to a released model."""

import enum
import importlib.util
import json
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from click.core import ParameterSource

from coordinator.client.options import Output
from coordinator.client.output import Form, say
from models.errors import ConfigurationError, UsageError

app = typer.Typer(invoke_without_command=True)


class Protection(enum.StrEnum):
    """How the demo's study protects residents."""

    SECURE_SUM = "secure-sum"
    LOCAL_NOISE = "local-noise"


class LinkedProtection(enum.StrEnum):
    """How the demo's joint questions protect residents."""

    SECURE_SUM = "secure-sum"
    NONE = "none"


class Records(enum.StrEnum):
    """What the departments' records are like."""

    CLEAN = "clean"
    DIRTY = "dirty"


Folder = Annotated[
    Path, typer.Option("--dir", help="The working folder; it must be empty or not exist.")
]
Epsilon = Annotated[
    str, typer.Option("--epsilon", help="ε of the study, for one resident.", metavar="NUMBER")
]
EpsilonEach = Annotated[
    str, typer.Option("--epsilon", help="ε of each study, for one household.", metavar="NUMBER")
]
Residents = Annotated[
    int, typer.Option("--residents", min=5000, help="About how many residents the city has.")
]
Protected = Annotated[
    Protection,
    typer.Option(
        "--protection",
        help="secure-sum: departments share the noise of a sum. local-noise: each adds all of it.",
    ),
]
Shared = Annotated[
    LinkedProtection,
    typer.Option(
        "--protection",
        help="secure-sum: three servers add noise to what they open. none: exact counts.",
    ),
]
Delivered = Annotated[
    Records,
    typer.Option("--profile", help="dirty: with the defects that records of real systems have."),
]
Keep = Annotated[bool, typer.Option("--keep", help="Leave everything running until Ctrl-C.")]


PARTS = ("duckdb", "flwr", "opacus", "pyarrow", "sqlalchemy", "torch")


def require(modules: tuple[str, ...]) -> None:
    """Refuse where what every part of a federation needs is not installed.

    Raises:
        ConfigurationError: names what is missing.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"the demo runs every part of a federation; not installed: {', '.join(missing)}",
            hint="pip install 'datalabbet[coordinator,node,demo]'",
        )


@app.callback()
def demo(
    context: typer.Context,
    *,
    folder: Folder = Path("datalabbet-demo"),
    residents: Residents = 60_000,
    epsilon: Epsilon = "1",
    protection: Protected = Protection.SECURE_SUM,
    keep: Keep = False,
    output: Output = Form.TABLE,
) -> None:
    """Run a whole city here: make its records, enrol its departments, train, release, compare."""
    if context.invoked_subcommand is not None:
        _refuse_options(context)
        return
    require(PARTS)
    from demo import report, showcase, warm  # noqa: PLC0415 - scikit-learn; other commands stay quick
    from demo.federation import Federation  # noqa: PLC0415 - likewise
    from demo.town import DEPARTMENTS  # noqa: PLC0415 - likewise

    report.check_epsilon(epsilon)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` stops what it started
    showcase.prepare(folder)
    warm.preload()
    with Federation(
        root=folder.resolve(), departments=DEPARTMENTS, warm=True, mode="demo"
    ) as federation:
        outcome = showcase.run(
            federation,
            residents=residents,
            epsilon=epsilon,
            protection=protection.value,
            tell=lambda text: say(f"- {text}"),
        )
        if output is Form.JSON:
            sys.stdout.write(json.dumps(outcome.document()) + "\n")
        else:
            report.show(outcome, federation)
        sys.stdout.flush()
        _stay(keep)


@app.command("linked")
def linked(
    *,
    folder: Folder = Path("datalabbet-demo"),
    residents: Residents = 150_000,
    epsilon: EpsilonEach = "1",
    protection: Shared = LinkedProtection.SECURE_SUM,
    profile: Delivered = Records.CLEAN,
    keep: Keep = False,
    output: Output = Form.TABLE,
) -> None:
    """Ask joint questions of several departments about the same residents, on a whole city here.

    Five have an answer that no department can find alone, three have none. Each is a study of its
    own, computed on shares by three servers; what is found stands beside the planted truth.
    """
    require(PARTS)
    from demo import report as plain  # noqa: PLC0415 - scikit-learn; other commands stay quick
    from demo import showcase as folders  # noqa: PLC0415 - likewise
    from demo import warm  # noqa: PLC0415 - likewise
    from demo.city.delivery.delivery import Profile  # noqa: PLC0415 - likewise
    from demo.federation import Federation  # noqa: PLC0415 - likewise
    from demo.linked import joint, report, showcase  # noqa: PLC0415 - likewise
    from models.governance import study  # noqa: PLC0415 - likewise

    plain.check_epsilon(epsilon)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` stops what it started
    folders.prepare(folder)
    warm.preload()
    with Federation(
        root=folder.resolve(),
        departments=tuple(joint.DEPARTMENTS),
        witnesses=(joint.WITNESS,),
        warm=True,
        mode="demo",
    ) as federation:
        bare = protection is LinkedProtection.NONE
        outcome = showcase.run(
            federation,
            residents=residents,
            epsilon=epsilon,
            protection=study.Protection.NONE if bare else study.Protection.SECURE_SUM,
            profile=Profile(profile.value),
            tell=lambda text: say(f"- {text}"),
        )
        if output is Form.JSON:
            sys.stdout.write(json.dumps(outcome.document()) + "\n")
        else:
            report.show(outcome, federation)
        sys.stdout.flush()
        _stay(keep)


def _refuse_options(context: typer.Context) -> None:
    """Refuse options of `demo` itself before a command below it, which would not hear of them."""
    given = [
        name
        for name in context.params
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    if given:
        raise UsageError(
            f"options stand before {context.invoked_subcommand}, which does not read them",
            hint=f"Put them after it: datalabbet demo {context.invoked_subcommand} --help",
        )


def _stay(keep: bool) -> None:  # noqa: FBT001 - the option of a command
    if keep:
        say("Everything is still running. Press Ctrl-C to stop it.")
        while True:
            time.sleep(3600)
