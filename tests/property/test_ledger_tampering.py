"""Random edits of an export: each is found."""

import tempfile
from functools import cache
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as some
from ledgers import Open

from models.governance.cost import GaussianEvent
from models.ledger.verification import verify
from models.quantities import NoiseMultiplier


@cache
def exported() -> tuple[bytes, str]:
    with tempfile.TemporaryDirectory() as folder:
        opened = Open(Path(folder))
        for number in range(1, 7):
            opened.charge(number, GaussianEvent(noise=NoiseMultiplier(5.0)))
        content, key = opened.export(), opened.fingerprint
        opened.close()
    assert verify(content, key=key).problem is None
    return content, key


@settings(max_examples=400, deadline=None)
@given(some.data())
def test_a_changed_byte_is_found(data: some.DataObject) -> None:
    content, key = exported()
    place = data.draw(some.integers(0, len(content) - 1))
    other = data.draw(some.integers(0, 255).filter(lambda byte: byte != content[place]))
    changed = content[:place] + bytes([other]) + content[place + 1 :]
    assert verify(changed, key=key).problem is not None


@settings(max_examples=200, deadline=None)
@given(some.data())
def test_a_piece_left_out_put_in_or_moved_is_found(data: some.DataObject) -> None:
    content, key = exported()
    start = data.draw(some.integers(0, len(content) - 1))
    end = data.draw(some.integers(start + 1, len(content)))
    put = data.draw(some.one_of(some.just(b""), some.binary(max_size=20)))
    changed = content[:start] + put + content[end:]
    if changed != content:
        assert verify(changed, key=key).problem is not None


@settings(max_examples=200, deadline=None)
@given(some.data())
def test_lines_in_another_order_or_number_are_found(data: some.DataObject) -> None:
    content, key = exported()
    lines = content.splitlines(keepends=True)
    chosen = data.draw(
        some.one_of(
            some.permutations(lines),
            some.lists(some.sampled_from(lines), max_size=len(lines) + 2),
        )
    )
    if chosen != lines:
        assert verify(b"".join(chosen), key=key).problem is not None
