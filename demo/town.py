"""The demo's federation: the departments of the demo city, each with the records it would hold.

The schools are run by three area offices, so that a study can go across nodes that hold the same
columns for different pupils. Every node has the population register beside its own records.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from demo.city.delivery.delivery import Delivery, Profile
from demo.city.numbers import Numbers
from demo.city.settings import Settings
from demo.city.simulate import City, simulate
from demo.city.tables.columns import identify
from demo.city.tables.tables import written

OFFICES = {"social-services": "sof", "labour-market": "amf", "health-care": "vof"}
"""The departments whose whole folder one node holds."""

AREAS = {"schools-north": "Norr", "schools-centre": "Mitt", "schools-south": "Syd"}
"""The school areas: each holds the pupils who were in grade 9 there."""

DEPARTMENTS = (*OFFICES, *AREAS)

_SCHOOLS = "skf"
_REGISTER = "kir_person"
_LAST_GRADE = 9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Town:
    """A city and its clean tables.

    Attributes:
        pnr: the number of each person of `city.population`.
    """

    city: City
    pnr: pd.Series
    tables: dict[str, pd.DataFrame]


def build(*, seed: int, residents: int) -> Town:
    """Give the demo city of that size."""
    settings = Settings(seed=seed, residents=residents)
    city = simulate(settings)
    numbers = Numbers(generator=settings.generator("ids"), municipality=settings.municipality.code)
    identities = identify(city, numbers)
    return Town(city=city, pnr=pd.Series(identities.pnr), tables=written(city, identities))


def deliver(town: Town, homes: Path) -> None:
    """Write each department's folder `datasets` into its node's home, `homes/<department>`."""
    whole = homes.with_name("delivery")
    _write(town, town.tables, whole)
    for department, folder in OFFICES.items():
        shutil.move(whole / folder, _datasets(homes, department))
    shutil.rmtree(whole)
    for department, area in AREAS.items():
        own = area_tables(town.tables, area)
        _write(town, {**own, _REGISTER: town.tables[_REGISTER]}, whole)
        shutil.move(whole / _SCHOOLS, _datasets(homes, department))
        shutil.rmtree(whole)


def area_tables(tables: dict[str, pd.DataFrame], area: str) -> dict[str, pd.DataFrame]:
    """Give the schools' tables with the pupils who were in grade 9 in that area."""
    enrolled = tables["skf_elev"]
    pupils = set(enrolled.pnr[(enrolled.arskurs == _LAST_GRADE) & (enrolled.omrade == area)])
    return {
        name: table[table.pnr.isin(pupils)].reset_index(drop=True)
        for name, table in tables.items()
        if name.startswith(f"{_SCHOOLS}_")
    }


def _write(town: Town, tables: dict[str, pd.DataFrame], folder: Path) -> None:
    delivery = Delivery(folder, profile=Profile.CLEAN, settings=town.city.settings)
    delivery.add(tables)
    delivery.close()


def _datasets(homes: Path, department: str) -> Path:
    home = homes / department
    home.mkdir(parents=True, exist_ok=True)
    return home / "datasets"
