"""The demo city's analysis tables: one SELECT each, and right on rows worked out by hand."""

from collections.abc import Mapping, Sequence

import duckdb
import pytest
from city_catalogue import CATALOGUE, DERIVED

from node.datasets import DerivedSource
from node.vault import query_rules

KINDS = {"integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN"} | dict.fromkeys(
    ("date", "yearmonth"), "DATE"
)


def opened(name: str) -> duckdb.DuckDBPyConnection:
    """An engine with the (empty) tables that an analysis table is made from."""
    connection = duckdb.connect(":memory:")
    for table in CATALOGUE[name].tables:
        declared = table.declaration
        kinds = {declared.resident_id: "VARCHAR"}
        kinds |= {column.name: KINDS.get(column.type, "VARCHAR") for column in declared.columns}
        columns = ", ".join(f'"{column}" {kind}' for column, kind in kinds.items())
        connection.execute(f'CREATE TABLE "{declared.name}" ({columns})')
    return connection


def query(name: str) -> str:
    source = CATALOGUE[name].source
    assert isinstance(source, DerivedSource)
    return source.query


def answer(name: str, **tables: Sequence[Mapping[str, object]]) -> dict[str, dict[str, object]]:
    """The rows of an analysis table by resident, from rows of the tables it is made from."""
    with opened(name) as connection:
        for table, rows in tables.items():
            for row in rows:
                marks = ", ".join("?" * len(row))
                insert = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})"  # noqa: S608
                connection.execute(insert, [*row.values()])
        result = connection.execute(query(name))
        names = [item[0] for item in result.description or ()]
        found = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    by_resident = {str(row.pop("pnr")): row for row in found}
    assert len(by_resident) == len(found), "one row per resident"
    return by_resident


@pytest.mark.parametrize("name", DERIVED)
def test_an_analysis_table_is_one_select_that_gives_the_declared_columns(name: str) -> None:
    dataset = CATALOGUE[name]
    source = dataset.source
    assert isinstance(source, DerivedSource)
    assert all(table.startswith(name.partition("_")[0]) for table in source.tables)
    with duckdb.connect(":memory:") as empty:
        query_rules.hold(dataset.origin, source.query, connection=empty, tables=source.tables)
    with opened(name) as connection:
        result = connection.execute(source.query)
        given = {item[0] for item in result.description or ()}
    declared = dataset.declaration
    assert given == {declared.resident_id, *(column.name for column in declared.columns)}


def paid(person: str, household: str, *months: str) -> list[dict[str, object]]:
    return [
        {
            "sokande_pnr": person,
            "hushall_id": household,
            "manad": f"{month}-01",
            "belopp_kr": 1000,
            "hinder": "SJUK" if month < "2017" else "ARB",
            "antal_barn": 2,
        }
        for month in months
    ]


def year(number: int, months: int) -> list[str]:
    return [f"{number}-{month:02d}" for month in range(1, months + 1)]


def test_months_of_assistance_are_counted_by_calendar_year() -> None:
    found = answer(
        "sof_bistand_manader",
        sof_utbetalning=[
            *paid("a", "H1", *year(2019, 10), *year(2024, 2)),
            # Ten months in a row, but over the turn of the year.
            *paid("b", "H2", *year(2020, 12)[6:], *year(2021, 4)),
        ],
    )
    assert found["a"]["manader_2019"] == 10
    assert found["a"]["manader_2018"] == 0
    assert found["a"]["manader_2024"] == 2
    assert found["a"]["belopp_kr_2024"] == 2000
    assert found["a"]["langvarigt_nagot_ar"] is True
    assert found["b"]["manader_2020"] == 6
    assert found["b"]["langvarigt_nagot_ar"] is False
    assert found["b"]["belopp_kr_2024"] == 0


def test_everyone_in_the_household_has_its_assistance() -> None:
    people = [
        {"pnr": "a", "hushall_id": "H1", "roll": "sokande"},
        {"pnr": "c", "hushall_id": "H1", "roll": "barn"},
        {"pnr": "x", "hushall_id": "H9", "roll": "sokande"},
    ]
    found = answer(
        "sof_hushall_bistand",
        sof_person=people,
        sof_utbetalning=paid("a", "H1", *year(2016, 11), *year(2024, 9)),
    )
    for person, role in (("a", "sokande"), ("c", "barn")):
        assert found[person]["roll"] == role
        assert found[person]["hushall_manader_totalt"] == 20
        assert found[person]["hushall_manader_2024"] == 9
        assert found[person]["hushall_belopp_kr_2024"] == 9000
        assert found[person]["langvarigt_2016"] is True
        assert found[person]["langvarigt_2024"] is False
    assert found["x"]["hushall_manader_totalt"] == 0
    assert found["x"]["langvarigt_2016"] is False


def test_a_childs_years_before_grade_9_are_found_from_its_number() -> None:
    # Born in 2004: leaves grade 9 in spring 2020, which began in August 2019.
    child, older, younger = "200483071234", "200283071234", "200983071234"
    found = answer(
        "sof_barn_arskurs9",
        sof_person=[
            {"pnr": child, "hushall_id": "H1", "roll": "barn"},
            {"pnr": older, "hushall_id": "H1", "roll": "barn"},
            {"pnr": "197083071234", "hushall_id": "H1", "roll": "sokande"},
        ],
        sof_utbetalning=paid("p", "H1", *year(2016, 12), *year(2018, 9), *year(2020, 12)),
        sof_barn=[
            {"pnr": child, "anmalan_datum": "2019-08-01", "utredning": True},
            {"pnr": younger, "anmalan_datum": "2019-08-01", "utredning": False},
        ],
    )
    assert {*found} == {child}
    assert found[child] == {
        "vartermin": 2020,
        "bistandsmanader_fore": 9,
        "langvarigt_bistand_fore": False,
        "orosanmalan_fore": False,
        "utredning_fore": False,
    }
    found = answer(
        "sof_barn_arskurs9",
        sof_utbetalning=paid("p", "H1", *year(2017, 10)),
        sof_person=[{"pnr": child, "hushall_id": "H1", "roll": "barn"}],
        sof_barn=[
            {"pnr": child, "anmalan_datum": "2019-07-31", "utredning": True},
            {"pnr": child, "anmalan_datum": "2011-01-01", "utredning": False},
        ],
    )
    assert found[child]["langvarigt_bistand_fore"] is True
    assert found[child]["orosanmalan_fore"] is True
    assert found[child]["utredning_fore"] is True


def test_the_first_period_ends_with_the_first_month_without_payment() -> None:
    found = answer(
        "sof_forsta_period",
        sof_utbetalning=[
            *paid("a", "H1", "2016-11", "2016-12", "2017-01", "2017-03"),
            *paid("b", "H2", "2016-01", "2016-02"),
            *paid("c", "H3", "2024-11", "2024-12"),
        ],
    )
    assert found["a"] == {
        "startmanad_nr": 10,
        "periodens_manader": 3,
        "pagick_januari_2016": False,
        "avslutad": True,
        "hinder_vid_start": "SJUK",
        "antal_barn_vid_start": 2,
    }
    assert (found["b"]["pagick_januari_2016"], found["b"]["startmanad_nr"]) == (True, 0)
    assert (found["c"]["avslutad"], found["c"]["periodens_manader"]) == (False, 2)


def programme(
    number: str, kind: str, start: str, end: str | None, why: str | None
) -> dict[str, object]:
    return {
        "pnr": "a" if number < "I5" else "b",
        "insats_id": number,
        "typ": kind,
        "start": start,
        "slut": end,
        "slutorsak": why,
    }


PROGRAMMES = [
    programme("I1", "FERIEJOBB", "2016-06-13", "2016-07-01", "PLANENLIG"),
    programme("I2", "JOBBSOK", "2017-02-01", "2017-05-31", "AVBROTT"),
    programme("I3", "OSA", "2018-01-01", "2018-06-30", "PLANENLIG"),
    programme("I4", "PRAKTIK", "2023-11-01", "2024-02-29", "ARBETE"),
    programme("I5", "SFI_KOMBI", "2024-10-01", None, None),
]


def test_the_first_work_based_programme_is_timed_from_the_first_programme() -> None:
    found = answer("amf_forsta_arbetsnara", amf_insats=PROGRAMMES)
    assert found["a"] == {
        "arbetsnara_typ": "OSA",
        "forsta_insats_manad_nr": 13,
        "arbetsnara_manad_nr": 24,
        "manader_till_arbetsnara": 11,
    }
    assert found["b"] == {
        "arbetsnara_typ": "INGEN",
        "forsta_insats_manad_nr": 105,
        "arbetsnara_manad_nr": None,
        "manader_till_arbetsnara": None,
    }


def test_participation_leaves_out_summer_jobs_and_unknown_ends() -> None:
    hours = [
        {
            "pnr": "a",
            "insats_id": "I2",
            "manad": "2017-02-01",
            "planerade_tim": 100,
            "narvaro_tim": 50,
        },
        {
            "pnr": "a",
            "insats_id": "I3",
            "manad": "2018-01-01",
            "planerade_tim": 100,
            "narvaro_tim": 91,
        },
        {
            "pnr": "a",
            "insats_id": "I1",
            "manad": "2016-06-01",
            "planerade_tim": 80,
            "narvaro_tim": 0,
        },
        {
            "pnr": "b",
            "insats_id": "I5",
            "manad": "2024-10-01",
            "planerade_tim": 0,
            "narvaro_tim": 0,
        },
    ]
    found = answer("amf_deltagande", amf_insats=PROGRAMMES, amf_aktivitet=hours)
    assert found["a"] == {
        "antal_insatser": 3,
        "narvaro_procent": 70.5,
        "nagot_avbrott": True,
        "nagon_gang_arbete": True,
        "insatsmanader_2024": 2,
    }
    assert found["b"] == {
        "antal_insatser": 1,
        "narvaro_procent": None,
        "nagot_avbrott": None,
        "nagon_gang_arbete": None,
        "insatsmanader_2024": 3,
    }


def test_grade_9_gathers_what_the_school_knows_of_pupils_with_final_grades() -> None:
    years = (("a", 2021, 6), ("a", 2024, 9), ("b", 2024, 9), ("c", 2024, 8), ("d", 2024, 9))
    pupils = [
        {"pnr": p, "lasar": y, "arskurs": g, "kon": "Pojke", "omrade": "Syd", "nyanland": False}
        for p, y, g in years
    ]
    hours = ((2024, "2023-09-01", 3), (2024, "2023-10-01", 8), (2023, "2022-10-01", 90))
    absence = [
        {"pnr": "a", "lasar": y, "manad": m, "planerad_tim": 100, "giltig_tim": 7, "ogiltig_tim": o}
        for y, m, o in hours
    ]
    final = {"lasar": 2024, "meritvarde": 180, "antal_f": 1, "behorig_yrkes": True}
    found = answer(
        "skf_arskurs9",
        skf_elev=pupils,
        skf_franvaro=absence,
        skf_betyg=[
            {"pnr": "a", "lasar": 2021, "arskurs": 6, "amne": "MA", "betyg": "F"},
            {"pnr": "a", "lasar": 2021, "arskurs": 6, "amne": "EN", "betyg": "C"},
        ],
        skf_slutbetyg=[{"pnr": "a", **final}, {"pnr": "b", **final}],
        skf_stod=[
            {"pnr": "a", "lasar": 2024, "typ": "ENSKILD", "start": "2023-09-01"},
            {"pnr": "a", "lasar": 2024, "typ": "STODLARARE", "start": "2023-09-01"},
            {"pnr": "b", "lasar": 2023, "typ": "ENSKILD", "start": "2022-09-01"},
        ],
    )
    assert {*found} == {"a", "b"}
    assert found["a"]["franvaro_procent"] == 12.5
    assert found["a"]["ogiltig_franvaro_procent"] == 5.5
    assert found["a"]["underkand_matematik_ak6"] is True
    assert found["a"]["sarskilt_stod_ak9"] is True
    assert found["a"]["behorig_yrkes"] is True
    assert (found["a"]["meritvarde"], found["a"]["antal_f"]) == (180, 1)
    assert found["b"]["sarskilt_stod_ak9"] is False
    for unknown in ("franvaro_procent", "ogiltig_franvaro_procent", "underkand_matematik_ak6"):
        assert found["b"][unknown] is None


def test_extensive_care_is_support_in_daily_living_or_thirty_hours_of_home_care() -> None:
    decisions = [
        ("VB1", "a", "HTJ", "2018-01-01", "2018-12-31", 30.0),
        ("VB2", "a", "HTJ", "2019-01-01", None, 29.9),
        ("VB3", "b", "BOSTOD", "2019-07-01", "2019-07-31", 2.0),
        ("VB4", "c", "SABO", "2015-01-01", None, None),
        ("VB5", "d", "BOSTOD", "2024-12-01", None, 12.0),
    ]
    names = ("beslut_id", "pnr", "insats", "start", "slut", "timmar_man")
    found = answer(
        "vof_omsorg",
        vof_person=[{"pnr": person} for person in "abcde"],
        vof_beslut=[dict(zip(names, decision, strict=True)) for decision in decisions],
    )
    # Autumn 2018 belongs to the school year that ends in 2019.
    flags = {name for name, value in found["a"].items() if value is True}
    assert flags == {"omfattande_2018", "omfattande_lasar_2019"}
    assert (found["a"]["insats_nu"], found["a"]["timmar_nu"]) == ("HTJ", 29.9)
    # July lies between two school years.
    assert {name for name, value in found["b"].items() if value is True} == {"omfattande_2019"}
    assert found["b"]["insats_nu"] == "INGEN"
    assert not any(value is True for value in found["c"].values())
    assert (found["c"]["insats_nu"], found["c"]["timmar_nu"]) == ("SABO", None)
    assert found["d"]["omfattande_nu"] is True
    assert found["e"]["insats_nu"] == "INGEN"


def test_home_care_without_hours_may_be_extensive() -> None:
    decisions = [
        ("VB1", "a", "HTJ", "2018-01-01", "2018-12-31", None),
        ("VB2", "a", "HTJ", "2019-01-01", None, 29.9),
        ("VB3", "b", "HTJ", "2017-01-01", "2018-06-30", None),
        ("VB4", "b", "HTJ", "2018-07-01", None, 30.0),
        ("VB5", "c", "HTJ", "2024-01-01", None, None),
    ]
    names = ("beslut_id", "pnr", "insats", "start", "slut", "timmar_man")
    found = answer(
        "vof_omsorg",
        vof_person=[{"pnr": person} for person in "abc"],
        vof_beslut=[dict(zip(names, decision, strict=True)) for decision in decisions],
    )
    unknown = {name for name, value in found["a"].items() if value is None}
    assert unknown == {"omfattande_2018", "omfattande_lasar_2019"}
    assert found["a"]["omfattande_2019"] is False
    # Where other care of the year was extensive, the year is known.
    assert found["b"]["omfattande_2018"] is True
    assert found["b"]["omfattande_2017"] is None
    assert found["b"]["omfattande_2016"] is False
    assert (found["c"]["insats_nu"], found["c"]["timmar_nu"]) == ("HTJ", None)
    assert found["c"]["omfattande_nu"] is None


def test_what_was_not_filled_in_is_not_taken_for_no() -> None:
    child, clear, sure = "200483071234", "200483071235", "200483071236"
    said = [(child, None), (child, False), (clear, False), (sure, None), (sure, True)]
    found = answer(
        "sof_barn_arskurs9",
        sof_barn=[
            {"pnr": person, "anmalan_datum": f"2011-01-0{day}", "utredning": opened}
            for day, (person, opened) in enumerate(said, 1)
        ],
    )
    assert [found[p]["utredning_fore"] for p in (child, clear, sure)] == [None, False, True]
    found = answer(
        "amf_deltagande",
        amf_insats=[
            *PROGRAMMES[:-1],
            programme("I6", "JOBBSOK", "2020-01-01", "2020-05-31", None),
            programme("I7", "JOBBSOK", "2021-01-01", "2021-05-31", "ARBETE"),
        ],
        amf_aktivitet=[
            {"pnr": "b", "insats_id": "I6", "manad": month, "planerade_tim": 80, "narvaro_tim": was}
            for month, was in (("2020-01-01", 40), ("2020-02-01", None))
        ],
    )
    assert (found["a"]["nagot_avbrott"], found["a"]["nagon_gang_arbete"]) == (True, True)
    assert (found["b"]["nagot_avbrott"], found["b"]["nagon_gang_arbete"]) == (None, True)
    assert found["b"]["narvaro_procent"] == 50


def test_a_month_without_an_obstacle_does_not_end_a_period() -> None:
    months = [*paid("a", "H1", "2017-01", "2017-02", "2017-03"), *paid("b", "H2", "2020-01")]
    for row in (months[0], months[3]):
        row["hinder"] = None
    found = answer("sof_forsta_period", sof_utbetalning=months)
    assert (found["a"]["startmanad_nr"], found["a"]["periodens_manader"]) == (12, 3)
    assert found["a"]["hinder_vid_start"] == "ARB"
    assert found["b"]["hinder_vid_start"] is None


def test_a_household_with_one_grown_up_and_children_is_recognised() -> None:
    homes = {
        "B1": (1980, 2005, 2010),  # a parent, a grown child and a young one
        "B2": (1980, 1982, 2010),
        "B3": (1950,),
        "B4": (1998, 2004),  # nobody is under 18
        "B5": (1980, 2006, 2007),  # 18 in 2024, and 17
    }
    people = [
        {
            "pnr": f"{home}-{born}",
            "bostad_id": home,
            "fodelsear": born,
            "stadsdel_kod": 12,
            "inflyttad": "2016-01-01" if home == "B1" else "1900-01-01",
        }
        for home, members in homes.items()
        for born in members
    ]
    found = answer("kir_hushall", kir_person=people)
    assert len(found) == len(people)
    alone = {name for name, row in found.items() if row["ensam_vuxen_med_barn"]}
    assert {name.partition("-")[0] for name in alone} == {"B1", "B5"}
    assert found["B1-2005"] == {
        "alder": 19,
        "stadsdel": "Örtagården",
        "inflyttad_2016_2024": True,
        "hushallsstorlek": 3,
        "barn_under_18": 1,
        "ensam_vuxen_med_barn": True,
    }
    assert found["B5-1980"]["barn_under_18"] == 1
    assert found["B3-1950"]["inflyttad_2016_2024"] is False


def test_payments_have_the_office_of_the_applicant() -> None:
    with opened("sof_kontor_manad") as connection:
        connection.execute("INSERT INTO sof_person (pnr, kontor) VALUES ('a', 'Syd')")
        connection.execute(
            "INSERT INTO sof_utbetalning (sokande_pnr, manad, belopp_kr) "
            "VALUES ('a', '2018-01-01', 900), ('a', '2018-02-01', 800), ('b', '2018-01-01', 1)"
        )
        rows = connection.execute(query("sof_kontor_manad")).fetchall()
    assert sorted((row[2], row[3]) for row in rows) == [("Syd", 800), ("Syd", 900)]
    (promised,) = CATALOGUE["sof_kontor_manad"].coverage
    assert (promised.period, promised.by) == ("manad", "kontor")
