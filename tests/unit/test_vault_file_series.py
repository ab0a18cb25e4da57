"""One source in several text files, and numbers with blanks between their thousands."""

import gzip

import pytest
from declared import FIELDS, GOOD, HEADING, declare

from models.errors import DataContractError
from node.vault.cells import FINE, PROBLEMS, Problem
from node.vault.chunks import Remark
from node.vault.describe import describe
from node.vault.parsing import parsed
from node.vault.records import records

SERIES = 'source: {kind: csv, path: "in/school_*.csv"}'


def series(folder, files, source=SERIES):
    (folder / "in").mkdir()
    for name, content in files.items():
        raw = content.encode() if isinstance(content, str) else content
        (folder / "in" / name).write_bytes(raw)
    return declare(folder, source)


def parts(data, batch_rows=100):
    return list(parsed(data, data.declaration.columns, batch_rows=batch_rows))


def message(data):
    with pytest.raises(DataContractError) as caught:
        parts(data)
    return caught.value.message


def test_files_are_read_in_the_order_of_their_names_and_rows_start_anew(tmp_path):
    data = series(
        tmp_path,
        {
            "school_2020.csv": HEADING + "b1,20,1,låg,1\nb2,500,1,låg,1\n",
            "school_2019.csv": HEADING + "a1,19,1,låg,1\n",
            "school_2021.csv": HEADING,
            "other.csv": "nothing",
            ".school_2018.csv": "nothing",
            "xschool_2018.csv": "nothing",
        },
    )
    found = parts(data)
    names = [str(tmp_path / "in" / f"school_{year}.csv") for year in (2019, 2020)]
    assert [part.file for part in found] == names
    assert [part.rows.tolist() for part in found] == [[1], [1, 2]]
    bad = found[1].columns["age"].problems
    assert PROBLEMS[bad[1]] is Problem.OUT_OF_BOUNDS
    read = list(records(data, columns=data.declaration.variables))
    assert [(batch.file, batch.residents.tolist()) for batch in read] == [
        (names[0], ["a1"]),
        (names[1], ["b1"]),
    ]


def test_columns_are_found_by_the_heading_of_each_file(tmp_path):
    data = series(
        tmp_path,
        {
            "school_1.csv": HEADING + GOOD,
            "school_2.csv": "moved,school,extra,income,age,pnr\ntrue,låg,?,100.5,30,a1\n",
            "school_3.csv": "moved,school,income,age,pnr\ntrue,låg,100.5,30,a1\n",
        },
    )
    found = parts(data)
    for part in found:
        assert part.usable().all()
        assert part.columns["age"].values.tolist() == [30]
    assert [part.remarks for part in found] == [(), (), (Remark.ORDER,)]


def test_a_mark_belongs_to_one_file_and_is_told_once(tmp_path):
    files = {
        "school_1.csv": (HEADING + GOOD).encode("iso-8859-1"),
        "school_2.csv": (HEADING + GOOD * 3).encode("utf-8-sig"),
    }
    source = SERIES.replace("}", ", encoding: iso-8859-1}")
    found = parts(series(tmp_path, files, source), batch_rows=1)
    assert all(part.usable().all() for part in found)
    assert [part.remarks for part in found] == [(), (Remark.MARK,), (), ()]


def test_packed_files_can_be_a_series(tmp_path):
    files = {f"school_{n}.csv.gz": gzip.compress((HEADING + GOOD).encode()) for n in (1, 2)}
    data = series(tmp_path, files, SERIES.replace(".csv", ".csv.gz"))
    assert [part.rows.tolist() for part in parts(data)] == [[1], [1]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "school_2.csv: is empty"),
        ("pnr,age\na,1\n", "school_2.csv: no column has the heading income"),
        (HEADING + 'a,"1"2,3\n', "school_2.csv, row 1: the quotation marks"),
        ((HEADING + "å").encode("iso-8859-1").replace(b"age", b"\xe5ge"), "school_2.csv: the head"),
    ],
)
def test_what_is_wrong_is_told_of_its_file(tmp_path, content, said):
    data = series(tmp_path, {"school_1.csv": HEADING + GOOD, "school_2.csv": content})
    assert said in message(data)


def test_a_series_without_files_or_rows_is_refused(tmp_path):
    data = series(tmp_path, {})
    assert "no file has such a name" in message(data)
    (tmp_path / "in" / "school_1.csv").write_text(HEADING)
    assert "has a heading and no rows" in message(data)
    data = declare(tmp_path, 'source: {kind: csv, path: "nowhere/*.csv"}')
    assert "cannot be read" in message(data)


def test_only_the_star_is_special_in_a_name(tmp_path):
    (tmp_path / "a[1].csv").write_text(HEADING + GOOD, encoding="utf-8")
    (tmp_path / "a1.csv").write_text("nothing", encoding="utf-8")
    data = declare(tmp_path, 'source: {kind: csv, path: "a[*.csv"}')
    assert [part.rows.tolist() for part in parts(data)] == [[1]]


def test_a_draft_is_made_from_the_first_file(tmp_path):
    data = series(tmp_path, {"school_2.csv": "nothing", "school_1.csv": HEADING + GOOD})
    draft = describe(data.source, name="people", folder=tmp_path)
    assert "- name: income" in draft


@pytest.mark.parametrize("blank", [" ", "\u00a0", "\u202f"])
def test_thousands_may_be_parted_by_blanks(tmp_path, blank):
    source = 'source: {kind: csv, path: data.csv, delimiter: ";", decimal: ",", thousands: space}'
    texts = {
        f"10{blank}450,00": 10450,
        f"-1{blank}000": -1000,
        "10450,5": 10450.5,
        f" 99{blank}999 ": 99999,
    }
    odd = [f"10{blank}45", f"1{blank}{blank}000", f"1000{blank}000", "1.000"]
    rows = "".join(f"a;1;{text};låg;1\n" for text in [*texts, *odd])
    (tmp_path / "data.csv").write_text(HEADING.replace(",", ";") + rows, encoding="utf-8")
    (part,) = parts(declare(tmp_path, source))
    income = part.columns["income"]
    assert income.values[: len(texts)].tolist() == list(texts.values())
    assert set(income.problems[: len(texts)]) == {FINE}
    assert {PROBLEMS[code] for code in income.problems[len(texts) :]} == {Problem.NOT_A_NUMBER}


def test_without_thousands_a_blank_spoils_a_number(tmp_path):
    (tmp_path / "data.csv").write_text(HEADING + "a,1,10 450,låg,1\n", encoding="utf-8")
    (part,) = parts(declare(tmp_path, fields=FIELDS))
    assert PROBLEMS[part.columns["income"].problems[0]] is Problem.NOT_A_NUMBER
