"""Real processes over mutual TLS: canaries stay inside, kills are survived, runs can be stopped."""

import sqlite3
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from coordinator.client.api import Datalabbet
from demo import fields
from demo.federation import Federation, together
from demo.fields import Field, Table
from models.governance.states import RunState
from models.governance.views import RunStatus

pytestmark = pytest.mark.timeout(300)

DEPARTMENTS = ("north", "middle", "south")
CANARY_ID = "CANARYRESIDENT"
CANARY_TEXT = "CANARYDIAGNOSIS"
CANARY_NUMBER = "31.41592653"
CLEAN_SECONDS = 60
RECORDER = Path(__file__).parents[1] / "support" / "recording_node.py"


def table(department: str) -> Table:
    return Table(
        name="clients",
        title=("Klienter", "Clients"),
        description=("Påhittade klienter.", "Invented clients."),
        steward=f"Steward of {department}",
        secrecy="OSL 26",
        public=False,
        resident_id="person",
        fields=(
            Field(name="age", sv="Ålder", en="Age", bounds=(0, 100)),
            Field(name="kind", sv="Slag", en="Kind", categories=("a", "b", "c")),
            Field(name="left", sv="Lämnade", en="Left", categories=("no", "yes")),
        ),
    )


def rows(number: int) -> pd.DataFrame:
    """300 people with two rows each; the canaries stand in every row that they fit in."""
    people = [i for i in range(300) for _ in (0, 1)]
    return pd.DataFrame(
        {
            "person": [f"{CANARY_ID}{number}{i:04d}" for i in people],
            "age": [float(CANARY_NUMBER) if i % 7 == 0 else (i * 37) % 100 for i in people],
            "kind": ["abc"[i % 3] for i in people],
            "left": ["yes" if (i * 37) % 100 > 50 else "no" for i in people],
            "note": [CANARY_TEXT] * len(people),
        }
    )


def study(name: str, *, rounds: int, holdout: float = 0.2) -> str:
    document = {
        "study": name,
        "title": {"sv": "Lämnar", "en": "Leaving"},
        "purpose": {"sv": "Prov.", "en": "Test."},
        "legal_basis": {"article_6": "e", "provision": "Test"},
        "contact": "test@city.example",
        "departments": list(DEPARTMENTS),
        "dataset": "clients",
        "variables": ["age", "kind"],
        "outcome": "left",
        "model": {"family": "logistic", "bins": 5},
        "training": {"rounds": rounds, "steps": 2, "sampling_rate": 0.5, "learning_rate": 1.0},
        "privacy": {
            "protection": "local-noise",
            "epsilon": 4.0,
            "delta": 1e-5,
            "departments_per_resident": 1,
            "holdout": holdout,
            "spare_rounds": 2,
        },
        "minimum_cohort": 2,
        "retention_days": 30,
    }
    return yaml.safe_dump(document)


class City(Federation):
    """A federation whose nodes write down what they send."""

    def record(self, department: str) -> Path:
        return self.root / f"{department}.sent"

    def start_node(self, department: str) -> None:
        home = str(self.home(department))
        command = [
            sys.executable,
            str(RECORDER),
            str(self.record(department)),
            "--home",
            home,
            "run",
        ]
        environment = {
            "OMP_NUM_THREADS": "1",
            # All tests of this module run their studies on the same residents in one year.
            "DATALABBET_NODE__EPSILON_PER_YEAR": "100",
            "DATALABBET_NODE__EPSILON_TOTAL": "100",
        }
        self._start(department, command, environment=environment)

    def approved(self, client: Datalabbet, text: str) -> None:
        path = self.root / "study.yaml"
        path.write_text(text)
        name = client.propose(path).study.study
        answer = ("studies", "approve", name, "--steward", "Steward", "--yes")
        together([(lambda d: self.node(d, *answer), d) for d in DEPARTMENTS])


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    root = tmp_path_factory.mktemp("city")
    settings = {"DATALABBET_COORDINATOR__GRACE_SECONDS": "2"}
    with City(root=root, departments=DEPARTMENTS, settings=settings) as federation:
        for number, department in enumerate(DEPARTMENTS):
            folder = federation.home(department) / "datasets"
            fields.write(folder, table(department), rows(number), form="csv")
            rows(number).to_csv(folder / "clients.csv", index=False)  # with the undeclared column
        federation.start_coordinator()
        federation.enrol({"central": "central", "analyst": "analyst"})
        with Datalabbet.connect(federation.profile("central")) as client:
            federation.start_nodes(client)
            wait(lambda: len(client.catalogue()) == len(DEPARTMENTS))
        yield federation


def wait(condition, *, seconds: float = CLEAN_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def until(client: Datalabbet, run_id: int, condition) -> RunStatus:
    seen: list[RunStatus] = []

    def reached() -> bool:
        seen.append(client.run(run_id))
        return condition(seen[-1])

    wait(reached)
    return seen[-1]


def found(content: bytes) -> list[str]:
    """The canaries in some bytes, the number also as the bytes of a float."""
    texts = [c for c in (CANARY_ID, CANARY_TEXT, CANARY_NUMBER) if c.encode() in content]
    packed = [struct.pack(form, float(CANARY_NUMBER)) for form in ("<d", ">d", "<f", ">f")]
    return texts + [bits.hex() for bits in packed if bits in content]


def test_canaries_stay_inside_the_nodes(city: City) -> None:
    with Datalabbet.connect(city.profile("central")) as client:
        city.approved(client, study("canaries", rounds=3))
        run = client.start_run("canaries")
        ended = until(client, run.run_id, lambda r: r.state is RunState.FINISHED)
        release = client.export(ended.run_id, city.root / "release")

    outside = [
        *(p for p in (city.root / "coordinator").rglob("*") if p.is_file()),
        *(p for p in city.log("").parent.iterdir() if p.is_file()),
        *release.iterdir(),
        *(city.record(d) for d in DEPARTMENTS),
    ]
    assert any(p.suffix == ".db" for p in outside)
    assert all(city.record(d).stat().st_size > 500 for d in DEPARTMENTS)
    assert {str(p): found(p.read_bytes()) for p in outside if found(p.read_bytes())} == {}
    # The search can fail: the node's own data holds every canary.
    inside = (city.home("north") / "datasets" / "clients.csv").read_bytes()
    assert found(inside) == [CANARY_ID, CANARY_TEXT, CANARY_NUMBER]
    sent = np.array([1.0, float(CANARY_NUMBER)])
    assert found(sent.tobytes()) != []
    assert found(sent.astype(np.float32).tobytes()) != []


def test_a_recorded_message_would_show_a_canary(city: City) -> None:
    # What the nodes send is recorded in the clear: names that may cross are found in it.
    sent = city.record("north").read_bytes()
    assert b"clients" in sent
    assert b"num-examples" in sent


def test_the_coordinator_survives_kill_9(city: City) -> None:
    with Datalabbet.connect(city.profile("central")) as client:
        city.approved(client, study("killed-coordinator", rounds=200))
        run = client.start_run("killed-coordinator")
        before = until(client, run.run_id, lambda r: r.rounds_done >= 5)
    city.kill("coordinator")
    city.start_coordinator()
    restarted = time.monotonic()
    with Datalabbet.connect(city.profile("central")) as client:
        status = client.run(run.run_id)
        assert time.monotonic() - restarted < 15
        assert status.rounds_done >= before.rounds_done
        assert status.state in {RunState.STARTING, RunState.TRAINING, RunState.WAITING}
        ended = until(client, run.run_id, lambda r: r.state is RunState.FINISHED)
        assert ended.rounds_done == 200
        protection = client.release(run.run_id).protection
    assert protection.epsilon is not None
    assert protection.epsilon <= 4.0
    for department in DEPARTMENTS:
        assert charges(city, department, run.run_id) <= 200 + 2 + 2


def charges(city: City, department: str, run_id: int) -> int:
    (path,) = (city.home(department) / "state").glob("node.db")
    with sqlite3.connect(path) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        assert "charges" in tables, tables
        query = "SELECT count(*) FROM charges WHERE run = ?"
        return int(database.execute(query, (run_id,)).fetchone()[0])


def test_a_node_survives_kill_9_and_the_round_goes_on_without_it(city: City) -> None:
    with Datalabbet.connect(city.profile("central")) as client:
        city.approved(client, study("killed-node", rounds=80))
        run = client.start_run("killed-node")
        until(client, run.run_id, lambda r: r.rounds_done >= 3)
        city.kill("south")
        alone = until(
            client, run.run_id, lambda r: r.rounds_done > 3 and "south" not in r.departments
        )
        assert set(alone.departments) == {"north", "middle"}
        city.start_node("south")
        until(
            client,
            run.run_id,
            lambda r: "south" in r.departments or r.state is RunState.FINISHED,
        )
        until(client, run.run_id, lambda r: r.state is RunState.FINISHED)


def test_below_the_minimum_the_run_waits_and_says_for_whom(city: City) -> None:
    with Datalabbet.connect(city.profile("central")) as client:
        city.approved(client, study("waits", rounds=80))
        run = client.start_run("waits")
        until(client, run.run_id, lambda r: r.rounds_done >= 3)
        city.kill("south")
        city.kill("middle")
        waiting = until(client, run.run_id, lambda r: r.state is RunState.WAITING)
        assert "middle" in waiting.message
        assert "south" in waiting.message
        city.start_node("south")
        city.start_node("middle")
        until(client, run.run_id, lambda r: r.state is RunState.FINISHED)


def test_a_run_can_be_stopped(city: City) -> None:
    with Datalabbet.connect(city.profile("central")) as client:
        city.approved(client, study("stopped", rounds=200))
        run = client.start_run("stopped")
        until(client, run.run_id, lambda r: r.rounds_done >= 2)
        stopped = client.stop(run.run_id)
        assert stopped.state is RunState.STOPPED
        assert client.run(run.run_id).rounds_done < 200


def test_the_commands_agree_with_the_sdk(city: City) -> None:
    with Datalabbet.connect(city.profile("analyst")) as client:
        told = {summary.study for summary in client.releases()}
    shown = city.client("analyst", "releases", "list")
    assert {release["study"] for release in shown} == told
    assert told >= {"canaries", "killed-coordinator"}


def test_the_doctor_finds_nothing_wrong_after_all_of_it(city: City) -> None:
    # `node` raises when the command does not end with 0.
    found = city.node("north", "doctor")
    assert found["ok"] is True
    assert {finding["state"] for finding in found["findings"]} <= {"ok", "warning"}
