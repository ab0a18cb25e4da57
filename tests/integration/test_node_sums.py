"""Nodes and a witness as processes, with a real coordinator: secure sums up to a release."""

import json
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleets import Federation, ended, node_command, node_process, until
from studies import DEPARTMENTS, summed_study

from models.governance.roster import Mode
from models.governance.states import RunState
from models.governance.study import StudyDraft
from models.quantities import Epsilon
from node import config, home
from node.home import Home

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    made = Federation(tmp_path)
    yield made
    made.close()


@pytest.fixture
def processes() -> Iterator[dict[str, "subprocess.Popen[bytes]"]]:
    started: dict[str, subprocess.Popen[bytes]] = {}
    yield started
    for process in started.values():
        process.kill()
        process.wait()


def drafted(**changes: object) -> StudyDraft:
    """Give the file of `summed_study(**changes)`."""
    made = summed_study(**changes)
    names = StudyDraft.__dataclass_fields__
    return StudyDraft(**{name: getattr(made, name) for name in names})


def enrol_witness(federation: Federation) -> Home:
    """Enrol the auditor: a home without datasets."""
    path = federation.folder / "auditor"
    home.create(path)
    done = node_command(path, *federation.enrolling(), given=federation.token("auditor"))
    assert done.returncode == 0, done.stderr
    return Home(path=path, settings=config.load(path))


def approve(home: Home, study: str) -> None:
    yes = ("studies", "approve", study, "--steward", "Eva", "--yes", "--output", "json")
    done = node_command(home.path, *yes)
    assert done.returncode == 0, done.stderr


def count(home: Home, query: str) -> dict[str, int]:
    connection = sqlite3.connect(home.database)
    rows = connection.execute(query).fetchall()
    connection.close()
    return dict(rows)


CHARGED = "SELECT step, COUNT(*) FROM charges GROUP BY step"
USED = "SELECT step, COUNT(*) FROM contexts GROUP BY step"


@pytest.mark.parametrize(
    "mode", [Mode.BOTH, pytest.param(Mode.PAIRWISE, marks=pytest.mark.nightly)]
)
def test_a_run_goes_to_its_release_though_a_department_is_killed(
    federation: Federation, processes: dict[str, "subprocess.Popen[bytes]"], mode: Mode
) -> None:
    homes = {name: federation.enrol(name) for name in DEPARTMENTS}
    commands = dict.fromkeys(homes, "run")
    if mode.witnessed:
        homes["auditor"] = enrol_witness(federation)
        commands["auditor"] = "witness"

    def start(name: str) -> None:
        log = federation.folder / f"{name}.log"
        processes[name] = node_process(homes[name].path, log, command=commands[name])

    for name in homes:
        start(name)
    settings = {"mode": mode, "residents": 900, "attempts": 5}
    if mode.witnessed:
        settings["witness"] = "auditor"
    file = drafted(secure_sum=settings, privacy={"spare_rounds": 4, "epsilon": Epsilon(3.0)})
    with federation.central() as central:
        until(lambda: len(central.catalogue()) == len(DEPARTMENTS), what="the catalogue of all")
        central.propose(file)
        for each in homes.values():
            approve(each, file.study)
        run = central.start_run(file.study)
        until(lambda: central.run(run.run_id).rounds_done >= 3, seconds=60, what="some steps")
        killed = "auditor" if mode.witnessed else "school"
        processes[killed].send_signal(signal.SIGKILL)
        processes[killed].wait()
        start(killed)
        last = ended(central, run.run_id, seconds=120)
        log = (federation.folder / f"{killed}.log").read_text()
        assert last.state is RunState.FINISHED, (last, log)
    for name in DEPARTMENTS:
        charged = count(homes[name], CHARGED)
        assert charged == count(homes[name], USED), name
        assert set(charged) == {
            "histogram",
            "evaluate",
            *(f"train/{n}" for n in range(1, last.rounds_done + 1)),
        }
        assert sum(charged.values()) <= last.rounds_done + 2 + 4
    if mode.witnessed:
        assert count(homes["auditor"], CHARGED) == {}
        assert set(count(homes["auditor"], USED)) >= {"histogram", "train/1", "evaluate"}


@pytest.mark.nightly
def test_a_program_in_the_other_role_takes_no_part(
    federation: Federation, processes: dict[str, "subprocess.Popen[bytes]"]
) -> None:
    """The auditor's node run as a department's, and a department's as a witness's, refuse."""
    homes = {name: federation.enrol(name) for name in DEPARTMENTS}
    homes["auditor"] = enrol_witness(federation)
    logs = {name: federation.folder / f"{name}.log" for name in homes}
    for name, each in homes.items():
        processes[name] = node_process(each.path, logs[name])
    file = drafted(secure_sum={"mode": Mode.WITNESS, "witness": "auditor", "residents": 900})
    with federation.central() as central:
        until(lambda: len(central.catalogue()) == len(DEPARTMENTS), what="the catalogue of all")
        central.propose(file)
        for each in homes.values():
            approve(each, file.study)
        processes["school"].terminate()
        processes["school"].wait(20)
        processes["school"] = node_process(homes["school"].path, logs["school"], command="witness")
        central.start_run(file.study)
        for name, said in (("auditor", "as its witness, not as"), ("school", "does not name")):
            until(lambda n=name, s=said: s in logs[n].read_text(), what=f"a refusal by {name}")
        lines = [json.loads(line) for line in logs["auditor"].read_text().splitlines()]
        assert not [line for line in lines if line["event"] == "a run has begun here"]
