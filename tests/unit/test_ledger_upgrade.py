"""A database of the version before the signed tree: taken over whole, or left as it is."""

import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from ledgers import KEY, NOW, OTHER_KEY, Open
from nodes import Department
from studies import study

from models import documents
from models.errors import RefusedError, StorageError
from models.governance.approval import Decision, sign
from models.governance.cost import GaussianEvent, NonPrivateEvent, PrivacyCost
from models.governance.step import StepKey
from models.ledger.verification import verify
from models.quantities import NoiseMultiplier

COUNT = GaussianEvent(noise=NoiseMultiplier(10.0))
BEFORE = """
CREATE TABLE IF NOT EXISTS charges (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    study TEXT NOT NULL, run INTEGER NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL,
    request TEXT NOT NULL, cost BLOB NOT NULL, charged_at TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS charges_by_study ON charges (study, step);
CREATE TABLE IF NOT EXISTS answers (
    study TEXT NOT NULL, run INTEGER NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL,
    reply BLOB NOT NULL, weight REAL, answered_at TEXT NOT NULL,
    PRIMARY KEY (study, run, step, attempt)
) STRICT;
CREATE TABLE IF NOT EXISTS decisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    study TEXT NOT NULL, document BLOB NOT NULL, approval BLOB NOT NULL, submitted_at TEXT
) STRICT;
CREATE TRIGGER IF NOT EXISTS charges_stay BEFORE UPDATE ON charges
    BEGIN SELECT RAISE(ABORT, 'charges are never changed'); END;
CREATE TRIGGER IF NOT EXISTS charges_remain BEFORE DELETE ON charges
    BEGIN SELECT RAISE(ABORT, 'charges are never deleted'); END;
"""
OPEN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from ledgers import Open
print("ready", flush=True)
Open(Path(sys.argv[1]))
print("done", flush=True)
"""


def earlier(folder: Path, *, charges: int = 3) -> None:
    """Write a database as the version before did: one decision, and charges of two studies."""
    signing = folder / "signing"
    signing.mkdir()
    department = Department(signing, key=KEY)
    approval = department.say(study())
    department.close()
    connection = sqlite3.connect(folder / "node.db")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.executescript(BEFORE)
    connection.execute(
        "INSERT INTO decisions (study, document, approval) VALUES (?, ?, ?)",
        (study().digest(), study().canonical(), documents.write(approval)),
    )
    rows = [
        (study().digest(), 7, f"train/{n}", 1, "r", COUNT, NOW + timedelta(minutes=n))
        for n in range(1, charges + 1)
    ]
    rows.append(("b" * 64, 8, "evaluate", 2, "r", NonPrivateEvent(), NOW + timedelta(hours=1)))
    connection.executemany(
        "INSERT INTO charges (study, run, step, attempt, request, cost, charged_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (*row[:5], documents.write(PrivacyCost(events=(row[5],))), row[6].isoformat())
            for row in rows
        ],
    )
    connection.execute(
        "INSERT INTO answers VALUES (?, 7, 'train/1', 1, x'00', 12.5, ?)",
        (study().digest(), NOW.isoformat()),
    )
    connection.commit()
    connection.close()


def test_what_was_charged_and_decided_before_is_taken_over(tmp_path: Path) -> None:
    earlier(tmp_path)
    opened = Open(tmp_path)
    assert opened.ledger.spending(study().digest()).charges == 3
    assert opened.ledger.spending("b" * 64).evaluation == PrivacyCost(events=(NonPrivateEvent(),))
    assert opened.ledger.weight(study().digest(), 7) == 12.5
    key = StepKey(study=study().digest(), run=7, step="train/1")
    assert opened.ledger.answered(key, "r") == b"\x00"
    verdict = verify(opened.export(), key=opened.fingerprint)
    assert verdict.problem is None
    with opened.ledger.book() as book:
        # A study's dataset is known from its decision. Charges whose dataset is not known count
        # for the residents, but those without noise: they were allowed on public data alone.
        assert book.account("residents", "total").charges == {study().digest(): 3}
        assert book.tree.size == 1 + 1 + 4
    again = Open(tmp_path)
    assert again.head() == opened.head()
    again.close()
    opened.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE decisions SET approval = x'7b'",
        "UPDATE decisions SET document = x'5b5d'",
        "UPDATE charges SET cost = x'7b'",
        "UPDATE charges SET charged_at = 'once'",
    ],
)
def test_a_damaged_database_is_left_as_it_is(tmp_path: Path, damage: str) -> None:
    earlier(tmp_path)
    connection = sqlite3.connect(tmp_path / "node.db")
    connection.execute("DROP TRIGGER charges_stay")
    connection.execute(damage)
    connection.commit()
    before = list(connection.iterdump())
    with pytest.raises(StorageError, match="damaged"):
        Open(tmp_path)
    assert list(connection.iterdump()) == before
    connection.close()


def test_the_newest_decision_stays_the_newest_whatever_the_clock_said(tmp_path: Path) -> None:
    earlier(tmp_path)
    signing = tmp_path / "later"
    signing.mkdir()
    department = Department(signing, key=KEY)
    no = department.say(study(), Decision.REFUSED).statement
    refusal = sign(replace(no, decided_at=NOW - timedelta(days=1)), KEY)
    department.close()
    connection = sqlite3.connect(tmp_path / "node.db")
    connection.execute(
        "INSERT INTO decisions (study, document, approval) VALUES (?, ?, ?)",
        (study().digest(), study().canonical(), documents.write(refusal)),
    )
    connection.commit()
    connection.close()
    opened = Open(tmp_path)
    with opened.ledger.book() as book:
        assert book.decisions[study().digest()].decision is Decision.REFUSED
    opened.close()


def test_the_version_before_stops_rather_than_begin_with_nothing_spent(tmp_path: Path) -> None:
    earlier(tmp_path)
    Open(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "node.db")
    with pytest.raises(sqlite3.OperationalError, match="view"):
        connection.executescript(BEFORE)
    assert connection.execute("SELECT count(*) FROM charges WHERE run = 7").fetchone() == (3,)
    connection.close()


def test_kill_9_leaves_the_old_database_whole_or_the_new_one(tmp_path: Path) -> None:
    here = str(Path(__file__).parents[1] / "support")
    outcomes = set()
    for number in range(5):
        folder = tmp_path / str(number)
        folder.mkdir()
        earlier(folder, charges=1000)
        process = subprocess.Popen(
            [sys.executable, "-c", OPEN, str(folder), here], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "ready\n"
        try:
            process.wait(0.004 * 4**number)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        connection = sqlite3.connect(folder / "node.db")
        kinds = dict(connection.execute("SELECT name, type FROM sqlite_master"))
        assert connection.execute("SELECT count(*) FROM charges").fetchone() == (1001,)
        assert (kinds["charges"] == "view") == ("entries" in kinds)
        outcomes.add(kinds["charges"])
        connection.close()
        opened = Open(folder)
        assert opened.ledger.spending(study().digest()).charges == 1000
        opened.close()
    assert outcomes == {"table", "view"}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET document = replace(document, '\"noise\":10', '\"noise\":99')",
        "DELETE FROM entries WHERE number = 3",
        "DELETE FROM entries WHERE number = 4",
        "DELETE FROM heads WHERE size = 5",
        "UPDATE heads SET document = replace(document, '\"size\":5', '\"size\":6')",
        "DELETE FROM heads",
    ],
)
def test_a_node_does_not_go_on_with_a_ledger_that_was_changed(
    tmp_path: Path, statement: str
) -> None:
    opened = Open(tmp_path)
    for number in (1, 2, 3):
        opened.charge(number, COUNT)
    opened.close()
    connection = sqlite3.connect(tmp_path / "node.db")
    for table in ("entries", "heads"):
        connection.execute(f"DROP TRIGGER {table}_stay")
        connection.execute(f"DROP TRIGGER {table}_remain")
    assert connection.execute(statement).rowcount
    connection.commit()
    connection.close()
    with pytest.raises(StorageError, match="not what was signed"):
        Open(tmp_path)


def test_a_node_that_runs_notices_that_its_key_was_changed(tmp_path: Path) -> None:
    old = Open(tmp_path)
    old.charge(1, COUNT)
    new = Open(tmp_path, key=OTHER_KEY)
    new.charge(2, COUNT)
    with pytest.raises(RefusedError, match="identity key"):
        old.charge(3, COUNT)
    assert new.ledger.spending("a" * 64).charges == 2
    old.close()
    new.close()
