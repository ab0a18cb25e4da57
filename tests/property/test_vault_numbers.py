"""Cells held to a declaration, against a slow oracle that looks at one cell at a time."""

import csv
import io
import math
import string
import tempfile
from pathlib import Path

import pyarrow as pa
from declared import csv_dataset, declare
from hypothesis import example, given
from hypothesis import strategies as st

from models.schema import Bilingual, Missing, NumericColumn
from node.vault.cells import FINE, PROBLEMS, Problem, Writing, numbers
from node.vault.chunks import Cells
from node.vault.contract import check
from node.vault.records import records

WORDS = Bilingual(sv="x", en="y")


def oracle(text, declared, decimal):  # noqa: PLR0911 - one answer per kind of cell
    """Give the value and problem of one cell, in plain Python."""
    text = text.strip()
    if declared.missing is not None and text in declared.missing.values:
        return math.nan, None
    if not text:
        return math.nan, Problem.MISSING
    if text.lower().lstrip("+-") in {"nan", "inf", "infinity"} and text[1:2] not in {"+", "-"}:
        return math.nan, Problem.NOT_FINITE
    other = {".": ",", ",": "."}[decimal]
    if other in text or not set(text) <= set(string.digits + "+-eE" + decimal):
        return math.nan, Problem.NOT_A_NUMBER
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return math.nan, Problem.NOT_A_NUMBER
    if math.isinf(value):
        return math.nan, Problem.NOT_FINITE
    if declared.type == "integer" and value != int(value):
        return value, Problem.NOT_WHOLE
    if not declared.minimum <= value <= declared.maximum:
        return value, Problem.OUT_OF_BOUNDS
    return value, None


NUMBERS = st.one_of(
    st.integers(-200, 200).map(str),
    st.integers().map(str),
    st.floats().map(repr),
    st.floats(-150, 150).map(lambda x: f"{x:.3f}"),
    st.floats(-150, 150).map(lambda x: f"{x:+.2e}"),
)
TEXTS = st.one_of(
    NUMBERS,
    NUMBERS.map(lambda text: text.replace(".", ",")),
    NUMBERS.map(lambda text: f" {text}\t"),
    st.text("0123456789.,+-eE ", max_size=6),
    st.text(max_size=4),
    st.sampled_from(["", "?", "-9", "nan", "-Infinity", "INF", "1e999", "0x1", "1_0", "٣", "½"]),
)


@given(
    texts=st.lists(TEXTS.filter(lambda t: not any("\ud800" <= c <= "\udfff" for c in t))),
    kind=st.sampled_from(["integer", "number"]),
    missing=st.sampled_from([None, ("",), ("?", "-9"), ("", "nan")]),
    decimal=st.sampled_from([".", ","]),
)
@example(
    texts=["1.", ".5", ".", "+.e1", "1e5", "--1", "+-inf"], kind="number", missing=None, decimal="."
)
def test_a_numeric_cell_is_what_the_oracle_says(texts, kind, missing, decimal):
    declared = NumericColumn(
        name="n",
        type=kind,
        meaning=WORDS,
        minimum=-100,
        maximum=100,
        missing=None if missing is None else Missing(values=missing, meaning=WORDS),
    )
    cells = Cells(values=pa.array(texts, pa.string()))
    held = numbers(cells, declared, writing=Writing(decimal=decimal))
    for text, value, code in zip(texts, held.values, held.problems, strict=True):
        expected, problem = oracle(text, declared, decimal)
        assert (None if code == FINE else PROBLEMS[code]) == problem, repr(text)
        if problem is None:
            assert value == expected or (math.isnan(value) and math.isnan(expected)), repr(text)


LEVELS = ["a", 'b "c"', "d;e", "f\ng", "h,i", "åäö €"]
FIELDS = """
    - {name: n, type: number, meaning: {sv: x, en: y}, constraints: {minimum: -10, maximum: 10}}
    - name: c
      meaning: {sv: x, en: y}
      constraints: {enum: ["a", 'b "c"', "d;e", "f\\ng", "h,i", "åäö €"]}
      missing_meaning: {sv: x, en: y}
"""
ROWS = st.lists(
    st.tuples(
        st.text(string.ascii_letters + string.digits + '"; ,', min_size=1).filter(str.strip),
        st.floats(-10, 10),
        st.sampled_from([*LEVELS, ""]),
    ),
    min_size=1,
)


@given(
    rows=ROWS,
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    dialect=st.sampled_from([(",", "."), (";", ","), (";", "."), ("\t", ",")]),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "windows-1252"]),
    batch_rows=st.integers(1, 5),
)
def test_what_is_written_is_what_is_read(rows, quoting, dialect, end, encoding, batch_rows):
    delimiter, decimal = dialect
    written = io.StringIO()
    writer = csv.writer(written, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow(["n", "pnr", "c"])
    for resident, number, level in rows:
        writer.writerow([repr(number).replace(".", decimal), resident, level])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = (
            f"source: {{kind: csv, path: data.csv, delimiter: {delimiter!r}, "
            f"decimal: {decimal!r}, encoding: {encoding}}}".replace("'\\t'", '"\\t"')
        )
        csv_dataset(folder, written.getvalue().encode(encoding), source)
        dataset = declare(folder, source, FIELDS)
        read = list(records(dataset, columns=dataset.declaration.columns, batch_rows=batch_rows))
        report = check(dataset)
    assert report.clean
    assert report.rows == report.usable == len(rows)
    assert report.residents == len({resident.strip() for resident, _, _ in rows})
    assert [r for batch in read for r in batch.residents] == [r.strip() for r, _, _ in rows]
    assert [n for batch in read for n in batch.columns["n"]] == [n for _, n, _ in rows]
    expected = [LEVELS.index(level) if level else -1 for _, _, level in rows]
    assert [c for batch in read for c in batch.columns["c"]] == expected
    assert [n for batch in read for n in batch.rows] == list(range(1, len(rows) + 1))
