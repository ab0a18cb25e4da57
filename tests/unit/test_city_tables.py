"""The clean tables: as specified, in agreement with each other and with the simulated city."""

import re

import numpy as np
import pandas as pd
import pytest

from demo.city.care import CareKind
from demo.city.numbers import Numbers
from demo.city.population import DISTRICTS
from demo.city.settings import Settings
from demo.city.simulate import City, simulate
from demo.city.tables.columns import spread
from demo.city.tables.schools import PLANNED_HOURS
from demo.city.tables.tables import tables

Tables = dict[str, pd.DataFrame]

COLUMNS = {
    "kir_person": "pnr bostad_id fodelsear kon stadsdel_kod fodd_utomlands inflyttad skyddad",
    "sof_person": "pnr hushall_id roll stadsdel utb fodelseland_grp kontor",
    "sof_utbetalning": "hushall_id sokande_pnr manad belopp_kr hinder antal_barn",
    "sof_beslut": "beslut_id sokande_pnr datum utfall handlaggare",
    "sof_barn": "pnr anmalan_datum utredning",
    "amf_person": "pnr kon stadsdel utb sfi_niva",
    "amf_insats": "insats_id pnr typ start slut slutorsak",
    "amf_aktivitet": "insats_id pnr manad planerade_tim narvaro_tim",
    "skf_elev": "pnr lasar arskurs skola_id omrade vh1_pnr vh2_pnr vh_utb nyanland kon",
    "skf_franvaro": "pnr lasar manad planerad_tim giltig_tim ogiltig_tim",
    "skf_betyg": "pnr lasar arskurs amne betyg",
    "skf_slutbetyg": "pnr lasar meritvarde antal_f behorig_yrkes alla_amnen",
    "skf_stod": "pnr lasar typ start slut",
    "vof_person": "pnr kon fodelsear ensamboende stadsdel",
    "vof_beslut": "beslut_id pnr insats start slut timmar_man",
    "vof_utford": "pnr manad timmar",
}
KEYS = {
    "kir_person": ["pnr"],
    "sof_person": ["pnr"],
    "sof_utbetalning": ["hushall_id", "manad"],
    "sof_beslut": ["beslut_id"],
    "sof_barn": ["pnr", "anmalan_datum"],
    "amf_person": ["pnr"],
    "amf_insats": ["insats_id"],
    "amf_aktivitet": ["insats_id", "manad"],
    "skf_elev": ["pnr", "lasar"],
    "skf_franvaro": ["pnr", "manad"],
    "skf_betyg": ["pnr", "lasar", "amne"],
    "skf_slutbetyg": ["pnr"],
    "skf_stod": ["pnr", "lasar"],
    "vof_person": ["pnr"],
    "vof_beslut": ["beslut_id"],
    "vof_utford": ["pnr", "manad"],
}
FLAG = (0, 1)
BOUNDS = {
    ("kir_person", "fodelsear"): (1924, 2024),
    ("kir_person", "stadsdel_kod"): (1, 12),
    ("kir_person", "fodd_utomlands"): FLAG,
    ("kir_person", "skyddad"): FLAG,
    ("sof_person", "utb"): (1, 3),
    ("sof_utbetalning", "belopp_kr"): (500, 40_000),
    ("sof_utbetalning", "antal_barn"): (0, 6),
    ("sof_beslut", "handlaggare"): (1, 40),
    ("sof_barn", "utredning"): FLAG,
    ("amf_person", "utb"): (1, 3),
    ("amf_aktivitet", "planerade_tim"): (0, 176),
    ("amf_aktivitet", "narvaro_tim"): (0, 176),
    ("skf_elev", "lasar"): (2016, 2024),
    ("skf_elev", "arskurs"): (6, 9),
    ("skf_elev", "vh_utb"): (1, 3),
    ("skf_elev", "nyanland"): FLAG,
    ("skf_franvaro", "planerad_tim"): (60, 130),
    ("skf_franvaro", "giltig_tim"): (0, 130),
    ("skf_franvaro", "ogiltig_tim"): (0, 130),
    ("skf_slutbetyg", "meritvarde"): (0, 340),
    ("skf_slutbetyg", "antal_f"): (0, 17),
    ("skf_slutbetyg", "behorig_yrkes"): FLAG,
    ("skf_slutbetyg", "alla_amnen"): FLAG,
    ("vof_person", "fodelsear"): (1915, 2006),
    ("vof_person", "ensamboende"): FLAG,
    ("vof_beslut", "timmar_man"): (0, 300),
    ("vof_utford", "timmar"): (0, 350),
}
OFFICES = {"Norr", "Mitt", "Syd"}
CATEGORIES = {
    ("kir_person", "kon"): {"K", "M"},
    ("sof_person", "roll"): {"sokande", "medsokande", "barn"},
    ("sof_person", "stadsdel"): set(DISTRICTS),
    ("sof_person", "fodelseland_grp"): {"Sverige", "Utlandet"},
    ("sof_person", "kontor"): OFFICES,
    ("sof_utbetalning", "hinder"): {"ARB", "SJUK", "SPRAK", "SOC", "OVR"},
    ("sof_beslut", "utfall"): {"bifall", "delavslag", "avslag"},
    ("amf_person", "kon"): {"1", "2"},
    ("amf_person", "stadsdel"): set(DISTRICTS),
    ("amf_person", "sfi_niva"): {"A", "B", "C", "D"},
    ("amf_insats", "typ"): {"JOBBSOK", "PRAKTIK", "OSA", "SFI_KOMBI", "FERIEJOBB"},
    ("amf_insats", "slutorsak"): {"AVBROTT", "ARBETE", "PLANENLIG", "STUDIER", "OKAND"},
    ("skf_elev", "omrade"): OFFICES,
    ("skf_elev", "skola_id"): {f"S{number:02d}" for number in range(1, 25)},
    ("skf_elev", "kon"): {"Pojke", "Flicka"},
    ("skf_betyg", "betyg"): {"A", "B", "C", "D", "E", "F", "-"},
    ("vof_person", "kon"): {"man", "kvinna", "okänt"},
    ("vof_person", "stadsdel"): set(DISTRICTS),
    ("vof_beslut", "insats"): set(CareKind),
}
MISSING = {
    "sof_person.utb": 0.22,  # of the adults
    "amf_person.utb": 0.08,
    "amf_person.sfi_niva": 0.60,  # of those in programmes
    "skf_elev.vh_utb": 0.39,  # 35 %, and 55 % in foreign households
}
MAY_BE_MISSING = {
    *MISSING,
    "amf_insats.slut",
    "amf_insats.slutorsak",
    "skf_elev.vh2_pnr",
    "skf_stod.slut",
    "vof_beslut.slut",
    "vof_beslut.timmar_man",
}
POINTS = {"A": 20.0, "B": 17.5, "C": 15.0, "D": 12.5, "E": 10.0, "F": 0.0, "-": 0.0}


@pytest.fixture(scope="module")
def city() -> City:
    return simulate(Settings(seed=11, residents=9_000))


def make(city: City) -> Tables:
    return tables(city, Numbers(generator=city.settings.generator("ids"), municipality="A"))


@pytest.fixture(scope="module")
def made(city: City) -> Tables:
    return make(city)


@pytest.fixture(scope="module")
def pnr(city: City) -> np.ndarray:
    """The numbers of the city's persons, in the order of the simulation."""
    people = city.population
    source = Numbers(generator=city.settings.generator("ids"), municipality="A")
    return source.persons(born=people.birth, woman=people.woman)


def test_tables_have_the_specified_columns_and_rows(made: Tables) -> None:
    assert {name: " ".join(table.columns) for name, table in made.items()} == COLUMNS
    assert all(len(table) for table in made.values())
    assert all(isinstance(table.index, pd.RangeIndex) for table in made.values())


def test_keys_are_unique_and_rows_sorted(made: Tables) -> None:
    for name, key in KEYS.items():
        assert not made[name].duplicated(key).any(), name
        ordered = made[name].sort_values(key, kind="stable", ignore_index=True)
        pd.testing.assert_frame_equal(made[name], ordered)


def test_values_keep_their_bounds_and_categories(made: Tables) -> None:
    for (name, column), (low, high) in BOUNDS.items():
        values = made[name][column].dropna()
        assert values.between(low, high).all(), (name, column)
    for (name, column), allowed in CATEGORIES.items():
        assert set(made[name][column].dropna()) <= allowed, (name, column)


def test_only_some_columns_have_missing_values(made: Tables) -> None:
    gaps = {
        f"{name}.{column}"
        for name, table in made.items()
        for column in table.columns[table.isna().any()]
    }
    assert gaps <= MAY_BE_MISSING


def test_missing_values_are_as_frequent_as_specified(made: Tables) -> None:
    adults = made["sof_person"].query("roll != 'barn'")
    programmes = made["amf_insats"].query("typ != 'FERIEJOBB'")
    helped = made["amf_person"]["pnr"].isin(programmes["pnr"])
    pupils = made["skf_elev"].drop_duplicates("pnr")
    seen = {
        "sof_person.utb": adults["utb"],
        "amf_person.utb": made["amf_person"]["utb"],
        "amf_person.sfi_niva": made["amf_person"].loc[helped, "sfi_niva"],
        "skf_elev.vh_utb": pupils["vh_utb"],
    }
    for name, rate in MISSING.items():
        deviation = (rate * (1 - rate) / len(seen[name])) ** 0.5
        assert abs(seen[name].isna().mean() - rate) < 4 * deviation + 0.03, name
    assert made["sof_person"].query("roll == 'barn'")["utb"].isna().all()


def test_no_number_is_a_persons(made: Tables) -> None:
    """Any twelve digits anywhere in a table have a month of 81-92."""
    seen = 0
    for table in made.values():
        for column in table.select_dtypes("str"):
            numbers = [v for v in table[column].dropna().unique() if re.fullmatch(r"\d{12}", v)]
            assert all(81 <= int(number[4:6]) <= 92 for number in numbers)
            seen += len(numbers)
    assert seen > len(made["kir_person"])


def test_register_holds_the_residents_and_no_one_who_left(
    city: City, made: Tables, pnr: np.ndarray
) -> None:
    people = city.population
    former = people.households.former[people.household]
    register = made["kir_person"].set_index("pnr")
    assert set(register.index) == set(pnr[~former])
    in_departments = set(made["sof_person"]["pnr"]) | set(made["vof_person"]["pnr"])
    assert in_departments & set(pnr[former])
    households = pd.Series(people.household, index=pnr)[register.index]
    together = register.groupby("bostad_id").size()
    assert sorted(together) == sorted(households.value_counts())


def test_nobody_moved_in_before_they_were_born(made: Tables) -> None:
    register = made["kir_person"]
    born = pd.to_datetime(
        register["pnr"].str[:4]
        + (register["pnr"].str[4:6].astype(int) - 80).astype(str).str.zfill(2)
        + register["pnr"].str[6:8]
    )
    always = register["inflyttad"] == pd.Timestamp("1900-01-01")
    assert (always | (register["inflyttad"] >= born)).all()
    # In a household that moved, those born here have always lived here.
    moved = register.loc[~always, "bostad_id"].unique()
    of_them = register["bostad_id"].isin(moved)
    assert (of_them & always).any()
    last = register.loc[~always].groupby("bostad_id")["inflyttad"].first()
    home = register.loc[of_them & always, "bostad_id"]
    assert (born[of_them & always].to_numpy() > last[home].to_numpy()).all()


def test_records_of_former_residents_end_before_they_left(
    city: City, made: Tables, pnr: np.ndarray
) -> None:
    people = city.population
    left = pd.Series(people.households.left[people.household], index=pnr)
    month_of = {
        "sof_utbetalning": "sokande_pnr",
        "amf_aktivitet": "pnr",
        "skf_franvaro": "pnr",
        "vof_utford": "pnr",
    }
    for name, who in month_of.items():
        year, month = (
            made[name]["manad"].str[part].astype(int) for part in (slice(4), slice(5, 7))
        )
        passed = (year - 2016) * 12 + month - 1
        assert (passed.to_numpy() < left[made[name][who]].to_numpy()).all(), name


def test_pupil_leads_to_guardian_and_on_to_the_departments(made: Tables, city: City) -> None:
    pupils = made["skf_elev"].drop_duplicates("pnr")
    guardians = set(pupils["vh1_pnr"]) | set(pupils["vh2_pnr"].dropna())
    applicants = set(made["sof_utbetalning"]["sokande_pnr"])
    assert guardians & applicants
    assert guardians & set(made["vof_person"]["pnr"])
    # A pupil's own number is in social services as a child only.
    own = made["sof_person"].merge(pupils[["pnr"]], on="pnr")
    assert set(own["roll"]) == {"barn"}
    homes = made["sof_person"].set_index("pnr")["hushall_id"]
    joined = pupils[pupils["vh1_pnr"].isin(applicants) & pupils["pnr"].isin(homes.index)]
    assert len(joined) > 20
    assert (homes[joined["pnr"]].to_numpy() == homes[joined["vh1_pnr"]].to_numpy()).all()


def test_payments_are_those_of_the_simulation(city: City, made: Tables, pnr: np.ndarray) -> None:
    paid = made["sof_utbetalning"]
    assert len(paid) == city.assistance.household.size
    assert paid["belopp_kr"].sum() == city.assistance.amount.sum()
    heads = pnr[city.population.households.first]
    sick = pd.Series(city.assistance.hinder_health, index=heads)[paid["sokande_pnr"]]
    assert ((paid["hinder"] == "SJUK").to_numpy() == sick.to_numpy()).all()
    applicants = made["sof_person"].query("roll == 'sokande'")
    assert set(applicants["pnr"]) == set(paid["sokande_pnr"])


def test_refusals_are_dated_in_months_without_payment(made: Tables) -> None:
    decided = made["sof_beslut"].assign(manad=made["sof_beslut"]["datum"].dt.strftime("%Y-%m"))
    paid = set(
        zip(made["sof_utbetalning"]["sokande_pnr"], made["sof_utbetalning"]["manad"], strict=True)
    )
    with_payment = [
        pair in paid for pair in zip(decided["sokande_pnr"], decided["manad"], strict=True)
    ]
    refused = (decided["utfall"] == "avslag").to_numpy()
    assert np.array(with_payment)[~refused].all()
    assert not np.array(with_payment)[refused].any()
    assert abs(refused.mean() - 0.05) < 4 * (0.05 * 0.95 / len(decided)) ** 0.5


def test_protection_case_of_a_pupil_is_an_investigation_before_grade_9(
    city: City, made: Tables, pnr: np.ndarray
) -> None:
    schools = city.schools
    reports = made["sof_barn"].query("utredning == 1").groupby("pnr")["anmalan_datum"].min()
    pupils = pd.Series(schools.child_protection, index=pnr[schools.person])
    assert set(pupils[pupils].index) == set(reports.index) & set(pupils.index)
    begins = {
        number: f"{spring - 1}-08-01"
        for number, spring in zip(pupils.index, schools.spring, strict=True)
    }
    assert all(reports[number] < pd.Timestamp(begins[number]) for number in pupils[pupils].index)


def test_programmes_are_those_of_the_simulation(city: City, made: Tables, pnr: np.ndarray) -> None:
    programmes = made["amf_insats"].query("typ != 'FERIEJOBB'")
    latent = city.labour.programmes
    heads = pnr[city.population.households.first[latent.household]]
    assert sorted(programmes["pnr"]) == sorted(heads)
    assert programmes["slut"].isna().sum() == latent.running.sum()
    assert (programmes["slut"].isna() == programmes["slutorsak"].isna()).all()
    hours = made["amf_aktivitet"]
    assert (hours["narvaro_tim"] <= hours["planerade_tim"]).all()
    assert set(hours["insats_id"]) <= set(made["amf_insats"]["insats_id"])


def test_summer_jobs_are_three_weeks_in_one_month_and_not_for_households_on_assistance(
    made: Tables,
) -> None:
    jobs = made["amf_insats"].query("typ == 'FERIEJOBB'")
    assert (jobs["start"].dt.day_of_week == 0).all()
    assert ((jobs["slut"] - jobs["start"]).dt.days == 18).all()
    assert (jobs["slut"].dt.month == jobs["start"].dt.month).all()
    assert set(jobs["start"].dt.month) == {6, 7, 8}
    assert not set(jobs["pnr"]) & set(made["sof_person"]["pnr"])


def test_absence_of_a_school_year_is_the_latent_absence(
    city: City, made: Tables, pnr: np.ndarray
) -> None:
    absent = (
        made["skf_franvaro"]
        .groupby(["pnr", "lasar"])[["planerad_tim", "giltig_tim", "ogiltig_tim"]]
        .sum()
    )
    assert (absent["planerad_tim"] == 1000).all()
    total = absent["giltig_tim"] + absent["ogiltig_tim"]
    assert np.allclose(absent["giltig_tim"], 0.7 * total, atol=1e-9)
    schools = city.schools
    key = pd.MultiIndex.from_arrays([pnr[schools.person], schools.spring])
    ninth = (total / absent["planerad_tim"] * 100).reindex(key)
    assert np.allclose(ninth, schools.absence, atol=1e-9)


def test_no_month_has_more_absence_than_was_planned(made: Tables) -> None:
    month = made["skf_franvaro"]
    tenths = ((month["giltig_tim"] + month["ogiltig_tim"]) * 10).round()
    assert (tenths <= month["planerad_tim"] * 10).all()
    assert (month[["giltig_tim", "ogiltig_tim"]].to_numpy() * 10 % 1 < 1e-6).mean() > 0.5


def test_grades_agree_with_final_grades_and_the_simulation(
    city: City, made: Tables, pnr: np.ndarray
) -> None:
    grades, final = made["skf_betyg"], made["skf_slutbetyg"].set_index("pnr")
    ninth = grades[grades["arskurs"] == 9]
    assert set(ninth["pnr"]) == set(final.index)
    assert (ninth.groupby("pnr").size() == 17).all()
    assert (grades[grades["arskurs"] == 6].groupby("pnr").size() == 16).all()
    failed = ninth["betyg"].isin(["F", "-"])
    assert (failed.groupby(ninth["pnr"]).sum() == final["antal_f"]).all()
    assert ((final["antal_f"] == 0) == (final["alla_amnen"] == 1)).all()
    core = ninth["amne"].isin(["EN", "MA", "SV"])
    failed_core = (failed & core).groupby(ninth["pnr"]).any()
    assert (failed_core == (final["behorig_yrkes"] == 0)).all()
    latent = pd.Series(city.schools.eligible, index=pnr[city.schools.person])
    assert (latent[final.index] == (final["behorig_yrkes"] == 1)).all()


def test_grades_add_up_to_the_merit_where_the_passes_allow_it(made: Tables) -> None:
    ninth = made["skf_betyg"].query("arskurs == 9")
    points = ninth["betyg"].map(POINTS).groupby(ninth["pnr"]).sum()
    final = made["skf_slutbetyg"].set_index("pnr")
    passes = 17 - final["antal_f"]
    nearest = final["meritvarde"].clip(10 * passes, 20 * passes)
    assert (points == nearest).all()
    assert (nearest == final["meritvarde"]).mean() > 0.85


def test_maths_in_grade_6_and_support_are_those_of_the_simulation(
    city: City, made: Tables, pnr: np.ndarray
) -> None:
    schools = city.schools
    who = pnr[schools.person]
    maths = made["skf_betyg"].query("arskurs == 6 and amne == 'MA'").set_index("pnr")["betyg"]
    latent = pd.Series(schools.failed_maths_grade_6, index=who)
    assert ((maths == "F") == latent[maths.index]).all()
    ninth = made["skf_stod"].merge(made["skf_elev"].query("arskurs == 9"), on=["pnr", "lasar"])
    assert set(ninth["pnr"]) == set(who[schools.support])


def test_guardians_and_school_area(made: Tables) -> None:
    pupils = made["skf_elev"]
    assert pupils["vh1_pnr"].notna().all()
    assert not (pupils["vh1_pnr"] == pupils["vh2_pnr"]).any()
    number = pupils["skola_id"].str[1:].astype(int)
    expected = number.map(lambda n: ("Norr", "Mitt", "Syd")[(n - 1) // 8])
    assert (pupils["omrade"] == expected).all()


def test_care_decisions_follow_each_other_and_hold_the_given_hours(
    city: City, made: Tables
) -> None:
    decisions = made["vof_beslut"].sort_values(["pnr", "start"])
    assert set(decisions["pnr"]) == set(made["vof_person"]["pnr"])
    following = decisions["pnr"].shift(-1) == decisions["pnr"]
    next_start = decisions["start"].shift(-1)
    assert (next_start - decisions["slut"])[following].dt.days.eq(1).all()
    hours = decisions["insats"].isin(["HTJ", "BOSTOD"])
    assert (decisions["timmar_man"].notna() == hours).all()
    again = decisions["pnr"].duplicated()
    assert set(decisions.loc[again, "insats"]) == {"HTJ"}
    whole = decisions[hours & following]
    months = (whole["slut"] - whole["start"]).dt.days / 30.4
    assert months.between(11.9, 24.1).all()
    change = np.log(decisions["timmar_man"] / decisions["timmar_man"].shift())[hours & again]
    assert change.groupby(decisions["insats"]).std().between(0.1, 0.3).all()
    given = made["vof_utford"].merge(decisions[hours], on="pnr")
    month = pd.to_datetime(given["manad"])
    inside = (given["start"] <= month) & ~(given["slut"] < month)
    assert inside.sum() == len(made["vof_utford"])
    share = (given["timmar"] / given["timmar_man"])[inside & (given["timmar_man"] > 10)]
    assert share.between(0.79, 1.06).all()


def test_tables_are_the_same_twice(city: City, made: Tables) -> None:
    again = make(city)
    for name, table in made.items():
        pd.testing.assert_frame_equal(table, again[name])


def test_spread_is_exact_and_keeps_capacities() -> None:
    draw = np.random.default_rng(5)
    capacity = draw.integers(0, 1_300, (4_000, 10))
    total = draw.integers(0, capacity.sum(axis=1) + 1)
    total[:2] = capacity[:2].sum(axis=1)  # full
    total[2:4] = 0
    parts = spread(total, capacity, draw.uniform(-0.5, 0.5, capacity.shape))
    assert (parts.sum(axis=1) == total).all()
    assert (parts >= 0).all()
    assert (parts <= capacity).all()
    assert (np.ptp(parts[4:], axis=1) > 0).mean() > 0.99


def test_planned_hours_are_a_thousand() -> None:
    assert sum(PLANNED_HOURS) == 1000
