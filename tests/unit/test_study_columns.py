"""Days, months, keys and residents' numbers: shown in the catalogue, read by no study."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from studies import AGE, OUTCOME, TEXT, declaration, draft, study

from coordinator.client import views
from coordinator.client.study_commands import _fill
from models import documents
from models.errors import InvalidDocumentError, UsageError
from models.governance.resolution import resolve, same_codes
from models.governance.study import Study
from models.governance.views import CatalogueEntry
from models.schema import DateColumn, Declaration, KeyColumn
from protos import codec
from protos.installed import code_digest

BORN = DateColumn(
    name="born", type="date", meaning=TEXT, minimum="1900-01-01", maximum="2024-12-31"
)
MONTH = DateColumn(
    name="month", type="yearmonth", meaning=TEXT, minimum="2016-01", maximum="2024-12"
)
HOME = KeyColumn(name="home", type="key", meaning=TEXT, pattern="B[0-9]+")
MOTHER = KeyColumn(name="mother", type="resident", meaning=TEXT)
OTHERS = (BORN, MONTH, HOME, MOTHER)
WIDE = declaration(columns=(*OTHERS, AGE, OUTCOME))
ENTRY = CatalogueEntry(
    department="school", declaration=WIDE, published_at=datetime(2026, 1, 1, tzinfo=UTC)
)


def test_a_declaration_with_them_crosses_the_wire():
    assert codec.read_catalogue_entry(codec.write_catalogue_entry(ENTRY)) == ENTRY
    content = json.loads(documents.write(WIDE))
    assert documents.read(Declaration, content, what="x") == WIDE
    assert content["columns"][1]["minimum"] == "2016-01"


@pytest.mark.parametrize("column", OTHERS, ids=lambda column: column.type)
def test_a_study_that_names_one_is_told_what_to_do(column):
    for changes in ({"variables": ("age", column.name)}, {"outcome": column.name}):
        asked = replace(draft(variables=("age",)), **changes)
        with pytest.raises(InvalidDocumentError) as caught:
            resolve(asked, dict.fromkeys(asked.departments, WIDE), code=code_digest())
        field = "outcome" if "outcome" in changes else f"variables.{column.name}"
        assert [problem.field for problem in caught.value.problems] == [field] * 3
        assert column.type in caught.value.problems[0].problem
        assert "analysis table" in caught.value.problems[0].problem


@pytest.mark.parametrize("column", OTHERS, ids=lambda column: column.type)
def test_no_study_document_can_hold_one(column):
    content = json.loads(study(variables=("age",)).canonical())
    content["columns"][0] = json.loads(documents.write(column)) | {"name": "age"}
    with pytest.raises(InvalidDocumentError, match="a study reads columns of type integer"):
        documents.read(Study, content, what="x")


def test_a_type_that_is_none_is_named():
    content = json.loads(documents.write(WIDE))
    content["columns"][0]["type"] = "money"
    with pytest.raises(InvalidDocumentError, match=r"one of integer, number, .*, key, resident"):
        documents.read(Declaration, content, what="x")


def test_columns_of_different_kinds_do_not_encode_alike():
    for column in OTHERS:
        assert not same_codes(AGE, column)
        assert not same_codes(column, OUTCOME)


def test_the_catalogue_shows_what_they_hold():
    assert views.values(BORN) == "1900-01-01 to 2024-12-31"
    assert views.values(MONTH) == "2016-01 to 2024-12"
    assert views.values(HOME) == views.values(MOTHER) == ""
    assert [row[2] for row in views.columns_sheet([ENTRY]).rows][:4] == [c.type for c in OTHERS]


def test_a_new_study_file_leaves_them_out():
    blank = _fill("my-study", "pupils", [ENTRY])
    assert [name for name, _ in blank.variables] == ["age"]
    assert blank.outcome == "passed"
    alone = replace(ENTRY, declaration=declaration(columns=(*OTHERS, OUTCOME)))
    with pytest.raises(UsageError, match="no column that could be an outcome"):
        _fill("my-study", "pupils", [alone])


@pytest.mark.parametrize(
    ("kind", "minimum", "maximum"),
    [
        ("date", "2024-01-01", "2023-12-31"),
        ("date", "2024-02-30", "2024-12-31"),
        ("date", "20240101", "2024-12-31"),
        ("date", "2024-01", "2024-12"),
        ("yearmonth", "2024-01-01", "2024-12-31"),
        ("yearmonth", "2024-13", "2024-12"),
        ("yearmonth", "2024-W1", "2024-12"),
    ],
)
def test_bounds_must_be_days_or_months(kind, minimum, maximum):
    with pytest.raises(ValueError, match=r"minimum must not be after maximum|are written YYYY-MM"):
        DateColumn(name="d", type=kind, meaning=TEXT, minimum=minimum, maximum=maximum)


def test_patterns_must_be_patterns_of_keys():
    with pytest.raises(ValueError, match="regular expression"):
        KeyColumn(name="k", type="key", meaning=TEXT, pattern="(")
    with pytest.raises(ValueError, match="says nothing about type resident"):
        KeyColumn(name="k", type="resident", meaning=TEXT, pattern="x")
