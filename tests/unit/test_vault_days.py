"""Days and months: as texts in several formats, as native days, and as points in time."""

import datetime as dt
import sqlite3
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from declared import declare
from hypothesis import given
from hypothesis import strategies as st

from models.schema import Bilingual, DateColumn, Missing
from node.vault.cells import FINE, NOTES, PROBLEMS, Note, Problem
from node.vault.chunks import Cells
from node.vault.days import column
from node.vault.local_days import local_days
from node.vault.parsing import parsed

WORDS = Bilingual(sv="x", en="y")
OPEN = Missing(values=("", "9999-12-31", "31/12/9999"), meaning=WORDS)
STOCKHOLM = ZoneInfo("Europe/Stockholm")


def day_column(kind="date", minimum="2016-01-01", maximum="2024-12-31", missing=None):
    return DateColumn(
        name="d", type=kind, meaning=WORDS, minimum=minimum, maximum=maximum, missing=missing
    )


def held(values, declared=None, form="%Y-%m-%d"):
    if isinstance(values, list):
        values = pa.array(values, pa.string())
    return column(Cells(values=values), declared or day_column(), form=form)


def words(codes, known=PROBLEMS):
    return [None if code == FINE else known[code] for code in codes]


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%Y-%m-%d", "2020-02-29"),
        ("%Y%m%d", "20200229"),
        ("%d/%m/%Y", " 29/02/2020 "),
        ("%d.%m.%Y", "29.02.2020"),
        ("%m %d %Y", "02 29 2020"),
    ],
)
def test_a_day_is_read_in_its_declared_format_alone(form, text):
    found = held([text, "2020/02/29", "29-02-20", "", None], form=form)
    assert found.values[0] == np.datetime64("2020-02-29")
    assert words(found.problems) == [None] + [Problem.NOT_A_DAY] * 2 + [Problem.MISSING] * 2


@pytest.mark.parametrize(
    "text", ["2021-02-29", "2020-13-01", "2020-00-10", "0000-01-01", "\u0662\u066020-01-01"]
)
def test_a_day_that_does_not_exist_is_none(text):
    assert words(held([text]).problems) == [Problem.NOT_A_DAY]


def test_bounds_are_closed():
    texts = ["2015-12-31", "2016-01-01", "2024-12-31", "2025-01-01"]
    outside = Problem.OUT_OF_BOUNDS
    assert words(held(texts).problems) == [outside, None, None, outside]


@pytest.mark.parametrize(
    ("values", "form"),
    [
        (["2016-01-01", "", "9999-12-31", None], "%Y-%m-%d"),
        (["01/01/2016", "", "31/12/9999", None], "%d/%m/%Y"),
        (pa.array([dt.date(2016, 1, 1), None, dt.date(9999, 12, 31), None]), "%d/%m/%Y"),
    ],
)
def test_open_ends_and_gaps_are_missing(values, form):
    found = held(values, day_column(missing=OPEN), form)
    assert found.values.dtype == np.dtype("datetime64[D]")
    assert np.isnat(found.values).tolist() == [False, True, True, True]
    assert words(found.problems) == [None] * 4


def test_months():
    declared = day_column("yearmonth", "2016-01", "2016-12")
    found = held(["2016-01", "2016-12", "2017-01", "2016-13", "2016-1", "2016-01-01"], declared)
    assert found.values[:2].tolist() == [dt.date(2016, 1, 1), dt.date(2016, 12, 1)]
    odd = Problem.NOT_A_MONTH
    assert words(found.problems) == [None, None, Problem.OUT_OF_BOUNDS, odd, odd, odd]
    native = held(pa.array([dt.date(2016, 12, 31), dt.date(2017, 1, 1)]), declared)
    assert words(native.problems) == [None, Problem.OUT_OF_BOUNDS]
    assert native.values[0] == np.datetime64("2016-12-01")


def test_midnight_in_sweden_is_the_evening_before_in_utc():
    points = [
        dt.datetime(2020, 12, 31, 23, 30, tzinfo=dt.UTC),
        dt.datetime(2020, 7, 1, 0, 0, tzinfo=STOCKHOLM),
        dt.datetime(2020, 7, 1, 12, 0, tzinfo=dt.UTC),
        None,
    ]
    for unit in ("s", "ms", "us", "ns"):
        for zone in ("UTC", "Europe/Stockholm", "+01:00"):
            found = held(pa.array(points, pa.timestamp(unit, tz=zone)))
            expected = ["2021-01-01", "2020-07-01", "2020-07-01", "NaT"]
            np.testing.assert_array_equal(found.values, np.array(expected, dtype="datetime64[D]"))
            assert words(found.notes, NOTES) == [Note.OTHER_DAY, Note.OTHER_DAY, None, None]
            assert words(found.problems) == [None, None, None, Problem.MISSING]


def test_a_point_without_a_zone_is_taken_as_it_stands():
    values = pa.array([dt.datetime(2020, 12, 31, 23, 30)], pa.timestamp("us"))  # noqa: DTZ001
    found = held(values)
    assert found.values[0] == np.datetime64("2020-12-31")
    assert words(found.notes, NOTES) == [None]


@given(st.lists(st.datetimes(dt.datetime(1900, 1, 2), dt.datetime(9998, 12, 30)), max_size=20))  # noqa: DTZ001
def test_local_days_are_what_python_says(points):
    aware = [point.replace(microsecond=0, tzinfo=dt.UTC) for point in points]
    days, elsewhere = local_days(pa.array(aware, pa.timestamp("s", tz="UTC")))
    expected = [point.astimezone(STOCKHOLM).date() for point in aware]
    assert days.tolist() == expected
    utc = [point.date() for point in aware]
    assert elsewhere.tolist() == [a != b for a, b in zip(expected, utc, strict=True)]


def test_the_end_of_time_is_no_mistake_of_the_program():
    days, _ = local_days(pa.array([253402300799], pa.timestamp("s", tz="UTC")))
    assert str(days[0]) == "10000-01-01"


FIELDS = """
    - name: start
      type: date
      format: "%d/%m/%Y"
      meaning: {sv: Start, en: Start}
      constraints: {minimum: 2016-01-01, maximum: 2024-12-31}
    - name: month
      type: yearmonth
      meaning: {sv: Månad, en: Month}
      constraints: {minimum: 2016-01, maximum: 2024-12}
"""


def test_a_parquet_file_gives_days_and_points_in_time(tmp_path):
    table = {
        "pnr": ["a", "b"],
        "start": pa.array(
            [dt.datetime(2020, 12, 31, 23, 30, tzinfo=dt.UTC)] * 2,
            pa.timestamp("us", tz="Europe/Stockholm"),
        ),
        "month": pa.array([dt.date(2020, 5, 1), dt.date(2020, 6, 30)]),
    }
    pq.write_table(pa.table(table), tmp_path / "data.parquet")
    data = declare(tmp_path, "source: {kind: parquet, path: data.parquet}", FIELDS)
    (part,) = parsed(data, data.declaration.columns, batch_rows=10)
    assert part.columns["start"].values.tolist() == [dt.date(2021, 1, 1)] * 2
    assert part.columns["month"].values.tolist() == [dt.date(2020, 5, 1), dt.date(2020, 6, 1)]
    assert part.usable().all()


def test_a_database_gives_days_as_texts_in_the_declared_format(tmp_path):
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("create table t (pnr text, start text, month text)")
        connection.execute("insert into t values ('a', '31/12/2020', '2020-05')")
    connection.close()
    source = 'source: {kind: sql, url: "sqlite:///a.db", query: select * from t}'
    data = declare(tmp_path, source, FIELDS)
    (part,) = parsed(data, data.declaration.columns, batch_rows=10)
    assert part.columns["start"].values.tolist() == [dt.date(2020, 12, 31)]
    assert part.columns["month"].values.tolist() == [dt.date(2020, 5, 1)]
