"""A department's export against the coordinator's chain: every contradiction is found, no other."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ledgers import KEY, NOW, OTHER_KEY, Open

from models.errors import UsageError
from models.governance.cost import GaussianEvent
from models.ledger.comparison import SKEW, Comparison, Kind, compare
from models.ledger.entries import Head, SignedHead, key_text, sign
from models.ledger.received import AnswerEntry, ContradictionEntry, Entry, HeadEntry, Problem
from models.ledger.verification import verify
from models.quantities import NoiseMultiplier
from protos.codec import read_json

COUNT = GaussianEvent(noise=NoiseMultiplier(10.0))
STUDY = "a" * 64
HOUR = timedelta(hours=1)


class Both:
    """A department's ledger, and the chain of an honest coordinator that it tells everything."""

    def __init__(self, folder: Path) -> None:
        self.opened = Open(folder)
        self.entries: list[Entry] = []

    @property
    def clock(self) -> datetime:
        return self.opened.clock

    def wait(self, time: timedelta = HOUR) -> None:
        self.opened.clock += time

    def add(self, entry: Entry) -> Entry:
        self.entries.append(replace(entry, number=len(self.entries)))
        return self.entries[-1]

    def tell(self) -> None:
        """Report the newest head."""
        with self.opened.journal.database.read() as connection:
            signed = self.opened.journal.head(connection)
        self.add(told(signed, at=self.clock))

    def answer(self, number: int, *, charged: bool = True, attempt: int = 1) -> None:
        """Do a step, and have its answer taken."""
        if charged:
            self.opened.charge(number, COUNT)
        self.add(
            AnswerEntry(
                number=0,
                at=self.clock,
                department="school",
                study=STUDY,
                run="7",
                step=f"train/{number}",
                attempt=attempt,
            )
        )

    def compared(self, export: bytes | None = None) -> Comparison:
        content = self.opened.export() if export is None else export
        verdict = verify(content, key=self.opened.fingerprint)
        assert verdict.problem is None
        assert verdict.closing is not None
        return compare(content, closing=verdict.closing, keys=verdict.keys, received=self.entries)

    def kinds(self) -> list[Kind]:
        return [item.kind for item in self.compared().contradictions]


def told(signed: SignedHead, *, at: datetime) -> HeadEntry:
    return HeadEntry(
        number=0,
        at=at,
        department="school",
        public_key=key_text(KEY.public_key()),
        head=signed.head,
        signature=signed.signature,
    )


def signed(head: Head, key: object = KEY) -> SignedHead:
    return SignedHead(head=head, signature=sign(head, key))


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    made = Both(tmp_path)
    made.tell()
    for number in range(1, 6):
        made.wait()
        made.answer(number)
        if number % 2:
            made.tell()
    made.wait()
    yield made
    made.opened.close()


def test_honest_books_agree(both: Both) -> None:
    both.opened.charge(6, COUNT)  # an attempt that failed
    both.wait()
    found = both.compared()
    assert found.contradictions == ()
    assert (found.department, found.charges, found.answers) == ("school", 6, 5)
    assert (found.heads, found.later) == (4, 0)
    assert found.unanswered == ((STUDY, "7", "train/6", 1),)


def test_other_departments_are_not_looked_at(both: Both) -> None:
    other = AnswerEntry(
        number=0, at=NOW, department="care", study=STUDY, run="7", step="train/99", attempt=1
    )
    both.add(other)
    assert both.kinds() == []
    both.add(replace(other, department="school"))
    assert both.kinds() == [Kind.UNCHARGED]


def test_an_answer_without_a_charge_is_found(both: Both) -> None:
    both.answer(6, charged=False)
    both.wait()
    found = both.compared()
    (one,) = found.contradictions
    assert (one.kind, one.entry) == (Kind.UNCHARGED, len(both.entries) - 1)
    assert one.text.startswith(f"{STUDY[:12]}/7/train/6/1, received 2026-03-01 06:00:00")
    assert found.answers == 5


def test_a_charge_for_another_attempt_does_not_count(both: Both) -> None:
    both.answer(6, attempt=2)
    both.wait()
    assert both.kinds() == [Kind.UNCHARGED]


def test_what_came_after_the_export_is_not_held_against_it(both: Both) -> None:
    export = both.opened.export()
    both.answer(6)
    both.wait()
    both.answer(7, charged=False)
    both.tell()
    found = both.compared(export)
    assert found.contradictions == ()
    assert found.later == 3
    both.wait()
    assert both.kinds() == [Kind.UNCHARGED]  # a newer export tells


@pytest.mark.parametrize(("seconds", "later"), [(-1, 1), (1, 0)])
def test_the_clocks_may_be_apart(both: Both, seconds: int, later: int) -> None:
    both.answer(6, charged=False)
    both.wait(SKEW + timedelta(seconds=seconds))
    assert both.compared().later == later
    assert len(both.kinds()) == 1 - later


def test_a_charge_that_was_made_afterwards_is_found(both: Both) -> None:
    both.answer(6, charged=False)
    both.wait()
    both.opened.charge(7, COUNT)
    both.tell()
    both.opened.charge(6, COUNT)  # for the audit
    both.wait()
    assert both.kinds() == [Kind.AFTERWARDS]


def test_a_head_that_was_read_before_the_answer_shows_nothing(both: Both) -> None:
    """The node read its head, charged, answered; then the head arrived."""
    with both.opened.journal.database.read() as connection:
        before = both.opened.journal.head(connection)
    both.answer(6)
    both.wait(SKEW)
    both.add(told(before, at=both.clock))
    both.wait()
    assert both.kinds() == []


def test_a_ledger_that_was_written_anew_is_found(both: Both, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Both(tmp_path / "other")
    other.entries = both.entries
    for number in (1, 2, 3, 5, 4):
        other.opened.charge(number, COUNT)
    other.wait(timedelta(days=1))
    # The first entry is another one already: its time is.
    assert set(other.kinds()) == {Kind.REWRITTEN}
    other.opened.close()


def test_one_other_root_is_found(both: Both) -> None:
    (place, last) = [(p, e) for p, e in enumerate(both.entries) if isinstance(e, HeadEntry)][-1]
    other = signed(replace(last.head, root="0" * 64))
    both.entries[place] = replace(last, head=other.head, signature=other.signature)
    assert both.kinds() == [Kind.REWRITTEN]


def test_a_ledger_that_was_cut_off_is_found(both: Both) -> None:
    head = replace(both.opened.head(), size=both.opened.head().size + 1, root="1" * 64)
    both.add(told(signed(head), at=both.clock))
    assert both.kinds() == [Kind.CUT_OFF]


def test_a_head_under_another_key_is_found(both: Both) -> None:
    other = signed(both.opened.head(), OTHER_KEY)
    entry = replace(told(other, at=both.clock), public_key=key_text(OTHER_KEY.public_key()))
    both.add(entry)
    assert both.kinds() == [Kind.UNKNOWN_KEY]


def test_a_head_that_the_coordinator_invented_is_found(both: Both) -> None:
    head = both.opened.head()
    both.add(replace(told(signed(head), at=both.clock), head=replace(head, root="0" * 64)))
    assert both.kinds() == [Kind.UNSIGNED]


def test_reported_contradictions_are_told_and_must_be_signed(both: Both) -> None:
    head = signed(replace(both.opened.head(), root="0" * 64))
    noted = ContradictionEntry(
        number=0,
        at=both.clock,
        department="school",
        against=0,
        problem=Problem.OTHER,
        public_key=key_text(KEY.public_key()),
        head=head.head,
        signature=head.signature,
    )
    both.add(noted)
    assert both.kinds() == [Kind.REPORTED]
    both.entries[-1] = replace(both.entries[-1], head=replace(head.head, root="2" * 64))
    assert both.kinds() == [Kind.UNSIGNED]


def test_a_changed_key_is_no_contradiction(both: Both, tmp_path: Path) -> None:
    both.opened.close()
    after = Open(tmp_path, key=OTHER_KEY)
    after.clock = datetime(2026, 3, 2, tzinfo=UTC)
    assert after.journal.public_key == key_text(OTHER_KEY.public_key())
    content = after.export()
    verdict = verify(content, key=after.fingerprint)
    assert verdict.problem is None
    assert verdict.closing is not None
    found = compare(content, closing=verdict.closing, keys=verdict.keys, received=both.entries)
    assert (found.contradictions, found.heads) == ((), 4)
    after.close()


def test_a_part_of_a_ledger_is_refused(both: Both) -> None:
    since = both.opened.head()
    both.opened.charge(6, COUNT)
    content = both.opened.export(since)
    with both.opened.journal.database.read() as connection:
        document = connection.execute(
            "SELECT document FROM heads WHERE size = ?", (since.size,)
        ).fetchone()[0]
    head = read_json(SignedHead, document.encode(), what="the head")
    verdict = verify(content, key=both.opened.fingerprint, since=head)
    assert verdict.closing is not None
    with pytest.raises(UsageError, match="only a whole export"):
        compare(content, closing=verdict.closing, keys=verdict.keys, received=both.entries)
