"""The demo's own parts: what it needs, the city it deals out, the folder it works in."""

import os
from pathlib import Path

import pytest

from demo import cli, pupils, showcase, town
from models.errors import ConfigurationError, UsageError


def test_what_is_not_installed_is_named_with_its_remedy() -> None:
    cli.require(cli.PARTS)
    with pytest.raises(ConfigurationError, match="no_such_module") as caught:
        cli.require(("json", "no_such_module"))
    assert "pip install" in caught.value.hint


def test_every_pupil_is_in_one_school_area_and_nobody_else_is() -> None:
    made = town.build(seed=3, residents=5_000)
    parts = [town.area_tables(made.tables, area) for area in town.AREAS.values()]
    for name in ("skf_elev", "skf_franvaro", "skf_betyg", "skf_slutbetyg", "skf_stod"):
        assert sum(len(part[name]) for part in parts) == len(made.tables[name])
    everybody = [set(part["skf_elev"].pnr) for part in parts]
    assert sum(map(len, everybody)) == len(set.union(*everybody)) == len(made.city.schools.person)


def test_the_analysis_table_says_what_the_city_was_planted_with() -> None:
    made = town.build(seed=3, residents=5_000)
    table = pupils.pupils(made)
    schools = made.city.schools
    assert len(table) == len(schools.person)
    assert table["franvaro_procent"].to_numpy() == pytest.approx(table["absent"].to_numpy())
    assert table["behorig_yrkes"].sum() == schools.eligible.sum()
    assert table["probability"].sum() == pytest.approx(schools.eligible_probability.sum())


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
