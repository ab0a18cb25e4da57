"""What `datalabbet demo linked` prints at its end."""

import sys

from rich.console import Console
from rich.table import Table

from demo.federation import Federation
from demo.linked.showcase import Outcome
from demo.linked.truth import Line
from demo.showcase import ANALYST


def show(outcome: Outcome, federation: Federation) -> None:
    """Print every finding beside the truth, and where the files are."""
    console = Console(width=None if sys.stdout.isatty() else 110, highlight=False)
    terms = "without noise" if outcome.epsilon is None else f"ε {outcome.epsilon:g} for each study"
    table = Table(title=f"Joint questions of {outcome.residents:,} residents, {terms}")
    table.add_column("")
    table.add_column("what")
    for name in ("found", "95 % interval", "truth", "crude"):
        table.add_column(name, justify="right")
    for asked in outcome.asked:
        for line in asked.lines:
            table.add_row(line.code, line.what, *_cells(line))
        table.add_section()
    console.print(table)
    console.print(
        "crude: what the same records say without the other departments' knowledge, or without "
        "the clock of assistance; of J2 a difference of shares, so compare its sign.\n"
        "Of a test the truth is what chance alone would give. "
        "(drowned): the noise hides it; a larger ε, or more residents, would show it."
    )
    console.print(
        f"{outcome.seconds:.0f} seconds in all.\n"
        f"Answers, tables and cards: {federation.root / 'releases'}\n"
        f"Look around: datalabbet releases list --profile {federation.profile(ANALYST)} "
        "(while it runs: --keep)"
    )


def _cells(line: Line) -> tuple[str, str, str, str]:
    found = "unknown" if line.estimate is None else _number(line.estimate)
    if line.drowned:
        found += " (drowned)"
    interval = ""
    if line.low is not None and line.high is not None:
        interval = f"{_number(line.low)} to {_number(line.high)}"
    if line.p is not None:
        interval = f"p = {line.p:.2f}"
    return found, interval, _number(line.truth), "" if line.crude is None else _number(line.crude)


def _number(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"  # noqa: PLR2004
