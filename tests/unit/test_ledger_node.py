"""The node's ledger: charged before, answered once, never given back."""

import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from models.errors import (
    BudgetExhaustedError,
    ConfigurationError,
    ProtocolViolationError,
    StorageError,
)
from models.governance.cost import GaussianEvent, PrivacyCost, SampledGaussianEvent
from models.governance.step import StepKey
from models.ledger.limits import DEFAULT
from models.quantities import NoiseMultiplier, SamplingRate
from node.ledger.journal import Journal, Owner
from node.ledger.ledger import Ledger, Spending, Subject

NOW = datetime(2026, 3, 1, tzinfo=UTC)
STUDY = "a" * 64
ROUND = PrivacyCost(
    events=(SampledGaussianEvent(sampling=SamplingRate(0.1), noise=NoiseMultiplier(1.5), count=5),)
)
COUNT = PrivacyCost(events=(GaussianEvent(noise=NoiseMultiplier(10.0)),))


HERE = str(Path(__file__).parent)
OTHER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_ledger_node import ROUND, PUPILS, fine, opened, step
opened(Path(sys.argv[1])).charge(
    step=step(), request="r", cost=ROUND, about=PUPILS, allow=fine
)
"""


def step(name: str = "train/1", *, run: int = 7, attempt: int = 1, study: str = STUDY) -> StepKey:
    return StepKey(study=study, run=run, step=name, attempt=attempt)


def fine(spending: Spending) -> None:
    assert spending.total() is not None


KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUPILS = Subject(dataset="pupils", population="residents")


def opened(folder: Path) -> Ledger:
    owner = Owner(department="school", key=KEY)
    return Ledger(Journal(folder / "node.db", owner=owner, now=lambda: NOW), limits=DEFAULT)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return opened(tmp_path)


def test_a_charge_is_there_after_reopening(ledger: Ledger, tmp_path: Path) -> None:
    ledger.charge(step=step(), request="r", cost=ROUND, about=PUPILS, allow=fine)
    again = opened(tmp_path)
    assert again.spent(STUDY) == ROUND
    assert again.answered(step(), "r") is None


def test_what_a_ledger_knows_of_its_own_writing_is_what_another_reads(
    ledger: Ledger, tmp_path: Path
) -> None:
    """It does not parse what it wrote itself: the book must be the same all the same."""
    other = opened(tmp_path)  # reads entries as they come, and writes some between
    for number in range(1, 9):
        writer = other if number == 4 else ledger
        asked = step(f"train/{number}")
        writer.charge(step=asked, request="r", cost=ROUND + COUNT, about=PUPILS, allow=fine)
    with ledger.book() as mine, other.book() as others, opened(tmp_path).book() as parsed:
        assert mine == others == parsed
        assert mine.studies.charges == {STUDY: 8}


def test_what_a_failed_charge_wrote_is_forgotten(ledger: Ledger, tmp_path: Path) -> None:
    """The entry that follows has its number, and is not taken for it."""

    def stop(spending: Spending) -> None:
        raise BudgetExhaustedError("enough")

    ledger.charge(step=step(), request="r", cost=ROUND, about=PUPILS, allow=fine)
    with pytest.raises(BudgetExhaustedError):
        ledger.charge(step=step("train/2"), request="r", cost=ROUND, about=PUPILS, allow=stop)
    with sqlite3.connect(tmp_path / "node.db") as database:
        database.execute(
            "CREATE TRIGGER broken BEFORE INSERT ON heads BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    with pytest.raises(StorageError):
        ledger.charge(step=step("train/3"), request="r", cost=ROUND, about=PUPILS, allow=fine)
    with sqlite3.connect(tmp_path / "node.db") as database:
        database.execute("DROP TRIGGER broken")
    ledger.charge(step=step("train/4"), request="r", cost=COUNT, about=PUPILS, allow=fine)
    with ledger.book() as mine, opened(tmp_path).book() as parsed:
        assert mine == parsed
        assert mine.studies.charges == {STUDY: 2}


def test_the_database_is_readable_by_its_owner_only(ledger: Ledger, tmp_path: Path) -> None:
    ledger.charge(step=step(), request="r", cost=ROUND, about=PUPILS, allow=fine)
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path.name


def test_an_answered_step_is_charged_once_and_answered_again(ledger: Ledger) -> None:
    ledger.charge(step=step(), request="r", cost=ROUND, about=PUPILS, allow=fine)
    ledger.answer(step(), b"reply", 12.5)
    ledger.charge(step=step(), request="r", cost=ROUND, about=PUPILS, allow=fine)
    assert ledger.answered(step(), "r") == b"reply"
    assert ledger.spent(STUDY) == ROUND


def test_an_unanswered_step_is_charged_again(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.charge(step=step(), request="r", cost=ROUND, about=PUPILS, allow=fine)
    (event,) = ledger.spent(STUDY).events
    assert event.count == 15


def test_the_first_answer_stands(ledger: Ledger) -> None:
    ledger.charge(step=step(), request="r", cost=ROUND, about=PUPILS, allow=fine)
    ledger.answer(step(), b"first", None)
    ledger.answer(step(), b"second", None)
    assert ledger.answered(step(), "r") == b"first"


def test_another_request_under_the_same_key_is_refused(ledger: Ledger) -> None:
    ledger.charge(step=step(), request="r", cost=ROUND, about=PUPILS, allow=fine)
    with pytest.raises(ProtocolViolationError, match="other parameters"):
        ledger.charge(step=step(), request="other", cost=ROUND, about=PUPILS, allow=fine)
    ledger.answer(step(), b"reply", None)
    with pytest.raises(ProtocolViolationError, match="other parameters"):
        ledger.answered(step(), "other")
    assert ledger.answered(step(attempt=2), "other") is None
    assert ledger.spent(STUDY) == ROUND


def test_nothing_is_charged_when_the_budget_says_no(ledger: Ledger) -> None:
    def never(spending: Spending) -> None:
        assert spending.training == ROUND  # it is asked about what would then be spent
        raise BudgetExhaustedError("spent")

    with pytest.raises(BudgetExhaustedError):
        ledger.charge(step=step(), request="r", cost=ROUND, about=PUPILS, allow=never)
    assert ledger.spent(STUDY) is None


def test_training_and_evaluation_are_told_apart_and_studies_too(ledger: Ledger) -> None:
    ledger.charge(step=step(), request="r", cost=ROUND + COUNT, about=PUPILS, allow=fine)
    ledger.charge(step=step("evaluate"), request="r", cost=COUNT, about=PUPILS, allow=fine)
    ledger.charge(step=step(study="b" * 64), request="r", cost=COUNT, about=PUPILS, allow=fine)
    spending = ledger.spending(STUDY)
    assert set(spending.training.events) == {*ROUND.events, *COUNT.events}
    assert spending.evaluation == COUNT


def test_an_answer_needs_a_charge(ledger: Ledger) -> None:
    with pytest.raises(ProtocolViolationError, match="never charged"):
        ledger.answer(step(), b"reply", None)


def test_the_first_weight_of_a_study_is_kept(ledger: Ledger) -> None:
    assert ledger.weight(STUDY, 7) is None
    for number, weight in ((1, 80.5), (2, 91.0)):
        key = step(f"train/{number}")
        ledger.charge(step=key, request="r", cost=ROUND, about=PUPILS, allow=fine)
        ledger.answer(key, b"", weight)
    assert ledger.weight(STUDY, 7) == 80.5
    assert ledger.weight(STUDY, 8) == 80.5  # paid for in an earlier run of the same study
    assert ledger.weight("c" * 64, 7) is None


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM entries",
        "UPDATE entries SET document = '{}'",
        "DELETE FROM heads",
        "UPDATE heads SET document = ''",
        "DELETE FROM answers",
        "UPDATE answers SET reply = x''",
    ],
)
def test_the_ledger_only_grows(ledger: Ledger, tmp_path: Path, statement: str) -> None:
    ledger.charge(step=step(), request="r", cost=ROUND, about=PUPILS, allow=fine)
    ledger.answer(step(), b"reply", None)
    connection = sqlite3.connect(tmp_path / "node.db")
    with pytest.raises(sqlite3.IntegrityError, match="never"):
        connection.execute(statement)
    connection.close()


def test_two_runs_cannot_both_take_the_last_of_a_budget(ledger: Ledger, tmp_path: Path) -> None:
    """Each asks inside the transaction of its charge, so one of them sees the other's."""

    def one_only(spending: Spending) -> None:
        if spending.training.events[0].count > 5:
            raise BudgetExhaustedError("spent")

    outcomes: list[bool] = []

    def take(run: int) -> None:
        own = opened(tmp_path)
        try:
            own.charge(step=step(run=run), request="r", cost=ROUND, about=PUPILS, allow=one_only)
            outcomes.append(True)
        except BudgetExhaustedError:
            outcomes.append(False)
        finally:
            own.close()

    threads = [threading.Thread(target=take, args=(run,)) for run in range(2, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False] * 5 + [True]
    assert ledger.spent(STUDY) == ROUND


def test_a_full_disk_is_named_and_nothing_is_charged(ledger: Ledger, tmp_path: Path) -> None:
    with ledger._database.read() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")

    def fill() -> None:
        for number in range(1, 200):
            key = step(f"train/{number}")
            ledger.charge(step=key, request="r" * 64, cost=ROUND, about=PUPILS, allow=fine)
            ledger.answer(key, b"x" * 4000, None)

    with pytest.raises(StorageError, match="full"):
        fill()
    with ledger._database.read() as connection:
        connection.execute("PRAGMA max_page_count=100000")
        charged = connection.execute("SELECT COUNT(*) FROM charges").fetchone()[0]
    assert charged == ledger.spent(STUDY).events[0].count / 5


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "node.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StorageError, match=r"node\.db"):
        opened(tmp_path)


def test_what_another_process_writes_is_seen_by_every_connection(
    ledger: Ledger, tmp_path: Path
) -> None:
    """A second connection in this process must not cost the first its locks, and so its log."""
    ledger.charge(step=step(), request="r", cost=ROUND, about=PUPILS, allow=fine)
    second = opened(tmp_path)
    for expected in (2, 3, 4):
        subprocess.run([sys.executable, "-c", OTHER, str(tmp_path), HERE], check=True)
        assert ledger.spending(STUDY).charges == expected
        assert second.spending(STUDY).charges == expected
    ledger.charge(step=step("train/2"), request="r", cost=ROUND, about=PUPILS, allow=fine)
    assert second.spending(STUDY).charges == 5
    assert (tmp_path / "node.db-wal").exists()


def test_what_is_read_together_is_of_one_moment(ledger: Ledger, tmp_path: Path) -> None:
    """Another process charges meanwhile: entries and head still belong together."""
    ledger.charge(step=step(), request="r", cost=ROUND, about=PUPILS, allow=fine)
    journal, other = ledger._journal, opened(tmp_path)
    with journal.database.read() as connection:
        size = journal.book(connection).tree.size
        other.charge(step=step("train/2"), request="r", cost=ROUND, about=PUPILS, allow=fine)
        assert journal.head(connection).head.size == size
        assert ledger.spending(STUDY).charges == 1  # a read in a read is of the same moment
    assert ledger.spending(STUDY).charges == 2


def test_a_ledger_that_was_cut_off_under_a_running_node_stays_refused(
    ledger: Ledger, tmp_path: Path
) -> None:
    for number in (1, 2, 3):
        key = step(f"train/{number}")
        ledger.charge(step=key, request="r", cost=ROUND, about=PUPILS, allow=fine)
    connection = sqlite3.connect(tmp_path / "node.db")
    for table, place in (("entries", "number"), ("heads", "size - 1")):
        connection.execute(f"DROP TRIGGER {table}_remain")
        connection.execute(f"DELETE FROM {table} WHERE {place} = 4")  # noqa: S608 - constants
    connection.commit()
    connection.close()
    for _ in range(3):  # what is left fits together, but it is not what this node had signed
        with pytest.raises(StorageError, match="not what was signed") as refused:
            ledger.charge(step=step("train/4"), request="r", cost=ROUND, about=PUPILS, allow=fine)
        assert "lost" in refused.value.hint
        with pytest.raises(StorageError, match="not what was signed"):
            ledger.spending(STUDY)


def test_a_clock_that_goes_back_opens_no_other_year(tmp_path: Path) -> None:
    clock = [NOW]
    owner = Owner(department="school", key=KEY)

    def at(moment: datetime) -> Ledger:
        clock[0] = moment
        return Ledger(
            Journal(tmp_path / "node.db", owner=owner, now=lambda: clock[0]), limits=DEFAULT
        )

    year = timedelta(days=365)
    for number, moment in enumerate((NOW, NOW + year, NOW, NOW - year)):
        ledger = at(moment)
        key = step(f"train/{number}")
        ledger.charge(step=key, request="r", cost=ROUND, about=PUPILS, allow=fine)
        with ledger.book() as book:
            years = {what: sum(a.charges.values()) for (_, what), a in book.accounts.items()}
        ledger.close()
    assert years == {"total": 4, "2026": 1, "2027": 3}


def test_a_ledger_of_another_department_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    ledger.charge(step=step(), request="r", cost=ROUND, about=PUPILS, allow=fine)
    other = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
    for key in (KEY, other):
        owner = Owner(department="hospital", key=key)
        with pytest.raises(ConfigurationError, match="ledger of the department 'school'"):
            Journal(tmp_path / "node.db", owner=owner, now=lambda: NOW)
    with ledger.book() as book:
        assert book.tree.size == 3  # its key, its limits and the charge: nothing was added
