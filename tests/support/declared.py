"""Declarations for tests of the node's data: one YAML file, written as a steward would."""

from pathlib import Path

from node.datasets import Dataset, load

FIELDS = """
    - name: age
      type: integer
      meaning: {sv: Ålder, en: Age}
      unit: years
      constraints: {minimum: 0, maximum: 120}
    - name: income
      type: number
      meaning: {sv: Inkomst, en: Income}
      constraints: {minimum: -1000, maximum: 1e5}
      missing_meaning: {sv: ingen uppgift, en: not stated}
      missingValues: ["", "?", "-9"]
    - name: school
      type: string
      meaning: {sv: Skola, en: School}
      constraints: {enum: ["låg", "mellan", "hög"]}
      missing_meaning: {sv: okänd, en: unknown}
    - name: moved
      type: boolean
      meaning: {sv: Flyttat, en: Moved}
"""

CSV = "source: {kind: csv, path: data.csv}"
HEADING = "pnr,age,income,school,moved\n"
GOOD = "a1,30,100.5,låg,true\n"


def text(source: str = CSV, fields: str = FIELDS) -> str:
    """Give the text of a declaration file."""
    return f"""\
name: people
title: {{sv: Folk, en: People}}
description: {{sv: Alla, en: Everybody}}
steward: Anna Andersson
resident_id: pnr
secrecy: OSL 26 kap. 1 §
{source}
schema:
  fields:{fields}"""


def declare(folder: Path, source: str = CSV, fields: str = FIELDS) -> Dataset:
    """Write the declaration into a folder and load it."""
    path = folder / "people.yaml"
    path.write_text(text(source, fields), encoding="utf-8")
    return load(path)


def csv_dataset(folder: Path, rows: str | bytes, source: str = CSV) -> Dataset:
    """Write `data.csv` (heading included in `rows`) and its declaration."""
    raw = rows.encode() if isinstance(rows, str) else rows
    (folder / "data.csv").write_bytes(raw)
    return declare(folder, source)
