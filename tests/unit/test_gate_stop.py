"""The stop switch: one command, and nothing is answered, whatever else is true."""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from nodes import NOW, RUN, Bench, Department, parameters
from studies import study
from typer.testing import CliRunner

from models.errors import ConfigurationError, RefusedError
from models.governance.answers import Fault
from models.governance.step import StepKey
from models.privacy.plan import plan
from node import home as homes
from node.cli import cli
from node.doctor import State
from node.doctor import switch as found_by_doctor
from node.gate.switch import FILE, Stop, Switch
from node.status import status
from protos.installed import code_digest


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = Department(tmp_path)
    made.approve(study())
    yield made
    made.close()


def test_a_switch_that_is_not_set_stops_nothing(tmp_path: Path) -> None:
    switch = Switch(tmp_path)
    assert switch.stopped() is None
    assert switch.resume() is False


def test_a_stop_holds_until_it_is_taken_back(tmp_path: Path) -> None:
    Switch(tmp_path).stop("a leak is suspected", now=NOW)
    stop = Switch(tmp_path).stopped()
    assert stop == Stop(reason="a leak is suspected", since="2026-03-01T00:00:00+00:00")
    assert str(stop) == "since 2026-03-01T00:00:00+00:00: a leak is suspected"
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert Switch(tmp_path).resume() is True
    assert Switch(tmp_path).stopped() is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"reason": 1}', b"\xff", b"[" * 10**6])
def test_a_file_that_says_nothing_stops_too(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert Switch(tmp_path).stopped() is not None


def test_what_is_no_file_stops_too(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    assert Switch(tmp_path).stopped() is not None
    with pytest.raises(ConfigurationError, match="cannot be removed"):
        Switch(tmp_path).resume()


def test_a_full_disk_stops_the_node_without_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Switch, "_write", full)
    Switch(tmp_path).stop("a leak", now=NOW)
    assert Switch(tmp_path).stopped() is not None


def test_a_stop_that_could_not_be_written_is_said(tmp_path: Path) -> None:
    gone = Switch(tmp_path / "gone")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        gone.stop("a leak", now=NOW)


def test_nothing_is_opened_admitted_or_answered(department: Department) -> None:
    bench = Bench(plan(study()))
    steps = department.steps(study(), lambda: bench)
    start = parameters(study())
    first = steps.train(round_number=1, attempt=1, parameters=start)
    key = StepKey(study=study().digest(), run=RUN, step="train/2")
    charges = department.ledger.spending(study().digest()).charges

    department.switch.stop("a leak is suspected", now=NOW)
    asked = [
        lambda: department.gate.open(study().digest()),
        lambda: department.gate.admit(key, study()),
        lambda: department.gate.leave(study(), "train/1", dict(first)),
        lambda: steps.train(round_number=2, attempt=1, parameters=start),
        lambda: steps.evaluate(attempt=1, parameters=start),
        # What was answered before is not sent again either.
        lambda: steps.train(round_number=1, attempt=1, parameters=start),
    ]
    for ask in asked:
        with pytest.raises(RefusedError, match=r"is stopped since .*: a leak") as refused:
            ask()
        assert Fault.of(refused.value) is Fault.REFUSED
    assert bench.asked == ["train/1"]
    assert department.ledger.spending(study().digest()).charges == charges

    department.switch.resume()
    again = steps.train(round_number=1, attempt=1, parameters=start)
    assert again["weight"] == first["weight"]
    steps.train(round_number=2, attempt=1, parameters=start)


def test_work_under_way_is_not_answered_when_the_stop_comes(department: Department) -> None:
    class Slow(Bench):
        def train(self, **asked: object) -> object:
            department.switch.stop("now", now=NOW)
            return super().train(**asked)

    steps = department.steps(study(), lambda: Slow(plan(study())))
    with pytest.raises(RefusedError, match="is stopped"):
        steps.train(round_number=1, attempt=1, parameters=parameters(study()))
    assert department.ledger.spending(study().digest()).charges == 1  # never refunded


def test_a_stopped_node_can_still_be_asked_and_may_refuse(department: Department) -> None:
    department.switch.stop("", now=NOW)
    assert department.gate.objections(study()) == ()
    assert department.approvals.newest(study().digest()) is not None


def run(path: Path, *arguments: str) -> tuple[int, dict[str, object]]:
    """Run the command in this process; give its exit code and what it printed."""
    done = CliRunner().invoke(cli, ["--home", str(path), *arguments, "--output", "json"])
    return done.exit_code, json.loads(done.stdout)


def test_the_commands_stop_and_resume_a_node_with_broken_settings(tmp_path: Path) -> None:
    path = tmp_path / "home"
    homes.create(path)
    home = homes.open_home(path)
    assert found_by_doctor(home).state is State.OK
    assert status(home)["stopped"] is None
    (path / "node.toml").write_text("broken = ", encoding="utf-8")
    exit_code, said = run(path, "stop", "--reason", "a leak")
    assert (exit_code, said) == (0, {"stopped": True, "reason": "a leak"})
    finding = found_by_doctor(home)
    assert finding.state is State.WARNING
    assert "a leak" in finding.found
    assert "resume" in finding.mend
    assert "a leak" in str(status(home)["stopped"])
    assert run(path, "resume") == (0, {"stopped": False, "was_stopped": True})
    assert not os.path.lexists(home.state / FILE)


def test_a_folder_that_is_no_home_is_not_stopped_in_silence(tmp_path: Path) -> None:
    exit_code, said = run(tmp_path / "elsewhere", "stop")
    assert exit_code == ConfigurationError.exit_code
    assert "is not a node's home" in str(said)


def test_the_digest_of_the_program_is_printed_with_and_without_a_home(tmp_path: Path) -> None:
    assert run(tmp_path / "elsewhere", "code") == (0, {"code": code_digest()})
    homes.create(tmp_path / "home")
    assert run(tmp_path / "home", "code") == (0, {"code": code_digest()})
    assert not (tmp_path / "home" / "state" / "identity.key").exists()
