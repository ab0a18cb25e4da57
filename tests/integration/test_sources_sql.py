"""Queries on a real SQLite and a real PostgreSQL: types, streaming, read-only, silent failures."""

import contextlib
import logging
import sqlite3
import traceback

import numpy as np
import psycopg
import pytest
from declared import declare
from sqlalchemy.engine import make_url

from models.errors import DataContractError
from node.datasets import SqlSource
from node.vault.cells import NOTES, Note, Problem
from node.vault.contract import check
from node.vault.describe import describe
from node.vault.parsing import parsed
from node.vault.records import records

CANARY = "canary-19811218"
ROWS = [
    ("a1", 30, 100.5, "låg", True),
    ("a2", 120, None, None, False),
    ("a2", 0, -9.0, "hög", True),
]
CREATE = "create table people (pnr text, age integer, income numeric, school text, moved boolean)"
ALL = "select * from people order by pnr, age desc"


class Database:
    """One database of either kind: its URL as a declaration has it, and a way to fill it."""

    def __init__(self, url):
        self.url = url

    @contextlib.contextmanager
    def connected(self):
        url = make_url(self.url)
        if url.get_backend_name() == "sqlite":
            connection = sqlite3.connect(url.database)
        else:
            plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
            connection = psycopg.connect(plain)
        with contextlib.closing(connection):
            yield connection
            connection.commit()

    def run(self, statement, rows=((),)):
        mark = "?" if self.url.startswith("sqlite") else "%s"
        with self.connected() as connection:
            connection.cursor().executemany(statement.replace("?", mark), rows)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    if request.param == "sqlite":
        return Database(f"sqlite:///{tmp_path / 'people.db'}")
    return Database(request.getfixturevalue("postgres"))


@pytest.fixture
def people(database):
    database.run(CREATE)
    database.run("insert into people values (?, ?, ?, ?, ?)", ROWS)
    return database


def dataset_of(folder, database, query=ALL):
    return declare(
        folder, f"source:\n  kind: sql\n  url: '{database.url}'\n  query: |\n    {query}\n"
    )


def read(dataset):
    return list(records(dataset, columns=dataset.declaration.columns))


def refused(dataset):
    with pytest.raises(DataContractError) as caught:
        read(dataset)
    with pytest.raises(DataContractError):
        check(dataset)
    return caught.value.message


def test_a_query_gives_the_same_batch_from_either_database(tmp_path, people):
    (batch,) = read(dataset_of(tmp_path, people))
    assert batch.residents.tolist() == ["a1", "a2", "a2"]
    assert batch.rows.tolist() == [1, 2, 3]
    assert batch.columns["age"].tolist() == [30, 120, 0]
    np.testing.assert_array_equal(batch.columns["income"], [100.5, np.nan, np.nan])
    assert batch.columns["school"].tolist() == [0, -1, 2]
    assert batch.columns["moved"].tolist() == [1, 0, 1]


def test_percent_signs_colons_and_casts_in_a_query_mean_what_they_say(tmp_path, people):
    query = "select * from people where school like 'l%' or school = ':x' or school = '%s'"
    assert len(read(dataset_of(tmp_path, people, query))[0].rows) == 1


def test_a_check_names_rows_of_the_result(tmp_path, people):
    people.run("insert into people values (?, ?, ?, ?, ?)", [("b1", 200, 1, "annan", None)])
    dataset = dataset_of(tmp_path, people)
    report = check(dataset)
    assert [(v.column, v.row, v.problem) for v in report.violations] == [
        ("age", 4, Problem.OUT_OF_BOUNDS),
        ("school", 4, Problem.UNKNOWN_CATEGORY),
        ("moved", 4, Problem.MISSING),
    ]
    assert report.file == f"the query of {tmp_path / 'people.yaml'}"
    assert (report.rows, report.usable, report.residents) == (4, 3, 2)


def test_rows_come_in_batches(tmp_path, database):
    database.run(CREATE)
    many = [(f"p{n:05}", 30, 1, "låg", True) for n in range(2500)]
    database.run("insert into people values (?, ?, ?, ?, ?)", many)
    dataset = dataset_of(tmp_path, database)
    batches = records(dataset, columns=dataset.declaration.columns, batch_rows=1000)
    assert [len(batch.rows) for batch in batches] == [1000, 1000, 500]


def test_leaving_off_in_the_middle_closes_the_connection(tmp_path, people):
    dataset = dataset_of(tmp_path, people)
    stream = records(dataset, columns=dataset.declaration.columns, batch_rows=1)
    next(stream)
    stream.close()
    people.run("drop table people")  # would wait for ever behind an open read


def test_no_rows(tmp_path, database):
    database.run(CREATE)
    assert "no rows" in refused(dataset_of(tmp_path, database))


def test_a_wrong_table_and_a_wrong_column(tmp_path, people):
    message = refused(dataset_of(tmp_path, people, "select * from person"))
    assert "a table of the query does not exist" in message
    message = refused(dataset_of(tmp_path, people, "select pnr, ages from people"))
    assert "a column of the query does not exist" in message
    message = refused(dataset_of(tmp_path, people, "select pnr from people"))
    assert "no column has the heading age, income, school, moved" in message


def test_nonsense_is_refused(tmp_path, people):
    assert "the query of" in refused(dataset_of(tmp_path, people, "select from where"))


def test_a_column_twice(tmp_path, people):
    query = "select p.*, p.age from people p"
    assert "two columns have the heading age" in refused(dataset_of(tmp_path, people, query))


def test_a_query_cannot_write(tmp_path, people):
    # The declaration lets these through: the connections themselves must refuse to write.
    if people.url.startswith("sqlite"):
        query, said = "with one as (select 1) delete from people", "tries to write"
    else:
        query = "with gone as (delete from people returning *) select * from gone"
        said = "does more than read"
    assert said in refused(dataset_of(tmp_path, people, query))
    with people.connected() as connection:
        assert connection.execute("select count(*) from people").fetchone()[0] == 3


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("nextval('counter')", "the query tries to write, which is forbidden"),
        ("set_config('transaction_read_only', 'off', false)", "the query of"),
    ],
)
def test_a_function_cannot_write_either(tmp_path, postgres, expression, said):
    people = Database(postgres)
    people.run(CREATE)
    people.run("insert into people values (?, ?, ?, ?, ?)", ROWS)
    people.run("create sequence counter")
    query = f"select *, {expression} as more from people"  # noqa: S608 - that is the test
    assert said in refused(dataset_of(tmp_path, people, query))
    assert "heading" not in refused(dataset_of(tmp_path, people, query))


def test_values_stay_out_of_messages_and_logs(tmp_path, database, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    database.run(CREATE)
    rows = [(CANARY, 30, 1, CANARY, True), ("a1", 30, 1, "låg", True)]
    database.run("insert into people values (?, ?, ?, ?, ?)", rows)
    caplog.clear()
    said = [repr(check(dataset_of(tmp_path, database)))]
    read(dataset_of(tmp_path, database))
    # The driver's own message quotes the text that could not be computed with.
    failing = "select *, cast(school as integer) from people"
    if database.url.startswith("sqlite"):
        failing = "select *, json_extract(school, '$') from people"
    with pytest.raises(DataContractError, match="the query of") as caught:
        read(dataset_of(tmp_path, database, failing))
    said += ["".join(traceback.format_exception(caught.value)), caught.value.hint]
    captured = capfd.readouterr()
    assert CANARY not in "\n".join([*said, caplog.text, captured.out, captured.err])


def test_a_database_that_is_not_there(tmp_path, database):
    if database.url.startswith("sqlite"):
        database.url = f"sqlite:///{tmp_path / 'nothing.db'}"
        assert "there is no such SQLite file" in refused(dataset_of(tmp_path, database))
        assert not (tmp_path / "nothing.db").exists()
        return
    database.url = make_url(database.url).set(database="nothing").render_as_string()
    assert "(127.0.0.1/nothing)" in refused(dataset_of(tmp_path, database))
    database.url = make_url(database.url).set(port=1).render_as_string()
    assert "cannot be reached" in refused(dataset_of(tmp_path, database))


def test_the_address_can_lie_in_a_file_of_its_own(tmp_path, people):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "url").write_text(f"{people.url}\n")
    source = f"source:\n  kind: sql\n  url_file: secret/url\n  query: {ALL}\n"
    dataset = declare(tmp_path, source)
    assert len(read(dataset)[0].rows) == 3
    (tmp_path / "secret" / "url").unlink()
    assert "secret/url (source.url_file) cannot be read" in refused(dataset)


def test_a_password_is_in_no_message(tmp_path, postgres, caplog):
    caplog.set_level(logging.DEBUG)
    url = make_url(postgres).set(password=CANARY, database="nothing")
    for text in (url.render_as_string(hide_password=False), f"postgresql://me:{CANARY}@[::x/db"):
        (tmp_path / "url").write_text(text)
        dataset = declare(tmp_path, f"source:\n  kind: sql\n  url_file: url\n  query: {ALL}\n")
        with pytest.raises(DataContractError) as caught:
            read(dataset)
        told = "".join(traceback.format_exception(caught.value)) + repr(dataset) + caplog.text
        assert CANARY not in told


@pytest.mark.parametrize(
    "url", ["mysql://me@host/db", "nonsense", "sqlite://", "sqlite:///:memory:"]
)
def test_other_addresses_are_refused(tmp_path, url):
    database = Database(url)
    assert "URL" in refused(dataset_of(tmp_path, database))


def test_what_is_no_sqlite_file(tmp_path):
    (tmp_path / "people.db").write_text("not a database, but long enough to look at " * 50)
    database = Database("sqlite:///people.db")
    message = refused(dataset_of(tmp_path, database))
    assert "the file is not an SQLite database" in message


def test_sqlite_cells_of_any_type_are_held_to_the_declaration(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'people.db'}")
    database.run(CREATE.replace("text", "any").replace("integer", "any").replace("numeric", "any"))
    rows = [
        ("a1", "31", "1.5", "låg", "true"),
        (b"\xff", "x", b"1", b"l", 7),
        (4.0, 3.0, 2, None, 1),
    ]
    database.run("insert into people values (?, ?, ?, ?, ?)", rows)
    dataset = dataset_of(tmp_path, database, "select * from people")
    report = check(dataset)
    assert {(v.column, v.problem) for v in report.violations} == {
        ("pnr", Problem.ENCODING),
        ("age", Problem.NOT_A_NUMBER),
        ("income", Problem.ENCODING),
        ("school", Problem.ENCODING),
        ("moved", Problem.UNKNOWN_CATEGORY),
    }
    assert report.usable == 2
    query = "select * from people where typeof(pnr) <> 'blob'"
    (batch,) = read(dataset_of(tmp_path, database, query))
    assert batch.residents.tolist() == ["a1", "4"]


def test_a_query_is_described(tmp_path, people):
    source = SqlSource(url=people.url, query=ALL)
    draft = describe(source, name="people", folder=tmp_path)
    for line in ("- name: age", "type: integer", "- name: moved"):
        assert line in draft
    assert "a1" not in draft


DAYS = """
    - name: start
      type: date
      meaning: {sv: Start, en: Start}
      constraints: {minimum: 2016-01-01, maximum: 2024-12-31}
    - name: seen
      type: date
      meaning: {sv: Sedd, en: Seen}
      constraints: {minimum: 2016-01-01, maximum: 2024-12-31}
      missing_meaning: {sv: aldrig, en: never}
    - name: month
      type: yearmonth
      meaning: {sv: Månad, en: Month}
      constraints: {minimum: 2016-01, maximum: 2024-12}
"""
TYPED = """
select 'a1' as pnr, date '2020-02-29' as start, timestamptz '2020-12-31 23:30+00' as seen,
timestamp '2020-05-31 23:30' as month union all select 'a2', null, null, null order by 1
"""


def test_days_and_points_in_time_keep_their_type(tmp_path, postgres):
    query = " ".join(TYPED.split())
    source = f'source:\n  kind: sql\n  url: "{postgres}"\n  query: "{query}"\n'
    dataset = declare(tmp_path, source, DAYS)
    (part,) = parsed(dataset, dataset.declaration.columns, batch_rows=10)
    days = {name: held.values.astype(str).tolist() for name, held in part.columns.items()}
    assert days == {
        "start": ["2020-02-29", "NaT"],
        "seen": ["2021-01-01", "NaT"],
        "month": ["2020-05-01", "NaT"],
    }
    assert part.usable().tolist() == [True, False]
    assert part.columns["seen"].notes[0] == NOTES.index(Note.OTHER_DAY)


@pytest.mark.parametrize(
    "value", ["date 'infinity'", "timestamptz '-infinity'", "date '0044-03-15 BC'"]
)
def test_a_day_that_python_does_not_have_is_no_lost_database(tmp_path, postgres, value):
    query = f"select 'a1' as pnr, {value} as start, now() as seen, now() as month"
    dataset = declare(
        tmp_path, f'source:\n  kind: sql\n  url: "{postgres}"\n  query: "{query}"\n', DAYS
    )
    said = "the query of .*: a value that cannot be represented, such as an infinite date"
    with pytest.raises(DataContractError, match=said):
        check(dataset)
