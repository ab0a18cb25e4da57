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

from coordinator.client.options import Output
from coordinator.client.output import Form, say
from models.errors import ConfigurationError


class Protection(enum.StrEnum):
    """How the demo's study protects residents."""

    SECURE_SUM = "secure-sum"
    LOCAL_NOISE = "local-noise"


Folder = Annotated[
    Path, typer.Option("--dir", help="The working folder; it must be empty or not exist.")
]
Epsilon = Annotated[
    str, typer.Option("--epsilon", help="ε of the study, for one resident.", metavar="NUMBER")
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


def demo(
    *,
    folder: Folder = Path("datalabbet-demo"),
    residents: Residents = 60_000,
    epsilon: Epsilon = "1",
    protection: Protected = Protection.SECURE_SUM,
    keep: Keep = False,
    output: Output = Form.TABLE,
) -> None:
    """Run a whole city here: make its records, enrol its departments, train, release, compare."""
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
        if keep:
            say("Everything is still running. Press Ctrl-C to stop it.")
            while True:
                time.sleep(3600)
