"""The demo city's catalogue: complete, within the public bounds, readable in two languages."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from city_catalogue import ALIASES, CATALOGUE, DERIVED, ROOT

from demo.city.codes import MISSING_CODES, RETIRED_PROGRAMMES, SMALL_SCHOOL
from demo.city.population import DISTRICTS
from models.schema import Bilingual, CategoryColumn, Column, DateColumn, NumericColumn, Sensitivity
from node.datasets import Dataset, IdentityForm

PAGE = ROOT / "docs" / "reference" / "demo-city.md"


def words(text: str) -> set[str]:
    return set(re.findall(r"[\wåäö]+", text.lower()))


KEY, RESIDENT, FLAG = ("key",), ("resident",), ("false", "true")
EDUCATION, SCHOOL_YEAR, MONTH = (1, 3), (2016, 2024), ("2016-01", "2024-12")
SUBJECTS = (
    *("BI", "BL", "EN", "FY", "GE", "HI", "HKK", "IDH", "KE"),
    *("M2", "MA", "MU", "RE", "SH", "SL", "SV", "TK"),
)

SPECIFIED: dict[str, dict[str, object]] = {
    "kir_person": {
        "bostad_id": KEY,
        "fodelsear": (1924, 2024),
        "kon": ("K", "M"),
        "stadsdel_kod": (1, 12),
        "fodd_utomlands": FLAG,
        "inflyttad": ("1900-01-01", "2024-12-31"),
        "skyddad": FLAG,
    },
    "sof_person": {
        "hushall_id": KEY,
        "roll": ("sokande", "medsokande", "barn"),
        "stadsdel": DISTRICTS,
        "utb": EDUCATION,
        "fodelseland_grp": ("Sverige", "Utlandet"),
        "kontor": ("Norr", "Mitt", "Syd"),
    },
    "sof_utbetalning": {
        "hushall_id": KEY,
        "manad": MONTH,
        "belopp_kr": (0, 40_000),
        "hinder": ("ARB", "SJUK", "SPRAK", "SOC", "OVR"),
        "antal_barn": (0, 6),
    },
    "sof_beslut": {
        "beslut_id": KEY,
        "datum": ("2016-01-01", "2024-12-31"),
        "utfall": ("bifall", "delavslag", "avslag"),
        "handlaggare": (1, 40),
    },
    "sof_barn": {"anmalan_datum": ("2003-01-01", "2024-12-31"), "utredning": FLAG},
    "amf_person": {
        "kon": ("1", "2"),
        "stadsdel": DISTRICTS,
        "utb": EDUCATION,
        "sfi_niva": ("A", "B", "C", "D"),
    },
    "amf_insats": {
        "insats_id": KEY,
        "typ": ("JOBBSOK", "PRAKTIK", "OSA", "SFI_KOMBI", "FERIEJOBB"),
        "start": ("2011-01-01", "2024-12-31"),
        "slut": ("2016-01-01", "2024-12-31"),
        "slutorsak": ("AVBROTT", "ARBETE", "PLANENLIG", "STUDIER", "OKAND"),
    },
    "amf_aktivitet": {
        "insats_id": KEY,
        "manad": MONTH,
        "planerade_tim": (0, 176),
        "narvaro_tim": (0, 176),
    },
    "skf_elev": {
        "lasar": SCHOOL_YEAR,
        "arskurs": (6, 9),
        "skola_id": tuple(f"S{number:02d}" for number in range(1, 26)),
        "omrade": ("Norr", "Mitt", "Syd"),
        "vh1_pnr": RESIDENT,
        "vh2_pnr": RESIDENT,
        "vh_utb": EDUCATION,
        "nyanland": FLAG,
        "kon": ("Pojke", "Flicka"),
    },
    "skf_franvaro": {
        "lasar": (2017, 2024),
        "manad": ("2016-09", "2024-06"),
        "planerad_tim": (60, 130),
        "giltig_tim": (0, 130),
        "ogiltig_tim": (0, 130),
    },
    "skf_betyg": {
        "lasar": SCHOOL_YEAR,
        "arskurs": (6, 9),
        "amne": SUBJECTS,
        "betyg": tuple("ABCDEF-"),
    },
    "skf_slutbetyg": {
        "lasar": (2019, 2024),
        "meritvarde": (0, 340),
        "antal_f": (0, 17),
        "behorig_yrkes": FLAG,
        "alla_amnen": FLAG,
    },
    "skf_stod": {
        "lasar": SCHOOL_YEAR,
        "typ": ("STODLARARE", "ANPASSAD_STUDIEGANG", "ENSKILD", "SARSKILD_GRUPP"),
        "start": ("2015-08-01", "2024-06-30"),
        "slut": ("2015-08-01", "2024-12-31"),
    },
    "vof_person": {
        "kon": ("man", "kvinna", "okänt"),
        "fodelsear": (1915, 2006),
        "ensamboende": FLAG,
        "stadsdel": DISTRICTS,
    },
    "vof_beslut": {
        "beslut_id": KEY,
        "insats": ("SABO", "LARM", "HTJ", "BOSTOD"),
        "start": ("2011-01-01", "2024-12-31"),
        "slut": ("2016-01-01", "2026-12-31"),
        "timmar_man": (0, 300),
    },
    "vof_utford": {"manad": MONTH, "timmar": (0, 350)},
}
"""The specified columns besides the resident's, in order, each with its bounds or categories."""

RESIDENT_COLUMN = {"sof_utbetalning": "sokande_pnr", "sof_beslut": "sokande_pnr"}
MAY_BE_MISSING = {
    ("sof_person", "utb"),
    ("amf_person", "utb"),
    ("amf_person", "sfi_niva"),
    ("amf_insats", "slut"),
    ("amf_insats", "slutorsak"),
    ("amf_aktivitet", "narvaro_tim"),
    ("sof_utbetalning", "hinder"),
    ("sof_beslut", "handlaggare"),
    ("sof_barn", "utredning"),
    ("skf_elev", "omrade"),
    ("skf_elev", "vh2_pnr"),
    ("skf_elev", "vh_utb"),
    ("skf_stod", "slut"),
    ("vof_person", "ensamboende"),
    ("vof_person", "stadsdel"),
    ("vof_beslut", "slut"),
    ("vof_beslut", "timmar_man"),
}
CHAPTERS = {
    "kir": "22 kap.",
    "sof": "26 kap.",
    "amf": "28 kap.",
    "skf": "23 kap.",
    "vof": "26 kap.",
}

ENGLISH = words(
    "the and of with is are was has have had for or which that this their from by resident "
    "year month school household months years not who whose an"
)
SWEDISH = words(
    "och att det den för som är på av med till eller inte ett från om har de någon "
    "månad månader år hushåll invånare elev"
)
LOST_SIGNS = words(
    "for fran ar ars pa nar manad manader arskurs lasar forsta utford hushall bistand sokande "
    "vardnadshavare franvaro amne behorig stod fodd alder hogsta"
)
"""Swedish words that have lost their å, ä or ö."""


def promise(column: Column) -> object:
    if isinstance(column, NumericColumn | DateColumn):
        return (column.minimum, column.maximum)
    return column.categories if isinstance(column, CategoryColumn) else (column.type,)


def texts(dataset: Dataset) -> Iterator[tuple[str, Bilingual]]:
    """Every bilingual text of a dataset, and what it is about."""
    declared = dataset.declaration
    yield "title", declared.title
    yield "description", declared.description
    for column in declared.columns:
        yield column.name, column.meaning
        if column.missing is not None:
            yield f"{column.name}, missing", column.missing.meaning


def foreign(text: Bilingual) -> set[str]:
    """The words of a text that betray the other language, or a keyboard without å, ä and ö."""
    return (words(text.sv) & (ENGLISH | LOST_SIGNS)) | (words(text.en) & SWEDISH)


@pytest.mark.parametrize("name", SPECIFIED)
def test_every_specified_column_is_declared_within_its_public_bounds(name: str) -> None:
    declared = CATALOGUE[name].declaration
    assert {c.name: promise(c) for c in declared.columns} == SPECIFIED[name]
    assert [c.name for c in declared.columns] == list(SPECIFIED[name])
    assert declared.resident_id == RESIDENT_COLUMN.get(name, "pnr")
    missing = {c.name for c in declared.columns if c.missing is not None}
    assert missing == {column for table, column in MAY_BE_MISSING if table == name}


def test_the_catalogue_holds_the_specified_tables_aliases_and_analysis_tables() -> None:
    assert {*CATALOGUE} == {*SPECIFIED} | ALIASES | {*DERIVED}
    assert len(DERIVED) == 20
    for name in ALIASES:
        (column,) = CATALOGUE[name].declaration.columns
        assert promise(column) == KEY
    for name in DERIVED.keys() - {"sof_kontor_manad"}:
        assert CATALOGUE[name].key == ("pnr",), "one row per resident"


@pytest.mark.parametrize("name", CATALOGUE)
def test_residents_owners_and_secrecy_are_stated(name: str) -> None:
    dataset = CATALOGUE[name]
    declared = dataset.declaration
    department = name.partition("_")[0]
    assert Path(dataset.file).parent.name == department
    assert dataset.identity_form is IdentityForm.PERSONNUMMER
    assert str(dataset.extracted) == "2024-12-31"
    assert not declared.public
    assert CHAPTERS[department] in declared.secrecy
    assert re.search(r"\d+ kap\. [^;]*§.* OSL", declared.secrecy)
    assert declared.steward.endswith("förvaltningen")


def test_health_is_marked_and_everything_social_services_know_is_secret() -> None:
    for name, dataset in CATALOGUE.items():
        for column in dataset.declaration.columns:
            strict = {Sensitivity.SECRET, Sensitivity.SPECIAL}
            if name.startswith(("sof_", "vof_")) and name not in ALIASES:
                assert column.sensitivity in strict, (name, column.name)
            if column.name.startswith(("hinder", "omfattande", "timmar", "insats_nu")):
                assert column.sensitivity is Sensitivity.SPECIAL, (name, column.name)


@pytest.mark.parametrize("name", CATALOGUE)
def test_both_languages_are_kept_apart(name: str) -> None:
    for about, text in texts(CATALOGUE[name]):
        assert text.sv != text.en, about
        assert not foreign(text), (about, foreign(text))
        full_sentences = about == "description"
        for said in (text.sv, text.en):
            assert said[0].isupper(), said
            assert said.endswith(".") is full_sentences, said


def test_a_text_in_the_wrong_language_is_found() -> None:
    assert foreign(Bilingual(sv="Months of assistance", en="Months of assistance"))
    assert foreign(Bilingual(sv="Antal manader", en="Number of months")) == {"manader"}
    assert foreign(Bilingual(sv="Antal månader", en="Antal månader")) == {"månader"}
    assert not foreign(Bilingual(sv="Antal månader", en="Number of months"))


def test_no_two_things_are_described_in_the_same_words() -> None:
    for language in ("sv", "en"):
        said: dict[str, str] = {}
        for name, dataset in CATALOGUE.items():
            for about, text in texts(dataset):
                thing = f"{name}.{about}" if about in {"title", "description"} else about
                words_of_it = getattr(text, language)
                assert said.setdefault(words_of_it, thing) == thing, words_of_it


def test_codes_of_the_departments_are_declared() -> None:
    assert CATALOGUE["amf_insats"].spellings == {"typ": dict(RETIRED_PROGRAMMES)}
    for (table, name), code in MISSING_CODES.items():
        column = CATALOGUE[table].declaration.column(name)
        assert column is not None
        assert column.missing is not None
        assert code in column.missing.values
    schools = CATALOGUE["skf_elev"].declaration.column("skola_id")
    assert isinstance(schools, CategoryColumn)
    assert SMALL_SCHOOL in schools.categories


def test_a_gap_at_random_is_among_the_meanings_of_a_missing_value() -> None:
    """What was never filled in must not be read as there being nothing to fill in."""
    for table, name in (("vof_beslut", "timmar_man"), ("amf_insats", "slutorsak")):
        column = CATALOGUE[table].declaration.column(name)
        assert column is not None
        assert column.missing is not None
        assert "eller så har uppgiften inte fyllts i" in column.missing.meaning.sv
        assert column.missing.meaning.en.endswith("or it was not filled in")


def test_rows_that_rest_on_a_household_say_so() -> None:
    for name in ("kir_hushall", "sof_hushall_bistand", "sof_barn_arskurs9", "sof_elev_underlag"):
        text = CATALOGUE[name].declaration.description
        assert "är inte hela skyddet för" in text.sv
        assert "protection of one" in text.en


def test_undelivered_years_of_assistance_are_owned_up_to() -> None:
    derived = {"sof_bistand_manader", "sof_hushall_bistand", "sof_barn_arskurs9"}
    joint = {"sof_elev_underlag", "sof_period_underlag", "sof_januari_underlag"}
    for name in (*derived, *joint, "sof_forsta_period"):
        text = CATALOGUE[name].declaration.description
        for said in (text.sv, text.en):
            assert "sof_kontor_manad" in said
        assert "räknas som år utan bistånd" in text.sv


def test_every_table_and_column_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z][a-z0-9_]*)`", page))
    # Columns of consecutive years are written once, as `manader_2016` … `manader_2024`.
    for stem, first, last in re.findall(r"`([a-z_]+_)(20\d\d)` … `\1(20\d\d)`", page):
        named |= {f"{stem}{year}" for year in range(int(first), int(last) + 1)}
    # So are those of half-years, as `omfattande_halvar_2016_1` … `omfattande_halvar_2024_2`.
    for stem, first, last in re.findall(r"`([a-z_]+_)(20\d\d)_1` … `\1(20\d\d)_2`", page):
        years = range(int(first), int(last) + 1)
        named |= {f"{stem}{year}_{half}" for year in years for half in (1, 2)}
    for name, dataset in CATALOGUE.items():
        declared = dataset.declaration
        absent = {name, declared.resident_id, *(c.name for c in declared.columns)} - named
        assert not absent, (name, absent)
