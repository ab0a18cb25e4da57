"""`datalabbet run`: starting, following and stopping runs."""

from typing import Annotated

import typer

from coordinator.client import progress, views
from coordinator.client.options import (
    Output,
    Profile,
    Run,
    StudyReference,
    Timeout,
    connect,
    group,
)
from coordinator.client.output import Form, say, show
from models.governance.states import RunState
from models.governance.views import RunStatus

app = group("Runs: start, follow and stop them.")


@app.command("start")
def start(
    *,
    study: StudyReference,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow the run until it has ended.")
    ] = False,
    timeout: Timeout = None,
    output: Output = Form.TABLE,
    profile: Profile = None,
) -> None:
    """Start a run of a study (its id or hash) that every department approved."""
    with connect(profile) as city:
        status = city.start_run(study)
        if watch:
            say(f"Started run {status.run_id}.")
            status = progress.follow(city.watch(status.run_id, timeout=timeout))
    _end(output, status, followed=watch)


@app.command("watch")
def watch_one(
    *, run: Run, timeout: Timeout = None, output: Output = Form.TABLE, profile: Profile = None
) -> None:
    """Follow a run (by its id) until it has ended."""
    with connect(profile) as city:
        status = progress.follow(city.watch(run, timeout=timeout))
    _end(output, status, followed=True)


@app.command("stop")
def stop(*, run: Run, output: Output = Form.TABLE, profile: Profile = None) -> None:
    """Stop a run for good. A run that has ended stays as it is."""
    with connect(profile) as city:
        status = city.stop(run)
    show(output, data=views.run_json(status), text=progress.describe(status))


@app.command("list")
def list_all(
    *,
    study: Annotated[str, typer.Option("--study", help="Only this study's runs.")] = "",
    output: Output = Form.TABLE,
    profile: Profile = None,
) -> None:
    """List the runs, newest first."""
    with connect(profile) as city:
        found = city.runs(study)
    data = [views.run_json(status) for status in found]
    show(output, data=data, text=views.runs_sheet(found))


def _end(output: Form, status: RunStatus, *, followed: bool) -> None:
    """Print the run; a followed one that did not finish ends the command with an error."""
    if followed:
        progress.check(status)
    show(output, data=views.run_json(status), text=progress.describe(status))
    if status.state is RunState.FINISHED:
        say(f"See the result: datalabbet releases show {status.run_id}")
    elif not followed:
        say(f"Follow it: datalabbet run watch {status.run_id}")
