"""The doctor finds each thing that is wrong, and says how to mend it."""

import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fleets import DECLARATION
from scripted import ScriptedEntropy

from coordinator.fleet.authority import Authority
from models.errors import DataContractError
from models.governance.principal import Principal, Role
from models.linkage.identity import Refusal
from node import doctor
from node import home as homes
from node.check_report import CheckReport, Total
from node.datasets import Dataset
from node.doctor import Finding, State
from node.home import Home
from node.link import certificates
from node.link.keyring import Credentials, Keyring, Membership

NOW = datetime.now(tz=UTC)


def report(*, usable: int = 10, problems: tuple[str, ...] = ()) -> CheckReport:
    return CheckReport(
        file="data.csv",
        files=("data.csv",),
        rows=10,
        usable=usable,
        residents=usable,
        violations=(),
        totals=tuple(Total(file="data.csv", column="age", problem=p, rows=1) for p in problems),
        notes=(),
        note_totals=(),
    )


def fine(dataset: Dataset) -> CheckReport:
    return report()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "ca", now=NOW, entropy=ScriptedEntropy())


@pytest.fixture
def home(tmp_path: Path) -> Home:
    path = tmp_path / "home"
    homes.create(path)
    (path / "datasets" / "pupils.yaml").write_text(DECLARATION, encoding="utf-8")
    return homes.open_home(path)


def enrolled(home: Home, authority: Authority, address: str = "127.0.0.1:1") -> Keyring:
    keyring = home.keyring()
    key = certificates.new_key()
    issued = authority.issue(
        Principal(Role.DEPARTMENT, "school"),
        key.public_key(),
        now=NOW,
        validity=timedelta(days=30),
        entropy=ScriptedEntropy("s"),
    )
    found = certificates.check(
        issued.pem, key=key.public_key(), authority_pem=authority.pem, now=NOW
    )
    membership = Membership(coordinator=address, node_id=5)
    keyring.join(found, key_pem=certificates.key_pem(key), membership=membership)
    keyring.identity()
    return keyring


def examine(home: Home, check: doctor.Check = fine) -> dict[str, Finding]:
    found = doctor.examine(home.path, check=check, now=lambda: NOW)
    return {item.check: item for item in found}


def assert_wrong(finding: Finding, state: State, said: str) -> None:
    assert finding.state is state, finding
    assert said in finding.found
    assert finding.mend


def test_a_folder_that_is_no_home(tmp_path: Path) -> None:
    (found,) = doctor.examine(tmp_path, check=fine, now=lambda: NOW)
    assert_wrong(found, State.FAILED, "is not a node's home")


def test_a_setting_that_is_wrong(home: Home) -> None:
    (home.path / "node.toml").write_text("enrol_port = 0\nspelled_wrong = 1\n")
    (found,) = doctor.examine(home.path, check=fine, now=lambda: NOW)
    assert_wrong(found, State.FAILED, "enrol_port")
    assert "spelled_wrong" in found.found


def test_a_node_that_is_not_enrolled(home: Home) -> None:
    assert_wrong(examine(home)["keys"], State.FAILED, "not enrolled")


def test_files_that_others_can_read(home: Home, authority: Authority) -> None:
    keyring = enrolled(home, authority)
    assert doctor.permissions(keyring).state is State.OK
    (home.state / "authority.pem").chmod(0o644)
    assert_wrong(doctor.permissions(keyring), State.FAILED, "authority.pem")


@pytest.mark.parametrize(
    ("days", "state", "said"),
    [
        (1, State.OK, "valid until"),
        (21, State.WARNING, "should have been renewed"),
        (31, State.FAILED, "expired on"),
        (-1, State.FAILED, "not valid before"),
    ],
)
def test_the_certificates_age(
    home: Home, authority: Authority, days: int, state: State, said: str
) -> None:
    held = enrolled(home, authority).credentials()
    found = doctor.certificate(held, NOW + timedelta(days=days))
    assert found.state is state
    assert said in found.found


def test_a_certificate_beside_another_key(home: Home, authority: Authority) -> None:
    keyring = enrolled(home, authority)
    held = keyring.credentials()
    keyring.renew(held.certificate, key_pem=certificates.key_pem(certificates.new_key()))
    found = doctor.certificate(keyring.credentials(), NOW)
    assert_wrong(found, State.FAILED, "not for the key")


def test_a_coordinator_that_is_not_there(home: Home, authority: Authority) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    enrolled(home, authority, f"127.0.0.1:{port}")
    assert_wrong(examine(home)["network"], State.FAILED, "cannot be reached")


def test_a_name_that_is_not_known() -> None:
    assert_wrong(doctor.tcp("nowhere.invalid:8443"), State.FAILED, "name nowhere.invalid")


@contextmanager
def tls_server(authority: Authority, folder: Path, names: list[str]) -> Iterator[str]:
    identity = authority.server_identity(names, now=NOW, entropy=ScriptedEntropy("server"))
    pem = folder / "both.pem"
    pem.write_bytes(identity.key_pem + identity.chain_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except (OSError, ssl.SSLError):
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def tls(home: Home, credentials: Credentials, address: str) -> Finding:
    return doctor.tls(address, credentials, home.state / "node.pem")


def test_a_name_that_is_not_in_the_coordinators_certificate(
    home: Home, authority: Authority, tmp_path: Path
) -> None:
    held = enrolled(home, authority).credentials()
    with tls_server(authority, tmp_path, ["127.0.0.1"]) as address:
        assert tls(home, held, address).state is State.OK
    with tls_server(authority, tmp_path, ["elsewhere.example"]) as address:
        assert_wrong(tls(home, held, address), State.FAILED, "certificate is not accepted")


def test_a_coordinator_of_another_federation(
    home: Home, authority: Authority, tmp_path: Path
) -> None:
    held = enrolled(home, authority).credentials()
    other = Authority.create(tmp_path / "other", now=NOW, entropy=ScriptedEntropy("o"))
    with tls_server(other, tmp_path, ["127.0.0.1"]) as address:
        assert_wrong(tls(home, held, address), State.FAILED, "certificate is not accepted")


def test_a_port_that_does_not_speak_tls(home: Home, authority: Authority) -> None:
    held = enrolled(home, authority).credentials()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.recv(100)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        assert_wrong(tls(home, held, address), State.FAILED, "no TLS connection")
        thread.join()


@pytest.mark.parametrize(
    ("apart", "state"),
    [
        (timedelta(seconds=29), State.OK),
        (timedelta(seconds=-29), State.OK),
        (timedelta(seconds=31), State.WARNING),
        (timedelta(seconds=-31), State.WARNING),
        (None, State.WARNING),
    ],
)
def test_clocks_that_are_apart(apart: timedelta | None, state: State) -> None:
    found = doctor.skew(apart)
    assert found.state is state
    assert bool(found.mend) == (state is State.WARNING)


@pytest.mark.parametrize(
    ("free", "state"),
    [(600 << 20, State.OK), (400 << 20, State.WARNING), (10 << 20, State.FAILED)],
)
def test_a_disk_that_fills_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: State
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert doctor.disk(tmp_path, wanted=500 << 20).state is state


def test_no_datasets(home: Home) -> None:
    (home.datasets / "pupils.yaml").unlink()
    assert_wrong(examine(home)["declarations"], State.WARNING, "no dataset")


def test_a_declaration_that_is_wrong(home: Home) -> None:
    (home.datasets / "pupils.yaml").write_text("name: 1")
    found = examine(home)["declarations"]
    assert found.state is State.FAILED
    assert "is not valid" in found.found


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (report(), State.OK),
        (report(usable=9, problems=("one kind",)), State.WARNING),
        (report(usable=0, problems=("one kind",)), State.FAILED),
    ],
)
def test_records_that_break_the_declaration(home: Home, found: CheckReport, state: State) -> None:
    finding = examine(home, lambda dataset: found)["data of pupils"]
    assert finding.state is state
    assert ("data check --dataset pupils" in finding.mend) == (state is not State.OK)


def test_real_numbers_in_demo_mode(home: Home) -> None:
    found = report(usable=9, problems=(Refusal.REAL.value,))
    finding = examine(home, lambda dataset: found)["data of pupils"]
    assert_wrong(finding, State.FAILED, "refused")


@pytest.mark.parametrize(
    ("settings", "state", "said"),
    [
        ("", State.WARNING, "no list"),
        ('mode = "demo"', State.OK, "demo: "),
        ('test_numbers = "numbers.json"', State.OK, "2 test numbers"),
        ('test_numbers = "nothing.json"', State.FAILED, "nothing.json"),
    ],
)
def test_which_numbers_are_taken(home: Home, settings: str, state: State, said: str) -> None:
    (home.path / "node.toml").write_text(settings)
    (home.path / "numbers.json").write_text('["189001139808", "189011229813"]')
    found = examine(home)["mode"]
    assert found.state is state
    assert said in found.found
    assert bool(found.mend) == (state is not State.OK)


def test_records_that_cannot_be_read(home: Home) -> None:
    def unreadable(dataset: Dataset) -> CheckReport:
        raise DataContractError("pupils.csv is not there", hint="Put it there.")

    found = examine(home, unreadable)["data of pupils"]
    assert_wrong(found, State.FAILED, "is not there")
