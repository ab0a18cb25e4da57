"""Real Parquet files: native types, nulls, dictionaries, and files that are none."""

import datetime as dt
import decimal
import traceback

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from declared import declare

from models.errors import DataContractError
from node.vault.cells import Problem
from node.vault.contract import check
from node.vault.records import records

SOURCE = "source: {kind: parquet, path: data.parquet}"


def columns(**changes):
    return {
        "pnr": ["a1", "a2", "a3"],
        "age": pa.array([30, 0, 120], pa.int8()),
        "income": [100.5, None, -9.0],
        "school": ["låg", None, "hög"],
        "moved": [True, False, True],
    } | changes


def dataset_of(folder, table, **options):
    pq.write_table(pa.table(table), folder / "data.parquet", **options)
    return declare(folder, SOURCE)


def read(dataset, **options):
    return list(records(dataset, columns=dataset.declaration.columns, **options))


def refused(dataset):
    with pytest.raises(DataContractError) as caught:
        read(dataset)
    with pytest.raises(DataContractError):
        check(dataset)
    return caught.value.message


def assert_expected(batch):
    assert batch.residents.tolist() == ["a1", "a2", "a3"]
    assert batch.columns["age"].tolist() == [30, 0, 120]
    np.testing.assert_array_equal(batch.columns["income"], [100.5, np.nan, np.nan])
    assert batch.columns["school"].tolist() == [0, -1, 2]
    assert batch.columns["moved"].tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"age": pa.array([30, 0, 120], pa.uint64())},
        {"age": pa.array([30.0, 0.0, 120.0], pa.float32())},
        {"age": ["30", "0", "120"]},
        {"age": pa.array([decimal.Decimal("30.0"), decimal.Decimal(0), decimal.Decimal(120)])},
        {"income": ["100.5", "", "-9"]},
        {"income": pa.array([decimal.Decimal("100.5"), None, decimal.Decimal(-9)])},
        {"school": pa.array(["låg", None, "hög"]).dictionary_encode()},
        {"school": pa.array(["låg", None, "hög"], pa.large_string())},
        {"school": pa.array(["låg".encode(), None, "hög".encode()], pa.binary())},
        {"moved": [1, 0, 1]},
        {"moved": [1.0, 0.0, 1.0]},
        {"moved": ["TRUE", "false", "1"]},
    ],
)
def test_every_reasonable_type_gives_the_same_batch(tmp_path, changes):
    (batch,) = read(dataset_of(tmp_path, columns(**changes)))
    assert_expected(batch)
    assert batch.rows.tolist() == [1, 2, 3]


def test_large_whole_number_ids_keep_every_digit(tmp_path):
    ids = [2**63 - 1, 2**63 - 2, 7]
    (batch,) = read(dataset_of(tmp_path, columns(pnr=pa.array(ids, pa.int64()))))
    assert batch.residents.tolist() == [str(number) for number in ids]


def test_ids_that_a_tool_turned_into_fractions_still_match(tmp_path):
    (batch,) = read(dataset_of(tmp_path, columns(pnr=[1.0, 2.0, 3.0])))
    assert batch.residents.tolist() == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("changes", "column", "problem"),
    [
        ({"age": [30, None, 120]}, "age", Problem.MISSING),
        ({"age": [30, -1, 120]}, "age", Problem.OUT_OF_BOUNDS),
        ({"age": [30, 0.5, 120]}, "age", Problem.NOT_WHOLE),
        ({"age": [30.0, float("nan"), 120.0]}, "age", Problem.NOT_FINITE),
        ({"income": [1.0, float("inf"), 1.0]}, "income", Problem.NOT_FINITE),
        ({"income": [1.0, float("nan"), 1.0]}, "income", Problem.NOT_FINITE),
        ({"income": [1, 2**62, 1]}, "income", Problem.OUT_OF_BOUNDS),
        ({"school": ["låg", "annan", "hög"]}, "school", Problem.UNKNOWN_CATEGORY),
        ({"school": pa.array([b"l", b"\xe5", b"l"])}, "school", Problem.ENCODING),
        ({"moved": [True, None, True]}, "moved", Problem.MISSING),
        ({"moved": [1, 2, 1]}, "moved", Problem.UNKNOWN_CATEGORY),
        ({"pnr": ["a", None, "c"]}, "pnr", Problem.NO_RESIDENT),
    ],
)
def test_each_problem_has_its_place_and_name(tmp_path, changes, column, problem):
    report = check(dataset_of(tmp_path, columns(**changes)))
    found = [(v.column, v.row, v.problem) for v in report.violations if v.row == 2]
    assert found == [(column, 2, problem.value)]


def test_a_declared_missing_nan_is_missing(tmp_path):
    dataset_of(tmp_path, columns(income=[1.0, float("nan"), 1.0]))
    path = tmp_path / "people.yaml"
    path.write_text(path.read_text("utf-8").replace('"-9"', '"NaN"'), encoding="utf-8")
    dataset = declare(tmp_path, SOURCE)
    assert not check(dataset).clean
    fields = path.read_text("utf-8").partition("fields:")[2].replace('"-9"', '"NaN"')
    dataset = declare(tmp_path, SOURCE, fields)
    assert check(dataset).clean
    assert np.isnan(read(dataset)[0].columns["income"]).tolist() == [False, True, False]


def test_texts_that_are_not_utf8_are_named_and_not_shown(tmp_path):
    bad = pa.array([b"l\xc3\xa5g", b"canary\xe5", b"l\xc3\xa5g"]).view(pa.string())
    dataset = dataset_of(tmp_path, columns(school=bad))
    with pytest.raises(DataContractError, match="column school, row 2: the text is not") as caught:
        read(dataset)
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_rows_are_numbered_over_row_groups_and_batches(tmp_path):
    table = pa.concat_tables([pa.table(columns())] * 10)
    pq.write_table(table, tmp_path / "data.parquet", row_group_size=7)
    batches = read(declare(tmp_path, SOURCE), batch_rows=4)
    assert np.concatenate([b.rows for b in batches]).tolist() == list(range(1, 31))
    assert max(len(b.rows) for b in batches) <= 4


def test_columns_can_have_other_headings_and_any_order(tmp_path):
    table = columns()
    table["Ålder i år"] = table.pop("age")
    pq.write_table(pa.table(table), tmp_path / "data.parquet")
    source = 'source: {kind: parquet, path: data.parquet, names: {age: "Ålder i år"}}'
    assert_expected(read(declare(tmp_path, source))[0])


def test_a_column_of_dates_is_refused_by_name(tmp_path):
    day = dt.date(1981, 12, 18)
    message = refused(dataset_of(tmp_path, columns(age=[day] * 3)))
    assert "column age has the type date32[day]" in message
    assert "1981" not in message


@pytest.mark.parametrize("column", ["pnr", "age", "income", "school", "moved"])
def test_what_a_type_cannot_be_read_from_is_told_without_its_values(tmp_path, column):
    canary = b"canary-1981\xff"  # such texts Arrow itself cannot decode from a view
    changes = {column: pa.array([canary, b"x", b"y"], pa.binary_view())}
    dataset = dataset_of(tmp_path, columns(**changes))
    message = refused(dataset)
    place = tmp_path / "data.parquet"
    assert message == f"{place}: column {column} cannot be read (type binary_view)"
    with pytest.raises(DataContractError) as caught:
        read(dataset)
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_no_rows_no_column_and_twice_the_same(tmp_path):
    empty = pa.table(columns()).slice(0, 0)
    assert "no rows" in refused(dataset_of(tmp_path, empty))
    table = columns()
    del table["age"]
    assert "no column has the heading age" in refused(dataset_of(tmp_path, table))
    twice = pa.table(columns()).append_column("age", pa.array([1, 2, 3]))
    assert "two columns have the heading age" in refused(dataset_of(tmp_path, twice))


def test_what_is_no_parquet_file(tmp_path):
    dataset = declare(tmp_path, SOURCE)
    path = tmp_path / "data.parquet"
    assert "cannot be read (No such file" in refused(dataset)
    path.write_bytes(b"")
    assert "not a whole Parquet file" in refused(dataset)
    path.write_bytes(b"pnr,age\ncanary,1\n" * 100)
    assert "not a whole Parquet file" in refused(dataset)
    path.unlink()
    path.mkdir()
    assert "cannot be read (Is a directory)" in refused(dataset)


def test_a_file_cut_off_in_its_pages(tmp_path):
    ages = np.arange(200_000) % 120
    table = {
        name: [value[0].as_py() if hasattr(value[0], "as_py") else value[0]] * len(ages)
        for name, value in columns().items()
    } | {"age": ages}
    dataset = dataset_of(tmp_path, table, compression="zstd")
    path = tmp_path / "data.parquet"
    raw = bytearray(path.read_bytes())
    raw[50 : len(raw) // 2] = bytes(len(raw) // 2 - 50)
    path.write_bytes(raw)
    assert "not a whole Parquet file" in refused(dataset)
