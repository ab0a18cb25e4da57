"""What the demo prints at its end."""

import sys

from rich.console import Console
from rich.table import Table

from demo.federation import Federation
from demo.showcase import ANALYST, Outcome
from models.errors import UsageError
from models.quantities import Epsilon


def check_epsilon(text: str) -> None:
    """Refuse an ε that no study could have.

    Raises:
        UsageError: it is not a number, or out of bounds.
    """
    try:
        Epsilon(float(text))
    except ValueError as error:
        raise UsageError(f"--epsilon: {error}") from None


def show(outcome: Outcome, federation: Federation) -> None:
    """Print the comparison, the cost and where the files are."""
    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False)
    found = outcome.comparison
    spent = "none" if outcome.epsilon is None else f"ε {outcome.epsilon:.2f}, δ {outcome.delta:g}"
    table = Table(title=f"Area under the ROC curve ({found.test_pupils:,} pupils of another city)")
    table.add_column("who becomes eligible")
    table.add_column("AUC", justify="right")
    table.add_column("privacy")
    table.add_row("federated, released", f"{found.released_auc:.3f}", spent, style="bold")
    for name, auc in found.area_auc.items():
        table.add_row(f"{name} alone", f"{auc:.3f}", "stays inside")
    table.add_row("all data pooled", f"{found.pooled_auc:.3f}", "none: the law forbids it")
    table.add_row("best possible", f"{found.best_auc:.3f}", "the city's planted truth")
    console.print(table)
    shares = Table(title="Share who become eligible")
    shares.add_column("group of pupils")
    for name in ("planted", "released", "pooled"):
        shares.add_column(name, justify="right")
    for group, share in found.shares.items():
        figures = (share.planted, share.released, share.pooled)
        shares.add_row(group, *(f"{100 * figure:.0f} %" for figure in figures))
    console.print(shares)
    console.print(
        "No model of the schools alone can see what long-term assistance at home does: social "
        "services know of it."
    )
    own = outcome.estimated_auc
    told = (
        "no AUC, since the noise hides it"
        if own is None
        else f"AUC {own.value:.3f} (95 %: {own.low:.3f} to {own.high:.3f})"
    )
    console.print(
        f"What the release says about itself, from noisy counts of held-out pupils: {told}."
    )
    console.print(
        f"{outcome.seconds:.0f} seconds in all, {outcome.training_seconds:.1f} of them the run.\n"
        f"The model, its card and its record: {outcome.release}\n"
        f"Settings, keys, ledgers and logs of every part: {federation.root}\n"
        f"Look around: datalabbet releases list --profile {federation.profile(ANALYST)} "
        "(while it runs: --keep)"
    )
