"""The steward's file: what it gives, and how each mistake in it is named."""

import pytest
from declared import CSV, FIELDS, declare, text

from models.errors import ConfigurationError, InvalidDocumentError
from models.schema import CategoryColumn, NumericColumn, Sensitivity
from node.datasets import CsvSource, ParquetSource, SqlSource, load, load_folder


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
        ("type: integer", "type: date", "schema.fields.age.type", "'integer'"),
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
    ],
)
def test_a_query_is_one_select_on_one_url_without_a_password(tmp_path, source):
    found = problems(tmp_path, text(source=f"source: {{kind: sql, {source}}}"))
    assert set(found) == {"source"}
    assert "secret" not in str(found)


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
