"""A declaration from a file, for planning without a coordinator.

Two forms are read: what `datalabbet catalogue show DATASET --output json` printed, and a
steward's own declaration file, of which only the published part counts: where the records lie
and how they are written says nothing about a plan.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coordinator.client import exports
from models import documents, yaml_text
from models.errors import UsageError
from models.schema import Declaration

_PUBLISHED = ("name", "title", "description", "steward", "resident_id", "secrecy", "public")
_SAME = ("name", "type", "meaning", "unit", "edges", "sensitivity")
_LIMITS = {"minimum": "minimum", "maximum": "maximum", "enum": "categories", "pattern": "pattern"}
_BOOLEAN = ["false", "true"]
_SUFFIXES = (".yaml", ".yml", ".json")


def read(path: Path) -> Declaration:
    """Give the declaration in a file.

    Raises:
        UsageError: the file cannot be read.
        InvalidDocumentError: every problem with its field.
    """
    found = yaml_text.parse(exports.read_text(path), what=str(path))
    content = found.content
    if isinstance(content, list) and content and isinstance(content[0], Mapping):
        return documents.read(Declaration, content[0].get("declaration"), what=str(path))
    if isinstance(content, Mapping) and isinstance(content.get("schema"), Mapping):
        return _steward(content, what=str(path))
    return found.read(Declaration)


def read_all(paths: Sequence[Path]) -> list[tuple[str | None, Declaration]]:
    """Give all declarations in files and in folders of files, with whose they are; None: not said.

    Raises:
        UsageError: a file cannot be read, or a folder holds none.
        InvalidDocumentError: every problem of a file with its field.
    """
    return [item for path in paths for file in _files(path) for item in _entries(file)]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES)
    if not found:
        raise UsageError(f"the folder {path} holds no declaration (*.yaml, *.json)")
    return found


def _entries(path: Path) -> list[tuple[str | None, Declaration]]:
    content = yaml_text.parse(exports.read_text(path), what=str(path)).content
    if not isinstance(content, list):
        return [(None, read(path))]
    return [
        (
            str(item["department"]) if "department" in item else None,
            documents.read(Declaration, item.get("declaration"), what=str(path)),
        )
        for item in content
        if isinstance(item, Mapping)
    ]


def _steward(content: Mapping[str, Any], *, what: str) -> Declaration:
    """Give the published part of a steward's file."""
    schema = content["schema"]
    texts = schema.get("missingValues", [""])
    fields = schema.get("fields")
    mapping: dict[str, Any] = {name: content[name] for name in _PUBLISHED if name in content}
    mapping["columns"] = [
        _column(item, texts) if isinstance(item, Mapping) else item
        for item in (fields if isinstance(fields, list) else [])
    ]
    return documents.read(Declaration, mapping, what=what)


def _column(item: Mapping[str, Any], texts: object) -> dict[str, Any]:
    """Give a field of the file as a declared column."""
    limits = item.get("constraints", {})
    column = {name: item[name] for name in _SAME if name in item}
    if isinstance(limits, Mapping):
        column |= {new: limits[old] for old, new in _LIMITS.items() if old in limits}
    if item.get("type") == "boolean":
        column["categories"] = _BOOLEAN
    if "missing_meaning" in item:
        values = item.get("missingValues", texts)
        column["missing"] = {"values": values, "meaning": item["missing_meaning"]}
    return column
