"""Finds the defects in a dirty delivery by reading its files beside the clean ones.

Shares no code with what planted them: it reads raw bytes, lines the rows up, and says of every
cell that differs what must have happened to it. What it cannot explain is `unexplained`.
"""

import re
import sqlite3
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow.parquet

ENCODINGS = {"kir": "utf-8", "sof": "iso-8859-1", "skf": "utf-8", "vof": "windows-1252"}
DELIMITERS = {"kir": ",", "sof": ";", "skf": ",", "vof": ";"}
CORRECTED_BY = {"sof_utbetalning": ("hushall_id", "manad"), "vof_beslut": ("beslut_id",)}
GAPS_BY_OFFICE = {"sof_utbetalning": ("hushall_id", "manad"), "sof_beslut": ("beslut_id",)}
IDS = ("pnr", "sokande_pnr", "vh1_pnr", "vh2_pnr")
NAMES = ("stadsdel", "omrade")
HIGHEST = 130
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Found:
    """A defect: `file` with its department, `row` from 1 (0: the file), `kind` as text."""

    file: str
    row: int
    column: str
    kind: str


@dataclass(slots=True)
class _File:
    name: str
    marked: bool
    heading: list[str]
    rows: list[list[object]]
    numbers: list[int]

    @property
    def table(self) -> str:
        stem = Path(self.name).stem
        return "vof_utford" if stem == "vof" else re.sub(r"_\d{4}$", "", stem)

    def column(self, name: str) -> list[object]:
        place = self.heading.index(name)
        return [row[place] for row in self.rows]


def counts(defects) -> Counter[tuple[str, str]]:
    """Give how many defects of each kind each file has."""
    return Counter((defect.file, str(defect.kind)) for defect in defects)


def find(dirty: Path, clean: Path) -> list[Found]:
    """Give every defect of the delivery in `dirty`, by the delivery of the same city in `clean`."""
    found: list[Found] = []
    for path in sorted(dirty.glob("*/*")):
        copy = path.stem == "kir_person" and path.parent.name != "kir"  # of the register
        if path.suffix == ".yaml" or copy:
            continue
        original = clean / path.relative_to(dirty)
        delivered = _read(path)
        if delivered.table.endswith("_alias"):
            found += _alias_form(delivered)
        else:
            found += _compare(delivered, _read(original), clean)
    return found


def _read(path: Path) -> _File:
    department = path.parent.name
    name = f"{department}/{path.name}"
    if path.suffix == ".parquet":
        table = pyarrow.parquet.read_table(path)
        columns = [column.to_pylist() for column in table.columns]
        return _file(name, table.column_names, [list(row) for row in zip(*columns, strict=True)])
    if path.suffix == ".sqlite":
        connection = sqlite3.connect(path)
        cursor = connection.execute("SELECT * FROM vof_utford ORDER BY rowid")
        rows = [list(row) for row in cursor]
        connection.close()
        return _file(name, [column[0] for column in cursor.description], rows)
    raw = path.read_bytes()
    lines = raw.removeprefix(BYTE_ORDER_MARK).split(b"\n")
    assert lines.pop() == b""
    texts = [line.decode(ENCODINGS[department]).split(DELIMITERS[department]) for line in lines]
    file = _file(name, texts[0], texts[1:])
    file.marked = raw.startswith(BYTE_ORDER_MARK)
    return file


def _file(name: str, heading: list[str], rows: list[list[object]]) -> _File:
    return _File(name, marked=False, heading=heading, rows=rows, numbers=[*range(1, len(rows) + 1)])


def _compare(dirty: _File, clean: _File, folder: Path) -> Iterator[Found]:
    name = dirty.name
    if dirty.marked != clean.marked:
        yield Found(name, 0, "", "byte_order_mark")
    if dirty.heading != clean.heading:
        yield Found(name, 0, "", "column_order")
        order = [dirty.heading.index(column) for column in clean.heading]
        dirty.rows = [[row[place] for place in order] for row in dirty.rows]
        dirty.heading = clean.heading
    yield from _forms(dirty)
    yield from _repeated(dirty)
    yield from _gaps(dirty, clean, folder)
    yield from _small_school(dirty, clean)
    if len(dirty.rows) != len(clean.rows):
        yield Found(name, 0, "", "unexplained")
        return
    for number, ours, theirs in zip(dirty.numbers, clean.rows, dirty.rows, strict=True):
        if ours == theirs:
            continue
        record = dict(zip(clean.heading, ours, strict=True))
        for column, right, wrong in zip(clean.heading, ours, theirs, strict=True):
            kind = None if right == wrong else _kind(clean.table, column, right, wrong, record)
            if kind:
                yield Found(name, number, column, kind)


def _forms(dirty: _File) -> Iterator[Found]:
    """Say whether ids and amounts are in forms of their own, which all of them must share."""
    for column in set(dirty.heading) & set(IDS):
        cells = [str(cell) for cell in dirty.column(column) if cell and str(cell)[:2] != "TF"]
        separated = [bool(re.search(r"\d{6}[-+]\d{4}", cell)) for cell in cells]
        if any(separated):
            yield Found(dirty.name, 0, column, "id_form" if all(separated) else "unexplained")
    if dirty.table == "sof_utbetalning":
        old = [month < "2021" for month in dirty.column("manad")]
        grouped = [
            bool(re.fullmatch("\\d{1,3}(\u00a0\\d{3})?,00", cell))
            for cell in dirty.column("belopp_kr")
        ]
        if any(grouped):
            kind = "amount_form" if grouped == old else "unexplained"
            yield Found(dirty.name, 0, "belopp_kr", kind)


def _alias_form(dirty: _File) -> Iterator[Found]:
    if any(re.search("[-+]", str(cell)) for cell in dirty.column("pnr")):
        yield Found(dirty.name, 0, "pnr", "id_form")


def _repeated(dirty: _File) -> Iterator[Found]:
    """Say which rows the next one repeats or corrects, and leave them out."""
    key = [dirty.heading.index(column) for column in CORRECTED_BY.get(dirty.table, ())]
    kept = []
    for place, row in enumerate(dirty.rows):
        after = dirty.rows[place + 1] if place + 1 < len(dirty.rows) else None
        if row == after:
            yield Found(dirty.name, place + 1, "", "exact_duplicate")
        elif key and after and all(row[column] == after[column] for column in key):
            yield Found(dirty.name, place + 1, "", "correction")
        else:
            kept.append(place)
    dirty.rows = [dirty.rows[place] for place in kept]
    dirty.numbers = [place + 1 for place in kept]


def _gaps(dirty: _File, clean: _File, folder: Path) -> Iterator[Found]:
    """Say which rows were never delivered, and leave them out of the clean file."""
    if dirty.table == "amf_aktivitet":
        lost = set(clean.column("manad")) - set(dirty.column("manad"))
        place = clean.heading.index("manad")
        clean.rows = [row for row in clean.rows if row[place] not in lost]
        for _ in lost:
            yield Found(dirty.name, 0, "manad", "empty_month")
    if dirty.table not in GAPS_BY_OFFICE:
        return
    key = [clean.heading.index(column) for column in GAPS_BY_OFFICE[dirty.table]]
    there = {tuple(row[column] for column in key) for row in dirty.rows}
    lost_rows = [row for row in clean.rows if tuple(row[column] for column in key) not in there]
    clean.rows = [row for row in clean.rows if tuple(row[column] for column in key) in there]
    when = "manad" if "manad" in clean.heading else "datum"
    offices = _read(folder / "sof/sof_person.csv")
    office = dict(zip(offices.column("pnr"), offices.column("kontor"), strict=True))

    def in_gap(row: list[object]) -> bool:
        applicant = row[clean.heading.index("sokande_pnr")]
        year = str(row[clean.heading.index(when)])[:4]
        return office.get(applicant) == "Syd" and year in {"2016", "2017"}

    explained = all(map(in_gap, lost_rows)) and not any(map(in_gap, clean.rows))
    if lost_rows:
        yield Found(dirty.name, 0, when, "office_gap" if explained else "unexplained")


def _small_school(dirty: _File, clean: _File) -> Iterator[Found]:
    if dirty.table == "skf_elev":
        schools = Counter(dirty.column("skola_id"))
        for school in schools.keys() - set(clean.column("skola_id")):
            kind = "small_school" if schools[school] == 3 else "unexplained"
            yield Found(dirty.name, 0, "skola_id", kind)


def _kind(table: str, column: str, right, wrong, record: dict[str, object]) -> str | None:
    """Give the kind of a cell that differs, or None if only the agreed form does."""
    if column in IDS:
        return _id_kind(str(right), str(wrong))
    if column == "skola_id":
        return None if wrong == "S25" else "unexplained"  # counted as a school
    if wrong in {None, ""}:
        return _missing_kind(table, record)
    if isinstance(wrong, datetime):
        at_midnight = (wrong.month, wrong.day, wrong.hour, wrong.minute) == (1, 1, 0, 30)
        return "utc_date" if at_midnight and wrong.date() == right.date() else "unexplained"
    return _code_kind(column, str(right), str(wrong)) or _value_kind(column, right, wrong)


def _code_kind(column: str, right: str, wrong: str) -> str | None:
    if wrong == "13" and column.startswith("stadsdel"):
        return "unknown_district"
    if wrong in {"9", "99", "-", "Uppgift saknas"}:
        return "missing_code"
    if column in NAMES:
        return _name_kind(right, wrong)
    return "retired_code" if column == "typ" else None


def _value_kind(column: str, right, wrong) -> str | None:
    plain = re.sub("\u00a0|,00$", "", str(wrong)).replace(",", ".")
    if not re.fullmatch(r"-?\d+(\.\d+)?", plain):
        return "unexplained"
    value = float(plain)
    if value == 999_999 or value < 0 or (column == "ogiltig_tim" and value > HIGHEST):
        return "out_of_bounds"
    return None if column == "belopp_kr" and value == float(right) else "unexplained"


def _id_kind(right: str, wrong: str) -> str | None:
    if re.fullmatch(r"TF\d{10}", wrong):
        return "temporary_id"
    if "e+" in wrong:
        return "id_as_float" if f"{int(right):.5e}" == wrong else "unexplained"
    bare = re.sub("[-+ ]", "", wrong)
    reference = right[-len(bare) :]
    differs = [place for place, digit in enumerate(bare) if digit != reference[place]]
    if not differs:
        return "blanks_around_id" if wrong != wrong.strip() else None
    if len(differs) == 1:
        return "wrong_digit"
    first, second = differs[0], differs[-1]
    if second == first + 1 and bare[first] + bare[second] == reference[second] + reference[first]:
        return "swapped_digits"
    return "unexplained"


def _missing_kind(table: str, record: dict[str, object]) -> str:
    if table == "sof_person":
        return "missing_more_often" if record["fodelseland_grp"] != "Sverige" else "unexplained"
    if table == "vof_utford" and str(record["manad"])[:4] == "2020":
        # One provider of eight, told apart by the birth number of its clients.
        return "provider_gap" if int(str(record["pnr"])[8:11]) % 8 == 3 else "missing"
    return "missing"


def _name_kind(right: str, wrong: str) -> str:
    if wrong == right + " ":
        return "trailing_blank"
    if wrong in {right.upper(), right.lower()}:
        return "other_case"
    if unicodedata.normalize("NFC", wrong) == right:
        return "decomposed"
    bare = "".join(
        letter
        for letter in unicodedata.normalize("NFD", right)
        if not unicodedata.combining(letter)
    )
    if wrong == bare:
        return "lost_diacritics"
    misread = {right.encode().decode("iso-8859-1"), right.encode().decode("windows-1252")}
    return "mojibake" if wrong in misread else "unexplained"
