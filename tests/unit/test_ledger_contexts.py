"""The durable memory of secure sums: a context is used once, and never without its charge."""

import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from ledgers import PUPILS, Open

from models.errors import BudgetExhaustedError, ContextUsedError, RefusedError, StorageError
from models.governance.cost import JointGaussianEvent, PrivacyCost
from models.governance.step import StepKey
from models.ledger import spending
from models.ledger.entries import Part
from models.ledger.limits import Limits
from models.ledger.verification import verify
from models.quantities import Delta, Epsilon, NoiseMultiplier, SamplingRate
from models.secagg.contexts import Entry, Purpose, UsedContexts
from node.ledger.contexts import WitnessContexts
from node.ledger.ledger import Spending

STUDY = "a" * 64
COST = PrivacyCost(
    events=(
        JointGaussianEvent(
            sampling=SamplingRate(1.0), noise=NoiseMultiplier(40.0), departments=3, count=1
        ),
    )
)
MEMBERS = ("care", "school", "work")


def entry(
    step: str = "train/1",
    *,
    attempt: int = 1,
    context: str = "c" * 64,
    purpose: Purpose = Purpose.MESSAGE,
    study: str = STUDY,
) -> Entry:
    return Entry(
        purpose=purpose,
        study=study,
        run=7,
        step=step,
        attempt=attempt,
        context=context,
        members=MEMBERS,
    )


def memory(opened: Open, step: str = "train/1", *, attempt: int = 1) -> UsedContexts:
    return opened.ledger.contexts(
        step=StepKey(study=STUDY, run=7, step=step, attempt=attempt),
        request="r",
        cost=COST,
        about=PUPILS,
        allow=lambda _: None,
    )


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    return Open(tmp_path)


def charges(opened: Open) -> int:
    return opened.ledger.spending(STUDY).charges


def test_a_context_is_used_once_and_charged_once_also_after_a_restart(tmp_path: Path) -> None:
    first = Open(tmp_path)
    memory(first).use(entry())
    with pytest.raises(ContextUsedError):
        memory(first).use(entry())
    first.close()
    again = Open(tmp_path)
    for other in (entry(), entry(context="d" * 64)):
        with pytest.raises(ContextUsedError):
            memory(again).use(other)
        assert memory(again).insert(other) == entry()
    assert charges(again) == 1
    assert again.ledger.spent(STUDY) == COST
    assert verify(again.export(), key=again.fingerprint).problem is None
    again.close()


def test_every_step_and_attempt_has_a_charge_of_its_own(opened: Open) -> None:
    for step, attempt in (("histogram", 1), ("train/1", 1), ("train/1", 2), ("evaluate", 1)):
        memory(opened, step, attempt=attempt).use(entry(step, attempt=attempt))
    spending = opened.ledger.spending(STUDY)
    assert spending.charges == 4
    assert spending.training.events[0].count == 3
    assert spending.evaluation == COST
    with opened.journal.database.read() as connection:
        rows = connection.execute(
            "SELECT c.step, c.attempt, e.step, e.attempt FROM contexts c"
            " JOIN entries e ON e.number = c.charge WHERE e.kind = 'charge'"
        ).fetchall()
    assert len(rows) == 4
    assert all(row[:2] == row[2:] for row in rows)


def test_the_histogram_is_of_training_and_its_key_is_read() -> None:
    assert Part.of("histogram") is Part.TRAINING
    assert Part.of("evaluate") is Part.EVALUATION


@pytest.mark.parametrize(
    "other", [entry("train/2"), entry(attempt=2), entry(study="b" * 64), entry(purpose=Purpose.SET)]
)
def test_another_step_than_the_charged_one_is_refused(opened: Open, other: Entry) -> None:
    with pytest.raises(RefusedError, match="another step"):
        memory(opened).use(other)
    assert charges(opened) == 0


def test_what_is_refused_leaves_neither_context_nor_charge(tmp_path: Path) -> None:
    limits = Limits(per_year=Epsilon(0.2), total=Epsilon(0.2), delta=Delta(1e-6))
    opened = Open(tmp_path, limits=limits)
    head = opened.head()
    with pytest.raises(BudgetExhaustedError):
        memory(opened).use(entry())

    def no(spending: Spending) -> None:
        assert spending.charges == 1
        raise RefusedError("not in the plan")

    refusing = opened.ledger.contexts(
        step=StepKey(study=STUDY, run=7, step="train/1"),
        request="r",
        cost=COST,
        about=PUPILS,
        allow=no,
    )
    with pytest.raises(RefusedError, match="plan"):
        refusing.use(entry())
    assert opened.head() == head
    with opened.journal.database.read() as connection:
        assert connection.execute("SELECT count(*) FROM contexts").fetchone() == (0,)
    opened.close()


def test_the_limits_are_not_added_up_anew_for_each_charge_of_two_studies(opened: Open) -> None:
    before = spending._composed.cache_info().misses
    for number in range(1, 101):
        for study in ("a" * 64, "b" * 64):
            opened.charge(number, *COST.events, study=study)
    assert spending._composed.cache_info().misses - before < 30


def test_of_many_threads_one_gets_the_receipt(opened: Open) -> None:
    receipts = []

    def ask() -> None:
        with suppress(ContextUsedError):
            receipts.append(memory(opened).use(entry()))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receipts) == 1
    assert charges(opened) == 1


def test_contexts_are_never_changed_or_deleted(opened: Open) -> None:
    memory(opened).use(entry())
    for statement in (
        "UPDATE contexts SET attempt = 2",
        "DELETE FROM contexts",
        "INSERT OR REPLACE INTO contexts SELECT * FROM contexts",
    ):
        with (
            pytest.raises(StorageError),
            opened.journal.database.write() as connection,
        ):
            connection.execute(statement)
    with pytest.raises(ContextUsedError):
        memory(opened).use(entry())


def test_a_message_without_a_charge_and_a_charge_for_a_witness_cannot_be_kept(
    opened: Open,
) -> None:
    for purpose, charge in (("message", None), ("set", 0), ("message", 99)):
        with (
            pytest.raises(StorageError, match="constraint"),
            opened.journal.database.write() as connection,
        ):
            connection.execute(
                "INSERT INTO contexts VALUES (?, ?, 7, 'train/1', 1, '{}', ?)",
                (purpose, STUDY, charge),
            )


def test_a_context_that_was_taken_away_is_not_used_again(tmp_path: Path) -> None:
    opened = Open(tmp_path)
    memory(opened).use(entry())
    opened.close()
    connection = sqlite3.connect(tmp_path / "node.db")
    connection.execute("DROP TRIGGER contexts_remain")
    connection.execute("DELETE FROM contexts")
    connection.commit()
    connection.close()
    again = Open(tmp_path)
    with pytest.raises(StorageError, match="was charged"):
        memory(again).use(entry())
    assert charges(again) == 1
    again.close()


def test_a_database_from_before_gets_the_table(tmp_path: Path) -> None:
    opened = Open(tmp_path)
    opened.close()
    connection = sqlite3.connect(tmp_path / "node.db")
    connection.execute("DROP TABLE contexts")
    connection.commit()
    connection.close()
    again = Open(tmp_path)
    memory(again).use(entry())
    assert charges(again) == 1
    again.close()


def test_a_witness_gives_one_set_again_and_no_other_and_pays_nothing(tmp_path: Path) -> None:
    opened = Open(tmp_path)
    given = entry(purpose=Purpose.SET)
    WitnessContexts(opened.journal).use(given)
    opened.close()
    again = Open(tmp_path)
    witness = WitnessContexts(again.journal)
    witness.use(given)
    with pytest.raises(ContextUsedError):
        witness.use(entry(purpose=Purpose.SET, context="d" * 64))
    with pytest.raises(RefusedError, match="no message"):
        witness.use(entry())
    assert charges(again) == 0
    again.close()
