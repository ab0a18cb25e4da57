"""What one of the three servers sees is uniform and says nothing of the records; two see them all.

The view of a server: two shares of every column and of every derived column, the sealed octets that
it carries, and at the coordinator the parts that the members open.
"""

import math

import numpy as np
import pytest
from fits import CLEARLY_WRONG, PLAUSIBLE, fits_rate
from linked_city import Committee, columns
from linked_kinds import study_of
from linked_studies import integer, linked_study, own, table
from scipy import stats

from models.linkage.plan import plan
from models.replicated import sealing
from models.replicated.sharing import Stretch
from models.secagg.rings import Words

RESIDENTS, PLANTED = 20_000, 4711
CLIENTS = np.random.default_rng(8).random(RESIDENTS) < 0.3
STUDY = study_of("three departments")
RING = plan(STUDY).ring
DERIVED = "derived"


def coded(*, planted: bool) -> dict[str, np.ndarray]:
    """Give columns of zeros, or those of clients, among whom one resident alone is in category 1.

    Everybody else who is a client is in category 0.
    """
    found = {}
    for name in STUDY.departments:
        part = np.zeros((RESIDENTS, plan(STUDY).layout.columns(name)), dtype=np.uint8)
        if planted:
            part[:, 0] = CLIENTS
            part[PLANTED] = 0
            part[PLANTED, 1] = 1
        found[name] = part
    return found


def run(*, planted: bool) -> Committee:
    committee = Committee.of(STUDY, coded(planted=planted))
    committee.fold()
    return committee


@pytest.fixture(scope="module")
def clients() -> Committee:
    return run(planted=True)


@pytest.fixture(scope="module")
def nobody() -> Committee:
    return run(planted=False)


def shares(
    committee: Committee, index: int, *, residents: int = RESIDENTS
) -> dict[str, list[Words]]:
    """Give the two shares that a server computes with, by department, and of derived columns."""
    found = {}
    for name in STUDY.departments:
        width = plan(STUDY).layout.columns(name)
        stretch = Stretch(kind="share", department=name, chunk=1, ring=RING, size=residents * width)
        body, server = committee.bodies[name, 1], committee.servers[index]
        found[name] = [
            server._held[name]
            .share(place, stretch, body=body, bound=server._bound)
            .reshape(residents, width)
            for place in (index, (index + 1) % 3)
        ]
    sent, received = committee.turned[(index + 2) % 3, 1], committee.turned[index, 1]
    if index == 2:
        sent = unsealed(committee, sent)
    if index == 1:
        received = unsealed(committee, received)
    found[DERIVED] = [
        np.frombuffer(each, dtype=RING.dtype).reshape(residents, -1) for each in (sent, received)
    ]
    return found


def unsealed(committee: Committee, turned: bytes) -> bytearray:
    return sealing.open_(committee.servers[1]._turned_key, nonce=1, aad=b"", data=turned)


def everything(committee: Committee, index: int) -> dict[str, Words]:
    """Give all that a server has, by name, with a row for each resident."""
    found = {
        f"{name}, {place}": part
        for name, both in shares(committee, index).items()
        for place, part in enumerate(both)
    }
    if index == 0:
        carried = {name: committee.bodies[name, 1] for name in STUDY.departments}
        carried["what server 2 sends to server 1"] = committee.turned[1, 1]
        for name, octets in carried.items():
            words = np.frombuffer(octets[: -sealing.TAG], dtype=RING.dtype)
            found[f"sealed: {name}"] = words.reshape(RESIDENTS, -1)
    return found


def uniform(words: Words) -> float:
    """Give the least p-value, times their number, that any octet of the elements is uniform."""
    octets = words.reshape(-1).view(np.uint8).reshape(-1, words.itemsize)
    found = [stats.chisquare(np.bincount(part, minlength=256)).pvalue for part in octets.T]
    return float(min(found) * len(found))


def correlated(words: Words) -> float:
    """Give the largest correlation of any column, or any of its lowest bits, with who is a client.

    In standard deviations of that of independent columns.
    """
    parts = [words.astype(np.float64), *((words >> bit & 1).astype(np.float64) for bit in range(8))]
    varied = [column for part in parts for column in part.T if column.std() > 0]
    found = [abs(np.corrcoef(column, CLIENTS)[0, 1]) for column in varied]
    return float(max(found) * math.sqrt(RESIDENTS))


def pooled(committee: Committee, *, residents: int = RESIDENTS) -> dict[str, Words]:
    """Give what servers 0 and 1 have together: all three shares, added up."""
    one = shares(committee, 0, residents=residents)
    other = shares(committee, 1, residents=residents)
    return {name: one[name][0] + one[name][1] + other[name][1] for name in one}


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize("planted", [False, True])
def test_what_one_server_sees_is_uniform_whatever_the_records_are(
    index: int, planted: bool, nobody: Committee, clients: Committee
) -> None:
    seen = everything(clients if planted else nobody, index)
    assert len(seen) == (12 if index == 0 else 8)
    for name, words in seen.items():
        assert uniform(words) > PLAUSIBLE, name
    for name, (one, other) in shares(clients if planted else nobody, index).items():
        assert uniform(one + other) > PLAUSIBLE, name


@pytest.mark.parametrize("index", range(3))
def test_what_one_server_sees_goes_with_no_column(index: int, clients: Committee) -> None:
    for name, words in everything(clients, index).items():
        assert correlated(words) < 5.5, name
    for name, (one, other) in shares(clients, index).items():
        assert correlated(one + other) < 5.5, name


def test_what_the_coordinator_computes_from_seeds_is_the_same_whatever_the_records_are(
    nobody: Committee, clients: Committee
) -> None:
    before, after = shares(nobody, 0), shares(clients, 0)
    for name in STUDY.departments:
        for one, other in zip(before[name], after[name], strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_coordinator_cannot_take_its_seeds_off_the_sealed_shares(clients: Committee) -> None:
    seen = everything(clients, 0)
    for name in STUDY.departments:
        guess = seen[f"{name}, 0"] + seen[f"{name}, 1"] + seen[f"sealed: {name}"]
        assert uniform(guess) > PLAUSIBLE
        assert correlated(guess) < 5.5


def test_two_servers_together_see_every_record(clients: Committee) -> None:
    found = pooled(clients)
    for name, columns_of in clients.columns.items():
        np.testing.assert_array_equal(found[name], columns_of)
        assert np.flatnonzero(found[name][:, 1]).tolist() == [PLANTED]
        assert uniform(found[name]) < CLEARLY_WRONG
        assert correlated(found[name]) > 100
    assert uniform(found[DERIVED]) < CLEARLY_WRONG
    assert found[DERIVED].sum() == CLIENTS.sum() + (0 if CLIENTS[PLANTED] else 1)


def test_the_shares_of_zero_keep_the_coordinator_from_reading_what_server_1_sends(
    clients: Committee,
) -> None:
    """The coordinator tries all that two categories can be, and compares with what was sent."""
    mine, other = shares(clients, 0), shares(clients, 1)
    derived = plan(STUDY).layout.derived[0]
    groups = plan(STUDY).layout.groups
    left, right = groups[derived.left].department, groups[derived.right].department
    sent = mine[DERIVED][1][:, 0]
    a, b = ([part[:, 0] for part in other[name]] for name in (left, right))
    bare = a[0] * (b[0] + b[1]) + a[1] * b[0]

    def fitting(seen: Words) -> np.ndarray:
        """Give for each resident whether it can be seen that there is a 1 in both columns."""
        (a_0, a_1), (b_0, b_1) = ([part[:, 0] for part in mine[name]] for name in (left, right))
        tried = []
        for one in (0, 1):
            a_2, b_2 = one - a_0 - a_1, one - b_0 - b_1
            tried.append(seen == a_1 * (b_1 + b_2) + a_2 * b_1)
        return tried[1] & ~tried[0]

    np.testing.assert_array_equal(fitting(bare), clients.columns[left][:, 0] == 1)
    assert not fitting(sent).any()


@pytest.mark.parametrize("index", range(3))
def test_no_single_server_finds_out_whether_one_resident_is_a_client(index: int) -> None:
    generator = np.random.default_rng(17 + index)
    trials, right, together = 200, 0, 0
    for trial in range(trials):
        client = int(generator.integers(2))
        codes = {item.name: [client, 0, 1] for item in STUDY.variables}
        committee = Committee.of(STUDY, columns(STUDY, codes), script=f"{index}/{trial}")
        committee.fold()
        mine = shares(committee, index, residents=3)["social"]
        right += (int(mine[0][0, 1]) + int(mine[1][0, 1])) % 2 == client
        together += int(pooled(committee, residents=3)["social"][0, 1]) == client
    assert fits_rate(right, trials, 0.5) > PLAUSIBLE
    assert together == trials


def test_what_the_members_open_tells_the_coordinator_nothing_but_the_sum() -> None:
    study = linked_study(
        [
            (own("one", "school"), integer("one", 0, 99)),
            (own("two", "social"), integer("two", 0, 199)),
        ],
        [table("t", "one", "two")],
    )
    codes = {"one": [7] * 40, "two": [9] * 40}
    committee = Committee.of(study, columns(study, codes))
    committee.fold()
    parts = [np.frombuffer(part, dtype=plan(study).ring.dtype) for part in committee.parts()]
    for part in parts[1:]:
        assert uniform(part) > PLAUSIBLE
    assert uniform(parts[1] + parts[2] + parts[0]) < CLEARLY_WRONG
