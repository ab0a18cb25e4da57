"""Where the records of a dataset lie: a text file, a Parquet file or a query.

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
    """A text file with one heading line; `.gz` files are unpacked while they are read."""

    __pydantic_config__ = STRICT

    kind: Literal["csv"] = "csv"
    path: Line
    delimiter: Literal[",", ";", "|", ":", "\t"] = ","
    encoding: Literal["utf-8", "iso-8859-1", "windows-1252"] = "utf-8"
    decimal: Literal[".", ","] = "."
    names: Names = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a decimal comma that would also end the cell."""
        if self.decimal == "," == self.delimiter:
            raise ValueError("a decimal comma needs another delimiter than the comma")


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
        bare = _COMMENT.sub(" ", self.query).strip()
        if not re.match(r"(select|with)\b", bare, re.IGNORECASE) or ";" in bare.rstrip("; \n"):
            raise ValueError("query must be one SELECT")


_SECRET = re.compile(r"://[^/@]*:[^/@]+@|[?&;](pass|pwd)", re.IGNORECASE)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)

Source = CsvSource | ParquetSource | SqlSource


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
        if isinstance(self.source, SqlSource):
            return f"the query of {self.file}"
        return str(self.locate(self.source.path))

    def heading(self, name: str) -> str:
        """Give the source's own heading of a declared column."""
        return self.source.names.get(name, name)
