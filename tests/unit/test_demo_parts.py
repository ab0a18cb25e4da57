"""The demo's own parts: what it needs, the data it deals out, the folder it works in."""

import os
from pathlib import Path

import pytest

from demo import cli, residents, showcase
from models.errors import ConfigurationError, UsageError


def test_what_is_not_installed_is_named_with_its_remedy() -> None:
    cli.require(cli.PARTS)
    with pytest.raises(ConfigurationError, match="no_such_module") as caught:
        cli.require(("json", "no_such_module"))
    assert "pip install" in caught.value.hint


def test_every_person_is_in_one_department_or_in_the_test() -> None:
    data = residents.load()
    people = [set(rows["resident"]) for rows in (*data.departments.values(), data.test)]
    assert sum(map(len, people)) == len(set.union(*people)) == 5245
    assert sum(map(len, (*data.departments.values(), data.test))) == 20_190


def test_an_ended_demo_is_replaced_and_a_running_one_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    showcase.prepare(folder)
    (folder / "old.txt").touch()
    (folder / showcase.MARKER).write_text(str(2**22 + 1))  # no process has such a number
    showcase.prepare(folder)
    assert not (folder / "old.txt").exists()
    (folder / showcase.MARKER).write_text(str(os.getppid()))
    with pytest.raises(UsageError, match="still running"):
        showcase.prepare(folder)
