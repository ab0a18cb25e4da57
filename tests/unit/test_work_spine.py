"""A department's records on the spine, against a slow reading of the same people."""

from dataclasses import replace
from pathlib import Path

import linked_city
import numpy as np
import pytest
from linked_kinds import KINDS, study_of
from linked_nodes import People, clear, keyed, write
from linked_oracle import codes
from linked_studies import PRIVATE, category, linked_study, own, table

from models.errors import DataContractError
from models.governance.linked import LinkedStudy
from models.linkage.coding import NONE
from models.linkage.plan import plan
from models.replicated.mixing import SpineKey
from node.shelf import Shelf
from node.vault.register import register
from node.work.spine import _Coded, _coded, _Spine

KEY = SpineKey(b"k" * 32)


def household(unit: str, rows: int) -> LinkedStudy:
    """Give a study of pupils by what their household, and they themselves, have."""
    terms = replace(PRIVATE, unit=unit, rows_per_household=rows)
    help_ = (own("help", "social", of="household", absent=True), category("help", "no", "yes"))
    pupil = [(own(name, "school"), category(name, "a", "b", "c")) for name in ("eligible", "year")]
    return linked_study(
        [*pupil, help_, (own("work", "labour", absent=True), category("work", "x", "y"))],
        [table("t", "eligible", "year", "help", "work")],
        privacy=terms,
    )


STUDIES = [keyed(study_of(kind)) for kind in KINDS]
STUDIES += [keyed(household(unit, rows)) for unit in ("resident", "household") for rows in (1, 2)]


def coded(
    folder: Path, study: LinkedStudy, people: People, *, department: str
) -> tuple[_Coded, list[str]]:
    """Give what a department would share, and the ids in the order of the spine."""
    write(folder, study, people, department=department)
    shelf = Shelf(folder)
    snapshot = register(shelf.register())
    spine = _Spine.of(study, snapshot, key=KEY)
    found = _coded(
        study,
        department=department,
        datasets=shelf.datasets(),
        register=snapshot,
        spine=spine,
    )
    return found, [snapshot.ids[place] for place in spine.order]


@pytest.mark.parametrize("study", STUDIES)
def test_the_codes_are_those_of_a_reading_row_by_row(tmp_path: Path, study: LinkedStudy) -> None:
    people = People.invented(study, seed=3)
    hidden = dict(zip(people.ids, people.hidden, strict=True))
    for department in study.departments:
        found, order = coded(tmp_path / department, study, people, department=department)
        records, households = clear(study, people, order)
        expected = codes(study, records, households)
        shown = np.array([not hidden[each] for each in order])
        for item in study.variables:
            if item.department == department:
                assert found.codes[item.name].dtype == np.int16
                assert found.codes[item.name][shown].tolist() == expected[item.name]
                assert set(found.codes[item.name][~shown].tolist()) <= {NONE}


@pytest.mark.parametrize("study", STUDIES)
def test_the_columns_are_those_of_the_codes(tmp_path: Path, study: LinkedStudy) -> None:
    """Crossed and stacked groups, in two chunks."""
    people, layout = People.invented(study, seed=4), plan(study).layout
    for department in study.departments:
        found, order = coded(tmp_path / department, study, people, department=department)
        slow = dict.fromkeys((item.name for item in study.variables), np.full(len(order), NONE))
        whole = linked_city.columns(study, slow | found.codes)[department]
        parts = [
            found.columns(layout, department=department, rows=slice(start, min(start + 90, 150)))
            for start in (0, 90)
        ]
        assert np.array_equal(np.concatenate(parts), whole)
        assert whole.any()


def test_who_is_left_out_is_counted_once(tmp_path: Path) -> None:
    study = STUDIES[0]
    people = People.invented(study)
    known = {each for item in study.variables for each in people.codes[item.name]}
    found, _ = coded(tmp_path, study, people, department="school")
    mine = [item.name for item in study.variables if item.department == "school"]
    known = {each for name in mine for each in people.codes[name]}
    hidden = {each for each, gone in zip(people.ids, people.hidden, strict=True) if gone}
    assert found.unlinked == len(known - set(people.ids)) > 0
    assert found.protected == len(known & hidden) > 0


def test_of_a_household_the_protected_are_counted_together(tmp_path: Path) -> None:
    study = keyed(household("household", 1))
    people = People.invented(study)
    people.homes[:4], people.hidden[:4] = ["h0"] * 4, [True] * 4
    people.codes["eligible"].update(dict.fromkeys(people.ids[:4], 1))
    people.codes["year"].update(dict.fromkeys(people.ids[:4], 1))
    found, _ = coded(tmp_path, study, people, department="school")
    gone = {
        home or each
        for each, home, hidden in zip(people.ids, people.homes, people.hidden, strict=True)
        if hidden and each in people.codes["eligible"]
    }
    assert found.protected == len(gone)


def test_protected_residents_are_included_where_the_study_says_so(tmp_path: Path) -> None:
    study = STUDIES[0]
    study = replace(study, register=replace(study.register, protected="include"))
    people = People.invented(study)
    found, order = coded(tmp_path, study, people, department="school")
    assert found.protected == 0
    expected = [people.codes["eligible"].get(each, NONE) for each in order]
    assert found.codes["eligible"].tolist() == expected


# --- the order and the digest ---


def spine(folder: Path, study: LinkedStudy, people: People, *, key: SpineKey = KEY) -> _Spine:
    write(folder, study, people, department="school")
    return _Spine.of(study, register(Shelf(folder).register()), key=key)


def test_the_order_follows_from_the_ids_and_the_secret_alone(tmp_path: Path) -> None:
    people = People.invented(STUDIES[0])
    first = spine(tmp_path, STUDIES[0], people)
    turned = replace(
        people, ids=people.ids[::-1], homes=people.homes[::-1], hidden=people.hidden[::-1]
    )
    again = spine(tmp_path, STUDIES[0], turned)
    other = spine(tmp_path, STUDIES[0], people, key=SpineKey(b"l" * 32))
    assert first.order.tolist() == again.order.tolist()
    assert first.digest == again.digest
    assert first.order.tolist() != other.order.tolist()
    assert first.digest != other.digest
    assert first.order.tolist() != sorted(first.order.tolist())


@pytest.mark.parametrize("part", ["a resident", "a home", "a mark", "a row less"])
def test_a_register_that_differs_by_one_row_has_another_digest(tmp_path: Path, part: str) -> None:
    study = STUDIES[-1]  # of households
    people = People.invented(study)
    before = spine(tmp_path, study, people).digest
    if part == "a resident":
        people.ids[7] = "r99999"
    elif part == "a home":
        people.homes[7] = "another"
    elif part == "a mark":
        people.hidden[7] = not people.hidden[7]
    else:
        people.ids.pop(), people.homes.pop(), people.hidden.pop()
    assert spine(tmp_path, study, people).digest != before


def test_what_a_study_does_not_use_of_the_register_may_differ(tmp_path: Path) -> None:
    study = STUDIES[0]
    study = replace(study, register=replace(study.register, protected="include"))
    people = People.invented(study)
    before = spine(tmp_path, study, people).digest
    people.homes[7], people.hidden[7] = "another", not people.hidden[7]
    assert spine(tmp_path, study, people).digest == before


# --- bad records ---


def test_two_records_of_a_resident_are_refused_by_their_rows(tmp_path: Path) -> None:
    study, people = STUDIES[0], People.invented(STUDIES[0])
    write(tmp_path, study, people, department="school")
    name = tmp_path / "school_table.csv"
    lines = name.read_text(encoding="utf-8").splitlines()
    number = next(n for n, line in enumerate(lines) if line.startswith("r0"))
    name.write_text("\n".join([*lines, lines[number]]) + "\n", encoding="utf-8")
    shelf = Shelf(tmp_path)
    snapshot = register(shelf.register())
    with pytest.raises(DataContractError) as caught:
        _coded(
            study,
            department="school",
            datasets=shelf.datasets(),
            register=snapshot,
            spine=_Spine.of(study, snapshot, key=KEY),
        )
    said = caught.value.message
    assert f"school_table has two records of one resident: {name}, row {number}" in said
    assert said.endswith(f"row {len(lines)}")
    assert lines[number].partition(",")[0] not in said


def test_two_records_of_a_stranger_are_one_stranger(tmp_path: Path) -> None:
    study, people = STUDIES[0], People.invented(STUDIES[0])
    found, _ = coded(tmp_path, study, people, department="school")
    name = tmp_path / "school_table.csv"
    with name.open("a", encoding="utf-8") as file:
        file.write("x0,no,first\n")
    shelf = Shelf(tmp_path)
    snapshot = register(shelf.register())
    again = _coded(
        study,
        department="school",
        datasets=shelf.datasets(),
        register=snapshot,
        spine=_Spine.of(study, snapshot, key=KEY),
    )
    assert again.unlinked == found.unlinked
