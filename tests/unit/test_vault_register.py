"""The register snapshot: what it gives, and that nothing wrong in it is read over."""

import datetime as dt

import numpy as np
import pytest
from linkages import REGISTER, case, folder, person, resident

from models.errors import DataContractError
from node.vault.register import NO_HOUSEHOLD, register

A, B, C = sorted(person(place) for place in range(3))


def read(tmp_path, lines, **bodies):
    return register(folder(tmp_path, register=lines, bodies=bodies)["register"])


def refused(tmp_path, lines):
    with pytest.raises(DataContractError) as caught:
        read(tmp_path, lines)
    assert str(tmp_path / "register.csv") in caught.value.message
    assert not [pnr for pnr in (A, B, C) if pnr in str(caught.value)]
    return caught.value.message.replace(str(tmp_path / "register.csv"), "FILE")


def test_residents_are_in_the_order_of_their_numbers_however_these_are_written(tmp_path):
    short = f"{C[2:8]}-{C[8:]}"
    found = read(tmp_path, [resident(C).replace(C, short, 1), resident(A), resident(f" {B}")])
    assert found.ids.tolist() == [A, B, C]
    assert found.date == dt.date(2024, 12, 31)


def test_those_of_one_household_share_a_number(tmp_path):
    lines = [resident(A, home="X"), resident(B, home="Y"), resident(C, home="X")]
    assert read(tmp_path, lines).households.tolist() == [0, 1, 0]


def test_a_resident_without_a_household_shares_none(tmp_path):
    lines = [resident(A, home=""), resident(B, home="Y"), resident(C, home="")]
    assert read(tmp_path, lines).households.tolist() == [NO_HOUSEHOLD, 0, NO_HOUSEHOLD]


def test_who_may_be_protected_counts_as_protected(tmp_path):
    lines = [resident(A, hidden="1"), resident(B, hidden="0"), resident(C, hidden="")]
    assert read(tmp_path, lines).protected.tolist() == [True, False, True]


def test_household_and_protection_are_none_where_they_are_not_declared(tmp_path):
    plain = REGISTER.replace(", household: home, protected: hidden", "")
    found = read(tmp_path, [resident(A), resident(B)], register=plain)
    assert found.households is None
    assert found.protected is None


def test_values_to_compare_are_texts_and_none_where_they_break_the_declaration(tmp_path):
    found = read(tmp_path, [resident(A), f"{B},H1,0,X,1700", resident(C)])
    men = [int(pnr[10]) % 2 for pnr in (A, C)]
    sexes = ["M" if man else "K" for man in men]
    assert found.columns["sex"].tolist() == [sexes[0], None, sexes[1]]
    assert found.columns["born"].tolist() == [A[:4], None, C[:4]]


def test_two_rows_for_one_resident_are_refused_by_their_rows(tmp_path):
    said = refused(tmp_path, [resident(A), resident(B), resident(C), resident(B, home="Z")])
    assert said == "FILE, row 2 and FILE, row 4: column pnr names the same resident twice"


def test_the_same_row_twice_is_refused_too(tmp_path):
    assert "row 1 and FILE, row 2" in refused(tmp_path, [resident(A), resident(A)])


def test_one_wrong_number_stops_the_reading(tmp_path):
    wrong = B[:-1] + str((int(B[-1]) + 1) % 10)
    said = refused(tmp_path, [resident(A), resident(B).replace(B, wrong, 1)])
    assert said == "FILE, column pnr, row 2: has a wrong check digit"


def test_a_temporary_number_stops_the_reading(tmp_path):
    assert "row 1: is a temporary number" in refused(tmp_path, ["TF0000000001,H1,0,K,1980"])


def test_a_torn_row_stops_the_reading(tmp_path):
    assert "FILE, row 2: the row has more or fewer cells" in refused(
        tmp_path, [resident(A), f"{B},H1"]
    )


def test_a_missing_household_without_meaning_stops_the_reading(tmp_path):
    strict = REGISTER.replace(",\n       missing_meaning: {sv: ingen, en: none}", "", 1)
    assert strict != REGISTER
    with pytest.raises(DataContractError, match="column home, row 1: missing, and the declar"):
        read(tmp_path, [resident(A, home="")], register=strict)


def test_a_file_without_the_declared_column_is_refused(tmp_path):
    data = folder(tmp_path, register=[resident(A)])["register"]
    path = tmp_path / "register.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("home", "house"), encoding="utf-8")
    with pytest.raises(DataContractError, match="no column has the heading home"):
        register(data)


def test_what_is_no_register_is_not_read_as_one(tmp_path):
    data = folder(tmp_path, register=[resident(A)], cases=[case(A)])["cases"]
    with pytest.raises(DataContractError, match="is not declared as a register"):
        register(data)


def test_the_size_of_the_stretches_does_not_matter(tmp_path):
    lines = [resident(person(place), home=f"H{place // 3}") for place in range(50)]
    data = folder(tmp_path, register=lines)["register"]
    one, other = register(data), register(data, batch_rows=7)
    assert one.ids.tolist() == other.ids.tolist()
    assert np.array_equal(one.households, other.households)
    twice = folder(tmp_path, register=[*lines, lines[30]])["register"]
    with pytest.raises(DataContractError, match=r"row 31 and .*, row 51"):
        register(twice, batch_rows=7)
