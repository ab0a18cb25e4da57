"""`check` names file, column, row and problem of all that breaks the declaration, never a value."""

import logging
import traceback
from collections import Counter

import pytest
from declared import CSV, GOOD, HEADING, csv_dataset, declare

from models.errors import DataContractError
from node.vault.cells import Problem
from node.vault.contract import check
from node.vault.records import records

CANARY = "19811218-9876-canary"


def row(**cells):
    """Give a good row with some cells replaced."""
    values = {"pnr": "a1", "age": "30", "income": "1", "school": "låg", "moved": "true"} | cells
    return ",".join(values.values()) + "\n"


@pytest.mark.parametrize(
    ("cells", "column", "problem"),
    [
        ({"age": ""}, "age", Problem.MISSING),
        ({"age": "?"}, "age", Problem.NOT_A_NUMBER),
        ({"age": "thirty"}, "age", Problem.NOT_A_NUMBER),
        ({"age": "1 000"}, "age", Problem.NOT_A_NUMBER),
        ({"age": "0x1f"}, "age", Problem.NOT_A_NUMBER),
        ({"age": "1_0"}, "age", Problem.NOT_A_NUMBER),
        ({"age": "٣"}, "age", Problem.NOT_A_NUMBER),
        ({"age": "30.5"}, "age", Problem.NOT_WHOLE),
        ({"age": "-1"}, "age", Problem.OUT_OF_BOUNDS),
        ({"age": "120.00001"}, "age", Problem.NOT_WHOLE),
        ({"age": "121"}, "age", Problem.OUT_OF_BOUNDS),
        ({"age": "NaN"}, "age", Problem.NOT_FINITE),
        ({"income": "nan"}, "income", Problem.NOT_FINITE),
        ({"income": "-inf"}, "income", Problem.NOT_FINITE),
        ({"income": "Infinity"}, "income", Problem.NOT_FINITE),
        ({"income": "1e999"}, "income", Problem.NOT_FINITE),
        ({"income": "100000.01"}, "income", Problem.OUT_OF_BOUNDS),
        ({"school": "Lägst"}, "school", Problem.UNKNOWN_CATEGORY),
        ({"school": "?"}, "school", Problem.UNKNOWN_CATEGORY),
        ({"moved": ""}, "moved", Problem.MISSING),
        ({"moved": "2"}, "moved", Problem.UNKNOWN_CATEGORY),
        ({"moved": "ja"}, "moved", Problem.UNKNOWN_CATEGORY),
        ({"pnr": " "}, "pnr", Problem.NO_RESIDENT),
        ({"moved": "true,extra"}, "", Problem.RAGGED),
    ],
)
def test_each_problem_has_its_place_and_name(tmp_path, cells, column, problem):
    dataset = csv_dataset(tmp_path, HEADING + GOOD + row(**cells) + GOOD)
    report = check(dataset)
    (violation,) = report.violations
    assert violation.file == str(tmp_path / "data.csv")
    assert (violation.column, violation.row, violation.problem) == (column, 2, problem.value)
    assert (report.rows, report.usable, report.clean) == (3, 2, False)
    (total,) = report.totals
    assert (total.column, total.problem, total.rows) == (column, problem.value, 1)
    (batch,) = records(dataset, columns=dataset.declaration.columns)
    assert batch.rows.tolist() == [1, 3]


@pytest.mark.parametrize(
    "cells",
    [
        {"age": "120.0"},
        {"age": "+3e1"},
        {"age": " 30 "},
        {"age": "-0"},
        {"income": ""},
        {"income": ".5"},
        {"income": "5."},
        {"income": "1E+5"},
        {"income": "-9"},
        {"school": ""},
        {"school": " hög "},
        {"moved": "1"},
        {"moved": "False"},
    ],
)
def test_what_the_declaration_allows_is_no_problem(tmp_path, cells):
    report = check(csv_dataset(tmp_path, HEADING + row(**cells)))
    assert report.clean
    assert report.violations == ()
    assert report.usable == 1


def test_residents_with_several_rows_are_counted_once(tmp_path):
    rows = [row(pnr=pnr) for pnr in ("a", "b", " a", "b", "c", "")]
    report = check(csv_dataset(tmp_path, HEADING + "".join(rows)))
    assert (report.rows, report.usable, report.residents) == (6, 5, 3)


def test_residents_are_counted_over_batches(tmp_path):
    rows = "".join(row(pnr=f"p{n % 20_000}") for n in range(50_000))
    report = check(csv_dataset(tmp_path, HEADING + rows))
    assert (report.rows, report.residents) == (50_000, 20_000)


def test_each_problem_has_a_list_and_the_totals_are_not_limited(tmp_path):
    rows = HEADING + row(age="x", school="y") * 300 + row(age="-1") * 200 + row(moved="?")
    report = check(csv_dataset(tmp_path, rows), limit=7)
    assert Counter((v.column, v.problem) for v in report.violations) == {
        ("age", Problem.NOT_A_NUMBER): 7,
        ("school", Problem.UNKNOWN_CATEGORY): 7,
        ("age", Problem.OUT_OF_BOUNDS): 7,
        ("moved", Problem.UNKNOWN_CATEGORY): 1,
    }
    assert [str(v) for v in report.violations[:3]] == [
        f"{tmp_path / 'data.csv'}, column age, row 1: not a number",
        f"{tmp_path / 'data.csv'}, column school, row 1: not one of the declared categories",
        f"{tmp_path / 'data.csv'}, column age, row 2: not a number",
    ]
    assert [v.row for v in report.violations[-8:]] == [*range(301, 308), 501]
    assert sum(total.rows for total in report.totals) == 801
    assert report.usable == 0


def test_nothing_is_listed_with_a_limit_of_0(tmp_path):
    report = check(csv_dataset(tmp_path, HEADING + row(age="x", school=" låg")), limit=0)
    assert report.violations == ()
    assert [note.row for note in report.notes] == []
    assert (len(report.totals), report.clean) == (1, False)


def test_a_ragged_row_is_told_without_a_column(tmp_path):
    report = check(csv_dataset(tmp_path, HEADING + "a1,30\n" + GOOD))
    assert str(report.violations[0]) == (
        f"{tmp_path / 'data.csv'}, row 1: the row has more or fewer cells than the heading"
    )


def test_a_file_of_ragged_rows_only_is_reported_and_gives_no_records(tmp_path):
    dataset = csv_dataset(tmp_path, HEADING + "a1,30\n")
    assert (check(dataset).rows, check(dataset).usable) == (1, 0)
    with pytest.raises(DataContractError, match="no row keeps"):
        list(records(dataset, columns=dataset.declaration.columns))


CANARIES = [
    HEADING + row(pnr=CANARY, age=CANARY, income=CANARY, school=CANARY, moved=CANARY),
    HEADING + GOOD + row(moved=f"true,{CANARY}"),
    HEADING + f'"{CANARY}"x' + row()[2:],
    HEADING + f'"{CANARY}\n' + GOOD,
    f"{CANARY},30,1,låg,true\n" * 2,  # no heading: a record stands in its place
    f"{CANARY}\n" * 2,
    HEADING.encode() + row(age=f"{CANARY}å", pnr=f"{CANARY}å").encode("iso-8859-1"),
    f"{CANARY}å".encode("iso-8859-1") + HEADING.encode() + GOOD.encode(),
]


@pytest.mark.parametrize("content", CANARIES)
def test_no_value_is_in_any_message_or_log(tmp_path, caplog, capfd, content):
    caplog.set_level(logging.DEBUG)
    dataset = csv_dataset(tmp_path, content)
    said = []
    for work in (check, lambda d: list(records(d, columns=d.declaration.columns))):
        try:
            said.append(repr(work(dataset)))
        except DataContractError as error:
            said += [error.message, error.hint, "".join(traceback.format_exception(error))]
    captured = capfd.readouterr()
    everything = "\n".join([*said, caplog.text, captured.out, captured.err])
    assert "data.csv" in everything
    assert CANARY not in everything


def test_the_canary_would_be_seen(tmp_path):
    dataset = csv_dataset(tmp_path, HEADING + row(pnr=CANARY))
    (batch,) = records(dataset, columns=dataset.declaration.columns)
    assert CANARY in batch.residents


def test_a_dataset_that_is_not_there(tmp_path):
    with pytest.raises(DataContractError):
        check(declare(tmp_path, CSV))
