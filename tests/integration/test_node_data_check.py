"""`datalabbet-node data check` over a folder: what it prints, and how it ends."""

import json

import pytest
from declared import CSV, GOOD, HEADING, text
from fleets import node_command

from node import home as homes


@pytest.fixture
def home(tmp_path):
    homes.create(tmp_path / "home")
    return tmp_path / "home"


def declare(home, name, rows):
    """Declare a dataset; without rows there is no file."""
    folder = home / "datasets"
    content = text(CSV.replace("data.csv", f"{name}.csv")).replace("people", name)
    (folder / f"{name}.yaml").write_text(content, encoding="utf-8")
    if rows is not None:
        (folder / f"{name}.csv").write_text(HEADING + rows, encoding="utf-8")


def test_notes_alone_are_no_failure(home):
    declare(home, "people", GOOD.replace("låg", "LÅG"))
    done = node_command(home, "data", "check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "people: 1 rows read, 1 usable, 1 residents",
        f"  {home / 'datasets' / 'people.csv'}",
        "    note, column school: spelled otherwise than the declared category: 1 (1)",
        "    note, column school: a category with fewer than 5 residents: 1 (låg)",
        "    note, column moved: a category with fewer than 5 residents: 1 (true)",
    ]


def test_one_dataset_that_cannot_be_read_hides_no_other(home):
    declare(home, "absent", None)
    declare(home, "broken", GOOD + GOOD.replace("30", "x") * 3)
    declare(home, "clean", GOOD)
    done = node_command(home, "data", "check", "--output", "json", "--limit", "2")
    assert done.returncode == 1
    assert "left out of every study" in done.stderr
    absent, broken, clean = json.loads(done.stdout)["datasets"]
    assert absent["dataset"] == "absent"
    assert not absent["clean"]
    assert absent["error"]["code"] == "DATA_CONTRACT"
    assert "absent.csv: cannot be read" in absent["error"]["message"]
    assert [v["row"] for v in broken["violations"]] == [2, 3]
    assert [t["rows"] for t in broken["totals"]] == [3]
    assert (clean["dataset"], clean["clean"], clean["usable"]) == ("clean", True, 1)
    lines = node_command(home, "data", "check", "--limit", "0").stdout.splitlines()
    assert lines[0].startswith("absent: cannot be read: ")
    assert "    column age: not a number: 3 rows" in lines
