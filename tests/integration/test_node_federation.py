"""Nodes as processes with a real coordinator: enrol, approve, train, stop, come back."""

import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleets import CITY, Federation, city_draft, ended, node_command, node_process, until

from models.governance.states import RunState
from node.home import Home

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


def charges(home: Home) -> list[tuple[str, int]]:
    connection = sqlite3.connect(home.database)
    rows = connection.execute(
        "SELECT step, COUNT(*) FROM charges GROUP BY step ORDER BY step"
    ).fetchall()
    connection.close()
    return rows


def test_two_departments_train_and_one_is_killed_on_the_way(
    federation: Federation, processes: list["subprocess.Popen[bytes]"]
) -> None:
    homes = {name: federation.enrol(name) for name in CITY}
    logs = {name: federation.folder / f"{name}.log" for name in CITY}
    for name, home in homes.items():
        processes.append(node_process(home.path, logs[name]))
    with federation.central() as central:
        until(lambda: len(central.catalogue()) == 2, what="the catalogue of both")
        file = city_draft(training={"rounds": 6, "steps": 20})
        central.propose(file)

        for home in homes.values():
            listed = node_command(home.path, "studies", "list", "--output", "json")
            assert json.loads(listed.stdout)["studies"][0]["here"] == "undecided"
            done = node_command(
                home.path,
                *("studies", "approve", file.study, "--steward", "Eva", "--yes"),
                *("--output", "json"),
            )
            assert done.returncode == 0, done.stderr
            assert "odds" not in done.stderr
            assert "of 100" in done.stderr
        assert json.loads(done.stdout)["state"] == "ready"

        run = central.start_run(file.study)
        until(lambda: central.run(run.run_id).rounds_done >= 1, seconds=60, what="a round")
        processes[0].send_signal(signal.SIGKILL)
        processes[0].wait()
        processes.append(node_process(homes[CITY[0]].path, logs[CITY[0]]))
        last = ended(central, run.run_id, seconds=120)
        assert last.state is RunState.FINISHED, (last, logs[CITY[0]].read_text())
        assert last.rounds_done == 6

        for name, home in homes.items():
            charged = dict(charges(home))
            assert set(charged) == {"evaluate", *(f"train/{n}" for n in range(1, 7))}, name
            assert sum(charged.values()) <= 7 + (name == CITY[0])
            status = json.loads(node_command(home.path, "status", "--output", "json").stdout)
            (study,) = status["studies"]
            assert 0 < study["epsilon_spent"] <= study["epsilon"] == 2.0
            assert status["running"] is True
            lines = [json.loads(line) for line in logs[name].read_text().splitlines()]
            assert {"connected to the coordinator", "a run has begun here"} <= {
                line["event"] for line in lines
            }
            assert not [line for line in lines if line["level"] == "error"]

    # Idle now: a polite signal ends it within two seconds.
    begin = time.monotonic()
    processes[1].send_signal(signal.SIGTERM)
    assert processes[1].wait(5) == 0
    assert time.monotonic() - begin < 2
    scratch = homes[CITY[1]].state / "scratch"
    assert not scratch.exists()


def test_what_is_not_approved_here_is_never_attended(
    federation: Federation, processes: list["subprocess.Popen[bytes]"]
) -> None:
    """The coordinator says that all approved; a node whose own store says no does not attend."""
    homes = {name: federation.enrol(name) for name in CITY}
    log = federation.folder / "school.log"
    processes.append(node_process(homes["school"].path, log))
    processes.append(node_process(homes["care"].path, federation.folder / "care.log"))
    with federation.central() as central:
        until(lambda: len(central.catalogue()) == 2, what="the catalogue of both")
        file = city_draft()
        central.propose(file)
        for home in homes.values():
            yes = ("studies", "approve", file.study, "--steward", "Eva", "--yes")
            assert node_command(home.path, *yes).returncode == 0
        connection = sqlite3.connect(homes["school"].database)
        connection.execute("DROP TRIGGER decisions_remain")
        connection.execute("DELETE FROM decisions")
        connection.commit()
        connection.close()
        run = central.start_run(file.study)
        until(lambda: "a run was refused" in log.read_text(), what="a refusal in the log")
        assert central.run(run.run_id).rounds_done == 0
        assert charges(homes["school"]) == []
        central.stop(run.run_id)


def test_enrolment_is_safe_to_repeat_and_refuses_strangers(federation: Federation) -> None:
    path = federation.node("school")
    token = federation.token("school")
    arguments = federation.enrolling()

    wrong = node_command(path, *arguments, given="dlb1.nonsense")
    assert wrong.returncode == 4
    assert json.loads(wrong.stdout)["error"]["code"] == "USAGE"

    first = node_command(path, *arguments, given=token)
    assert first.returncode == 0, first.stderr
    again = node_command(path, *arguments, given=token)
    assert again.stdout == first.stdout

    # The answer was lost on the way: the same request id and key give the same certificate.
    pem = (path / "state" / "node.pem").read_bytes()
    (path / "state" / "node.pem").unlink()
    third = node_command(path, *arguments, given=token)
    assert third.returncode == 0, third.stderr
    assert (path / "state" / "node.pem").read_bytes() == pem

    # Another node cannot use it.
    other = federation.node("care")
    reused = node_command(other, *arguments, given=token)
    assert reused.returncode == 2
    assert json.loads(reused.stdout)["error"]["code"] == "UNAUTHENTICATED"
    assert not (other / "state" / "node.pem").exists()

    # A node that belongs to a department cannot become another.
    moved = node_command(path, *arguments, given=federation.token("care"))
    assert moved.returncode == 1
    assert "belongs to school" in moved.stderr
    for file in (path / "state").iterdir():
        assert file.stat().st_mode & 0o077 == 0, file.name


def test_doctor_finds_nothing_wrong_with_a_healthy_node(federation: Federation) -> None:
    home = federation.enrol("school")
    (home.path / "numbers.json").write_text('["189001139808"]')
    with (home.path / "node.toml").open("a") as settings:
        settings.write('test_numbers = "numbers.json"\n')
    done = node_command(home.path, "doctor", "--output", "json")
    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout
    assert {item["state"] for item in report["findings"]} == {"ok"}
    checks = [item["check"] for item in report["findings"]]
    assert checks[-2:] == ["clock", "data of pupils"]


def test_an_approval_that_cannot_be_submitted_stays_here_and_is_not_called_submitted(
    federation: Federation, processes: list["subprocess.Popen[bytes]"]
) -> None:
    home = federation.enrol("school")
    federation.enrol("care")
    processes.extend(
        node_process(federation.folder / name, federation.folder / f"{name}.log") for name in CITY
    )
    with federation.central() as central:
        until(lambda: len(central.catalogue()) == 2, what="the catalogue of both")
        file = city_draft()
        digest = central.propose(file).study_hash
        yes = ("studies", "approve", file.study, "--steward", "Eva", "--yes")
        assert node_command(home.path, *yes).returncode == 0
        federation.close()
        no = ("studies", "refuse", digest, "--reason", "Changed my mind", "--steward", "Eva")
        done = node_command(home.path, *no, "--yes", "--output", "json")
        assert done.returncode == 2, done.stderr
        status = json.loads(node_command(home.path, "status", "--output", "json").stdout)
        assert status["studies"][0]["decision"] == "refused"
        assert status["studies"][0]["submitted"] is False
        federation.open()
        # The running node comes back by itself and tells.
        until(
            lambda: json.loads(node_command(home.path, "status", "--output", "json").stdout)[
                "studies"
            ][0]["submitted"],
            seconds=60,
            what="the node submits what the coordinator has not heard",
        )
    with federation.central() as central:
        (approval,) = central.study(file.study).approvals
        assert approval.statement.reason == "Changed my mind"


def test_a_second_process_does_not_answer_for_the_same_department(
    federation: Federation, processes: list["subprocess.Popen[bytes]"]
) -> None:
    home = federation.enrol("school")
    log = federation.folder / "log"
    processes.append(node_process(home.path, log))
    until(lambda: "connected to the coordinator" in log.read_text(), what="a connection")
    second = node_command(home.path, "run")
    assert second.returncode == 4
    assert "running already" in second.stderr
    assert os.waitpid(processes[0].pid, os.WNOHANG) == (0, 0)
