"""The running node in this process: renewal, coming back, catalogue changes, revocation."""

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from fleets import DECLARATION, Federation, until

from coordinator import operate
from models.governance.principal import Principal, Role
from models.randomness import SystemEntropy
from node import config
from node.home import Home
from node.rules import Rules, open_rules
from node.service import Node

pytestmark = pytest.mark.timeout(180)


class Running:
    """A node at work in a thread of this process."""

    def __init__(self, home: Home, *, now: Callable[[], datetime] = config.now) -> None:
        self.rules: Rules = open_rules(home)
        self.node = Node(
            rules=self.rules, address=None, software="test", now=now, entropy=SystemEntropy()
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.node.run, args=(self._stop,))
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()
        self.rules.close()


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    made = Federation(tmp_path)
    yield made
    made.close()


@pytest.fixture
def running() -> Iterator[list[Running]]:
    started: list[Running] = []
    yield started
    for one in started:
        one.close()


def connected(federation: Federation) -> bool:
    with federation.central() as central:
        return any(member.connected for member in central.members())


def serial(home: Home) -> int:
    pem = (home.state / "node.pem").read_bytes()
    return x509.load_pem_x509_certificate(pem[pem.index(b"-----BEGIN CERT") :]).serial_number


def test_a_certificate_is_renewed_after_two_thirds_and_the_node_stays(
    federation: Federation, running: list[Running]
) -> None:
    home = federation.enrol("school")
    first = serial(home)
    running.append(Running(home, now=lambda: config.now() + timedelta(days=21)))
    until(lambda: serial(home) != first, what="a fresh certificate")
    until(lambda: connected(federation), what="the node on its new certificate")
    assert home.keyring().credentials().matches
    assert (
        running[0].node.credentials.certificate.pem.encode()
        in (home.state / "node.pem").read_bytes()
    )


def test_a_certificate_is_left_alone_before(federation: Federation, running: list[Running]) -> None:
    home = federation.enrol("school")
    first = serial(home)
    running.append(Running(home, now=lambda: config.now() + timedelta(days=19)))
    until(lambda: connected(federation), what="the node")
    assert serial(home) == first


def test_the_node_comes_back_when_the_coordinator_does(
    federation: Federation, running: list[Running]
) -> None:
    running.append(Running(federation.enrol("school")))
    until(lambda: connected(federation), what="the node")
    federation.close()
    federation.open()
    until(lambda: connected(federation), seconds=15, what="the node, back by itself")


def test_a_changed_declaration_is_published_and_a_broken_one_changes_nothing(
    federation: Federation, running: list[Running]
) -> None:
    home = federation.enrol("school")
    running.append(Running(home))
    with federation.central() as central:

        def steward() -> str:
            entries = central.catalogue()
            return entries[0].declaration.steward if entries else ""

        until(lambda: steward() == "Steward of the tests", what="the catalogue")
        path = home.datasets / "pupils.yaml"
        path.write_text("broken: [", encoding="utf-8")
        path.with_name("other.yaml").write_text("", encoding="utf-8")
        threading.Event().wait(3)
        assert steward() == "Steward of the tests"
        path.with_name("other.yaml").unlink()
        path.write_text(
            DECLARATION.replace("Steward of the tests", "Another steward"), encoding="utf-8"
        )
        until(lambda: steward() == "Another steward", what="the changed declaration")


def test_a_revoked_node_is_shut_out_and_keeps_trying(
    federation: Federation, running: list[Running]
) -> None:
    running.append(Running(federation.enrol("school")))
    until(lambda: connected(federation), what="the node")
    operate.revoke(federation.around, Principal(Role.DEPARTMENT, "school"))
    until(lambda: not connected(federation), what="that it is gone")
