"""The PostgreSQL of the tests itself: real, separate per test, and found without a system one."""

import pytest
import sqlalchemy
from postgres import PostgresServer


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_a_database_of_its_own(postgres, turn):
    engine = sqlalchemy.create_engine(postgres)
    with engine.begin() as connection:
        assert connection.execute(sqlalchemy.text("show server_encoding")).scalar() == "UTF8"
        connection.execute(sqlalchemy.text("create table once (n integer)"))
    engine.dispose()


def test_two_servers_do_not_know_each_other(postgres_server, postgres):
    assert isinstance(postgres_server, PostgresServer)
    assert postgres.startswith("postgresql+psycopg://datalabbet@127.0.0.1:")
