"""`check` notes what is odd and read all the same, and what a table lacks as a whole."""

import json

import pytest
from declared import CSV, GOOD, HEADING, csv_dataset, text

from models.errors import DataContractError
from node.check_report import as_data, as_text
from node.datasets import load
from node.vault.cells import Problem
from node.vault.contract import COPY, FEW_RESIDENTS, LEFT_OUT, MISSING, NO_ROWS, check
from node.vault.records import records


def notes(report, *kinds):
    """Give the notes of some kinds, each by column, row and detail."""
    return [(n.column, n.row, n.detail) for n in report.notes if n.note in kinds]


def test_another_spelling_is_a_note_and_the_row_is_read(tmp_path):
    rows = "".join(GOOD.replace("låg", school) for school in ("låg", "LÅG", "lag", " låg", "hög"))
    dataset = csv_dataset(tmp_path, HEADING + rows)
    report = check(dataset)
    assert report.clean
    spelled = "spelled otherwise than the declared category"
    assert notes(report, spelled) == [("school", row, "") for row in (2, 3, 4)]
    (total,) = [total for total in report.note_totals if total.note == spelled]
    assert (total.column, total.times) == ("school", 3)
    (batch,) = records(dataset, columns=dataset.declaration.variables)
    assert batch.columns["school"].tolist() == [0, 0, 0, 0, 2]


def test_blanks_around_an_id_are_a_note(tmp_path):
    report = check(csv_dataset(tmp_path, HEADING + GOOD + f" {GOOD}"))
    assert notes(report, "blanks around or inside an id") == [("pnr", 2, "")]
    assert (report.clean, report.residents) == (True, 1)


def test_declared_missing_values_are_counted_by_column(tmp_path):
    rows = GOOD + GOOD.replace("100.5", "-9") + GOOD.replace("100.5", "").replace("låg", "")
    report = check(csv_dataset(tmp_path, HEADING + rows))
    assert report.clean
    assert notes(report, MISSING) == [("income", 2, ""), ("income", 3, ""), ("school", 3, "")]


def test_a_cell_with_a_problem_has_no_note(tmp_path):
    path = tmp_path / "people.yaml"
    content = text(CSV).replace(
        "resident_id: pnr", "resident_id: pnr\nresident_id_form: personnummer"
    )
    path.write_text(content, encoding="utf-8")
    (tmp_path / "data.csv").write_text(HEADING + GOOD.replace("a1", " 123 "), encoding="utf-8")
    report = check(load(path))
    assert [v.column for v in report.violations] == ["pnr"]
    assert notes(report, "blanks around or inside an id") == []


def test_marks_and_orders_of_files(tmp_path):
    dataset = csv_dataset(tmp_path, "", CSV.replace("data", "data_*"))
    first, second, third = (tmp_path / f"data_{year}.csv" for year in (2020, 2021, 2022))
    first.write_text(HEADING + GOOD, encoding="utf-8")
    second.write_text(HEADING + GOOD * 2, encoding="utf-8-sig")
    third.write_text("age,pnr,income,school,moved\n30,a1,1,?,true\n", encoding="utf-8")
    report = check(dataset)
    assert [(n.file, n.note) for n in report.notes if n.column == ""] == [
        (str(second), "begins with a byte-order mark"),
        (str(third), "has its columns in another order than the first file"),
    ]
    (violation,) = report.violations
    assert (violation.file, violation.row, violation.column) == (str(third), 1, "school")


def test_the_files_that_were_read_are_listed_and_copies_noted(tmp_path):
    contents = {
        "data_2019.csv": HEADING + GOOD,
        "data_2019 (copy).csv": HEADING + GOOD,
        "data_2020.csv": HEADING + GOOD.replace("30", "31"),  # as long, and another
        "data_2020_backup.csv": HEADING + GOOD.replace("30", "31"),
        "data_2021.csv": HEADING,
        "data_2022.csv": HEADING + GOOD * 2,
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    report = check(csv_dataset(tmp_path, "", CSV.replace("data", "data_*")))
    names = sorted(contents)
    assert report.files == tuple(str(tmp_path / name) for name in names)
    assert [(n.file, n.detail) for n in report.notes if n.note == COPY] == [
        (str(tmp_path / "data_2019.csv"), "data_2019 (copy).csv"),
        (str(tmp_path / "data_2020_backup.csv"), "data_2020.csv"),
    ]
    lines = as_text("people", report).splitlines()
    assert lines[1] == f"  6 files read: {', '.join(names)}"
    assert f"    note: {COPY} (data_2020.csv)" in lines
    assert as_data("people", report)["files"] == report.files


def test_a_single_file_is_no_list(tmp_path):
    report = check(csv_dataset(tmp_path, HEADING + GOOD))
    assert report.files == (str(tmp_path / "data.csv"),)
    assert "files read" not in as_text("people", report)


COVERED = """
    - name: month
      type: yearmonth
      meaning: {sv: Månad, en: Month}
      constraints: {minimum: 2016-11, maximum: 2017-03}
    - name: year
      type: integer
      meaning: {sv: År, en: Year}
      constraints: {minimum: 2016, maximum: 2019}
    - name: office
      meaning: {sv: Kontor, en: Office}
      constraints: {enum: [Norr, Syd]}
      missing_meaning: {sv: okänt, en: unknown}
"""


def covered(folder, coverage, rows):
    path = folder / "people.yaml"
    path.write_text(text(f"coverage: {coverage}\n{CSV}", COVERED), encoding="utf-8")
    (folder / "data.csv").write_text("pnr,month,year,office\n" + rows, encoding="utf-8")
    return check(load(path))


ROWS = "a,2016-11,2016,Norr\na,2016-12,2017,Norr\nb,2017-03,2019,Syd\n"


@pytest.mark.parametrize(
    ("coverage", "gaps"),
    [
        ("[{period: month}]", [("month", None, "2017-01 to 2017-02")]),
        ("[{period: year}]", [("year", None, "2018")]),
        (
            "[{period: month, by: office}]",
            [
                ("month", None, "Norr, 2017-01 to 2017-03"),
                ("month", None, "Syd, 2016-11 to 2017-02"),
            ],
        ),
        (
            "[{period: year}, {period: year, by: office}]",
            [
                ("year", None, "2018"),
                ("year", None, "Norr, 2018 to 2019"),
                ("year", None, "Syd, 2016 to 2018"),
            ],
        ),
    ],
)
def test_periods_without_rows(tmp_path, coverage, gaps):
    report = covered(tmp_path, coverage, ROWS)
    assert report.clean
    assert notes(report, NO_ROWS) == gaps


def test_a_covered_table_has_no_gap_and_odd_rows_fill_none(tmp_path):
    months = ("2016-11", "2016-12", "2017-01", "2017-02", "2017-03")
    rows = "".join(f"a,{month},2016,{office}\n" for month in months for office in ("Norr", "Syd"))
    assert notes(covered(tmp_path, "[{period: month, by: office}]", rows), NO_ROWS) == []
    odd = "a,2016-11,2016,?\na,2016-12,2016,\na,2017-13,2016,Norr\na,2017-04,2016,Norr\n"
    assert notes(covered(tmp_path, "[{period: month, by: office}]", odd), NO_ROWS) == [
        ("month", None, "Norr, 2016-11 to 2017-03"),
        ("month", None, "Syd, 2016-11 to 2017-03"),
    ]


def test_days_count_as_their_month(tmp_path):
    path = tmp_path / "people.yaml"
    fields = (
        COVERED.replace("yearmonth", "date")
        .replace("2016-11", "2016-11-15")
        .replace("2017-03", "2017-03-01")
    )
    path.write_text(text(f"coverage: [{{period: month}}]\n{CSV}", fields), encoding="utf-8")
    rows = "pnr,month,year,office\na,2016-11-30,2016,Norr\na,2017-02-01,2017,Norr\n"
    (tmp_path / "data.csv").write_text(rows, encoding="utf-8")
    assert notes(check(load(path)), NO_ROWS) == [
        ("month", None, "2016-12 to 2017-01"),
        ("month", None, "2017-03"),
    ]


def test_bounds_too_wide_for_coverage_are_refused(tmp_path):
    path = tmp_path / "people.yaml"
    fields = COVERED.replace("maximum: 2019", "maximum: 9999999")
    path.write_text(text(f"coverage: [{{period: year}}]\n{CSV}", fields), encoding="utf-8")
    (tmp_path / "data.csv").write_text("pnr,month,year,office\n" + ROWS, encoding="utf-8")
    with pytest.raises(DataContractError, match="coverage of year: its bounds span too many"):
        check(load(path))


def test_categories_with_few_residents(tmp_path):
    schools = {"låg": "abcd", "mellan": "abcde", "hög": ""}
    rows = [
        GOOD.replace("a1", resident).replace("låg", school)
        for school, residents in schools.items()
        for resident in residents
    ]
    report = check(csv_dataset(tmp_path, HEADING + "".join(rows * 3)))
    assert notes(report, FEW_RESIDENTS) == [("school", None, "låg")]
    # Rows that are left out add nobody.
    more = [GOOD.replace("a1", "e").replace("30", "x"), GOOD.replace("a1", "f").replace("30", "")]
    report = check(csv_dataset(tmp_path, HEADING + "".join(rows + more)))
    assert notes(report, FEW_RESIDENTS) == [("school", None, "låg")]


def keyed(folder, rows, key="[pnr, month]"):
    path = folder / "people.yaml"
    content = text(CSV, COVERED).replace("schema:\n", f"schema:\n  primaryKey: {key}\n")
    path.write_text(content, encoding="utf-8")
    (folder / "data.csv").write_text("pnr,month,year,office\n" + rows, encoding="utf-8")
    return load(path)


def test_the_last_row_of_a_key_counts(tmp_path):
    rows = (
        "a,2016-11,2016,Norr\n"  # 1 repeated by row 5
        "a,2016-12,2016,Norr\n"  # 2 replaced by row 3
        "a,2016-12,2017,Norr\n"  # 3
        "b,2016-11,2016,\n"  # 4
        "a,2016-11,2016,NORR\n"  # 5 the same, spelled otherwise
        "a,2016-99,2016,Norr\n"  # 6 has no key
        "a,2016-99,2016,Norr\n"  # 7 neither
    )
    dataset = keyed(tmp_path, rows)
    report = check(dataset)
    assert [(v.column, v.row, v.problem) for v in report.violations] == [
        ("", 1, Problem.REPEATED),
        ("", 2, Problem.REPLACED),
        ("month", 6, Problem.NOT_A_MONTH),
        ("month", 7, Problem.NOT_A_MONTH),
    ]
    assert (report.rows, report.usable) == (7, 3)
    # A study of other columns leaves the same rows out.
    (batch,) = records(dataset, columns=[dataset.declaration.column("year")])
    assert batch.rows.tolist() == [3, 4, 5, 6, 7]
    assert list(batch.columns) == ["year"]


def test_no_resident_can_take_away_another_residents_row(tmp_path):
    # Else one resident more or less would change what two residents contribute.
    dataset = keyed(tmp_path, "a,2016-11,2016,Norr\nb,2016-11,2017,Norr\n", key="[month]")
    assert check(dataset).usable == 2
    (batch,) = records(dataset, columns=dataset.declaration.variables)
    assert batch.residents.tolist() == ["a", "b"]


def test_a_later_row_counts_even_if_it_cannot_be_read(tmp_path):
    dataset = keyed(tmp_path, "a,2016-11,2016,Norr\na,2016-11,1066,Norr\nb,2016-11,2016,Norr\n")
    (batch,) = records(dataset, columns=dataset.declaration.variables)
    assert batch.rows.tolist() == [3]


def test_keys_reach_across_files_and_batches(tmp_path):
    dataset = keyed(tmp_path, ROWS, key="[pnr]")
    path = tmp_path / "people.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("data.csv", "data*.csv"))
    rows = "pnr,month,year,office\n" + "".join(f"p{n},2016-11,2016,Syd\n" for n in range(60_000))
    (tmp_path / "data2.csv").write_text(rows + "a,2016-11,2016,Norr\n", encoding="utf-8")
    (tmp_path / "data3.csv").write_text(rows, encoding="utf-8")
    dataset = load(path)
    report = check(dataset, limit=1)
    assert (report.rows, report.usable, report.residents) == (120_004, 60_002, 60_002)
    assert [(t.file[-9:], t.problem, t.rows) for t in report.totals] == [
        ("data2.csv", Problem.REPEATED, 60_000),
        ("/data.csv", Problem.REPEATED, 1),
        ("/data.csv", Problem.REPLACED, 1),
    ]


DERIVED = """
name: months
title: {sv: Månader, en: Months}
description: {sv: Alla, en: Everybody}
steward: Anna Andersson
resident_id: pnr
secrecy: OSL 26 kap. 1 §
source:
  kind: derived
  tables: [people]
  query: |
    SELECT pnr, count(*) AS months, max(year) AS year, arg_max(office, month) AS office
    FROM people GROUP BY pnr ORDER BY pnr
schema:
  primaryKey: [pnr]
  fields:
    - name: months
      type: integer
      meaning: {sv: Månader, en: Months}
      constraints: {minimum: 0, maximum: 2}
    - name: office
      meaning: {sv: Kontor, en: Office}
      constraints: {enum: [Norr, Syd]}
      missing_meaning: {sv: okänt, en: unknown}
"""


def derived(folder, rows, content=DERIVED):
    keyed(folder, rows)
    (folder / "months.yaml").write_text(content, encoding="utf-8")
    return load(folder / "months.yaml")


def test_a_derived_table_is_made_of_the_rows_that_count(tmp_path):
    rows = (
        "a,2016-11,2016,Syd\n"  # superseded by the next
        "a,2016-11,2016,Norr\n"
        "a,2016-12,2016,syd\n"
        "a,2017-01,1066,Norr\n"  # out of bounds
        "a,2017-01,2016\n"  # ragged
        " b ,2016-11,2016,\n"
        ",2016-12,2016,Norr\n"  # nobody's
        "c,2016-11,2016,Norr\nc,2016-12,2016,Norr\nc,2017-01,2017,Norr\n"
    )
    dataset = derived(tmp_path, rows)
    (batch,) = records(dataset, columns=dataset.declaration.variables)
    assert batch.residents.tolist() == ["a", "b"]
    assert batch.columns["months"].tolist() == [2.0, 1.0]
    assert batch.columns["office"].tolist() == [1, -1]
    # The result is held to its declaration: c has three months.
    report = check(dataset)
    assert (report.rows, report.usable, report.residents) == (3, 2, 2)
    (violation,) = report.violations
    assert str(violation) == (
        f"the query of {tmp_path / 'months.yaml'}, column months, row 3: "
        "outside the declared bounds"
    )


def test_a_derived_table_says_what_its_tables_lost(tmp_path):
    rows = (
        "a,2016-11,1066,Syd\n"  # out of bounds, and superseded by the next: nothing is lost
        "a,2016-11,2016,Norr\n"
        "a,2017-01,1066,Norr\n"  # out of bounds
        "a,2017-01,2016\n"  # ragged
        ",2016-12,2016,Norr\n"  # nobody's
        "b,2016-11,2016,Norr\nb,2016-11,2016,Syd\n"  # superseded
    )
    dataset = derived(tmp_path, rows)
    report = check(dataset)
    assert report.clean
    assert notes(report, LEFT_OUT) == [("", None, "3 of people")]
    assert report.files == ()
    assert f"    note: {LEFT_OUT} (3 of people)" in as_text("months", report).splitlines()
    assert as_data("months", report)["notes"][0]["detail"] == "3 of people"
    # Without a key every row counts, and where nothing is lost there is no note.
    path = tmp_path / "people.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("  primaryKey: [pnr, month]\n", ""))
    assert notes(check(load(tmp_path / "months.yaml")), LEFT_OUT) == [("", None, "4 of people")]
    assert notes(check(derived(tmp_path, "a,2016-11,2016,Syd\n")), LEFT_OUT) == []


def test_a_derived_table_has_keys_and_coverage_too(tmp_path):
    content = DERIVED.replace("GROUP BY pnr ORDER BY pnr", "GROUP BY pnr, year ORDER BY ALL")
    content = content.replace("source:\n", "coverage: [{period: months, by: office}]\nsource:\n", 1)
    rows = "a,2016-11,2016,Norr\na,2016-12,2016,Norr\na,2017-01,2017,Syd\n"
    report = check(derived(tmp_path, rows, content))
    assert [(v.row, v.problem) for v in report.violations] == [(1, Problem.REPLACED)]
    assert notes(report, NO_ROWS) == [
        ("months", None, "Norr, 0 to 1"),
        ("months", None, "Syd, 0"),
        ("months", None, "Syd, 2"),
    ]


def test_a_derived_table_that_finds_nobody_is_refused(tmp_path):
    content = DERIVED.replace("FROM people", "FROM people WHERE year > 2018")
    with pytest.raises(DataContractError, match="has a heading and no rows"):
        check(derived(tmp_path, "a,2016-11,2016,Norr\n", content))


def test_a_derived_table_over_misread_text_is_refused(tmp_path):
    dataset = derived(tmp_path, "a,2016-11,2016,Norr\n")
    (tmp_path / "data.csv").write_bytes(
        "pnr,month,year,office\nå,2016-11,2016,Syd\n".encode("cp1252")
    )
    with pytest.raises(DataContractError, match=r"data\.csv, column pnr, row 1: the text is"):
        check(dataset)


def test_a_report_as_text_and_as_data(tmp_path):
    rows = ROWS + "a,2016-11,2016,norr\n" + "c,2016-13,x,Syd\n" * 3
    keyed(tmp_path, rows)
    path = tmp_path / "people.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("source:", "coverage: [{period: year}]\nsource:"),
        encoding="utf-8",
    )
    report = check(load(path), limit=2)
    assert as_text("people", report).splitlines() == [
        "people: 7 rows read, 3 usable, 2 residents",
        f"  {tmp_path / 'data.csv'}",
        "    column month: not a month, YYYY-MM: 3 rows (5, 6 and 1 more)",
        "    column year: not a number: 3 rows (5, 6 and 1 more)",
        "    whole row: repeated by a later row: 1 row (1)",
        "    note, column office: a category with fewer than 5 residents: 2 (Norr; Syd)",
        "    note, column office: spelled otherwise than the declared category: 1 (4)",
        "    note, column year: no rows for a declared period: 1 (2018)",
    ]
    told = json.loads(json.dumps(as_data("people", report)))
    assert told["dataset"] == "people"
    assert told["clean"] is False
    assert told["totals"][0] == {
        "file": str(tmp_path / "data.csv"),
        "column": "month",
        "problem": "not a month, YYYY-MM",
        "rows": 3,
    }
    assert told["notes"][-1] == {
        "file": str(tmp_path / "data.csv"),
        "column": "office",
        "row": None,
        "note": "a category with fewer than 5 residents",
        "detail": "Syd",
    }


def test_a_report_without_lists_still_counts(tmp_path):
    report = check(keyed(tmp_path, ROWS + "a,2016-11,x,norr\n"), limit=0)
    assert as_text("people", report).splitlines()[2:] == [
        "    whole row: replaced by a later row with the same key: 1 row",
        "    column year: not a number: 1 row",
        "    note, column office: a category with fewer than 5 residents: 2",
        "    note, column office: spelled otherwise than the declared category: 1",
    ]
