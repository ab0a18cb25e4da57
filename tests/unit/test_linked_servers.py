"""A run's servers: chunks of a long spine, the order of messages, and what is refused."""

import numpy as np
import pytest
from linked_city import RUN, Committee, columns, in_the_clear, noise_of, run_in_process
from linked_kinds import CARE, MATCHED, SCHOOL, YEAR, relations, study_of
from linked_studies import OPEN, PRIVATE, category, integer, linked_study, own, school_study, table
from scripted import ScriptedEntropy

from models.errors import ProtocolViolationError, RefusedError
from models.governance.linked import LinkedStudy
from models.linkage import tables
from models.linkage.coding import coding
from models.linkage.plan import plan
from models.replicated import server
from models.replicated.seeds import Seed
from models.replicated.server import Server
from models.replicated.sharing import Held
from models.replicated.zero import Pairs

WIDE = (own("age", "school"), integer("age", 0, 399))
CLASS = (own("class", "school"), category("class", *"abcdefgh"))
FLAG = (own("flag", "social", absent=True), category("flag", "no", "yes"))


def long_study() -> LinkedStudy:
    """Give a study whose chunks are short, since its rows are wide."""
    return linked_study([WIDE, CLASS, FLAG], [table("t", "age", "class", "flag")], privacy=OPEN)


def crossed_study() -> LinkedStudy:
    """Give a study whose derived columns are many."""
    one, two = (
        (own(name, department), integer(name, 0, 63))
        for name, department in (("one", "school"), ("two", "social"))
    )
    third = (own("third", "labour"), integer("third", 0, 65))
    return linked_study([one, two, third], [table("t", "one", "two", "third")], privacy=OPEN)


def random_columns(study: LinkedStudy, residents: int, *, seed: int = 1):
    generator = np.random.default_rng(seed)
    codes = {
        item.name: generator.integers(-1, coding(study, item.name).width, residents)
        for item in study.variables
    }
    return columns(study, codes)


def small() -> Committee:
    return Committee.of(school_study(), random_columns(school_study(), 30))


def long() -> Committee:
    return Committee.of(long_study(), random_columns(long_study(), 1000))


def test_a_long_spine_comes_in_chunks_and_the_last_is_short() -> None:
    study = long_study()
    known = random_columns(study, 1000)
    committee = Committee.of(study, known)
    assert (plan(study).rows, committee.chunks) == (327, 4)
    found = run_in_process(study, known)
    wanted = in_the_clear(study, known)
    np.testing.assert_array_equal(found[: wanted.size], wanted << plan(study).noise.bits)


def test_derived_columns_of_a_long_spine_come_in_chunks_too() -> None:
    study = crossed_study()
    assert plan(study).rows == 1024
    known = random_columns(study, 2100)
    wanted = in_the_clear(study, known)
    found = run_in_process(study, known)
    np.testing.assert_array_equal(found[: wanted.size], wanted << plan(study).noise.bits)


def test_tables_of_many_groups_are_computed_in_panels() -> None:
    names = [(f"{department}_{i}", department) for department in "abc" for i in range(30)]
    study = linked_study(
        [(own(name, of), category(name, "x", "y", "z")) for name, of in names],
        [relations(*(name for name, _ in names)), table("one", "a_0", "c_3", "a_7")],
        privacy=OPEN,
    )
    known = random_columns(study, 300)
    wanted = in_the_clear(study, known)
    found = run_in_process(study, known)
    np.testing.assert_array_equal(found[: wanted.size], wanted << plan(study).noise.bits)
    work = Committee.of(study, known).servers[0]._work
    assert len(work.early) < 30
    assert sum(len(block.parts) for block in work.early) == 90 * 89 // 2 + 1


def test_the_opened_vector_becomes_tables_and_totals() -> None:
    study = school_study(privacy=OPEN)
    known = random_columns(study, 30)
    totals = {"school": (3, 1), "social": (0, 12)}
    units = run_in_process(study, known, totals=totals)
    opened = tables.opened(study, units, residents=30)
    np.testing.assert_array_equal(opened.tables[0].counts.reshape(-1), in_the_clear(study, known))
    assert [(t.department, t.unlinked, t.protected) for t in opened.totals] == [
        ("school", 3.0, 1.0),
        ("social", 0.0, 12.0),
    ]


def test_a_chunk_out_of_order_is_refused() -> None:
    committee = long()
    first, second = committee.shared(1), committee.shared(2)
    one = committee.servers[1]
    with pytest.raises(ProtocolViolationError, match="chunk 2 came, and the next is 1"):
        one.fold(2, second)
    one.fold(1, first)
    with pytest.raises(ProtocolViolationError, match="chunk 3 came, and the next is 2"):
        one.fold(3, second)
    with pytest.raises(ProtocolViolationError, match="chunk 0 came"):
        one.fold(0, first)


def test_a_chunk_that_comes_again_is_not_added_again() -> None:
    committee = Committee.of(long_study(), random_columns(long_study(), 400))
    bodies = committee.shared(1)
    for each in committee.servers:
        for _ in range(2):
            each.fold(1, bodies if each is not committee.servers[0] else {})
    bodies = committee.shared(2)
    for each in committee.servers:
        each.fold(2, bodies if each is not committee.servers[0] else {})
    wanted = in_the_clear(committee.study, committee.columns)
    np.testing.assert_array_equal(committee.opened()[: wanted.size] >> 4, wanted)
    with pytest.raises(RefusedError, match="no chunk 3"):
        committee.servers[1].fold(3, bodies)


def test_a_body_of_another_length_is_refused_by_department_and_chunk() -> None:
    committee = small()
    bodies = committee.shared(1)
    bodies["social"] = bodies["social"][:-1]
    with pytest.raises(ProtocolViolationError, match="chunk 1 of social has another length"):
        committee.servers[1].fold(1, bodies)


@pytest.mark.parametrize("place", [0, 100, -1])
def test_a_changed_body_is_refused_and_nothing_of_it_is_added(place: int) -> None:
    committee = small()
    bodies = committee.shared(1)
    changed = bytearray(bodies["school"])
    changed[place] ^= 1
    for each in committee.servers[1:]:
        with pytest.raises(ProtocolViolationError, match="chunk 1 of school does not open"):
            each.fold(1, bodies | {"school": bytes(changed)})
    committee.fold()
    wanted = in_the_clear(committee.study, committee.columns)
    found = committee.opened() - noise_of(committee.study, 0, 1, 2)
    np.testing.assert_array_equal(found[: wanted.size] >> plan(committee.study).noise.bits, wanted)


def test_a_body_of_another_chunk_department_or_run_is_refused() -> None:
    committee = Committee.of(long_study(), random_columns(long_study(), 700))
    first, second = committee.shared(1), committee.shared(2)
    with pytest.raises(ProtocolViolationError, match="chunk 1 of school does not open"):
        committee.servers[1].fold(1, second)
    other = Committee.of(long_study(), random_columns(long_study(), 700), script="another")
    with pytest.raises(ProtocolViolationError, match="does not open"):
        other.servers[2].fold(1, first)
    both = study_of("two departments")
    swapped = Committee.of(both, random_columns(both, 10))
    bodies = swapped.shared(1)
    with pytest.raises(ProtocolViolationError, match=r"another length|does not open"):
        swapped.servers[1].fold(1, {"school": bodies["social"], "social": bodies["school"]})


def test_a_department_that_is_missing_is_named() -> None:
    committee = small()
    bodies = committee.shared(1)
    with pytest.raises(ProtocolViolationError, match="chunk 1 of social has not come"):
        committee.servers[2].fold(1, {"school": bodies["school"]})
    with pytest.raises(ProtocolViolationError, match="not of the study"):
        committee.servers[2].fold(1, bodies | {"care": b""})
    committee.fold()
    totals = committee.shared_totals()
    with pytest.raises(ProtocolViolationError, match="the totals of school has not come"):
        committee.servers[1].open({"social": totals["social"]}, ScriptedEntropy())


def test_a_department_without_seeds_is_named() -> None:
    with pytest.raises(ProtocolViolationError, match="the seeds of school, social"):
        Server(
            school_study(),
            run=RUN,
            index=0,
            residents=3,
            held={},
            pairs=Pairs.drawn(ScriptedEntropy()),
        )


def test_nothing_is_opened_before_all_chunks_have_come() -> None:
    committee = long()
    committee.fold(3)
    with pytest.raises(ProtocolViolationError, match="only 3 of 4 chunks have come"):
        committee.parts()


def test_nothing_is_opened_before_the_derived_columns_have_come() -> None:
    study = study_of("three departments")
    committee = Committee.of(study, random_columns(study, 10))
    bodies = committee.shared(1)
    turned = committee.servers[1].fold(1, bodies)
    assert committee.servers[1].fold(1, bodies) == turned
    with pytest.raises(ProtocolViolationError, match="only 1 of 1 chunks"):
        committee.servers[1].open(committee.shared_totals(), ScriptedEntropy())
    with pytest.raises(ProtocolViolationError, match="the next is what its servers turned"):
        committee.servers[1].fold(2, bodies)


def test_a_run_is_opened_once_and_asked_again_gives_the_same_bytes() -> None:
    committee = small()
    committee.fold()
    totals = committee.shared_totals()
    for index, each in enumerate(committee.servers):
        bodies = totals if index else {}
        first = each.open(bodies, ScriptedEntropy("first"))
        assert each.open(bodies, ScriptedEntropy("second")) == first
    one = committee.servers[1]
    with pytest.raises(RefusedError, match="opened before, with other totals"):
        one.open(totals | {"school": totals["social"]}, ScriptedEntropy())


def test_what_was_turned_is_refused_when_it_was_changed_or_is_of_another_chunk() -> None:
    study = study_of("three departments")
    committee = Committee.of(study, random_columns(study, 10))
    bodies = committee.shared(1)
    turned = [each.fold(1, bodies if i else {}) for i, each in enumerate(committee.servers)]
    spoiled = bytearray(turned[2])
    spoiled[3] ^= 4
    with pytest.raises(ProtocolViolationError, match="do not open"):
        committee.servers[1].cross(1, bytes(spoiled))
    with pytest.raises(ProtocolViolationError, match="another length"):
        committee.servers[0].cross(1, turned[1] + b"\0")
    with pytest.raises(ProtocolViolationError, match="nothing is to be turned for chunk 2"):
        committee.servers[0].cross(2, turned[1])
    for _ in range(2):
        committee.servers[0].cross(1, turned[1])


def test_a_study_without_derived_columns_turns_nothing() -> None:
    committee = small()
    assert committee.servers[1].fold(1, committee.shared(1)) is None
    with pytest.raises(ProtocolViolationError, match="nothing is to be turned"):
        committee.servers[1].cross(1, b"")


def test_nothing_is_left_after_erasing() -> None:
    committee = small()
    committee.fold()
    parts = committee.parts()
    for index, each in enumerate(committee.servers):
        assert each.erase() == 1
        assert not each._held
        assert not each._cells.any()
        with pytest.raises(RefusedError, match="erased"):
            each.open({}, ScriptedEntropy())
        with pytest.raises(RefusedError, match="erased"):
            each.fold(1, {})
        assert parts[index]


def test_the_vector_takes_three_parts_of_the_right_length() -> None:
    committee = small()
    committee.fold()
    parts = committee.parts()
    with pytest.raises(ProtocolViolationError, match="three servers"):
        server.units(committee.study, parts[:2])
    with pytest.raises(ProtocolViolationError, match="another length"):
        server.units(committee.study, [*parts[:2], parts[2][:-1]])


def test_a_server_that_sends_garbage_spoils_the_counts_and_is_found_out() -> None:
    committee = small()
    committee.fold()
    parts = committee.parts()
    garbage = ScriptedEntropy("garbage").token(len(parts[1]))
    units = server.units(committee.study, [parts[0], garbage, parts[2]])
    with pytest.raises(ProtocolViolationError, match="no counts of residents"):
        tables.opened(committee.study, units, residents=30)


def test_a_box_with_too_little_in_it_is_refused() -> None:
    with pytest.raises(ProtocolViolationError, match="another length"):
        Held.in_box(bytes(63), index=1)
    with pytest.raises(ProtocolViolationError, match="another length"):
        Held.in_box(bytes(20), index=2)
    with pytest.raises(ProtocolViolationError, match="no server 3"):
        Pairs.at_member(
            3, given=Seed(bytes(32)), secret=bytes(32), names=("a", "b"), study="0" * 64, run=2
        )


def test_a_server_asked_for_a_share_that_it_does_not_hold_says_so() -> None:
    committee = small()
    held = committee.servers[1]._held["school"]
    stretch = committee.servers[1]._stretch("share", "school", 1, size=60)
    with pytest.raises(ProtocolViolationError, match="no seed of share 0"):
        held.share(0, stretch, body=None, bound=committee.servers[1]._bound)


def test_the_coordinator_has_no_key_for_what_the_members_send_each_other() -> None:
    with pytest.raises(ProtocolViolationError, match="no key with the other member"):
        _ = small().servers[0]._turned_key


def test_a_match_adds_up_the_cells_that_it_selects() -> None:
    study = linked_study([SCHOOL, YEAR, *CARE], [MATCHED], privacy=PRIVATE)
    known = random_columns(study, 500)
    found = run_in_process(study, known) - noise_of(study, 0, 1, 2)
    wanted = in_the_clear(study, known)
    assert wanted.size == 4
    np.testing.assert_array_equal(found[:4] >> plan(study).noise.bits, wanted)
