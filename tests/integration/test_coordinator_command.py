"""The command `datalabbet-coordinator` as its operator uses it: processes, files, exit codes."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from city import SECONDS, Applicant, department

from models.governance import token
from protos import codec
from protos.fleet.v1 import catalogue_pb2, fleet_pb2
from protos.fleet.v1.catalogue_pb2_grpc import CatalogueServiceStub
from protos.fleet.v1.enrolment_pb2_grpc import EnrolmentServiceStub
from protos.fleet.v1.fleet_pb2_grpc import FleetServiceStub

FREE = ("--listen", "127.0.0.1:0", "--enrol-listen", "127.0.0.1:0")


def command(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "coordinator", "--home", str(home), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | variables,
    )


def data(result: subprocess.CompletedProcess[str]) -> dict:
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    assert command(folder, "init", *FREE).returncode == 0
    return folder


class Running:
    """A coordinator's process and where it listens."""

    def __init__(self, home: Path, **variables: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "coordinator", "--home", str(home), "run", "-o", "json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | variables,
        )
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        self.at = json.loads(line)

    def end(self, number: int) -> tuple[int, str]:
        self.process.send_signal(number)
        log = self.process.communicate(timeout=30)[1]
        return self.process.returncode, log


@contextmanager
def running(home: Path, **variables: str) -> Iterator[Running]:
    made = Running(home, **variables)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.end(signal.SIGKILL)


def enrol(text: str, address: str) -> Applicant:
    applicant = Applicant()
    credentials = grpc.ssl_channel_credentials(token.parse(text).authority_pem.encode())
    with grpc.secure_channel(address, credentials) as channel:
        request = codec.write_enrol_request(applicant.request(text))
        answer = EnrolmentServiceStub(channel).Enrol(request, timeout=SECONDS)
    applicant.issued = codec.read_certificate(answer.certificate)
    return applicant


def channel_of(member: Applicant, address: str) -> grpc.Channel:
    credentials = grpc.ssl_channel_credentials(
        member.issued.authority_pem.encode(),
        member.key_pem,
        member.issued.certificate_pem.encode(),
    )
    return grpc.secure_channel(address, credentials)


def test_init_makes_a_home_once(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    result = command(folder, "init", "--name", "a.example.org", "--name", "127.0.0.1", *FREE)
    assert result.returncode == 0
    assert "who has it can be anyone" in result.stderr
    settings = (folder / "coordinator.toml").read_text()
    assert 'names = ["a.example.org", "127.0.0.1"]' in settings
    assert stat.S_IMODE((folder / "state").stat().st_mode) == 0o700
    key = folder / "state" / "authority" / "authority.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes()
    again = command(folder, "init", "-o", "json")
    assert again.returncode == 4
    told = json.loads(again.stdout)["error"]
    assert told["code"] == "CONFIGURATION"
    assert "is there already" in told["message"]
    assert "error: " in again.stderr
    assert key.read_bytes() == before


def test_every_example_in_the_settings_file_is_a_setting(home: Path) -> None:
    text = (home / "coordinator.toml").read_text()
    examples = [line[2:] for line in text.splitlines() if " = " in line and line[:2] == "# "]
    assert len(examples) >= 10
    (home / "coordinator.toml").write_text("\n".join(e for e in examples if "_file" not in e))
    assert command(home, "members", "list").returncode == 0


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("threads = 1", "threads"),
        ('listen = "nowhere"', "listen"),
        ("colour = 1", "colour"),
        ("names = []", "names"),
        ("listen = [", "not valid TOML"),
        ('database = "mysql://host/name"', "neither an SQLite file nor a PostgreSQL"),
        ('database_file = "missing"', "cannot be read"),
    ],
)
def test_bad_settings_are_named(home: Path, line: str, problem: str) -> None:
    (home / "coordinator.toml").write_text(line)
    result = command(home, "status")
    assert result.returncode == 4
    assert problem in result.stderr
    assert "Traceback" not in result.stderr


def test_a_password_in_the_environment_is_not_shown(home: Path) -> None:
    url = "postgresql+psycopg://user:hunter2@127.0.0.1:1/name"
    result = command(
        home,
        "members",
        "list",
        "--output=json",
        DATALABBET_COORDINATOR__DATABASE=url,
        DATALABBET_COORDINATOR__DATABASE_WAIT="0",
    )
    assert result.returncode == 1
    assert json.loads(result.stdout)["error"]["code"] == "STORAGE"
    assert "hunter2" not in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("bogus",), 4, "No such command"),
        (("enrol-token",), 4, "Missing argument"),
        (("enrol-token", "School!"), 4, "lower-case letters"),
        (("enrol-token", "school", "--valid-hours", "0"), 4, "valid-hours"),
        (("user-token", "anna-berg"), 4, "Missing option"),
        (("user-token", "anna-berg", "--role", "king"), 4, "king"),
        (("user-token", "anna-berg", "--role", "department"), 4, "central or analyst"),
        (("revoke", "school"), 4, "department/NAME"),
        (("revoke", "department/school"), 4, "no member department/school"),
        (("members", "list", "-o", "xml"), 4, "xml"),
    ],
)
def test_wrong_arguments_are_told(home: Path, arguments: tuple, code: int, said: str) -> None:
    result = command(home, *arguments)
    assert (result.returncode, said in result.stderr) == (code, True)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_a_home_that_was_not_initialised_says_so(tmp_path: Path) -> None:
    for arguments in (("run",), ("enrol-token", "school"), ("status",)):
        result = command(tmp_path, *arguments)
        assert result.returncode == 4
        assert "datalabbet-coordinator init" in result.stderr


def test_the_version_is_printed(tmp_path: Path) -> None:
    assert command(tmp_path, "--version").stdout.strip() == "0.1.0"


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_members_come_stay_over_a_kill_and_go(
    kind: str, home: Path, request: pytest.FixtureRequest
) -> None:
    url = "" if kind == "sqlite" else request.getfixturevalue("postgres")
    more = {"DATALABBET_COORDINATOR__DATABASE": url}
    if kind == "postgresql":
        assert command(home, "db", "upgrade", **more).returncode == 0
    with running(home, **more) as first:
        made = data(command(home, "enrol-token", "school", "-o", "json", **more))
        assert made["identity"] == department("school").uri
        school = enrol(made["token"], first.at["enrolment"])
        facts = data(command(home, "status", "-o", "json", **more))
        assert (facts["serving"], facts["members"], facts["database"]) == (True, 1, kind)
        assert facts["listening"] == first.at["listening"]
        assert first.end(signal.SIGKILL)[0] == -signal.SIGKILL
    with running(home, **more) as second:
        with channel_of(school, second.at["listening"]) as channel:
            CatalogueServiceStub(channel).ListDatasets(
                catalogue_pb2.ListDatasetsRequest(), timeout=SECONDS
            )
            stub = FleetServiceStub(channel)
            stream = stub.Attend(fleet_pb2.AttendRequest(software="0.1.0"))
            next(stream)
            assert data(command(home, "revoke", "department/school", "-o", "json", **more))
            revoked_at = time.monotonic()
            with pytest.raises(grpc.RpcError) as caught:
                list(stream)
            assert time.monotonic() - revoked_at < 4
            assert caught.value.details() == "the certificate has been revoked"
        [member] = data(command(home, "members", "list", "-o", "json", **more))["members"]
        assert (member["member"], member["revoked"]) == ("department/school", True)
        assert member["software"] == "0.1.0"
        assert second.end(signal.SIGTERM)[0] == 0


def test_an_interrupt_ends_it_in_order_with_streams_open(home: Path) -> None:
    with running(home) as process:
        made = data(command(home, "enrol-token", "school", "-o", "json"))
        school = enrol(made["token"], process.at["enrolment"])
        with channel_of(school, process.at["listening"]) as channel:
            stream = FleetServiceStub(channel).Attend(fleet_pb2.AttendRequest(software="0.1.0"))
            next(stream)
            began = time.monotonic()
            code, log = process.end(signal.SIGINT)
            assert time.monotonic() - began < 10
            with pytest.raises(grpc.RpcError) as caught:
                list(stream)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert (code, "Traceback" in log) == (0, False)
    assert "stopping" in log
    assert token.parse(made["token"]).secret not in log
    assert not (home / "state" / "listening.json").exists()


def test_a_home_has_one_coordinator_and_says_when_it_is_down(home: Path) -> None:
    with running(home) as process:
        second = command(home, "run")
        assert second.returncode == 4
        assert "another coordinator runs" in second.stderr
        process.end(signal.SIGKILL)
    gone = command(home, "status", "-o", "json")
    assert (gone.returncode, json.loads(gone.stdout)["serving"]) == (1, False)


def test_a_token_is_one_line_on_stdout(home: Path) -> None:
    plain = command(home, "enrol-token", "school", "--valid-hours", "1")
    assert token.parse(plain.stdout)
    assert plain.stdout.count("\n") == 1
    assert "Admits department/school once" in plain.stderr


def test_a_token_of_another_federation_does_not_reach_this_one(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    command(other, "init", *FREE)
    foreign = data(command(other, "enrol-token", "school", "-o", "json"))["token"]
    with running(home) as process, pytest.raises(grpc.RpcError) as caught:
        enrol(foreign, process.at["enrolment"])
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE  # the secret was not even sent


def test_the_plain_run_prints_one_line(home: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "coordinator", "--home", str(home), "run"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    line = process.stdout.readline()
    process.terminate()
    rest = process.communicate(timeout=30)[0]
    assert line.startswith("listening on 127.0.0.1:")
    assert ", enrolment on 127.0.0.1:" in line
    assert (rest, process.returncode) == ("", 0)
