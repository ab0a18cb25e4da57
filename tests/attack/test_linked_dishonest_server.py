"""What a server can do that sends something else than it should: where that is harmless, and where
it is not (`models.replicated.server` states both)."""

import numpy as np
import pytest
from linked_city import Committee, columns, in_the_clear, noise_of
from linked_kinds import study_of

from models.governance.linked import LinkedStudy
from models.linkage.plan import plan
from models.replicated import sealing, server
from models.replicated.sharing import Stretch

TARGET, RESIDENTS = 5, 40
SHIFT = 1 << 12


def city(study: LinkedStudy, *, client: bool) -> Committee:
    """Give a city in which the target is in category 0 of labour's variable, or has no record."""
    generator = np.random.default_rng(3)
    codes = {item.name: generator.integers(0, 2, RESIDENTS) for item in study.variables}
    codes[study.variables[-1].name][TARGET] = 0 if client else 1
    return Committee.of(study, columns(study, codes))


def fold(committee: Committee) -> dict[str, bytes]:
    """Let two servers do what they should, and server 2 turn something else for server 1."""
    bodies = committee.shared(1)
    turned = [each.fold(1, bodies if i else {}) for i, each in enumerate(committee.servers)]
    key = committee.servers[2]._turned_key
    words = np.frombuffer(
        sealing.open_(key, nonce=1, aad=b"", data=turned[2]), dtype=plan(committee.study).ring.dtype
    ).copy()
    words.reshape(RESIDENTS, -1)[TARGET, 0] += SHIFT
    spoiled = sealing.seal(key, nonce=1, aad=b"", data=words.tobytes())
    committee.servers[1].cross(1, spoiled)
    committee.servers[0].cross(1, turned[1])
    committee.servers[2].cross(1, turned[0])
    return bodies


@pytest.mark.parametrize("client", [False, True])
def test_in_a_table_of_three_departments_a_dishonest_server_can_single_somebody_out(
    client: bool,
) -> None:
    study = study_of("three departments")
    committee = city(study, client=client)
    bodies = fold(committee)
    noise, ring = plan(study).noise, plan(study).ring
    target = plan(study).layout.targets[0]
    third = plan(study).layout.groups[target.right]
    two = committee.servers[2]
    stretch = Stretch(
        kind="share", department=third.department, chunk=1, ring=ring, size=RESIDENTS * third.width
    )
    own = [
        two._held[third.department]
        .share(place, stretch, body=bodies[third.department], bound=two._bound)
        .reshape(RESIDENTS, -1)[TARGET, 0]
        for place in (2, 0)
    ]
    opened = committee.opened()[: target.cells] - (
        in_the_clear(study, committee.columns) << noise.bits
    )
    known = (SHIFT * (int(own[0]) + int(own[1]))) << noise.bits
    found = (int(opened[0]) + known) % 2**ring
    assert found == (SHIFT << noise.bits if client else 0)


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("client", [False, True])
def test_in_a_table_of_two_departments_its_error_is_the_same_whatever_the_records_are(
    index: int, client: bool
) -> None:
    study = study_of("household")
    generator = np.random.default_rng(5)
    codes = {item.name: generator.integers(0, 2, RESIDENTS) for item in study.variables}
    codes["help"][TARGET] = int(client)
    committee = Committee.of(study, columns(study, codes))
    committee.fold()
    ring, noise = plan(study).ring, plan(study).noise
    parts = committee.parts()
    wrong = np.frombuffer(parts[index], dtype=ring.dtype) + np.arange(
        noise.length, dtype=ring.dtype
    )
    parts[index] = wrong.astype(ring.dtype).tobytes()
    wanted = np.append(
        in_the_clear(study, committee.columns) << noise.bits,
        np.zeros(noise.length - plan(study).layout.cells, dtype=np.int64),
    )
    found = server.units(study, parts) - noise_of(study, 0, 1, 2) - wanted
    np.testing.assert_array_equal(found, np.arange(noise.length))
