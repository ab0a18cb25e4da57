"""Where the records of a dataset lie: text files, a Parquet file, a query, or other datasets.

A source is described here and opened in `node.vault` alone.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from models.schema import STRICT, Line, Name

Names = Annotated[dict[Name, Line], Field(max_length=501)]
"""Declared name to the source's own heading, for columns whose headings differ from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvSource:
    """Text files with one heading line each; `.gz` files are unpacked while they are read.

    A `*` in the file name stands for any characters: the files are read in the order of their
    names. `thousands`: what stands between groups of three digits; `space` is also a no-break one.
    """

    __pydantic_config__ = STRICT

    kind: Literal["csv"] = "csv"
    path: Line
    delimiter: Literal[",", ";", "|", ":", "\t"] = ","
    encoding: Literal["utf-8", "iso-8859-1", "windows-1252"] = "utf-8"
    decimal: Literal[".", ","] = "."
    thousands: Literal["none", "space"] = "none"
    names: Names = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a decimal comma that would also end the cell, and `*` in a folder's name."""
        if self.decimal == "," == self.delimiter:
            raise ValueError("a decimal comma needs another delimiter than the comma")
        if "*" in str(Path(self.path).parent):
            raise ValueError("path may hold * in the name of the file, not of a folder")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParquetSource:
    """One Parquet file."""

    __pydantic_config__ = STRICT

    kind: Literal["parquet"] = "parquet"
    path: Line
    names: Names = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlSource:
    """A query on SQLite or PostgreSQL, by SQLAlchemy URL.

    A URL with a password belongs in a file of its own, named by `url_file`, since declarations
    are shown to people.
    """

    __pydantic_config__ = STRICT

    kind: Literal["sql"] = "sql"
    url: Annotated[str | None, Field(max_length=2000)] = field(default=None, repr=False)
    url_file: Line | None = None
    query: Annotated[str, Field(min_length=1, max_length=20_000)]
    names: Names = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse two URLs or none, a password in the file, and what is not one SELECT."""
        if (self.url is None) == (self.url_file is None):
            raise ValueError("give either url or url_file")
        if self.url is not None and _SECRET.search(self.url):
            raise ValueError("a URL with a password belongs in a file of its own: use url_file")
        bare = _bare(self.query)
        # Databases do not agree where a comment ends that holds another one: it stays, as `/*`.
        if not _begins_a_select(bare) or ";" in bare.rstrip("; \n") or "/*" in bare:
            raise ValueError("query must be one SELECT")


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivedSource:
    """A query (DuckDB's SQL) on other datasets of the same folder, as they are after cleaning."""

    __pydantic_config__ = STRICT

    kind: Literal["derived"] = "derived"
    tables: Annotated[tuple[Name, ...], Field(min_length=1, max_length=20)]
    query: Annotated[str, Field(min_length=1, max_length=20_000)]
    names: Names = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a table named twice, and what is no SELECT; the engine counts statements."""
        if len(set(self.tables)) != len(self.tables):
            raise ValueError("each table may be named once")
        if not _begins_a_select(_bare(self.query)):
            raise ValueError("query must be one SELECT")


def _begins_a_select(bare: str) -> bool:
    return re.match(r"(select|with)\b", bare, re.IGNORECASE) is not None


def _bare(query: str) -> str:
    """Give a query without comments, with nothing inside its quotation marks."""
    return _QUOTED.sub(lambda match: _EMPTY.get(match[0][0], " "), query).strip()


_SECRET = re.compile(r"://[^/@]*:[^/@]+@|[?&;](pass|pwd)", re.IGNORECASE)
_START = r"(?<![\w$\x80-\U0010ffff])"
"""No character of a name comes before."""

_QUOTED = re.compile(
    rf"""--[^\r\n]* | /\*(?:(?!/\*).)*?\*/            # comments, none inside another
    | {_START}[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*'  # texts, the first with escapes
    | "(?:[^"]|"")*"                            # names
    | {_START}\$((?:[^\W\d]\w*)?)\$.*?\$\1\$  # texts between dollar signs
    """,
    re.DOTALL | re.VERBOSE,
)
_EMPTY = {"'": "''", '"': '""'}

Stored = CsvSource | ParquetSource | SqlSource
"""Where records lie that are nowhere else."""

Source = Stored | DerivedSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A source and the declaration file that names it; relative paths start at its folder."""

    source: Source
    file: str

    def locate(self, path: str) -> Path:
        """Give the place of a path that the source names."""
        return Path(self.file).parent / path

    @property
    def place(self) -> str:
        """Give the name of the source for messages: its path, or whose query it is."""
        if isinstance(self.source, SqlSource | DerivedSource):
            return f"the query of {self.file}"
        return str(self.locate(self.source.path))

    def heading(self, name: str) -> str:
        """Give the source's own heading of a declared column."""
        return self.source.names.get(name, name)
