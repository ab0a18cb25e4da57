"""Heads of departments' ledgers reach the coordinator, and its chain is compared with exports."""

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import cities
import grpc
import pytest
import sqlalchemy
from fleets import Federation, node_process, until
from ledgers import PUPILS, Open

from coordinator.client import cli
from coordinator.ledger import chain
from coordinator.store.database import open_database, writing
from models.errors import NotAllowedError, ProtocolViolationError, RefusedError
from models.governance.cost import GaussianEvent, PrivacyCost
from models.governance.principal import Role
from models.governance.step import StepKey
from models.ledger.entries import SignedHead
from models.ledger.received import ContradictionEntry, HeadEntry, Problem
from models.quantities import NoiseMultiplier
from node.home import Home
from node.link.coordinator import Coordinator
from node.rules import open_rules

pytestmark = pytest.mark.timeout(120)

COUNT = GaussianEvent(noise=NoiseMultiplier(10.0))
STUDY = "a" * 64


class School:
    """An enrolled department with a ledger, which calls as its node does."""

    def __init__(self, city: cities.City, folder: Path) -> None:
        self.city = city
        self.department = cities.Department(city, "school")
        self.opened = Open(folder, key=self.department.key)
        self.link = Coordinator(grpc.secure_channel(city.main, self.department.credentials))

    def step(self, number: int, *, charged: bool = True) -> None:
        """Do a step, and have its answer taken."""
        self.opened.clock = datetime.now(UTC)
        if charged:
            self.opened.charge(number, COUNT)
        with self.database() as engine, writing(engine) as connection:
            chain.received(
                connection,
                departments=["school"],
                study=STUDY,
                run=7,
                step=f"train/{number}",
                attempt=1,
                at=self.opened.clock.replace(year=self.opened.clock.year - 1),
            )

    def database(self) -> "Opened":
        return Opened(self.city.around.settings.database_url(self.city.folder))

    def head(self) -> SignedHead:
        with self.opened.journal.database.read() as connection:
            return self.opened.journal.head(connection)

    def tell(self) -> None:
        self.link.report_head(self.head())

    def export(self, name: str) -> list[str]:
        """Write an export; give the arguments that compare it."""
        path = self.city.folder.parent / name
        path.write_bytes(self.opened.export())
        return ["ledger", "compare", str(path), "--key", self.opened.fingerprint]

    def close(self) -> None:
        self.link.close()
        self.opened.close()


class Opened:
    """The coordinator's database, for a change that its runs would make."""

    def __init__(self, url: str) -> None:
        self.engine = open_database(url)

    def __enter__(self) -> sqlalchemy.Engine:
        return self.engine

    def __exit__(self, *_: object) -> None:
        self.engine.dispose()


@pytest.fixture
def city(tmp_path: Path) -> Iterator[cities.City]:
    with cities.running(tmp_path / "home") as made:
        yield made


@pytest.fixture
def school(city: cities.City, tmp_path: Path) -> Iterator[School]:
    (tmp_path / "school").mkdir()
    made = School(city, tmp_path / "school")
    yield made
    made.close()


@pytest.fixture
def profile(city: cities.City) -> list[str]:
    return ["--profile", str(city.profile("bo", role=Role.ANALYST))]


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.run(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def test_an_honest_department_and_coordinator_agree(
    city: cities.City, school: School, profile: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    school.tell()
    school.tell()
    for number in range(1, 4):
        school.step(number)
    school.tell()
    school.opened.charge(4, COUNT)
    code, out, _ = command(capsys, *school.export("a.jsonl"), *profile, "--output", "json")
    data = json.loads(out)
    assert (code, data["ok"], data["department"]) == (0, True, "school")
    assert (data["charges"], data["answers"], data["heads"], data["later"]) == (4, 3, 2, 0)
    assert data["unanswered"] == [{"study": STUDY, "run": "7", "step": "train/4", "attempt": 1}]
    code, out, _ = command(capsys, *school.export("b.jsonl"), *profile)
    assert code == 0
    assert "3 taken, and charged in the export" in out
    assert "4, of which 1 without such an answer" in out

    with city.person("anna") as anna:
        kinds = [entry.kind for entry in anna.received().entries]
    assert kinds == ["head", "answer", "answer", "answer", "head"]
    code, out, err = command(capsys, "ledger", "received", "school", *profile)
    assert code == 0
    assert out.count("\n") == 6
    assert "aaaaaaaaaaaa/7/train/3/1" in out
    assert "The chain has 5 entries; its root is" in err
    code, out, err = command(capsys, "ledger", "received", "care", *profile)
    assert (code, out) == (0, "")
    assert "Nothing was received yet." in err


def test_an_answer_without_a_charge_ends_with_an_error(
    school: School, profile: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    school.step(1)
    school.step(2, charged=False)
    code, out, _ = command(capsys, *school.export("a.jsonl"), *profile)
    assert code == 1
    assert "CONTRADICTION  answered without a charge: aaaaaaaaaaaa/7/train/2/1" in out
    code, out, _ = command(capsys, *school.export("b.jsonl"), *profile, "-o", "json")
    data = json.loads(out)
    assert (code, data["ok"], len(data["contradictions"])) == (1, False, 1)


def test_an_export_that_is_not_verified_is_not_compared(
    school: School, profile: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    school.step(1)
    arguments = school.export("a.jsonl")
    path = Path(arguments[2])
    path.write_bytes(path.read_bytes().replace(b'"attempt":1', b'"attempt":2'))
    code, out, _ = command(capsys, *arguments, *profile)
    assert code == 1
    assert out.startswith("NOT VERIFIED: line ")
    code, out, _ = command(capsys, *arguments, *profile, "--output", "json")
    assert (code, json.loads(out)["verified"]) == (1, False)
    code, _, err = command(capsys, *arguments[:3], "--key", "f", *profile)
    assert (code, "not a fingerprint" in err) == (4, True)
    code, _, err = command(capsys, "ledger", "compare", "lost", *arguments[3:], *profile)
    assert (code, "lost cannot be read" in err) == (4, True)


def test_a_ledger_that_was_set_back_is_noted(
    city: cities.City, school: School, profile: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    school.step(1)
    old = school.head()
    school.step(2)
    school.tell()
    with pytest.raises(RefusedError, match="fewer entries than the one that was reported"):
        school.link.report_head(old)
    with city.person("anna") as anna:
        last = anna.received().entries[-1]
    assert isinstance(last, ContradictionEntry)
    assert (last.problem, last.head) == (Problem.FEWER, old.head)
    code, out, _ = command(capsys, *school.export("a.jsonl"), *profile)
    assert code == 1
    assert "two ledgers were reported" in out


def test_nobody_speaks_for_another_department(
    city: cities.City, school: School, tmp_path: Path
) -> None:
    """The department is that of the certificate, and its own key must have signed."""
    care = cities.Department(city, "care")
    link = Coordinator(grpc.secure_channel(city.main, care.credentials))
    with pytest.raises(RefusedError, match="not signed with the department's identity key"):
        link.report_head(school.head())
    link.close()
    with city.person("anna") as anna:
        assert anna.received().entries == ()
        person = Coordinator(anna._channel)
        with pytest.raises(NotAllowedError):
            person.report_head(school.head())


def test_a_changed_chain_is_noticed(
    city: cities.City, school: School, profile: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    school.step(1)
    school.step(2)
    _, printed, _ = command(capsys, "ledger", "received", *profile, "--output", "json")
    kept = city.folder.parent / "kept.json"
    kept.write_text(printed)
    school.step(3)
    since = ["ledger", "received", *profile, "--since", str(kept)]
    code, _, err = command(capsys, *since)
    assert (code, "begins with the 2 entries" in err) == (0, True)
    with school.database() as engine, writing(engine) as connection:
        for name in ("stay", "remain"):
            connection.exec_driver_sql(f"drop trigger received_{name}")
        connection.exec_driver_sql("delete from received where number > 0")
    school.step(4)
    code, _, err = command(capsys, *since)
    assert (code, "does not begin with the 2 entries" in err) == (1, True)
    with school.database() as engine, writing(engine) as connection:
        connection.exec_driver_sql("delete from received where number = 0")
    changed = pytest.raises(ProtocolViolationError, match="not those that its root is over")
    with city.person("anna") as anna, changed:
        anna.received()


def test_a_node_tells_its_head_and_a_backup_put_back_is_found(tmp_path: Path) -> None:
    """A real node process: told when it connects, told when it changes, refused when set back."""
    federation = Federation(tmp_path)
    started: list[subprocess.Popen[bytes]] = []
    log = tmp_path / "school.log"
    try:
        home = federation.enrol("school")
        started.append(node_process(home.path, log))
        with federation.central() as central:
            until(lambda: len(central.received().entries) == 1, what="the first head")
            backup = tmp_path / "backup.db"
            backed_up(home.database, backup)
            charge(home)
            until(lambda: len(central.received().entries) == 2, what="the head after a charge")
            told = central.received().entries[-1]
            assert isinstance(told, HeadEntry)
            assert (told.department, told.head.size) == ("school", 3)  # key, limits, charge

            started[0].terminate()
            assert started[0].wait(10) == 0
            for file in home.state.glob("node.db*"):
                file.unlink()
            shutil.copy(backup, home.database)
            started.append(node_process(home.path, log))
            until(lambda: len(central.received().entries) == 3, what="a contradiction")
            noted = central.received().entries[-1]
            assert isinstance(noted, ContradictionEntry)
            assert (noted.department, noted.problem, noted.head.size) == (
                "school",
                Problem.FEWER,
                1,
            )
            until(lambda: "head was not reported" in log.read_text(), what="a line in the log")
            (line,) = [
                json.loads(text)
                for text in log.read_text().splitlines()
                if "head was not reported" in text
            ]
            assert (line["code"], "backup" in line["hint"]) == ("REFUSED", True)
    finally:
        for process in started:
            process.kill()
            process.wait()
        federation.close()


def charge(home: Home) -> None:
    """Charge a step in a process of our own, beside the node's."""
    rules = open_rules(home)
    rules.ledger.charge(
        step=StepKey(study=STUDY, run=7, step="train/1"),
        request="r",
        cost=PrivacyCost(events=(COUNT,)),
        about=PUPILS,
        allow=lambda _: None,
    )
    rules.close()


def backed_up(database: Path, backup: Path) -> None:
    with sqlite3.connect(database) as source, sqlite3.connect(backup) as target:
        source.backup(target)
    source.close()
    target.close()
