"""Residents and keys: one person however written, what is wrong, and who must not be here."""

from dataclasses import replace

import pytest
from declared import text

from models.errors import DataContractError
from models.linkage.identity import Admission, Fault, Mode, Refusal, check_digit, readings
from node.datasets import load
from node.vault.cells import FINE, NOTES, PROBLEMS, Note, Problem
from node.vault.contract import check
from node.vault.parsing import parsed
from node.vault.records import records

FIELDS = """
    - name: age
      type: integer
      meaning: {sv: Ålder, en: Age}
      constraints: {minimum: 0, maximum: 120}
    - name: case
      type: key
      meaning: {sv: Ärende, en: Case}
      constraints: {pattern: "B[0-9]{3}"}
      missing_meaning: {sv: inget, en: none}
      missingValues: ["", "-"]
    - name: guardian
      type: resident
      meaning: {sv: Vårdnadshavare, en: Guardian}
      missing_meaning: {sv: ingen, en: none}
"""
HEADING = "pnr,age,case,guardian\n"
DEMO = Admission(mode=Mode.DEMO)
CHILD, PARENT = "201083071231", "198583071231"
PERSON = "198804042391"  # a published test number, which here stands for a person's


def dataset(
    folder, rows, *, form="personnummer", admission=DEMO, extracted="2024-12-31", fields=FIELDS
):
    head = f"resident_id: pnr\nresident_id_form: {form}"
    head += f"\nextracted: {extracted}" if extracted else ""
    content = text(fields=fields).replace("resident_id: pnr", head)
    (folder / "people.yaml").write_text(content, encoding="utf-8")
    (folder / "data.csv").write_text(HEADING + rows, encoding="utf-8")
    return load(folder / "people.yaml", admission=admission)


def held(data):
    """Give the only stretch of rows: ids, guardians, keys, each with problems and notes."""
    (part,) = parsed(data, data.declaration.columns, batch_rows=1000)
    return part


def words(codes, known):
    return [None if code == FINE else known[code] for code in codes]


def test_a_person_is_the_same_however_written(tmp_path):
    forms = [CHILD, "20108307-1231", "108307-1231", "1083071231", " 20108307 1231\u00a0"]
    data = dataset(tmp_path, "".join(f"{form},9,B001,850000\n" for form in forms))
    part = held(data)
    assert set(part.residents.values) == {CHILD}
    assert words(part.residents.notes, NOTES) == [None, None, None, None, Note.BLANKS]
    assert words(part.columns["guardian"].problems, PROBLEMS) == [Fault.LENGTH] * 5
    (batch,) = records(data, columns=data.declaration.variables)
    assert batch.residents.tolist() == [CHILD] * 5  # a bad guardian does no harm to a study
    assert list(batch.columns) == ["age"]


def test_each_fault_is_a_problem_of_its_row(tmp_path):
    texts = {
        CHILD: None,
        "": Problem.NO_RESIDENT,
        "1.98583e+11": Fault.SHORTENED,
        "TF1234567890": Fault.TEMPORARY,
        CHILD[:11] + "5": Fault.CHECK_DIGIT,
        PERSON: Refusal.REAL,
    }
    part = held(dataset(tmp_path, "".join(f"{text},9,B001,{PARENT}\n" for text in texts)))
    assert words(part.residents.problems, PROBLEMS) == list(texts.values())
    assert part.usable().tolist() == [problem is None for problem in texts.values()]


def test_ten_digits_need_the_day_of_extraction(tmp_path):
    data = dataset(tmp_path, f"108307-1230,9,B001,{PARENT}\n", extracted="")
    assert words(held(data).residents.problems, PROBLEMS) == [Fault.CENTURY]


def test_keys_keep_their_pattern_and_may_be_missing(tmp_path):
    cells = ["B001", " B002 ", "-", "", "B1", "b001"]
    data = dataset(tmp_path, "".join(f"{CHILD},9,{cell},\n" for cell in cells))
    part = held(data)
    case = part.columns["case"]
    assert case.values[:4].tolist() == ["B001", "B002", None, None]
    assert words(case.problems, PROBLEMS) == [None] * 4 + [Problem.OTHER_PATTERN] * 2
    assert words(case.notes, NOTES) == [None, Note.BLANKS, None, None, None, None]
    assert part.columns["guardian"].values.tolist() == [None] * 6


def test_a_key_that_must_be_there_is_missed(tmp_path):
    start = FIELDS.index("      missing_meaning: {sv: inget")
    end = FIELDS.index("    - name: guardian")
    fields = FIELDS[:start] + FIELDS[end:]
    part = held(dataset(tmp_path, f"{CHILD},9,,{PARENT}\n", fields=fields))
    assert words(part.columns["case"].problems, PROBLEMS) == [Problem.MISSING]


@pytest.mark.parametrize(
    ("row", "column"),
    [(f"{PERSON},9,B001,{PARENT}", "pnr"), (f"{CHILD},9,B001,{PERSON}", "guardian")],
)
@pytest.mark.parametrize("form", ["personnummer", "opaque"])
def test_in_demo_mode_a_real_number_stops_the_whole_dataset(tmp_path, row, column, form):
    data = dataset(tmp_path, f"{CHILD},9,B001,{PARENT}\n{row}\n", form=form)
    with pytest.raises(DataContractError) as caught:
        list(records(data, columns=data.declaration.variables))
    said = caught.value.message
    assert f"{tmp_path / 'data.csv'}, column {column}, row 2: " in said
    assert Refusal.REAL in said
    assert PERSON not in said + caught.value.hint
    listed = Admission(mode=Mode.DEMO, test_numbers=frozenset([PERSON]))
    (batch,) = records(replace(data, admission=listed), columns=data.declaration.variables)
    assert len(batch.rows) == 2


def test_in_production_demo_and_test_numbers_are_left_out(tmp_path):
    admission = Admission(test_numbers=frozenset([PERSON]))
    rows = f"{PERSON},1,,\n{CHILD},2,,\n198811092389,3,,\n"
    data = dataset(tmp_path, rows, admission=admission)
    part = held(data)
    assert words(part.residents.problems, PROBLEMS) == [Refusal.TEST, Refusal.DEMO, None]
    (batch,) = records(data, columns=data.declaration.variables)
    assert batch.columns["age"].tolist() == [3]


def test_an_opaque_id_may_be_almost_anything_in_production(tmp_path):
    rows = f"{PERSON},1,,\n{CHILD[2:]},2,,\nTF1, 3,,x\n"
    part = held(dataset(tmp_path, rows, form="opaque", admission=Admission()))
    assert part.residents.values.tolist() == [PERSON, CHILD[2:], "TF1"]
    assert part.usable().all()


def test_an_opaque_id_is_no_demo_or_test_number_in_production(tmp_path):
    rows = f"{PERSON},1,,\n{CHILD},2,,\n{CHILD[:8]}-{CHILD[8:]},3,,\nA1,4,,{PARENT}\nA2,5,,\n"
    admission = Admission(test_numbers=frozenset([PERSON]))
    data = dataset(tmp_path, rows, form="opaque", admission=admission)
    part = held(data)
    expected = [Refusal.TEST, Refusal.DEMO, Refusal.DEMO, None, None]
    assert words(part.residents.problems, PROBLEMS) == expected
    assert words(part.columns["guardian"].problems, PROBLEMS) == [None] * 3 + [Refusal.DEMO, None]
    (batch,) = records(data, columns=data.declaration.variables)
    assert batch.columns["age"].tolist() == [4, 5]


KEY = FIELDS.replace('      constraints: {pattern: "B[0-9]{3}"}\n', "")


def stopped(data):
    with pytest.raises(DataContractError) as caught:
        list(records(data, columns=data.declaration.variables))
    return caught.value.message


@pytest.mark.parametrize("form", ["personnummer", "opaque"])
@pytest.mark.parametrize(
    "written", ["850307-1238", "19850307 1238", "198503071238", "'8503671235-"]
)
def test_in_demo_mode_keys_are_looked_at_too(tmp_path, form, written):
    real = not written.endswith("-")
    rows = f"{CHILD},9,B001,\n{CHILD},9,{written},\n"
    data = dataset(tmp_path, rows, form=form, fields=KEY)
    if real:
        assert f"column case, row 2: {Refusal.REAL}" in stopped(data)
    else:
        assert len(list(records(data, columns=data.declaration.variables))) == 1
    in_production = dataset(tmp_path, rows, form=form, fields=KEY, admission=Admission())
    assert words(held(in_production).columns["case"].problems, PROBLEMS) == [None, None]


@pytest.mark.parametrize(
    "written", ["850307-1238", "19850307 1238", "850367-1235", "'850307-1238'"]
)
def test_in_demo_mode_an_opaque_id_in_any_written_form_stops_the_dataset(tmp_path, written):
    data = dataset(tmp_path, f"{CHILD},9,,\n{written},9,,\n", form="opaque")
    assert f"column pnr, row 2: {Refusal.REAL}" in stopped(data)


def test_ten_bare_digits_are_real_where_too_many_of_them_fit(tmp_path):
    nines = [f"8503{day:02d}123" for day in range(1, 29)]
    real = [nine + str(check_digit(nine)) for nine in nines]
    serial = [f"{number:010d}" for number in range(8503070000, 8503070100)]
    assert sum(1 for text in serial if readings(text)) == 10

    def data(ids, column="pnr"):
        cells = {"pnr": CHILD, "case": "", "guardian": ""}
        rows = ("{pnr},9,{case},{guardian}\n".format(**cells | {column: one}) for one in ids)
        return dataset(tmp_path, "".join(rows), form="opaque", fields=KEY)

    for column in ("pnr", "case", "guardian"):
        for taken in (serial, real[:2]):  # so few real ones may be chance
            found = data(taken, column)
            (batch,) = records(found, columns=found.declaration.variables)
            assert len(batch.rows) == len(taken)
        mixed = [*[one for one in serial if not readings(one)][:2], *real[:5], CHILD[2:]]
        assert f"column {column}, row 3: {Refusal.REAL}" in stopped(data(mixed, column))


@pytest.mark.parametrize(
    "written",
    ["198503071239", "19850307\u20131239", "850307-1239", "198502301238", "1985-03-07-1238"],
)
@pytest.mark.parametrize("column", ["pnr", "guardian"])
def test_in_demo_mode_a_mistyped_number_stops_the_dataset(tmp_path, written, column):
    row = f"{written},9,B001,{PARENT}" if column == "pnr" else f"{CHILD},9,B001,{written}"
    rows = f"{CHILD},9,B001,{PARENT}\n{row}\n"
    data = dataset(tmp_path, rows)
    said = stopped(data)
    assert f"column {column}, row 2: {Refusal.REAL}" in said
    assert written not in said
    # In production it is a row that is left out: the fault is named.
    part = held(dataset(tmp_path, rows, admission=Admission()))
    (problem,) = words(part.held(column).problems, PROBLEMS)[1:]
    assert isinstance(problem, Fault)


def test_rows_and_files_are_those_of_the_source(tmp_path):
    data = dataset(tmp_path, f"{CHILD},1,,\nbad,2,,\n{CHILD},3,,\n")
    (batch,) = records(data, columns=data.declaration.variables)
    assert batch.rows.tolist() == [1, 3]
    assert batch.file == str(tmp_path / "data.csv")


def test_a_check_lists_every_real_number_and_no_value(tmp_path):
    data = dataset(tmp_path, f"{CHILD},9,B001,{PERSON}\n{PERSON},9,B001,{PARENT}\n")
    report = check(data)
    found = [(item.column, item.row, item.problem) for item in report.violations]
    assert found == [("guardian", 1, Refusal.REAL), ("pnr", 2, Refusal.REAL)]
    assert (report.rows, report.usable) == (2, 0)
    assert PERSON not in repr(report)
