"""Nodes and a witness as processes: federated averaging under masks up to a release."""

import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleets import Federation, ended, node_command, node_process, until
from studies import DEPARTMENTS, masked_study

from models.governance.roster import Mode
from models.governance.states import RunState
from models.governance.study import StudyDraft
from node import config, home
from node.home import Home

pytestmark = pytest.mark.timeout(240)

ROUNDS = 12


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


def witness(federation: Federation) -> Home:
    """Enrol the auditor: a home without datasets."""
    path = federation.folder / "auditor"
    home.create(path)
    done = node_command(path, *federation.enrolling(), given=federation.token("auditor"))
    assert done.returncode == 0, done.stderr
    return Home(path=path, settings=config.load(path))


def count(home: Home, query: str) -> dict[str, int]:
    connection = sqlite3.connect(home.database)
    rows = connection.execute(query).fetchall()
    connection.close()
    return dict(rows)


@pytest.mark.nightly
def test_updates_are_summed_though_a_department_is_killed(
    federation: Federation, processes: dict[str, "subprocess.Popen[bytes]"]
) -> None:
    """Each round is charged once, or once more where it was killed before its release was kept."""
    homes = {name: federation.enrol(name) for name in DEPARTMENTS}
    homes["auditor"] = witness(federation)

    def start(name: str) -> None:
        command = "witness" if name == "auditor" else "run"
        log = federation.folder / f"{name}.log"
        processes[name] = node_process(homes[name].path, log, command=command)

    for name in homes:
        start(name)
    made = masked_study(
        secure_sum={"mode": Mode.BOTH, "witness": "auditor", "residents": 900, "attempts": 5},
        training={"rounds": ROUNDS},
        privacy={"spare_rounds": 2},
    )
    names = StudyDraft.__dataclass_fields__
    file = StudyDraft(**{name: getattr(made, name) for name in names})
    with federation.central() as central:
        until(lambda: len(central.catalogue()) == len(DEPARTMENTS), what="the catalogue of all")
        central.propose(file)
        for each in homes.values():
            yes = ("studies", "approve", file.study, "--steward", "Eva", "--yes")
            done = node_command(each.path, *yes, "--output", "json")
            assert done.returncode == 0, done.stderr
        run = central.start_run(file.study)
        until(lambda: central.run(run.run_id).rounds_done >= 2, seconds=60, what="some rounds")
        processes["school"].send_signal(signal.SIGKILL)
        processes["school"].wait()
        start("school")
        last = ended(central, run.run_id, seconds=120)
        assert last.state is RunState.FINISHED, last
        assert last.rounds_done == last.rounds_total == ROUNDS
    steps = {*(f"train/{n}" for n in range(1, ROUNDS + 1)), "evaluate"}
    for name in DEPARTMENTS:
        charged = count(homes[name], "SELECT step, COUNT(*) FROM charges GROUP BY step")
        used = count(homes[name], "SELECT step, COUNT(*) FROM contexts GROUP BY step")
        assert set(charged) == set(used) == steps
        assert sum(charged.values()) <= len(steps) + (name == "school")
    masks = count(homes["auditor"], "SELECT step, COUNT(*) FROM contexts GROUP BY step")
    assert set(masks) == steps
    assert not count(homes["auditor"], "SELECT step, COUNT(*) FROM charges GROUP BY step")
