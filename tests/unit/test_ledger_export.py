"""An export is verified with a fingerprint alone, and nothing that was done to it passes."""

import base64
import json
import string
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ledgers import KEY, OTHER_KEY, Open
from nodes import Department
from studies import study

from models import documents
from models.governance.approval import Decision
from models.governance.cost import GaussianEvent
from models.ledger.book import Book
from models.ledger.entries import Closing, SignedClosing, SignedHead, fingerprint, key_text, sign
from models.ledger.export import last_head
from models.ledger.spending import balances
from models.ledger.verification import Verdict, verify
from models.quantities import NoiseMultiplier
from node.ledger.ledger import Subject

COUNT = GaussianEvent(noise=NoiseMultiplier(10.0))


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Open]:
    opened = Open(tmp_path)
    for number in range(1, 6):
        opened.charge(number, COUNT)
    opened.charge(1, COUNT, study="b" * 64)
    opened.charge(1, COUNT, study="c" * 64, about=Subject(dataset="open", population=None))
    yield opened
    opened.close()


def judged(content: bytes, opened: Open) -> Verdict:
    return verify(content, key=opened.fingerprint)


def signed(opened: Open) -> SignedHead:
    """Give the newest head, as somebody keeps it."""
    return last_head(opened.export().decode())


def lines(content: bytes) -> list[bytes]:
    return content.splitlines(keepends=True)


def test_an_export_as_it_was_written_is_right(made: Open) -> None:
    verdict = judged(made.export(), made)
    assert verdict.problem is None
    assert verdict.closing is not None
    balances = {(b.population, b.what): b for b in verdict.closing.balances}
    assert {what for _, what in balances} == {"total", "2026", "a" * 64, "b" * 64}
    assert balances["residents", "total"].charges == 6  # the public dataset has no residents
    assert 0.9 < balances["residents", "total"].epsilon < 1.4
    assert balances["residents", "a" * 64].epsilon < balances["residents", "total"].epsilon
    assert verdict.head.head == made.head()
    assert verdict.keys == (made.fingerprint,)


def test_an_empty_ledger_can_be_exported(tmp_path: Path) -> None:
    opened = Open(tmp_path)
    verdict = judged(opened.export(), opened)
    assert verdict.problem is None
    assert verdict.closing.balances == ()
    opened.close()


def swap(content: bytes, one: int, other: int) -> bytes:
    found = lines(content)
    found[one], found[other] = found[other], found[one]
    return b"".join(found)


def spare(content: bytes) -> tuple[bytes, bytes]:
    """Give the newest signature's text, and another text that decodes to the same bytes."""
    text = json.loads(lines(content)[-2])["signature"]
    letters = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
    other = text[:-3] + letters[letters.index(text[-3]) ^ 1] + "=="
    assert base64.b64decode(text) == base64.b64decode(other)
    return text.encode(), other.encode()


TAMPERED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "an entry changed": (lambda c: c.replace(b'"attempt":1', b'"attempt":2', 1), "other entries"),
    "noise made larger": (lambda c: c.replace(b'"noise":10', b'"noise":20', 1), "other entries"),
    "an entry left out": (lambda c: b"".join(lines(c)[:6] + lines(c)[7:]), "head over"),
    "entry and head left out": (lambda c: b"".join(lines(c)[:6] + lines(c)[8:]), "must follow"),
    "an entry twice": (lambda c: b"".join(lines(c)[:7] + lines(c)[6:]), "must follow"),
    "entries in another order": (lambda c: swap(c, 6, 8), "must follow"),
    "a head twice": (lambda c: b"".join(lines(c)[:8] + lines(c)[7:]), "second head"),
    "a head left out": (lambda c: b"".join(lines(c)[:7] + lines(c)[8:]), "heads"),
    "the end cut off": (lambda c: b"".join(lines(c)[:-1]), "end is missing"),
    "entries before the closing cut off": (
        lambda c: b"".join([*lines(c)[:-3], lines(c)[-1]]),
        "some are missing",
    ),
    "something after the end": (lambda c: c + lines(c)[-2], "follows the closing"),
    "half a line after the end": (lambda c: c + b" ", "follows the closing"),
    "blanks in a line": (lambda c: c.replace(b'{"entry":{', b'{"entry":{ ', 1), "canonical"),
    "an unknown kind": (lambda c: c.replace(b'"kind":"charge"', b'"kind":"refund"', 1), "known"),
    "a field more": (
        lambda c: c.replace(b'"kind":"charge"', b'"kind":"charge","x":1', 1),
        "known",
    ),
    "a signature written otherwise": (lambda c: c.replace(spare(c)[0], spare(c)[1]), "signature"),
    "no file at all": (lambda _: b"", "empty"),
    "something else": (lambda _: b"hello\n", "header"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_what_was_done_to_an_export_is_found(made: Open, name: str) -> None:
    change, expected = TAMPERED[name]
    content = made.export()
    tampered = change(content)
    assert tampered != content
    found = judged(tampered, made)
    assert found.problem is not None
    assert found.closing is None
    assert expected in found.problem


def rebuilt(
    content: bytes, change: Callable[[dict], None], *, key: Ed25519PrivateKey = KEY
) -> bytes:
    """Change entries and make all heads again, as someone with a key (but which?) could."""
    book, found = Book(), [lines(content)[0]]
    for line in lines(content)[1:]:
        document = json.loads(line)
        if "entry" in document:
            change(document["entry"])
            entry = rfc8785.dumps(document["entry"])
            book.read(entry)
            found.append(b'{"entry":' + entry + b"}\n")
        elif "head" in document:
            head = documents.read(SignedHead, document, what="head").head
            head = type(head)(size=head.size, root=book.tree.root().hex(), at=head.at)
            other = SignedHead(head=head, signature=sign(head, key))
            found.append(documents.write(other) + b"\n")
        else:
            found.append(line)
    return b"".join(found)


def louder(entry: dict) -> None:
    if entry["kind"] == "charge":
        entry["cost"]["events"][0]["noise"] = 100


def test_heads_by_another_key_are_found(made: Open) -> None:
    found = judged(rebuilt(made.export(), louder, key=OTHER_KEY), made)
    assert "wrong signature" in found.problem


def test_balances_that_do_not_follow_from_the_entries_are_found(made: Open) -> None:
    """Whoever has the key itself can rewrite history, but its sums must then fit."""
    found = judged(rebuilt(made.export(), louder), made)
    assert "balances" in found.problem


def test_rewritten_history_is_found_with_an_earlier_head(made: Open) -> None:
    earlier = signed(made)
    made.charge(6, COUNT)
    content = rebuilt(made.export(), louder)
    *front, last = lines(content)
    closing = documents.read(SignedClosing, json.loads(last), what="closing").closing
    book = Book()
    for line in front:
        if line.startswith(b'{"entry":'):
            book.read(line[len(b'{"entry":') : -2])
    honest = Closing(
        department=closing.department,
        first=0,
        size=closing.size,
        heads=closing.heads,
        at=closing.at,
        delta=closing.delta,
        balances=balances(book, delta=closing.delta),
    )
    closed = SignedClosing(closing=honest, signature=sign(honest, KEY))
    forged = b"".join(front) + documents.write(closed) + b"\n"
    assert judged(forged, made).problem is None  # alone it cannot be told from the truth
    found = verify(forged, key=made.fingerprint, since=earlier)
    assert "rewritten" in found.problem
    assert verify(made.export(), key=made.fingerprint, since=earlier).problem is None


def test_a_ledger_that_was_set_back_is_found(made: Open, tmp_path: Path) -> None:
    before = made.export()
    made.charge(6, COUNT)
    later = signed(made)
    found = verify(before, key=made.fingerprint, since=later)
    assert "set back" in found.problem


def test_an_export_since_a_head_continues_it(made: Open) -> None:
    earlier = signed(made)
    for number in (6, 7, 8):
        made.charge(number, COUNT)
    part = made.export(since=earlier.head)
    assert len(lines(part)) == 8  # header, three entries with heads, closing
    assert verify(part, key=made.fingerprint, since=earlier).problem is None
    assert "--since" in verify(part, key=made.fingerprint).problem
    assert "--since" in verify(part, key=made.fingerprint, since=signed(made)).problem
    changed = part.replace(b'"noise":10', b'"noise":20', 1)
    assert "other entries" in verify(changed, key=made.fingerprint, since=earlier).problem
    header = json.loads(lines(part)[0])
    header["export"]["peaks"][0] = "0" * 64
    forged = rfc8785.dumps(header) + b"\n" + b"".join(lines(part)[1:])
    assert "earlier head" in verify(forged, key=made.fingerprint, since=earlier).problem


def test_the_newest_head_is_read_from_an_export_or_from_what_show_printed(made: Open) -> None:
    assert last_head(made.export().decode()).head == made.head()
    shown = json.dumps({"other": 1, **json.loads(lines(made.export())[-2])}, indent=2)
    assert last_head(shown).head == made.head()


def test_a_changed_key_is_noted_and_the_old_one_stays_verifiable(
    made: Open, tmp_path: Path
) -> None:
    earlier = signed(made)
    successor = Open(tmp_path, key=OTHER_KEY)
    successor.charge(9, COUNT)
    content = successor.export()
    verdict = verify(content, key=successor.fingerprint, since=earlier)
    assert verdict.problem is None
    assert verdict.keys == (made.fingerprint, successor.fingerprint)
    assert "another key" in judged(content, made).problem
    part = verify(successor.export(since=earlier.head), key=successor.fingerprint, since=earlier)
    assert part.problem is None
    successor.close()


def test_decisions_are_entries_without_the_steward_s_name(tmp_path: Path) -> None:
    department = Department(tmp_path)
    department.approve(study())
    refusal = department.say(study(), Decision.REFUSED)
    department.approvals.store(study(), refusal)
    opened = Open(tmp_path, key=department.key)
    content = opened.export()
    said = [json.loads(line)["entry"] for line in lines(content) if b'"decision"' in line]
    assert [entry["decision"] for entry in said] == ["approved", "refused"]
    assert {entry["study"] for entry in said} == {study().digest()}
    assert refusal.statement.steward.encode() not in content
    key = fingerprint(key_text(department.key.public_key()))
    assert verify(content, key=key).problem is None
    opened.close()
    department.close()
