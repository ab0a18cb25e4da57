"""What three servers open is what the study asks for, for random cities and every kind of table."""

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linked_city import Committee, columns, in_the_clear, noise_of
from linked_kinds import KINDS, study_of
from linked_oracle import codes, vector
from linked_studies import OPEN

from models.governance.linked import LinkedPrivacy, LinkedStudy
from models.governance.study import Protection
from models.linkage.coding import coding
from models.linkage.plan import plan
from models.quantities import Delta, Epsilon
from models.secagg.rings import Ring

# Little noise in fine units: with many residents the counts need the wide ring.
FINE = LinkedPrivacy(
    protection=Protection.SECURE_SUM, unit="household", epsilon=Epsilon(50.0), delta=Delta(1e-6)
)
STUDIES = {
    (kind, name): study_of(kind, privacy=privacy, residents=residents)
    for kind in KINDS
    for name, privacy, residents in (
        ("open", OPEN, 1000),
        ("narrow", FINE, 1000),
        ("wide", FINE, 20_000_000),
    )
}


def test_both_rings_are_tried() -> None:
    found = {(name, plan(study).ring) for (_, name), study in STUDIES.items()}
    narrow, wide = Ring.BITS_32, Ring.BITS_64
    assert found == {("open", narrow), ("narrow", narrow), ("wide", wide)}


@st.composite
def cities(
    draw: st.DrawFn, study: LinkedStudy
) -> tuple[Mapping[str, Mapping[int, int]], list[int]]:
    """Give records and households of a few residents."""
    size = draw(st.integers(1, 12))
    households = sorted(draw(st.lists(st.integers(0, 5), min_size=size, max_size=size)))
    records = {}
    for item in study.variables:
        width = coding(study, item.name).width - item.absent
        value = st.one_of(st.none(), st.integers(0, width - 1))
        rows = draw(st.lists(value, min_size=size, max_size=size))
        records[item.name] = {place: row for place, row in enumerate(rows) if row is not None}
    return records, households


@pytest.mark.parametrize(("kind", "name"), STUDIES, ids=lambda text: text.replace(" ", "-"))
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_the_opened_tables_are_those_of_a_slow_count_over_the_records(
    kind: str, name: str, data: st.DataObject
) -> None:
    study = STUDIES[kind, name]
    records, households = data.draw(cities(study))
    known = columns(study, codes(study, records, households))
    totals = {each: (place, 7 - place) for place, each in enumerate(study.departments)}
    committee = Committee.of(study, known, totals=totals)
    committee.fold()
    found = committee.opened() - noise_of(study, 0, 1, 2)
    noise, wanted = plan(study).noise, vector(study, records, households)
    np.testing.assert_array_equal(found[: wanted.size], wanted << noise.bits)
    np.testing.assert_array_equal(in_the_clear(study, known), wanted)
    rest = [4 * value for pair in totals.values() for value in pair]
    np.testing.assert_array_equal(found[wanted.size :] << 4 >> noise.bits, rest)
