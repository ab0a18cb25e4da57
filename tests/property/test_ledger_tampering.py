"""Random edits of an export: each is found."""

import json
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as some
from ledgers import KEY, Open

from models import documents
from models.governance.cost import GaussianEvent
from models.ledger.entries import SignedClosing, SignedHead, sign
from models.ledger.export import last_head
from models.ledger.verification import verify
from models.quantities import Delta, NoiseMultiplier


@dataclass(frozen=True)
class Made:
    """An export, and what it is verified with."""

    content: bytes
    key: str
    since: SignedHead | None = None

    def problem(self, content: bytes) -> str | None:
        return verify(content, key=self.key, since=self.since).problem


@cache
def exports() -> tuple[Made, ...]:
    """Give an export of everything, one of what is new, and one with nothing new."""
    with tempfile.TemporaryDirectory() as folder:
        opened = Open(Path(folder))
        for number in range(1, 7):
            opened.charge(number, GaussianEvent(noise=NoiseMultiplier(5.0)))
        earlier = last_head(opened.export().decode())
        for number in range(7, 10):
            opened.charge(number, GaussianEvent(noise=NoiseMultiplier(5.0)))
        whole, key = opened.export(), opened.fingerprint
        newest = last_head(whole.decode())
        made = (
            Made(whole, key),
            Made(opened.export(since=earlier.head), key, earlier),
            Made(opened.export(since=newest.head), key, newest),
        )
        opened.close()
    return made


MADE = some.integers(0, 2).map(lambda number: exports()[number])


def test_an_export_as_it_was_written_is_right() -> None:
    for made in exports():
        verdict = verify(made.content, key=made.key, since=made.since)
        assert verdict.problem is None
        assert verdict.head == last_head(exports()[0].content.decode())
        assert verdict.keys == (made.key,)


def test_every_character_of_a_partial_header_is_bound() -> None:
    for made in exports()[1:]:
        header = made.content.index(b"\n")
        for place in range(header):
            for other in b"0123456789ABCDEFabcdef+/=":
                changed = bytearray(made.content)
                changed[place] = other
                if changed != made.content:
                    assert made.problem(bytes(changed)) is not None


def closed_with(made: Made, **changes: object) -> bytes:
    """Give the export with another closing, signed with the key itself."""
    *front, last = made.content.splitlines(keepends=True)
    closing = documents.read(SignedClosing, json.loads(last), what="closing").closing
    other = replace(closing, **changes)
    signed = SignedClosing(closing=other, signature=sign(other, KEY))
    return b"".join(front) + documents.write(signed) + b"\n"


def test_numbers_beyond_what_can_be_computed_are_found() -> None:
    whole = exports()[0]
    huge = whole.content.replace(b'"noise":5', b'"noise":1' + b"0" * 400, 1)
    assert "must be above 0" in whole.problem(huge)
    assert "cannot be computed" in whole.problem(closed_with(whole, delta=Delta(1e-12)))
    assert whole.problem(closed_with(whole)) is None


@settings(max_examples=400, deadline=None)
@given(some.data(), MADE)
def test_a_changed_byte_is_found(data: some.DataObject, made: Made) -> None:
    content = made.content
    place = data.draw(some.integers(0, len(content) - 1))
    other = data.draw(some.integers(0, 255).filter(lambda byte: byte != content[place]))
    changed = content[:place] + bytes([other]) + content[place + 1 :]
    assert made.problem(changed) is not None


@settings(max_examples=200, deadline=None)
@given(some.data(), MADE)
def test_a_piece_left_out_put_in_or_moved_is_found(data: some.DataObject, made: Made) -> None:
    content = made.content
    start = data.draw(some.integers(0, len(content) - 1))
    end = data.draw(some.integers(start + 1, len(content)))
    put = data.draw(some.one_of(some.just(b""), some.binary(max_size=20)))
    changed = content[:start] + put + content[end:]
    if changed != content:
        assert made.problem(changed) is not None


@settings(max_examples=200, deadline=None)
@given(some.data(), MADE)
def test_lines_in_another_order_or_number_are_found(data: some.DataObject, made: Made) -> None:
    content = made.content
    lines = content.splitlines(keepends=True)
    chosen = data.draw(
        some.one_of(
            some.permutations(lines),
            some.lists(some.sampled_from(lines), max_size=len(lines) + 2),
        )
    )
    if chosen != lines:
        assert made.problem(b"".join(chosen)) is not None
