"""What the query of an analysis table may contain: one SELECT over the tables it names.

DuckDB itself is already kept from files and network (`node.vault.derived`). The rules here are a
second wall, and they keep a table the same each time it is made: no tables that describe the
database, no sampling, no clock, no chance. They read DuckDB's own syntax tree and let through
what they know; the words of its errors, which can hold values, are not passed on.
"""

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

import duckdb

from models.errors import DataContractError
from node.sources import Origin

_HINT = "See docs/reference/declaration-file.md: what the query of a derived source may contain."

_PARTS = {
    "BASE_TABLE",
    "CTE_NODE",
    "DISTINCT_MODIFIER",
    "EMPTY",
    "EXPRESSION_LIST",
    "JOIN",
    "LIMIT_MODIFIER",
    "ORDER_DEFAULT",
    "ORDER_MODIFIER",
    "ASCENDING",
    "DESCENDING",
    "RECURSIVE_CTE_NODE",
    "SELECT_NODE",
    "SET_OPERATION_NODE",
    "SUBQUERY",
    "TABLE_FUNCTION",
}
"""The parts of a statement, other than expressions, that read and do nothing else."""

_TABLE_FUNCTIONS = {"generate_series", "range", "unnest"}

_UNSTEADY = """
select function_name from duckdb_functions() where stability <> 'CONSISTENT'
union all values ('ago')
"""
"""The functions that answer otherwise another time: DuckDB's list, and a macro on top of one."""

_SYSTEM = """
select view_name from duckdb_views() where schema_name <> 'information_schema'
union select table_name from duckdb_tables()
"""
"""The engine's own tables that need no schema before their name."""

_CLOCKS = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
"""Written without parentheses, these look like columns."""


def hold(
    origin: Origin, query: str, *, connection: duckdb.DuckDBPyConnection, tables: Collection[str]
) -> None:
    """Refuse a query that is more than one SELECT over `tables`.

    Raises:
        DataContractError: it is, or it is no SQL.
    """
    tree = _tree(origin, query, connection)
    unsteady = {row[0] for row in connection.execute(_UNSTEADY).fetchall()}
    inside = {str(key).lower() for part in _dicts(tree) for key in _named(part)}
    known = {table.lower() for table in tables} | inside
    # Where such a name is out of the query's own scope, it would mean the engine's table.
    system = {row[0].lower() for row in connection.execute(_SYSTEM).fetchall()}
    if taken := sorted(known & system):
        raise DataContractError(
            f"{origin.place}: {taken[0]} is the name of a table of the engine itself",
            hint="Give the table, or the part of WITH, another name.",
        )
    for part in _dicts(tree):
        if (said := _fault(part, known=known, unsteady=unsteady)) is not None:
            raise DataContractError(f"{origin.place}: {said}", hint=_HINT)


def _tree(origin: Origin, query: str, connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    answer = connection.execute("select json_serialize_sql(?)", [query]).fetchall()[0][0]
    tree: dict[str, Any] = json.loads(answer)
    if tree["error"] and tree["error_type"] == "parser":
        before = query.encode()[: int(tree.get("position", 0))]
        line = before.count(b"\n") + 1
        raise DataContractError(f"{origin.place}: is not valid SQL, in line {line}", hint=_HINT)
    if tree["error"] or len(tree["statements"]) != 1:
        raise DataContractError(f"{origin.place}: must be one SELECT (and no PIVOT)", hint=_HINT)
    return tree


def _dicts(tree: object) -> Iterator[dict[str, Any]]:
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def _named(part: dict[str, Any]) -> Iterator[str]:
    """Give the names that a WITH clause gives to its own tables."""
    if "cte_map" in part:
        yield from (item["key"] for item in part["cte_map"]["map"])


def _fault(part: dict[str, Any], *, known: set[str], unsteady: set[str]) -> str | None:
    kind = part.get("type")
    if isinstance(kind, str) and "class" not in part and kind not in _PARTS | {"SHOW_REF"}:
        return "does more than read the tables that it names"
    if kind == "SHOW_REF":
        return "describes tables rather than reading them"
    if part.get("sample") is not None:
        return "takes a sample: the table would be another one each time"
    if kind == "BASE_TABLE":
        path = part["qualified_name"]["path"]
        if len(path) != 1 or path[0].lower() not in known:
            return f"reads {_shown(path)}, which source.tables does not name"
    if kind == "TABLE_FUNCTION":
        name = part["function"]["function_name"].lower()
        if name not in _TABLE_FUNCTIONS:
            return f"reads from the function {_shown([name])}, which is not allowed"
    return _fault_of_function(part, unsteady)


def _fault_of_function(part: dict[str, Any], unsteady: set[str]) -> str | None:
    name = str(part.get("function_name", "")).lower()
    column = str((part.get("column_names") or [""])[-1]).lower()
    if name in unsteady or column in _CLOCKS:
        return f"uses {name or column}: the table would be another one each time"
    return None


def _shown(path: list[str]) -> str:
    """Give a name as the query has it; no name is as long, or as odd, as a value can be."""
    name = ".".join(path)
    return name if re.fullmatch(r"[\w./*-]{1,80}", name) else "something"
