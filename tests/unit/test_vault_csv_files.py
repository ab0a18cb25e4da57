"""Text files as departments have them: encodings, quotes, blank lines, and what is broken."""

import gzip

import numpy as np
import pytest
from declared import GOOD, HEADING, csv_dataset, declare

from models.errors import DataContractError
from node.vault.cells import Problem
from node.vault.contract import check
from node.vault.records import records


def read(dataset, **options):
    """Give all batches of all declared columns."""
    return list(records(dataset, columns=dataset.declaration.columns, **options))


def source(**settings):
    inner = ", ".join(f"{key}: {value}" for key, value in settings.items())
    return f"source: {{kind: csv, path: data.csv, {inner}}}"


def refused(dataset):
    """Give the message with which both reading and checking refuse the source."""
    with pytest.raises(DataContractError) as by_records:
        read(dataset)
    with pytest.raises(DataContractError) as by_check:
        check(dataset)
    assert by_records.value.message == by_check.value.message
    assert by_records.value.hint
    return by_records.value.message


def test_rows_come_typed_and_encoded(tmp_path):
    rows = f"{HEADING} a1 ,30,100.5,låg,true\n0190,0,?,,0\na1,120,-9,hög,FALSE\n"
    (batch,) = read(csv_dataset(tmp_path, rows))
    assert batch.residents.tolist() == ["a1", "0190", "a1"]
    assert batch.rows.tolist() == [1, 2, 3]
    assert batch.columns["age"].dtype == np.float64
    assert batch.columns["age"].tolist() == [30, 0, 120]
    np.testing.assert_array_equal(batch.columns["income"], [100.5, np.nan, np.nan])
    assert batch.columns["school"].dtype == np.int16
    assert batch.columns["school"].tolist() == [0, -1, 2]
    assert batch.columns["moved"].tolist() == [1, 0, 0]


def test_one_row_is_enough(tmp_path):
    assert len(read(csv_dataset(tmp_path, HEADING + GOOD))[0].rows) == 1


def test_the_last_line_may_lack_its_end_and_blank_lines_are_counted(tmp_path):
    batch = read(csv_dataset(tmp_path, f"{HEADING}\n{GOOD}\n\r\nb2,31,1,,1"))[0]
    assert batch.rows.tolist() == [2, 5]


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "windows-1252"])
def test_every_declared_encoding_is_read(tmp_path, encoding):
    raw = (HEADING + GOOD).encode(encoding)
    dataset = csv_dataset(tmp_path, raw, source(encoding=encoding))
    assert read(dataset)[0].columns["school"].tolist() == [0]


@pytest.mark.parametrize("encoding", ["utf-8", "windows-1252"])
def test_a_byte_order_mark_is_no_part_of_the_first_heading(tmp_path, encoding):
    raw = (HEADING + GOOD).encode("utf-8-sig")
    dataset = csv_dataset(tmp_path, raw, source(encoding=encoding))
    assert read(dataset)[0].columns["school"].tolist() == [0]


def test_semicolons_and_decimal_commas(tmp_path):
    rows = (HEADING + "a1,30,100#5,låg,true\n").replace(",", ";").replace("#", ",")
    dataset = csv_dataset(tmp_path, rows, source(delimiter='";"', decimal='","'))
    assert read(dataset)[0].columns["income"].tolist() == [100.5]


def test_a_point_is_no_decimal_comma(tmp_path):
    rows = (HEADING + "a1,30,100.5,låg,true\n").replace(",", ";")
    report = check(csv_dataset(tmp_path, rows, source(delimiter='";"', decimal='","')))
    assert [v.problem for v in report.violations] == [Problem.NOT_A_NUMBER]


def test_quoted_cells_may_hold_delimiters_quotes_and_line_breaks(tmp_path):
    rows = 'pnr,age,note,income,school,moved\n"a,""1""",30,"one\ntwo",1,låg,1\nb,31,,2,,0\n'
    (batch,) = read(csv_dataset(tmp_path, rows))
    assert batch.residents.tolist() == ['a,"1"', "b"]
    assert batch.rows.tolist() == [1, 2]


def test_headings_may_differ_from_declared_names(tmp_path):
    rows = (HEADING + GOOD).replace("age", "Ålder (år)").replace("pnr", "Person Nr")
    names = '{age: "Ålder (år)", pnr: "Person Nr"}'
    assert read(csv_dataset(tmp_path, rows, source(names=names)))[0].residents.tolist() == ["a1"]


def test_packed_files_are_read(tmp_path):
    dataset = declare(tmp_path, "source: {kind: csv, path: data.csv.gz}")
    path = tmp_path / "data.csv.gz"
    path.write_bytes(gzip.compress((HEADING + GOOD).encode()))
    assert read(dataset)[0].residents.tolist() == ["a1"]
    path.write_bytes(path.read_bytes()[:-6])
    assert "not a whole gzip file" in refused(dataset)
    path.write_bytes(b"plain")
    assert "not a whole gzip file" in refused(dataset)


def test_batches_hold_no_more_rows_than_asked_for(tmp_path):
    rows = HEADING + "".join(f"r{n},30,1,låg,1\n" for n in range(10))
    dataset = csv_dataset(tmp_path, rows)
    batches = read(dataset, batch_rows=4)
    assert [len(batch.rows) for batch in batches] == [4, 4, 2]
    (whole,) = read(dataset)
    assert np.concatenate([b.residents for b in batches]).tolist() == whole.residents.tolist()


def test_only_the_columns_asked_for_are_held_to_the_declaration(tmp_path):
    dataset = csv_dataset(tmp_path, HEADING + "a1,30,much,låg,true\n")
    age = dataset.declaration.column("age")
    (batch,) = records(dataset, columns=[age])
    assert set(batch.columns) == {"age"}
    with pytest.raises(DataContractError, match="no row keeps the declaration"):
        read(dataset)


# What is broken


def test_an_empty_file(tmp_path):
    assert refused(csv_dataset(tmp_path, "")) == f"{tmp_path / 'data.csv'}: is empty"


def test_a_heading_and_no_rows(tmp_path):
    assert "has a heading and no rows" in refused(csv_dataset(tmp_path, HEADING))
    assert "has a heading and no rows" in refused(csv_dataset(tmp_path, HEADING.strip()))


def test_a_missing_column(tmp_path):
    rows = (HEADING + GOOD).replace("income", "incomes")
    assert "no column has the heading income" in refused(csv_dataset(tmp_path, rows))


def test_a_missing_resident_id(tmp_path):
    assert "heading pnr" in refused(csv_dataset(tmp_path, (HEADING + GOOD).replace("pnr", "id")))


def test_a_wrong_delimiter_is_suspected(tmp_path):
    dataset = csv_dataset(tmp_path, (HEADING + GOOD).replace(",", ";"))
    with pytest.raises(DataContractError) as caught:
        read(dataset)
    assert "delimiter" in caught.value.hint


def test_a_heading_twice(tmp_path):
    rows = HEADING.replace("moved", "age") + GOOD
    dataset = csv_dataset(tmp_path, rows.replace("school", "school,moved").replace("låg", "låg,1"))
    assert "two columns have the heading age" in refused(dataset)


def test_a_missing_file_and_a_folder(tmp_path):
    dataset = declare(tmp_path)
    assert "data.csv: cannot be read (No such file" in refused(dataset)
    (tmp_path / "data.csv").mkdir()
    assert "data.csv: cannot be read (Is a directory)" in refused(dataset)


def test_quotation_marks_that_never_close(tmp_path):
    rows = HEADING + GOOD + 'a2,"30,1,låg,1\n' + GOOD
    message = refused(csv_dataset(tmp_path, rows))
    assert message.endswith("data.csv, row 2: the quotation marks do not fit together")
    rows = HEADING + 'a2,"30"x,1,låg,1\n'
    assert "row 1: the quotation" in refused(csv_dataset(tmp_path, rows))


def test_a_cell_that_is_too_long(tmp_path):
    for cell in ('"' + "30," * 100_000, "3" * 131_073):
        message = refused(csv_dataset(tmp_path, f"{HEADING}{GOOD}a2,{cell}"))
        assert message.endswith("data.csv, row 2: a cell is longer than 131,072 characters")
    report = check(csv_dataset(tmp_path, f"{HEADING}a2,{'3' * 131_072},1,låg,true\n"))
    assert [v.problem for v in report.violations] == [Problem.NOT_FINITE]


def test_a_heading_in_another_encoding(tmp_path):
    raw = (HEADING.replace("age", "ålder") + GOOD).encode("iso-8859-1")
    assert "the heading is not utf-8 text" in refused(csv_dataset(tmp_path, raw))
    raw = (HEADING + GOOD).encode("utf-16")
    assert "the heading is not utf-8 text" in refused(csv_dataset(tmp_path, raw))


@pytest.mark.parametrize(("encoding", "bad"), [("utf-8", b"l\xe5g"), ("windows-1252", b"l\x81g")])
def test_a_cell_in_another_encoding_is_named(tmp_path, encoding, bad):
    raw = (HEADING + GOOD + GOOD).encode(encoding).replace("låg".encode(encoding), b"", 1)
    raw = raw.replace("låg".encode(encoding), bad)
    dataset = csv_dataset(tmp_path, raw, source(encoding=encoding))
    with pytest.raises(DataContractError, match=r"data\.csv, column school, row 2: the text is"):
        read(dataset)
    (violation,) = check(dataset).violations
    assert (violation.column, violation.row) == ("school", 2)
    assert violation.problem == Problem.ENCODING


def test_a_resident_id_in_another_encoding_is_named(tmp_path):
    dataset = csv_dataset(tmp_path, HEADING.encode() + b"\xe5,30,1,,1\n")
    with pytest.raises(DataContractError, match=r"column pnr, row 1: the text is"):
        read(dataset)


def test_a_changed_declaration_is_refused(tmp_path):
    dataset = csv_dataset(tmp_path, HEADING + GOOD)
    other = declare(
        tmp_path, fields="\n    - {name: age, type: boolean, meaning: {sv: a, en: b}}\n"
    )
    with pytest.raises(DataContractError, match="column age is not declared as the study has it"):
        list(records(other, columns=dataset.declaration.columns[:1]))
    with pytest.raises(DataContractError, match="column income"):
        list(records(other, columns=dataset.declaration.columns[1:2]))


def test_missing_texts_are_this_departments_own(tmp_path):
    dataset = csv_dataset(tmp_path, HEADING + "a1,30,?,låg,true\n")
    (tmp_path / "other").mkdir()
    theirs = csv_dataset(tmp_path / "other", "").declaration.column("income")
    assert theirs is not None
    assert theirs.missing is not None
    foreign = type(theirs)(
        **{
            **{name: getattr(theirs, name) for name in theirs.__dataclass_fields__},
            "missing": type(theirs.missing)(values=("x",), meaning=theirs.missing.meaning),
        }
    )
    (batch,) = records(dataset, columns=[foreign])
    assert np.isnan(batch.columns["income"]).tolist() == [True]
