"""A draft declaration has the columns, guessed types and empty bounds; it holds no value."""

import sqlite3

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from declared import GOOD, HEADING

from models.errors import DataContractError, InvalidDocumentError
from node.datasets import CsvSource, IdentityForm, ParquetSource, SqlSource, load
from node.vault.describe import describe

ROWS = HEADING + "canary1,31,100.5,canary2,true\nb2,29,?,canary3,false\nc3,,7,,true\n"
TYPES = {
    "pnr": "string",
    "age": "integer",
    "income": "string",
    "school": "string",
    "moved": "boolean",
}


def types(draft):
    return {field["name"]: field["type"] for field in yaml.safe_load(draft)["schema"]["fields"]}


def test_a_text_file_gives_names_types_and_no_values(tmp_path):
    (tmp_path / "data.csv").write_text(ROWS, encoding="utf-8")
    draft = describe(CsvSource(path="data.csv"), name="people", folder=tmp_path)
    assert types(draft) == TYPES
    for value in ("canary", "31", "29", "100.5", "b2"):
        assert value not in draft
    fields = {field["name"]: field for field in yaml.safe_load(draft)["schema"]["fields"]}
    assert fields["age"]["constraints"] == {"minimum": None, "maximum": None}
    assert fields["school"]["constraints"] == {"enum": []}
    assert "missing_meaning" in fields["age"]
    assert "missing_meaning" not in fields["pnr"]


def test_the_draft_is_refused_until_it_is_filled_in(tmp_path):
    (tmp_path / "data.csv").write_text(ROWS, encoding="utf-8")
    path = tmp_path / "people.yaml"
    draft = describe(CsvSource(path="data.csv"), name="people", folder=tmp_path)
    path.write_text(draft, encoding="utf-8")
    with pytest.raises(InvalidDocumentError, match="steward: is empty"):
        load(path)
    filled = (
        draft.replace('""', '"x"')
        .replace('resident_id: "x"', "resident_id: pnr")
        .replace("minimum: , maximum: ", "minimum: 0, maximum: 120")
        .replace("enum: []", 'enum: ["a", "b"]')
    )
    start, end = filled.index("    - name: pnr"), filled.index("    - name: age")
    path.write_text(filled[:start] + filled[end:], encoding="utf-8")
    dataset = load(path)
    assert dataset.source == CsvSource(path="data.csv")
    assert [c.name for c in dataset.declaration.columns] == ["age", "income", "school", "moved"]


def test_odd_headings_become_names_and_stay_findable(tmp_path):
    heading = "Ålder (år);ålder-år;2024 inkomst;***\n"
    (tmp_path / "data.csv").write_text(f"{heading}1;2;3,5;x\n", encoding="utf-8")
    source = CsvSource(path="data.csv", delimiter=";", decimal=",")
    draft = yaml.safe_load(describe(source, name="people", folder=tmp_path))
    assert draft["source"]["names"] == {
        "alder_ar": "Ålder (år)",
        "alder_ar_2": "ålder-år",
        "c_2024_inkomst": "2024 inkomst",
        "c": "***",
    }
    assert draft["source"]["delimiter"] == ";"
    assert [field["type"] for field in draft["schema"]["fields"]] == [
        "integer",
        "integer",
        "number",
        "string",
    ]


def test_a_heading_alone_is_enough(tmp_path):
    (tmp_path / "data.csv").write_text(HEADING, encoding="utf-8")
    draft = describe(CsvSource(path="data.csv"), name="people", folder=tmp_path)
    assert set(types(draft).values()) == {"string"}


def test_a_record_in_the_place_of_the_heading_is_not_passed_on(tmp_path):
    (tmp_path / "data.csv").write_text(GOOD, encoding="utf-8")
    with pytest.raises(DataContractError, match="does not look like a heading") as caught:
        describe(CsvSource(path="data.csv"), name="people", folder=tmp_path)
    assert "a1" not in caught.value.message


def test_parquet_types_are_taken_over_and_times_of_day_left_out(tmp_path):
    table = pa.table(
        {
            "age": pa.array([1, None], pa.int16()),
            "income": [1.5, 2.5],
            "born": pa.array([0, 1], pa.date32()),
            "seen": pa.array([0, None], pa.timestamp("us", tz="Europe/Stockholm")),
            "hour": pa.array([0, 1], pa.time32("s")),
            "moved": [True, False],
            "school": pa.array(["a", "b"]).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "data.parquet")
    draft = describe(ParquetSource(path="data.parquet"), name="people", folder=tmp_path)
    assert types(draft) == {
        "age": "integer",
        "income": "number",
        "born": "date",
        "seen": "date",
        "moved": "boolean",
        "school": "string",
    }


NUMBERED = """\
id;mother;paid;month;day;known
19880404-2391;198811092389;20200229;2020-01;29/02/2020;1
200005112396;198804152398;20191231;2020-12;31/12/9999;1
fel;;20190101;2020-10;01/01/2020;1
"""


def test_personal_numbers_days_and_months_are_proposed(tmp_path):
    (tmp_path / "data.csv").write_text(NUMBERED, encoding="utf-8")
    source = CsvSource(path="data.csv", delimiter=";")
    draft = describe(source, name="people", folder=tmp_path)
    content = yaml.safe_load(draft)
    assert content["resident_id"] == "id"
    assert content["resident_id_form"] == "personnummer"
    assert types(draft) == {
        "mother": "resident",
        "paid": "date",
        "month": "yearmonth",
        "day": "date",
        "known": "integer",
    }
    formats = {field["name"]: field.get("format") for field in content["schema"]["fields"]}
    assert (formats["paid"], formats["day"]) == ("%Y%m%d", "%d/%m/%Y")
    for value in ("2391", "1988", "2020", "9999", "fel"):
        assert value not in draft
    path = tmp_path / "people.yaml"
    filled = (
        draft.replace('extracted: ""', "extracted: 2024-12-31")
        .replace('""', '"x"')
        .replace(
            "{minimum: , maximum: }  # closed bounds, YYYY-MM-DD",
            "{minimum: 2016-01-01, maximum: 2024-12-31}  #",
        )
        .replace(
            "{minimum: , maximum: }  # closed bounds, YYYY-MM,",
            "{minimum: 2016-01, maximum: 2024-12}  #",
        )
        .replace("minimum: , maximum: ", "minimum: 0, maximum: 1")
    )
    path.write_text(filled, encoding="utf-8")
    dataset = load(path)
    assert dataset.identity_form is IdentityForm.PERSONNUMMER
    assert dataset.formats == {"paid": "%Y%m%d", "day": "%d/%m/%Y"}


def test_a_query_is_described_without_showing_more_than_it_was_given(tmp_path):
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("create table t (pnr text, age integer, share real)")
        connection.execute("insert into t values ('canary', 77, 0.25)")
    connection.close()
    source = SqlSource(url="sqlite:///a.db", query="select * from t")
    draft = describe(source, name="people", folder=tmp_path)
    assert types(draft) == {"pnr": "string", "age": "integer", "share": "number"}
    assert "canary" not in draft
    assert "77" not in draft


def test_the_same_heading_twice_is_refused_without_naming_it(tmp_path):
    (tmp_path / "data.csv").write_text("canary,canary\n1,2\n", encoding="utf-8")
    with pytest.raises(DataContractError, match="two columns have the same heading") as caught:
        describe(CsvSource(path="data.csv"), name="people", folder=tmp_path)
    assert "canary" not in caught.value.message


def test_a_source_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(DataContractError, match="cannot be read"):
        describe(CsvSource(path="nothing.csv"), name="people", folder=tmp_path)
