"""Following a run on stderr: a progress bar on a terminal, one line per change elsewhere."""

import sys
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from coordinator.client.output import say
from models.errors import RunFailedError
from models.governance.states import RunState
from models.governance.views import RunStatus


def follow(states: Iterator[RunStatus]) -> RunStatus:
    """Show every state and give the last one.

    Raises:
        RunFailedError: no state came.
    """
    last = _bar(states) if sys.stderr.isatty() else _lines(states)
    if last is None:
        raise RunFailedError("the coordinator said nothing about the run")
    return last


def check(status: RunStatus) -> RunStatus:
    """Give the ended run if it finished.

    Raises:
        RunFailedError: it was stopped, or failed.
    """
    if status.state is not RunState.FINISHED:
        raise RunFailedError(
            f"run {status.run_id} {status.state.value} after {status.rounds_done} of "
            f"{status.rounds_total} rounds" + (f": {status.message}" if status.message else ""),
            hint="What the departments charged for its rounds stays charged.",
        )
    return status


def describe(status: RunStatus) -> str:
    """Give a state as one line."""
    text = f"run {status.run_id}: {status.state.value}, "
    text += f"round {status.rounds_done} of {status.rounds_total}"
    if status.departments:
        text += f" ({', '.join(status.departments)})"
    return f"{text}. {status.message}" if status.message else text


def _lines(states: Iterator[RunStatus]) -> RunStatus | None:
    last, said = None, ""
    for status in states:
        last = status
        if (text := describe(status)) != said:
            said = text
            say(text)
    return last


def _bar(states: Iterator[RunStatus]) -> RunStatus | None:
    last = None
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rounds"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[message]}", markup=False),
        console=Console(stderr=True, highlight=False),
    ) as progress:
        task = progress.add_task("connecting", total=None, message="")
        for status in states:
            last = status
            progress.update(
                task,
                description=status.state.value,
                completed=status.rounds_done,
                total=status.rounds_total,
                message=status.message,
            )
    return last
