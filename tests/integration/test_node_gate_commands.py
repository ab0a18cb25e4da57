"""The steward's commands on a running node: what would leave, the program, and the stop switch."""

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleets import CITY, Federation, city_draft, ended, node_command, node_process, until

from models.governance.states import RunState
from node.gate import peers
from node.gate.switch import Switch
from node.home import Home
from protos.installed import code_digest

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    made = Federation(tmp_path)
    yield made
    made.close()


@pytest.fixture
def processes() -> Iterator[list["subprocess.Popen[bytes]"]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def charged(home: Home) -> int:
    connection = sqlite3.connect(home.database)
    (count,) = connection.execute("SELECT COUNT(*) FROM charges").fetchone()
    connection.close()
    return int(count)


def asked(home: Home, *arguments: str) -> dict[str, object]:
    done = node_command(home.path, *arguments, "--output", "json")
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_a_steward_reads_what_leaves_and_stops_a_run_at_once(
    federation: Federation, processes: list["subprocess.Popen[bytes]"]
) -> None:
    homes = {name: federation.enrol(name) for name in CITY}
    logs = {name: federation.folder / f"{name}.log" for name in CITY}
    processes.extend(node_process(home.path, logs[name]) for name, home in homes.items())
    school = homes["school"]
    with federation.central() as central:
        until(lambda: len(central.catalogue()) == 2, what="the catalogue of both")
        file = city_draft(training={"rounds": 500, "steps": 20})
        central.propose(file)

        own = asked(school, "code")
        assert own["code"] == code_digest()
        assert own["fingerprint"] == peers.fingerprint(str(own["identity"]))
        shown = asked(school, "preview", file.study)
        assert shown["objections"] == []
        assert [kind["step"] for kind in shown["leaving"]["kinds"]] == ["train", "evaluate"]
        for home in homes.values():
            yes = ("studies", "approve", file.study, "--steward", "Eva", "--yes")
            done = node_command(home.path, *yes)
            assert done.returncode == 0, done.stderr
            assert shown["preview"] in done.stderr
            assert "0.weight <f4" in done.stderr

        run = central.start_run(file.study)
        until(lambda: central.run(run.run_id).rounds_done >= 2, seconds=60, what="rounds")
        assert asked(school, "stop", "--reason", "a leak is suspected")["stopped"] is True
        # What was under way may have been charged; from now on nothing is.
        until(lambda: "this node is stopped" in logs["school"].read_text(), what="a refusal")
        spent = charged(school)
        # One department of two is too few: the run ends without a result.
        last = ended(central, run.run_id)
        assert (last.state, charged(school)) == (RunState.FAILED, spent)
        assert "leak" not in last.message  # the reason stays at the node
        assert asked(school, "resume")["was_stopped"] is True
        assert Switch(school.state).stopped() is None
