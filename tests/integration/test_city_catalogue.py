"""The demo city's files keep their declarations, and its analysis tables say what was simulated."""

from collections.abc import Iterator

import numpy as np
import pytest
from city_catalogue import ALIASES, CATALOGUE

from demo.city.delivery.delivery import Delivery, Profile
from demo.city.numbers import Numbers
from demo.city.settings import MONTHS, Settings
from demo.city.simulate import City, simulate
from demo.city.tables.columns import Identities, identify
from demo.city.tables.tables import written
from models.linkage.identity import Admission, Mode
from models.schema import CategoryColumn, NumericColumn
from node.datasets import Dataset, load_folder
from node.vault.contract import check
from node.vault.records import records

SETTINGS = Settings(seed=20250401, residents=4000)


@pytest.fixture(scope="module")
def city() -> City:
    return simulate(SETTINGS)


@pytest.fixture(scope="module")
def identities(city: City) -> Identities:
    numbers = Numbers(generator=SETTINGS.generator("ids"), municipality="A")
    return identify(city, numbers)


@pytest.fixture(scope="module")
def catalogue(
    city: City, identities: Identities, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Dataset]:
    """The datasets of five nodes whose folders were just delivered, clean."""
    out = tmp_path_factory.mktemp("city")
    delivery = Delivery(out, profile=Profile.CLEAN, settings=SETTINGS)
    delivery.add(written(city, identities))
    delivery.close()
    return {
        dataset.declaration.name: dataset
        for folder in sorted(out.iterdir())
        for dataset in load_folder(folder, admission=Admission(mode=Mode.DEMO))
    }


def rows(dataset: Dataset, *names: str) -> dict[str, tuple[object, ...]]:
    """The named columns of a table with one row per resident; categories as texts."""

    def batches() -> Iterator[tuple[str, tuple[object, ...]]]:
        columns = [dataset.declaration.column(name) for name in names]
        asked = [c for c in columns if isinstance(c, NumericColumn | CategoryColumn)]
        for batch in records(dataset, columns=asked):
            values = [
                np.array([*column.categories, None], dtype=object)[batch.columns[column.name]]
                if isinstance(column, CategoryColumn)
                else batch.columns[column.name]
                for column in asked
            ]
            yield from zip(
                batch.residents.tolist(),
                zip(*(v.tolist() for v in values), strict=True),
                strict=True,
            )

    return dict(batches())


def test_every_clean_table_is_delivered_and_keeps_its_declaration(
    catalogue: dict[str, Dataset],
) -> None:
    assert {*catalogue} == {*CATALOGUE} - ALIASES
    for name, dataset in catalogue.items():
        report = check(dataset)
        assert report.rows > 0, name
        assert report.totals == (), name
        gaps = [item for item in report.notes if item.note == "no rows for a declared period"]
        assert gaps == [], name


def test_a_pupils_analysis_tables_say_what_was_simulated(
    catalogue: dict[str, Dataset], city: City, identities: Identities
) -> None:
    latent = city.schools
    pnr = identities.pnr[latent.person]
    stayed = city.population.households.left[latent.household] == MONTHS
    school = rows(
        catalogue["skf_arskurs9"],
        "avgangsar",
        "franvaro_procent",
        "underkand_matematik_ak6",
        "sarskilt_stod_ak9",
        "behorig_yrkes",
        "meritvarde",
    )
    social = rows(catalogue["sof_barn_arskurs9"], "langvarigt_bistand_fore", "utredning_fore")
    assert {*pnr[stayed]} <= {*school}
    word = ("false", "true")
    for place in np.flatnonzero(stayed):
        assert school[pnr[place]] == (
            latent.spring[place],
            latent.absence[place],
            word[int(latent.failed_maths_grade_6[place])],
            word[int(latent.support[place])],
            word[int(latent.eligible[place])],
            latent.merit[place],
        )
        assert social.get(pnr[place], ("false", "false")) == (
            word[int(latent.long_assistance[place])],
            word[int(latent.child_protection[place])],
        )
    assert latent.long_assistance[stayed].any()
    assert latent.child_protection[stayed].any()


def test_extensive_care_of_the_household_is_what_was_simulated(
    catalogue: dict[str, Dataset], city: City, identities: Identities
) -> None:
    """Whoever has the care: a guardian, a grown sibling or a grandparent in the same home."""
    years = range(2019, 2025)
    care = rows(catalogue["vof_omsorg"], *(f"omfattande_lasar_{year}" for year in years))
    home_of = dict(zip(identities.pnr, city.population.household.tolist(), strict=True))
    heavy = {
        (home_of[person], year)
        for person, flags in care.items()
        for year, flag in zip(years, flags, strict=True)
        if flag == "true"
    }
    latent = city.schools
    said = [
        (home, spring) in heavy
        for home, spring in zip(latent.household.tolist(), latent.spring.tolist(), strict=True)
    ]
    # Later decisions differ a little in hours, so a home near 30 hours may be told otherwise.
    assert np.mean(np.array(said) == latent.heavy_care) >= 0.99
    assert latent.heavy_care.any()


def test_a_first_work_based_programme_is_the_one_simulated(
    catalogue: dict[str, Dataset], city: City, identities: Identities
) -> None:
    programmes = city.labour.programmes
    heads = identities.pnr[city.population.households.first[programmes.household]]
    expected: dict[str, tuple[int, int]] = {}
    for person, kind, start in zip(
        heads, programmes.kind.tolist(), programmes.start.tolist(), strict=True
    ):
        if kind in {1, 2}:  # PRAKTIK and OSA
            expected[person] = min(expected.get(person, (start, kind)), (start, kind))
    found = rows(catalogue["amf_forsta_arbetsnara"], "arbetsnara_manad_nr", "arbetsnara_typ")
    assert {*found} == {*heads}
    names = {"PRAKTIK": 1, "OSA": 2}
    said = {
        person: (month, names[str(kind)])
        for person, (month, kind) in found.items()
        if kind != "INGEN"
    }
    assert said == expected
