"""The steward's file: what it gives, and how each mistake in it is named."""

import json
from datetime import date

import pytest
from declared import CSV, FIELDS, declare, text

from models import documents
from models.errors import ConfigurationError, InvalidDocumentError
from models.linkage.identity import Admission, Mode
from models.schema import (
    CategoryColumn,
    DateColumn,
    Declaration,
    KeyColumn,
    NumericColumn,
    Sensitivity,
)
from node.datasets import (
    Coverage,
    CsvSource,
    DerivedSource,
    IdentityForm,
    ParquetSource,
    SqlSource,
    load,
    load_folder,
)


def problems(folder, content):
    path = folder / "people.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidDocumentError) as caught:
        load(path)
    assert caught.value.what == str(path)
    return {problem.field: problem.problem for problem in caught.value.problems}


def test_a_file_gives_its_declaration_and_source(tmp_path):
    dataset = declare(tmp_path)
    assert dataset.file == str(tmp_path / "people.yaml")
    assert dataset.source == CsvSource(path="data.csv")
    assert dataset.origin.place == str(tmp_path / "data.csv")
    age, income, school, moved = dataset.declaration.columns
    assert isinstance(age, NumericColumn)
    assert (age.type, age.minimum, age.maximum, age.unit) == ("integer", 0, 120, "years")
    assert age.missing is None
    assert isinstance(income, NumericColumn)
    assert income.maximum == 100_000
    assert income.missing is not None
    assert income.missing.values == ("", "?", "-9")
    assert isinstance(school, CategoryColumn)
    assert school.categories == ("låg", "mellan", "hög")
    assert school.missing is not None
    assert school.missing.values == ("",)
    assert isinstance(moved, CategoryColumn)
    assert (moved.type, moved.categories) == ("boolean", ("false", "true"))
    assert moved.sensitivity is Sensitivity.PERSONAL
    assert not dataset.declaration.public


def test_categories_that_yaml_would_turn_into_truth_values_stay_texts(tmp_path):
    field = "\n    - {name: a, meaning: {sv: x, en: y}, constraints: {enum: [no, yes, 01]}}\n"
    (column,) = declare(tmp_path, fields=field).declaration.columns
    assert isinstance(column, CategoryColumn)
    assert column.categories == ("no", "yes", "01")


def test_sources_are_told_apart_by_kind(tmp_path):
    parquet = declare(tmp_path, "source: {kind: parquet, path: a.parquet, names: {age: Ålder}}")
    assert parquet.source == ParquetSource(path="a.parquet", names={"age": "Ålder"})
    assert parquet.origin.heading("age") == "Ålder"
    assert parquet.origin.heading("pnr") == "pnr"
    sql = declare(tmp_path, 'source: {kind: sql, url: "sqlite:///a.db", query: select 1}')
    assert sql.source == SqlSource(url="sqlite:///a.db", query="select 1")
    assert sql.origin.place == f"the query of {tmp_path / 'people.yaml'}"


@pytest.mark.parametrize(
    ("old", "new", "field", "said"),
    [
        ("steward: Anna Andersson\n", "", "steward", "is required"),
        ("name: people", "name: People", "name", "lower-case"),
        ("minimum: 0, ", "", "schema.fields.age.constraints.minimum", "never measured"),
        ("minimum: 0", "minimum: true", "schema.fields.age.constraints.minimum", "number"),
        ("minimum: 0", "minimum: .nan", "schema.fields.age.constraints.minimum", "finite"),
        ("minimum: 0", "minimum: 120", "schema.fields.age", "minimum must be below maximum"),
        ("minimum: 0", "minimum: 0.5", "schema.fields.age", "whole numbers"),
        ("type: integer", "type: money", "schema.fields.age.type", "'integer'"),
        ("type: integer", "type: boolean", "schema.fields.age.constraints.minimum", "boolean"),
        ("{enum: [", "{minimum: 1, enum: [", "schema.fields.school.constraints.minimum", "string"),
        ('"låg", ', "1, ", "schema.fields.school.constraints.enum.0", "in quotes"),
        ('"låg", "mellan", "hög"', '"låg"', "schema.fields.school", "two categories"),
        ('"låg", "mellan"', '"hög"', "schema.fields.school", "differ"),
        ('["", "?", "-9"]', "[-9]", "schema.fields.income.missingValues.0", "in quotes"),
        ("name: income", "name: age", "schema.fields", "declared once"),
        ("name: income", "name: pnr", "schema.fields", "resident id"),
        ("unit: years", "units: years", "schema.fields.age.units", "not a known field"),
        ("path: data.csv", "pathe: data.csv", "source.path", "is required"),
        ("kind: csv", "kind: excel", "source", "excel"),
        ("path: data.csv", "path: a, encoding: utf-16", "source.encoding", "utf-8"),
        ("path: data.csv", 'path: a, decimal: ","', "source", "another delimiter"),
        ("path: data.csv", "path: a, names: {size: x}", "source.names.size", "not a declared"),
    ],
)
def test_each_mistake_is_named_by_its_path_and_line(tmp_path, old, new, field, said):
    content = text()
    assert old in content
    found = problems(tmp_path, content.replace(old, new, 1))
    assert field in found
    assert said in found[field]
    assert field == "steward" or "(line " in found[field]


def test_the_line_is_the_right_one(tmp_path):
    content = text().replace("minimum: 0", "minimum: zero")
    line = next(n for n, t in enumerate(content.splitlines(), 1) if "minimum: zero" in t)
    found = problems(tmp_path, content)
    assert found["schema.fields.age.constraints.minimum"].endswith(f"(line {line})")


def test_an_empty_column_list_is_a_problem(tmp_path):
    assert set(problems(tmp_path, text(fields=" []\n"))) == {"schema.fields"}


@pytest.mark.parametrize(
    ("extra", "field"),
    [
        ("constraints: {required: false, enum: [a, b]}", "constraints.required"),
        ("missingValues: ['?']\n      constraints: {enum: [a, b]}", "missingValues"),
        (
            "missing_meaning: {sv: x, en: y}\n      constraints: {required: true, enum: [a, b]}",
            "missing_meaning",
        ),
    ],
)
def test_missing_values_need_a_meaning_and_only_one_story(tmp_path, extra, field):
    fields = f"\n    - name: a\n      meaning: {{sv: x, en: y}}\n      {extra}\n"
    assert f"schema.fields.a.{field}" in problems(tmp_path, text(fields=fields))


def test_a_category_cannot_also_mean_missing(tmp_path):
    fields = (
        "\n    - name: a\n      meaning: {sv: x, en: y}\n      constraints: {enum: [a, b]}"
        "\n      missing_meaning: {sv: x, en: y}\n      missingValues: [a]\n"
    )
    assert "missing value" in problems(tmp_path, text(fields=fields))["schema.fields.a"]


@pytest.mark.parametrize(
    "source",
    [
        'url: "sqlite:///a.db", url_file: b, query: select 1',
        "query: select 1",
        'url: "postgresql://me:secret@host/db", query: select 1',
        'url: "postgresql://host/db?password=secret", query: select 1',
        'url: "sqlite:///a.db", query: delete from a',
        'url: "sqlite:///a.db", query: "select 1; drop table a"',
        'url: "sqlite:///a.db", query: "/* select */ drop table a"',
        'url: "sqlite:///a.db", query: selection',
        """url: "sqlite:///a.db", query: "select ';'; drop table a" """,
        r"""url: "sqlite:///a.db", query: "select 'a\\'; drop table a --'" """,
        r"""url: "sqlite:///a.db", query: "select 1 as like'\\'; drop table a --'" """,
        """url: "sqlite:///a.db", query: "/* /* */ ' */ ; drop table a --'" """,
        """url: "sqlite:///a.db", query: "select /* /* */ ' */ ; drop table a --'" """,
        'url: "sqlite:///a.db", query: "select 1 -- one\\r; drop table a"',
        """url: "sqlite:///a.db", query: "select 1 as a$$; drop table a --$$" """,
        """url: "sqlite:///a.db", query: "select 1 as a$$$; drop table a --$$" """,
        """url: "sqlite:///a.db", query: "select 1 as €$$; drop table a --$$" """,
    ],
)
def test_a_query_is_one_select_on_one_url_without_a_password(tmp_path, source):
    found = problems(tmp_path, text(source=f"source: {{kind: sql, {source}}}"))
    assert set(found) == {"source"}
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    "query",
    [
        "select ';' as a, 'it''s; so' as b, \"a;b\" from a;",
        "select '--', 1 /* one; two */ from a -- '",
        r"select E'it\'s; so', e'\\' from a",
        "select $$it's; so$$, $q$one $$; $q$ from a where a = '$$'",
        "with a as (select ';' as x) select * from a ; ",
    ],
)
@pytest.mark.parametrize("kind", ["sql", "derived"])
def test_a_semicolon_in_a_text_or_name_does_not_end_a_select(tmp_path, kind, query):
    if kind == "sql":
        assert SqlSource(url="sqlite:///a.db", query=query).query == query
    else:
        assert DerivedSource(tables=("a",), query=query).query == query


def test_a_comment_or_closing_semicolon_does_not_spoil_a_select(tmp_path):
    query = '"-- all; of them\\n select 1 ; "'
    dataset = declare(tmp_path, f'source: {{kind: sql, url: "sqlite:///a.db", query: {query}}}')
    assert isinstance(dataset.source, SqlSource)
    assert "sqlite" not in repr(dataset.source)


@pytest.mark.parametrize(
    "content",
    ["", "- a\n", "name: [", "name: a\nname: b\n", "a: &x 1\nb: *x\n", "name: !!python/name:os 1"],
)
def test_what_is_no_declaration_at_all_is_refused(tmp_path, content):
    assert problems(tmp_path, content)


def test_a_file_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "people.yaml"
    path.write_bytes(text().encode("iso-8859-1"))
    with pytest.raises(InvalidDocumentError, match="UTF-8"):
        load(path)


def test_a_mark_at_the_start_of_the_file_does_no_harm(tmp_path):
    path = tmp_path / "people.yaml"
    path.write_bytes(text().encode("utf-8-sig"))
    assert load(path).declaration.name == "people"


def test_a_file_or_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"nothing\.yaml: cannot be read"):
        load(tmp_path / "nothing.yaml")
    with pytest.raises(ConfigurationError, match="nowhere: cannot be read"):
        load_folder(tmp_path / "nowhere")


def test_a_folder_gives_its_datasets_by_file_name(tmp_path):
    (tmp_path / "b.yaml").write_text(text(), encoding="utf-8")
    (tmp_path / "a.yml").write_text(text().replace("name: people", "name: other"), "utf-8")
    (tmp_path / "readme.txt").write_text("not a declaration")
    assert [d.declaration.name for d in load_folder(tmp_path)] == ["other", "people"]


def test_two_files_must_not_declare_the_same_name(tmp_path):
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(text(CSV, FIELDS), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="both declare the dataset people"):
        load_folder(tmp_path)


NEW = """
    - name: typ
      meaning: {sv: Typ, en: Type}
      spellings: {PRK: PRAKTIK, "1": OSA}
      constraints: {enum: [PRAKTIK, OSA]}
    - name: start
      type: date
      format: "%d/%m/%Y"
      meaning: {sv: Start, en: Start}
      constraints: {minimum: 2016-01-01, maximum: 2024-12-31}
    - name: manad
      type: yearmonth
      meaning: {sv: Månad, en: Month}
      constraints: {minimum: 2016-01, maximum: 2024-12}
    - name: ar
      type: integer
      meaning: {sv: År, en: Year}
      constraints: {minimum: 2016, maximum: 2024}
    - name: arende
      type: key
      meaning: {sv: Ärende, en: Case}
      constraints: {pattern: "B[0-9]{6}"}
      missing_meaning: {sv: inget, en: none}
    - name: vh
      type: resident
      meaning: {sv: Vårdnadshavare, en: Guardian}
"""
HEAD = """\
resident_id: pnr
resident_id_form: personnummer
extracted: 2024-12-31
coverage: [{period: manad, by: typ}, {period: ar}, {period: start}]"""


def new_text(name="people", source=CSV):
    content = (
        text(source, NEW).replace("resident_id: pnr", HEAD).replace("name: people", f"name: {name}")
    )
    return content.replace("schema:\n", "schema:\n  primaryKey: [pnr, start]\n")


def test_days_keys_and_residents_are_declared(tmp_path):
    path = tmp_path / "people.yaml"
    path.write_text(new_text(), encoding="utf-8")
    dataset = load(path)
    assert dataset.key == ("pnr", "start")
    assert dataset.coverage == (
        Coverage(period="manad", by="typ"),
        Coverage(period="ar"),
        Coverage(period="start"),
    )
    assert dataset.identity_form is IdentityForm.PERSONNUMMER
    assert dataset.extracted == date(2024, 12, 31)
    assert dataset.formats == {"start": "%d/%m/%Y"}
    assert dataset.spellings == {"typ": {"PRK": "PRAKTIK", "1": "OSA"}}
    assert dataset.admission == Admission()
    start, month = dataset.declaration.column("start"), dataset.declaration.column("manad")
    assert isinstance(start, DateColumn)
    assert (start.first, start.last) == (date(2016, 1, 1), date(2024, 12, 31))
    assert isinstance(month, DateColumn)
    assert (month.minimum, month.first, month.last) == (
        "2016-01",
        date(2016, 1, 1),
        date(2024, 12, 1),
    )
    case, guardian = dataset.declaration.column("arende"), dataset.declaration.column("vh")
    assert isinstance(case, KeyColumn)
    assert (case.type, case.pattern) == ("key", "B[0-9]{6}")
    assert isinstance(guardian, KeyColumn)
    assert [column.name for column in dataset.declaration.variables] == ["typ", "ar"]


def test_how_a_department_writes_stays_at_the_node(tmp_path):
    path = tmp_path / "people.yaml"
    path.write_text(new_text(), encoding="utf-8")
    published = documents.write(load(path).declaration).decode()
    for own in ("%d", "PRK", "2024-12-31T", "extracted", "coverage", "personnummer"):
        assert own not in published
    assert documents.read(Declaration, json.loads(published), what="x") == load(path).declaration


@pytest.mark.parametrize(
    ("old", "new", "field", "said"),
    [
        ("2016-01-01", "2016-02-30", "schema.fields.start", "YYYY-MM-DD"),
        ("2016-01-01", "2016-01", "schema.fields.start", "YYYY-MM-DD"),
        ("2016-01-01", "2025-01-01", "schema.fields.start", "after maximum"),
        ("2016-01-01", "2016", "schema.fields.start.constraints.minimum", "a day"),
        ("2016-01,", "2016-13,", "schema.fields.manad", "YYYY-MM"),
        ("minimum: 2016-01, ", "", "schema.fields.manad.constraints.minimum", "never measured"),
        ('"%d/%m/%Y"', '"%d/%m"', "schema.fields.start.format", "each once"),
        ('"%d/%m/%Y"', '"%d%d%m%Y"', "schema.fields.start.format", "each once"),
        ('"%d/%m/%Y"', '"%d/%m/%Y %H"', "schema.fields.start.format", "each once"),
        ("PRK: PRAKTIK", "PRK: 1", "schema.fields.typ.spellings.PRK", "in quotes"),
        ("type: yearmonth", 'type: yearmonth\n      format: "%Y%m%d"',
         "schema.fields.manad.format", "nothing"),
        ("PRK: PRAKTIK", "PRK: PRAKTIKK", "schema.fields.typ.spellings.PRK", "lead to"),
        ("PRK: PRAKTIK", "OSA: PRAKTIK", "schema.fields.typ.spellings.OSA", "itself"),
        ("B[0-9]{6}", "B[", "schema.fields.arende", "regular expression"),
        ("type: resident", "type: resident\n      constraints: {pattern: a}",
         "schema.fields.vh.constraints.pattern", "says nothing"),
        ("[pnr, start]", "[pnr, slut]", "schema.primaryKey.1", "slut is not a declared"),
        ("[pnr, start]", "[arende]", "schema.primaryKey.0", "must be whole"),
        ("period: manad", "period: typ", "coverage.0.period", "not a column of dates"),
        ("period: manad", "period: nothing", "coverage.0.period", "not a column of dates"),
        ("by: typ", "by: ar", "coverage.0.by", "not a column with categories"),
        ("extracted: 2024-12-31", "extracted: 2024-12-32", "extracted", "YYYY-MM-DD"),
        ("extracted: 2024-12-31", "extracted: 20241231", "extracted", "in quotes"),
        ("personnummer", "ssn", "resident_id_form", "personnummer"),
        ("path: data.csv", 'path: "*/data.csv"', "source", "not of a folder"),
        ("path: data.csv", "path: data.csv, thousands: comma", "source.thousands", "space"),
    ],
)  # fmt: skip
def test_each_mistake_in_a_new_field_is_named(tmp_path, old, new, field, said):
    content = new_text()
    assert old in content
    found = problems(tmp_path, content.replace(old, new, 1))
    assert field in found
    assert said in found[field]
    assert "(line " in found[field]


DERIVED = "source: {kind: derived, tables: [people, pupils], query: SELECT pnr FROM people}"


def folder_of(tmp_path, **files):
    for name, source in files.items():
        (tmp_path / f"{name}.yaml").write_text(new_text(name, source), encoding="utf-8")


def test_a_derived_dataset_has_its_tables(tmp_path):
    folder_of(tmp_path, people=CSV, pupils=CSV, analysis=DERIVED)
    admission = Admission(mode=Mode.DEMO)
    by_name = {d.declaration.name: d for d in load_folder(tmp_path, admission=admission)}
    alone = load(tmp_path / "analysis.yaml", admission=admission)
    assert by_name["analysis"] == alone
    assert alone.tables == (by_name["people"], by_name["pupils"])
    assert {d.admission for d in (*by_name.values(), *alone.tables)} == {admission}
    assert isinstance(alone.source, DerivedSource)
    assert alone.origin.place == f"the query of {tmp_path / 'analysis.yaml'}"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"people": CSV}, "pupils is not declared in this folder"),
        ({"people": CSV, "pupils": DERIVED.replace("[people, pupils]", "[people]")},
         "pupils is derived itself"),
        ({"people": CSV, "pupils": CSV, "analysis": DERIVED.replace("pupils", "analysis")},
         "analysis is derived itself"),
    ],
)  # fmt: skip
def test_tables_must_be_there_and_not_derived(tmp_path, files, said):
    folder_of(tmp_path, **{"analysis": DERIVED, **files})
    with pytest.raises(InvalidDocumentError) as caught:
        load(tmp_path / "analysis.yaml")
    with pytest.raises(InvalidDocumentError):
        load_folder(tmp_path)
    (problem,) = caught.value.problems
    assert problem.field == "source.tables.1"
    assert said in problem.problem
    assert "(line " in problem.problem


def test_what_is_made_from_people_is_not_public(tmp_path):
    folder_of(tmp_path, people=CSV, pupils=CSV, analysis=DERIVED)
    path = tmp_path / "analysis.yaml"
    path.write_text(path.read_text("utf-8").replace("secrecy:", "public: true\nsecrecy:"), "utf-8")
    with pytest.raises(InvalidDocumentError, match="people is not public"):
        load(path)


@pytest.mark.parametrize(
    ("source", "field"),
    [
        ("{kind: derived, tables: [], query: select 1}", "source.tables"),
        ("{kind: derived, tables: [a, a], query: select 1}", "source"),
        ("{kind: derived, tables: [a], query: drop table a}", "source"),
        ("{kind: derived, tables: [A], query: select 1}", "source.tables.0"),
    ],
)
def test_a_derived_source_is_one_select_on_named_tables(tmp_path, source, field):
    assert field in problems(tmp_path, text(source=f"source: {source}"))
