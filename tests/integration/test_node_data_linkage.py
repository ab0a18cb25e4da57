"""`datalabbet-node data linkage` over a folder: what it prints, and how it ends."""

import json

import pytest
from fleets import node_command
from linkages import case, folder, person, resident

from node import home as homes

PEOPLE = [person(place) for place in range(300)]
WRONG = PEOPLE[7][:-1] + str((int(PEOPLE[7][-1]) + 1) % 10)


@pytest.fixture
def home(tmp_path):
    home = tmp_path / "home"
    assert node_command(home, "init", "--mode", "demo").returncode == 0
    assert homes.open_home(home).datasets.is_dir()
    return home


def fill(home, *, register=None):
    cases = [case(pnr) for pnr in PEOPLE for _ in range(2)]
    own = [resident(pnr) for pnr in PEOPLE]
    cases += [case(WRONG, of=PEOPLE[7]), case("TF0000000001", of=PEOPLE[0])]
    folder(home / "datasets", register=register or own, cases=cases)


def test_the_report_is_a_table_of_counts(home):
    fill(home)
    done = node_command(home, "data", "linkage")
    assert (done.returncode, done.stderr) == (0, "")
    head, *lines, register = done.stdout.splitlines()
    assert head.split() == ["cases", "pnr", "partner"]
    assert [tuple(line.rsplit(maxsplit=2)) for line in lines[:-1]] == [
        ("rows", "602", "602"),
        ("the number is in the register", "600", "0"),
        ("the table of aliases gives the number", "0", "0"),
        ("one slip away, and nobody else comes into question", "1", "0"),
        ("one slip away from somebody, but not surely", "0", "0"),
        ("a number without a fault that is not in the register", "0", "0"),
        ("no number that could be read or compared", "1", "0"),
        ("no id, or one that this node does not take", "0", "602"),
        ("residents", "300", "0"),
        ("rows of protected residents", "0", "0"),
    ]
    assert lines[-1].startswith("expected to be wrong")
    assert register == "register: register of 2024-12-31, 300 residents"


def test_the_report_as_json_holds_no_value_of_a_record(home):
    fill(home)
    done = node_command(home, "data", "linkage", "cases", "--output", "json")
    assert done.returncode == 0
    (report,) = json.loads(done.stdout)["datasets"]
    own, partner = report["columns"]
    assert own["ways"] == {
        "exact": 600,
        "alias": 0,
        "compared": 1,
        "ambiguous": 0,
        "absent": 0,
        "unknown": 1,
    }
    assert (own["rows"], own["residents"], own["protected"]) == (602, 300, 0)
    assert partner["empty"] == 602
    assert report["register_residents"] == 300
    assert not [pnr for pnr in (*PEOPLE, WRONG, "TF0") if pnr in done.stdout]


def test_a_register_with_a_fault_is_told_by_its_row(home):
    fill(home, register=[resident(PEOPLE[0]), resident(PEOPLE[0])])
    done = node_command(home, "data", "linkage", "--output", "json")
    assert done.returncode == 1
    (report,) = json.loads(done.stdout)["datasets"]
    assert "row 1 and " in report["error"]["message"]
    assert PEOPLE[0] not in done.stdout + done.stderr


def test_a_folder_without_a_linkage_says_what_to_do(home):
    fill(home)
    (home / "datasets" / "cases.yaml").unlink()
    (home / "datasets" / "per_resident.yaml").unlink()
    done = node_command(home, "data", "linkage")
    assert done.returncode == 4
    assert "linkage: {}" in done.stderr


def test_without_a_register_nothing_can_be_linked(home):
    fill(home)
    (home / "datasets" / "register.yaml").unlink()
    done = node_command(home, "data", "linkage")
    assert done.returncode == 1
    assert "no other dataset in its folder that is a register" in done.stdout
