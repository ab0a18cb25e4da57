"""An effect changes the rows it works on, and no others: not their ids, nor their defects."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from demo.city.delivery.delivery import Delivery, Profile
from demo.city.numbers import Numbers
from demo.city.settings import Effects, Settings
from demo.city.simulate import City, simulate
from demo.city.tables.columns import Identities, identify
from demo.city.tables.tables import written

SETTINGS = Settings(seed=11, residents=9_000)
FEW = Settings(seed=5, residents=2_000)
BLOCKS = 2


@dataclass(frozen=True, kw_only=True)
class Made:
    city: City
    identities: Identities
    tables: dict[str, pd.DataFrame]


def make(settings: Settings, numbers: Numbers | None = None) -> Made:
    city = simulate(settings)
    given = numbers or Numbers(generator=settings.generator("ids"), municipality="A")
    identities = identify(city, given)
    return Made(city=city, identities=identities, tables=written(city, identities))


def with_effects(settings: Settings, **effects: float) -> Settings:
    return replace(settings, effects=Effects(**effects))


@pytest.fixture(scope="module")
def one() -> Made:
    return make(SETTINGS)


@pytest.fixture(scope="module")
def other() -> Made:
    return make(with_effects(SETTINGS, j2=-3.0))


def payments(city: City) -> dict[int, list[tuple[int, ...]]]:
    """The months of assistance of every household that has some."""
    paid = city.assistance
    columns = (paid.month, paid.amount, paid.spell_month, paid.last)
    found: dict[int, list[tuple[int, ...]]] = {}
    for home, *row in zip(paid.household.tolist(), *map(np.ndarray.tolist, columns), strict=True):
        found.setdefault(home, []).append(tuple(row))
    return found


def untouched(one: Made, other: Made) -> tuple[set[str], set[str]]:
    """The numbers of those whose household was paid the same in both cities; of the others."""
    here, there = payments(one.city), payments(other.city)
    homes = range(one.city.population.households.kind.size)
    same = np.array([here.get(home) == there.get(home) for home in homes])
    inside = same[one.city.population.household]
    assert (one.identities.pnr == other.identities.pnr).all()
    return set(one.identities.pnr[inside]), set(one.identities.pnr[~inside])


def rows_of(table: pd.DataFrame, people: set[str]) -> pd.DataFrame:
    column = "sokande_pnr" if "sokande_pnr" in table else "pnr"
    return table[table[column].isin(people)].reset_index(drop=True)


def test_rows_of_households_with_equal_payments_are_equal(one: Made, other: Made) -> None:
    same, touched = untouched(one, other)
    assert len(touched) > 50
    for name, table in one.tables.items():
        mine, theirs = rows_of(table, same), rows_of(other.tables[name], same)
        pd.testing.assert_frame_equal(mine, theirs)
        assert len(mine) > 30, name
    for name in ("sof_utbetalning", "sof_beslut", "amf_insats", "amf_aktivitet"):
        changed = rows_of(one.tables[name], touched)
        assert not changed.equals(rows_of(other.tables[name], touched)), name


def test_what_does_not_depend_on_assistance_is_the_same_table(one: Made, other: Made) -> None:
    for name in ("kir_person", "vof_person", "vof_beslut", "vof_utford", "sof_barn", "skf_elev"):
        pd.testing.assert_frame_equal(one.tables[name], other.tables[name])


def delivered(out: Path, settings: Settings, *, profile: Profile = Profile.DIRTY) -> dict[str, str]:
    """Deliver a city of two blocks; give a digest of every file."""
    delivery = Delivery(out, profile=profile, settings=settings)
    numbers = Numbers(generator=settings.generator("ids"), municipality="A")
    for block in range(BLOCKS):
        delivery.add(make(replace(settings, block=block), numbers).tables)
    delivery.close()
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return delivered(tmp_path_factory.mktemp("dirty"), FEW)


def changed(dirty: dict[str, str], found: dict[str, str]) -> set[str]:
    assert dirty.keys() == found.keys()
    return {name for name in dirty if dirty[name] != found[name]}


def test_defects_of_schools_and_care_do_not_move_with_assistance(
    dirty: dict[str, str], tmp_path: Path
) -> None:
    settings = with_effects(FEW, j2=0.0)
    before = delivered(tmp_path / "before", FEW, profile=Profile.CLEAN)
    after = delivered(tmp_path / "after", settings, profile=Profile.CLEAN)
    clean = {name.partition("/")[0] for name in changed(before, after)}
    assert clean == {"sof", "amf"}
    found = changed(dirty, delivered(tmp_path / "dirty", settings))
    assert {name.partition("/")[0] for name in found} == {"sof", "amf"}


def test_defects_do_not_move_from_table_to_table(dirty: dict[str, str], tmp_path: Path) -> None:
    found = changed(dirty, delivered(tmp_path, with_effects(FEW, j1=-5.0)))
    assert found
    tables = {name.rpartition("_")[0] for name in found}
    assert tables <= {"skf/skf_betyg", "skf/skf_slutbetyg"}


def test_every_block_has_defects_of_its_own() -> None:
    streams = [
        replace(FEW, block=block).generator("dirty", table=table).random(4).tolist()
        for block in range(3)
        for table in ("sof_person", "vof_person")
    ]
    assert len({tuple(stream) for stream in streams}) == len(streams)
    assert FEW.generator("dirty").random(4).tolist() not in streams
