"""Writing what a department would have: a declaration and a data file in its own format."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import yaml

Format = Literal["csv", "swedish-csv", "parquet", "sqlite"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One declared column: bounds for numbers, categories for texts, neither for booleans."""

    name: str
    sv: str
    en: str
    bounds: tuple[float, float] | None = None
    categories: tuple[str, ...] = ()
    whole: bool = False
    unit: str = ""
    missing: tuple[str, str] | None = None

    def document(self) -> dict[str, Any]:
        """Give the field as the declaration file writes it."""
        entry: dict[str, Any] = {
            "name": self.name,
            "meaning": {"sv": self.sv, "en": self.en},
            "type": "boolean",
        }
        if self.bounds is not None:
            low, high = (int(b) if self.whole else b for b in self.bounds)
            entry["type"] = "integer" if self.whole else "number"
            entry["constraints"] = {"minimum": low, "maximum": high}
        elif self.categories:
            entry["type"] = "string"
            entry["constraints"] = {"enum": list(self.categories)}
        if self.unit:
            entry["unit"] = self.unit
        if self.missing is not None:
            entry["missing_meaning"] = dict(zip(("sv", "en"), self.missing, strict=True))
        return entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A dataset of one department, ready to be written."""

    name: str
    title: tuple[str, str]
    description: tuple[str, str]
    steward: str
    secrecy: str
    public: bool
    resident_id: str
    fields: tuple[Field, ...]


def write(folder: Path, table: Table, rows: pd.DataFrame, *, form: Format) -> None:
    """Write `<name>.yaml` and the data beside it, in the department's own file format."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = [table.resident_id, *(field.name for field in table.fields)]
    document = {
        "name": table.name,
        "title": dict(zip(("sv", "en"), table.title, strict=True)),
        "description": dict(zip(("sv", "en"), table.description, strict=True)),
        "steward": table.steward,
        "resident_id": table.resident_id,
        "secrecy": table.secrecy,
        "public": table.public,
        "source": _write_rows(folder, table.name, rows[columns], form=form),
        "schema": {"fields": [field.document() for field in table.fields]},
    }
    text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
    (folder / f"{table.name}.yaml").write_text(text, encoding="utf-8")


def _write_rows(folder: Path, name: str, rows: pd.DataFrame, *, form: Format) -> dict[str, Any]:
    if form == "parquet":
        rows.to_parquet(folder / f"{name}.parquet", index=False)
        return {"kind": "parquet", "path": f"{name}.parquet"}
    if form == "sqlite":
        path = folder / f"{name}.sqlite"
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as database:
            rows.to_sql(name, database, index=False)
        return {
            "kind": "sql",
            "url": f"sqlite:///{path.resolve()}",
            "query": f"SELECT * FROM {name}",  # noqa: S608 - our own table's name
        }
    if form == "swedish-csv":
        rows.to_csv(
            folder / f"{name}.csv", sep=";", decimal=",", index=False, encoding="iso-8859-1"
        )
        return {
            "kind": "csv",
            "path": f"{name}.csv",
            "delimiter": ";",
            "encoding": "iso-8859-1",
            "decimal": ",",
        }
    rows.to_csv(folder / f"{name}.csv", index=False, encoding="utf-8-sig")
    return {"kind": "csv", "path": f"{name}.csv"}
