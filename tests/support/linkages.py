"""A small department folder with a register: what the tests of linking read."""

from pathlib import Path

from demo.city.numbers import check_digit
from models.linkage.identity import Admission, Mode
from node.datasets import Dataset, load_folder

REGISTER = """
register: {date: 2024-12-31, household: home, protected: hidden}
source: {kind: csv, path: register.csv}
schema:
  primaryKey: [pnr]
  fields:
    - {name: home, type: key, meaning: {sv: Bostad, en: Dwelling},
       missing_meaning: {sv: ingen, en: none}}
    - {name: hidden, type: boolean, meaning: {sv: Skyddad, en: Protected},
       missing_meaning: {sv: okänt, en: unknown}}
    - {name: sex, meaning: {sv: Kön, en: Sex}, constraints: {enum: [K, M]}}
    - {name: born, type: integer, meaning: {sv: Född, en: Born},
       constraints: {minimum: 1900, maximum: 2024}}
"""

CASES = """
linkage:
  aliases: {dataset: replaced, column: former}
  compare:
    gender: {column: sex, words: {"1": M, "2": K}}
    year: born
source: {kind: csv, path: cases.csv}
schema:
  fields:
    - {name: gender, meaning: {sv: Kön, en: Sex}, constraints: {enum: ["1", "2"]},
       missing_meaning: {sv: okänt, en: unknown}}
    - {name: year, type: integer, meaning: {sv: Född, en: Born},
       constraints: {minimum: 1900, maximum: 2024},
       missing_meaning: {sv: okänt, en: unknown}}
    - {name: partner, type: resident, meaning: {sv: Partner, en: Partner},
       missing_meaning: {sv: ingen, en: none}}
"""

REPLACED = """
source: {kind: csv, path: replaced.csv}
schema:
  fields:
    - {name: former, type: key, meaning: {sv: Förra, en: Former}}
"""

PER_RESIDENT = """
source:
  kind: derived
  tables: [cases]
  query: SELECT pnr, count(*) AS times FROM cases GROUP BY pnr ORDER BY pnr
schema:
  fields:
    - {name: times, type: integer, meaning: {sv: Gånger, en: Times},
       constraints: {minimum: 1, maximum: 100}}
"""

_ALL = {"register": REGISTER, "cases": CASES, "replaced": REPLACED, "per_resident": PER_RESIDENT}


def number(year: int, month: int, day: int, birth_number: int) -> str:
    """Give a demo number: 80 is added to the month."""
    digits = ((year * 100 + month + 80) * 100 + day) * 1000 + birth_number
    return f"{digits * 10 + int(check_digit(digits))}"


def person(place: int) -> str:
    """Give one of many numbers that are far from each other."""
    return number(1930 + place % 70, 1 + place % 12, 1 + place % 28, (37 * place) % 999 + 1)


def declaration(name: str, body: str) -> str:
    """Give the text of a declaration whose residents have personal numbers."""
    return f"""\
name: {name}
title: {{sv: {name}, en: {name}}}
description: {{sv: Alla., en: Everybody.}}
steward: Anna Andersson
resident_id: pnr
resident_id_form: personnummer
extracted: 2024-12-31
secrecy: OSL 26 kap. 1 §
{body.strip()}
"""


def folder(
    path: Path,
    *,
    register: list[str],
    cases: list[str] | None = None,
    replaced: list[str] | None = None,
    bodies: dict[str, str] | None = None,
) -> dict[str, Dataset]:
    """Write a folder with a register, cases, replaced numbers and a derived table; load it.

    The rows are lines of the files, without their headings.
    """
    rows = {
        "register": ("pnr,home,hidden,sex,born", register),
        "cases": ("pnr,gender,year,partner", [] if cases is None else cases),
        "replaced": ("pnr,former", [] if replaced is None else replaced),
    }
    for name, (heading, lines) in rows.items():
        text = "\n".join([heading, *lines]) + "\n"
        (path / f"{name}.csv").write_text(text, encoding="utf-8")
    for name, body in {**_ALL, **(bodies or {})}.items():
        (path / f"{name}.yaml").write_text(declaration(name, body), encoding="utf-8")
    found = load_folder(path, admission=Admission(mode=Mode.DEMO))
    return {dataset.declaration.name: dataset for dataset in found}


def resident(pnr: str, *, home: str = "H1", hidden: str = "0") -> str:
    """Give a line of the register; sex and year of birth are those of the number."""
    return f"{pnr},{home},{hidden},{'M' if int(pnr[10]) % 2 else 'K'},{pnr[:4]}"


def case(pnr: str, *, of: str | None = None, partner: str = "") -> str:
    """Give a line of the cases, with the sex and the year of the one it is `of`."""
    meant = pnr if of is None else of
    return f"{pnr},{1 if int(meant[10]) % 2 else 2},{meant[:4]},{partner}"
