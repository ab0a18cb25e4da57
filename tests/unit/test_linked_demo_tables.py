"""The analysis tables of the demo's joint questions, against the simulated city, row by row."""

from collections import defaultdict
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
from linked_clear import analysis_table

from demo import town
from demo.town import Town

LAST = 107
JANUARIES = range(12, 108, 12)


@lru_cache
def made() -> Town:
    return town.build(seed=20250401, residents=6_000)


def rows(name: str) -> dict[str, dict[str, object]]:
    """The table by resident; one row each."""
    table = analysis_table(made(), name)
    assert table.pnr.is_unique
    return {row["pnr"]: row for row in table.to_dict("records")}


def stretches(months: list[int]) -> list[list[int]]:
    """Unbroken runs of months, in order."""
    found: list[list[int]] = []
    for month in sorted(months):
        if found and month == found[-1][-1] + 1:
            found[-1].append(month)
        else:
            found.append([month])
    return found


@lru_cache
def paid() -> dict[str, list[list[int]]]:
    """Each applicant's periods of assistance, as the payments show them."""
    months = defaultdict(list)
    table = made().tables["sof_utbetalning"]
    for person, month in zip(table.sokande_pnr, table.manad, strict=True):
        months[person].append(12 * (int(month[:4]) - 2016) + int(month[5:7]) - 1)
    return {person: stretches(numbers) for person, numbers in months.items()}


def test_pupils_have_what_was_simulated() -> None:
    schools, pnr = made().city.schools, made().pnr.to_numpy()
    school, home = rows("skf_elev_underlag"), rows("sof_elev_underlag")
    stayed = made().city.population.households.former[schools.household] == np.False_
    for place in np.flatnonzero(stayed):
        row = school[pnr[schools.person[place]]]
        absence = schools.absence[place]
        assert row["vartermin"] == schools.spring[place]
        assert row["behorig"] == schools.eligible[place]
        assert row["franvaro_hogst_60"] == pytest.approx(min(absence, 60))
        assert row["franvaro_klass"] == (
            "under_8" if absence < 8 else "8_20" if absence < 20 else "over_20"
        )
        assert row["underkand_matematik"] == schools.failed_maths_grade_6[place]
        assert row["sarskilt_stod"] == schools.support[place]
        neither = {"langvarigt_bistand": False, "utredd": False, "hemmet": "ingetdera"}
        known = home.get(pnr[schools.person[place]], neither)
        long, inquiry = schools.long_assistance[place], schools.child_protection[place]
        assert (known["langvarigt_bistand"], known["utredd"]) == (long, inquiry)
        words = {
            (False, False): "ingetdera",
            (True, False): "ekonomi",
            (False, True): "utredning",
            (True, True): "bada",
        }
        assert known["hemmet"] == words[bool(long), bool(inquiry)]


def test_pupils_of_unknown_background_are_left_out_and_nobody_else() -> None:
    every, known = rows("skf_elev_underlag"), rows("skf_bakgrund_underlag")
    pupils = made().tables["skf_elev"]
    last = pupils[pupils.arskurs == 9].set_index("pnr")
    told = last.index[last.vh_utb.notna() | (last.nyanland == 1)]
    assert {*known} == {*every} & {*told}
    assert 0 < len(known) < len(every)
    names = {1: "grundskola", 2: "gymnasium", 3: "hogskola"}
    for person, row in known.items():
        pupil = last.loc[person]
        expected = "nyanland" if pupil.nyanland else names[int(pupil.vh_utb)]
        assert row["bakgrund"] == expected
        assert row["behorig"] == every[person]["behorig"]
        assert row["franvaro_hogst_45"] <= 45


def test_a_period_is_the_first_whose_beginning_is_known() -> None:
    found = rows("sof_period_underlag")
    expected = {}
    for person, periods in paid().items():
        later = [period for period in periods if period[0] > 0]
        if later:
            months = len(later[0])
            over = later[0][-1] < LAST
            expected[person] = {
                "pnr": person,
                "borjade_manad_nr": later[0][0],
                "manader_hogst_24": min(months, 24),
                "slutade": over and months <= 24,
                "slutade_inom_ett_ar": over and months <= 12,
            }
    assert found == expected
    assert any(period["manader_hogst_24"] == 24 for period in found.values())


def test_a_january_is_the_first_of_a_period_that_began_before() -> None:
    expected = {}
    sick = {
        (person, month): hinder == "SJUK"
        for person, month, hinder in zip(
            *(made().tables["sof_utbetalning"][c] for c in ("sokande_pnr", "manad", "hinder")),
            strict=True,
        )
    }
    for person, periods in paid().items():
        for period in periods:
            here = [month for month in JANUARIES if month in period and month > period[0]]
            if here and person not in expected:
                year = 2016 + here[0] // 12
                expected[person] = {
                    "pnr": person,
                    "ar": year,
                    "periodens_manad_hogst_18": min(here[0] - period[0] + 1, 18),
                    "sjuk": sick[person, f"{year}-01"],
                    "slut_i_januari": period[-1] == here[0],
                }
    assert rows("sof_januari_underlag") == expected
    assert any(row["slut_i_januari"] for row in expected.values())


def test_the_caseworker_is_the_households() -> None:
    city, pnr = made().city, made().pnr.to_numpy()
    heads = pnr[city.population.households.first]
    caseworker = dict(zip(heads, city.assistance.caseworker.tolist(), strict=True))
    found = rows("sof_handlaggare_underlag")
    assert found
    for person, row in found.items():
        assert row["forsta_handlaggare"] == caseworker[person]


def test_the_first_work_based_programme_since_2016_is_found() -> None:
    programmes = made().city.labour.programmes
    heads = made().pnr.to_numpy()[made().city.population.households.first[programmes.household]]
    expected: dict[str, int] = {}
    for person, kind, start in zip(
        heads, programmes.kind.tolist(), programmes.start.tolist(), strict=True
    ):
        if kind in {1, 2} and start >= 0:  # PRAKTIK and OSA
            expected[person] = min(expected.get(person, start), start)
    found = rows("amf_arbetsnara_underlag")
    assert {person: row["borjade_arbetsnara_nr"] for person, row in found.items()} == expected


def test_a_programme_counts_in_january_for_six_months_after_its_end() -> None:
    table = made().tables["amf_insats"]
    table = table[table.typ != "FERIEJOBB"]
    found = rows("amf_januari_underlag")
    assert {*found} == {*table.pnr}
    seen = set()
    for person, own in table.groupby("pnr"):
        for year in range(2017, 2025):
            here = [
                (start, number, kind)
                for start, end, number, kind in zip(
                    own.start, own.slut, own.insats_id, own.typ, strict=True
                )
                if start < pd.Timestamp(f"{year}-02-01")
                and (pd.isna(end) or end >= pd.Timestamp(f"{year - 1}-07-01"))
            ]
            if not here:
                expected = "ingen"
            else:
                start = max(item[0] for item in here)
                kind = min(item for item in here if item[0] == start)[2]
                expected = "arbetsnara" if kind in {"PRAKTIK", "OSA"} else "ovrig"
            assert found[person][f"laget_{year}"] == expected
            seen.add(expected)
    assert seen == {"ingen", "ovrig", "arbetsnara"}


def test_the_programme_of_a_participant_is_the_first_that_ended_for_a_known_reason() -> None:
    table = made().tables["amf_insats"]
    chosen = table[
        (table.typ != "FERIEJOBB") & table.slutorsak.notna() & (table.start >= "2016-01-01")
    ].sort_values(["start", "insats_id"])
    education = made().tables["amf_person"].set_index("pnr").utb
    found = rows("amf_avbrott_underlag")
    assert {*found} == {*chosen.pnr}
    for person, own in chosen.groupby("pnr", sort=False):
        first = own.iloc[0]
        half = 2 * (first.start.year - 2016) + (0 if first.start.month <= 6 else 1)
        assert found[person]["avbrott"] == (first.slutorsak == "AVBROTT")
        assert found[person]["halvar_nr"] == half
        short = education[person]
        assert found[person]["kort_utbildning"] == (not pd.isna(short) and short == 1)


def test_extensive_care_is_that_of_the_decisions() -> None:
    decisions = made().tables["vof_beslut"]
    found = rows("vof_hem_underlag")
    assert {*found} == {*made().tables["vof_person"].pnr}
    heavy = decisions[
        (decisions.insats == "BOSTOD")
        | ((decisions.insats == "HTJ") & (decisions.timmar_man >= 30))
    ]
    times = defaultdict(list)
    for person, start, end in zip(heavy.pnr, heavy.start, heavy.slut, strict=True):
        times[person].append((start, pd.Timestamp("2100-01-01") if pd.isna(end) else end))
    spans = {
        f"omfattande_skolar_{y}": (f"{y - 1}-08-01", f"{y}-06-30") for y in range(2019, 2025)
    } | {
        f"omfattande_halvar_{y}_{h}": (f"{y}-{a}", f"{y}-{b}")
        for y in range(2016, 2025)
        for h, a, b in ((1, "01-01", "06-30"), (2, "07-01", "12-31"))
    }
    told = 0
    for person, row in found.items():
        for name, (first, last) in spans.items():
            expected = any(
                start <= pd.Timestamp(last) and end >= pd.Timestamp(first)
                for start, end in times[person]
            )
            assert row[name] == expected
            told += expected
    assert told
