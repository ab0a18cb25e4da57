"""A department's side: what it refuses to share, and that nothing is shared twice."""

import numpy as np
import pytest
from linked_city import RUN
from linked_kinds import CARE, MATCHED, SCHOOL, YEAR
from linked_studies import OPEN, linked_study, school_study
from scripted import ScriptedEntropy

from models.errors import AccountingError, ProtocolViolationError, RefusedError
from models.replicated import mixing, sealing
from models.replicated.holder import Holder
from models.replicated.seeds import Seed
from models.secagg.agreement import EphemeralKey


def holder(name: str = "school", *, residents: int = 5, study=None) -> Holder:
    return Holder(
        study or school_study(),
        run=RUN,
        department=name,
        residents=residents,
        entropy=ScriptedEntropy(name),
    )


def ones(rows: int = 5, width: int = 2) -> np.ndarray:
    found = np.zeros((rows, width), dtype=np.uint8)
    found[:, 0] = 1
    return found


def test_a_chunk_asked_for_again_gives_the_same_bytes_and_only_for_the_same_columns() -> None:
    mine = holder()
    first = mine.body(1, ones())
    assert mine.body(1, ones()) == first
    with pytest.raises(AccountingError, match="shared with other columns before"):
        mine.body(1, np.zeros((5, 2), dtype=np.uint8))
    before = mine.totals(unlinked=1, protected=2)
    assert mine.totals(unlinked=1, protected=2) == before
    with pytest.raises(AccountingError, match="chunk 2 of school was shared"):
        mine.totals(unlinked=2, protected=2)


def test_two_ones_in_a_row_are_refused_without_telling_the_row() -> None:
    spoiled = ones()
    spoiled[3] = 1
    with pytest.raises(AccountingError, match="two categories of eligible at once") as caught:
        holder().body(1, spoiled)
    assert "3" not in str(caught.value)


def test_a_value_beyond_one_is_refused() -> None:
    spoiled = ones()
    spoiled[3, 0] = 2
    with pytest.raises(AccountingError, match="not all zeros and ones"):
        holder().body(1, spoiled)


def test_variables_side_by_side_may_each_have_a_one_but_not_two() -> None:
    study = linked_study([SCHOOL, YEAR, *CARE], [MATCHED], privacy=OPEN)
    rows = np.zeros((5, 4), dtype=np.uint8)
    rows[:, [0, 3]] = 1
    assert holder("care", study=study).body(1, rows)
    rows[2, 1] = 1
    with pytest.raises(AccountingError, match="two categories of care_1 at once"):
        holder("care", study=study).body(1, rows)


@pytest.mark.parametrize(
    "columns",
    [ones(4), ones(6), ones(5, 3), ones().astype(np.int64), ones().astype(bool)],
    ids=["short", "long", "wide", "numbers", "truths"],
)
def test_columns_that_do_not_cover_the_spine_are_refused(columns: np.ndarray) -> None:
    with pytest.raises(AccountingError, match="must be 5 rows of 2 columns of bytes"):
        holder().body(1, columns)


@pytest.mark.parametrize("chunk", [0, 2, -1])
def test_a_chunk_beyond_the_spine_is_refused(chunk: int) -> None:
    with pytest.raises(RefusedError, match="no chunk"):
        holder().body(chunk, ones())


def test_totals_are_cut_to_the_public_size_of_the_register() -> None:
    assert holder().totals(unlinked=10**12, protected=-5) == holder().totals(
        unlinked=1000, protected=0
    )


def test_nothing_is_shared_after_erasing() -> None:
    mine = holder()
    mine.erase()
    for ask in (
        lambda: mine.body(1, ones()),
        lambda: mine.totals(unlinked=0, protected=0),
        lambda: mine.seeds_document({}),
    ):
        with pytest.raises(RefusedError, match="erased"):
            ask()


def test_a_box_opens_for_whom_it_is_and_for_nobody_else() -> None:
    ephemeral = EphemeralKey(ScriptedEntropy("own").token(32))
    secret = sealing.own_secret(ephemeral)
    assert secret != ephemeral.secret
    bound = {"sender": "school", "to": "social", "study": "5e" * 32, "run": RUN, "purpose": "seeds"}
    key = sealing.box_key(secret, **bound)
    box = sealing.boxed(key, b"octets", to="social")
    assert sealing.unboxed(key, box, sender="school") == b"octets"
    others = {
        "sender": "care",
        "to": "school",
        "study": "5f" * 32,
        "run": RUN + 1,
        "purpose": "mix",
    }
    for name, value in others.items():
        other = sealing.box_key(secret, **(bound | {name: value}))
        with pytest.raises(
            ProtocolViolationError, match="a box of school for social does not open"
        ):
            sealing.unboxed(other, box, sender="school")


def test_what_is_shorter_than_a_tag_does_not_open() -> None:
    with pytest.raises(ProtocolViolationError, match="do not open"):
        sealing.open_(bytes(32), nonce=1, aad=b"", data=b"short")


def test_secrets_do_not_print() -> None:
    key = mixing.common({"a": b"\x07" * 32, "b": bytes(32)}, study="5e" * 32, run=RUN)
    for each in (Seed(b"\x07" * 32), sealing.ContentKey(b"\x07" * 32), key):
        assert "x07" not in repr(each)
        assert "octets" not in repr(each)


def test_a_document_that_holds_no_seed_is_refused() -> None:
    with pytest.raises(ProtocolViolationError, match="no base64"):
        Seed.read("a")
    with pytest.raises(ProtocolViolationError, match="another length"):
        Seed.read("AAAA")


def test_the_order_depends_on_who_there_is_and_on_the_key_alone() -> None:
    ids = [f"1970{i:08d}" for i in range(500)]
    parts = {"a": b"\x01" * 32, "b": b"\x02" * 32}
    key = mixing.common(parts, study="5e" * 32, run=RUN)
    spine = mixing.order(ids, key)
    assert sorted(spine) == list(range(500))
    turned = ids[::-1]
    assert [turned[place] for place in mixing.order(turned, key)] == [ids[i] for i in spine]
    assert mixing.common(dict(reversed(parts.items())), study="5e" * 32, run=RUN) == key
    for other in (
        mixing.common(parts | {"a": b"\x03" * 32}, study="5e" * 32, run=RUN),
        mixing.common({"a": parts["b"], "b": parts["a"]}, study="5e" * 32, run=RUN),
        mixing.common(parts, study="5f" * 32, run=RUN),
        mixing.common(parts, study="5e" * 32, run=RUN + 1),
    ):
        assert (mixing.order(ids, other) != spine).any()
        assert mixing.digest(b"register", other) != mixing.digest(b"register", key)
    assert mixing.digest(b"register", key) != mixing.digest(b"registes", key)
    with pytest.raises(ProtocolViolationError, match="the part of b"):
        mixing.common(parts | {"b": b"short"}, study="5e" * 32, run=RUN)
