"""The departments' folders: formats, declarations, blocks, the same bytes every time."""

import csv
import hashlib
import sqlite3
from pathlib import Path

import clean_tables
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from demo.city.delivery import delivery as module
from demo.city.delivery.delivery import DEPARTMENTS, Delivery, Profile
from demo.city.numbers import Numbers
from demo.city.settings import Settings

ENCODINGS = {"kir": "utf-8", "sof": "iso-8859-1", "skf": "utf-8", "vof": "windows-1252"}
DELIMITERS = {"kir": ",", "sof": ";", "skf": ",", "vof": ";"}
DATES = {"kir": "%Y-%m-%d", "sof": "%Y-%m-%d", "skf": "%Y%m%d", "vof": "%d/%m/%Y"}


def made(persons=150, blocks=2):
    numbers = Numbers(generator=np.random.default_rng(1), municipality="A")
    return [
        clean_tables.make(persons=persons, numbers=numbers, seed=block) for block in range(blocks)
    ]


def deliver(out, blocks, *, profile=Profile.CLEAN, seed=7):
    delivery = Delivery(out, profile=profile, settings=Settings(seed=seed, residents=1_000))
    defects = [defect for block in blocks for defect in delivery.add(block)]
    delivery.close()
    return defects


@pytest.fixture(scope="module")
def blocks():
    return made()


@pytest.fixture(scope="module")
def clean(blocks, tmp_path_factory):
    out = tmp_path_factory.mktemp("clean")
    assert deliver(out, blocks) == []
    return out


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def read_csv(path):
    department = path.parent.name
    with path.open(encoding=ENCODINGS[department], newline="") as file:
        return list(csv.DictReader(file, delimiter=DELIMITERS[department]))


def written_by_hand(value, department):
    """Write one value slowly, by the agreement: the oracle of the fast writer."""
    if isinstance(value, pd.Timestamp):
        return value.strftime(DATES[department])
    if pd.isna(value):
        return ""
    text = f"{value:.1f}" if isinstance(value, float) else str(value)
    return text.replace(".", ",") if department in {"sof", "vof"} else text


@pytest.mark.parametrize(
    "table", ["kir_person", "sof_person", "sof_utbetalning", "sof_beslut", "sof_barn", "vof_person"]
)
def test_text_files_hold_the_tables_value_by_value(table, blocks, clean):
    department = table[:3]
    whole = pd.concat([block[table] for block in blocks], ignore_index=True)
    expected = [
        {name: written_by_hand(value, department) for name, value in record.items()}
        for record in whole.to_dict("records")
    ]
    assert read_csv(clean / department / f"{table}.csv") == expected


@pytest.mark.parametrize("table", ["skf_elev", "skf_franvaro", "skf_betyg", "skf_stod"])
def test_schools_deliver_one_file_per_school_year(table, blocks, clean):
    whole = pd.concat([block[table] for block in blocks], ignore_index=True)
    files = sorted((clean / "skf").glob(f"{table}_*.csv"))
    assert [file.stem[-4:] for file in files] == sorted({str(year) for year in whole["lasar"]})
    for file in files:
        own = whole[whole["lasar"] == int(file.stem[-4:])]
        expected = [
            {name: written_by_hand(value, "skf") for name, value in record.items()}
            for record in own.to_dict("records")
        ]
        assert read_csv(file) == expected


def test_an_open_decision_ends_in_the_year_9999(blocks, clean):
    rows = read_csv(clean / "vof/vof_beslut.csv")
    whole = pd.concat([block["vof_beslut"] for block in blocks], ignore_index=True)
    assert [row["slut"] == "31/12/9999" for row in rows] == whole["slut"].isna().tolist()
    ended = whole["slut"].dropna().dt.strftime("%d/%m/%Y").tolist()
    assert [row["slut"] for row in rows if row["slut"] != "31/12/9999"] == ended
    hours = [row["timmar_man"].replace(",", ".") for row in rows]
    assert [float(hour or "nan") for hour in hours] == pytest.approx(
        whole["timmar_man"].tolist(), nan_ok=True
    )


def test_parquet_dates_are_local_and_on_the_same_day_in_utc(blocks, clean):
    table = pyarrow.parquet.read_table(clean / "amf/amf_insats.parquet")
    assert table.schema.field("start").type == pa.timestamp("ms", tz="Europe/Stockholm")
    assert table.schema.metadata is None
    whole = pd.concat([block["amf_insats"] for block in blocks], ignore_index=True)
    for column in ("start", "slut"):
        local = table[column].to_pandas()
        same_day = local.dt.tz_convert("UTC").dt.date[local.notna()]
        assert (local.dt.date[local.notna()] == same_day).all()
        assert (local.dt.tz_localize(None).dt.normalize()).equals(
            whole[column].astype(local.dt.tz_localize(None).dtype)
        )


def test_parquet_keeps_numbers_and_gaps(blocks, clean):
    table = pyarrow.parquet.read_table(clean / "amf/amf_person.parquet")
    whole = pd.concat([block["amf_person"] for block in blocks], ignore_index=True)
    assert [str(kind) for kind in table.schema.types] == [
        "string",
        "int64",
        "string",
        "int64",
        "string",
    ]
    assert table["utb"].to_pylist() == [None if pd.isna(v) else v for v in whole["utb"]]
    assert table["sfi_niva"].null_count == whole["sfi_niva"].isna().sum() > 0


def test_the_database_holds_the_hours_in_order(blocks, clean):
    connection = sqlite3.connect(clean / "vof/vof.sqlite")
    rows = connection.execute("SELECT pnr, manad, timmar FROM vof_utford ORDER BY rowid").fetchall()
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    whole = pd.concat([block["vof_utford"] for block in blocks], ignore_index=True)
    assert rows == list(whole.itertuples(index=False, name=None))


def test_encodings_are_those_of_the_departments(clean):
    assert "Åbrinken".encode("iso-8859-1") in (clean / "sof/sof_person.csv").read_bytes()
    assert "okänt".encode("windows-1252") in (clean / "vof/vof_person.csv").read_bytes()


def test_two_blocks_give_what_one_with_all_rows_gives(blocks, clean, tmp_path):
    whole = {
        table: pd.concat([block[table] for block in blocks], ignore_index=True)
        for table in blocks[0]
    }
    deliver(tmp_path, [whole])
    expected, found = digests(clean), digests(tmp_path)
    assert expected.keys() == found.keys()
    texts = [name for name in expected if Path(name).suffix in {".csv", ".yaml"}]
    assert {name: expected[name] for name in texts} == {name: found[name] for name in texts}
    for name in expected.keys() - texts:
        if name.endswith(".parquet"):  # row groups differ, rows do not
            assert pyarrow.parquet.read_table(clean / name).equals(
                pyarrow.parquet.read_table(tmp_path / name)
            )


@pytest.mark.parametrize("profile", list(Profile))
def test_the_same_arguments_give_the_same_bytes(profile, blocks, tmp_path):
    first = deliver(tmp_path / "first", blocks, profile=profile)
    second = deliver(tmp_path / "second", made(), profile=profile)
    assert first == second
    assert digests(tmp_path / "first") == digests(tmp_path / "second")


def test_chance_matters_in_the_dirty_profile_only(blocks, clean, tmp_path):
    deliver(tmp_path / "clean", blocks, seed=8)
    assert digests(tmp_path / "clean") == digests(clean)
    deliver(tmp_path / "7", blocks, profile=Profile.DIRTY)
    deliver(tmp_path / "8", blocks, profile=Profile.DIRTY, seed=8)
    assert digests(tmp_path / "7") != digests(tmp_path / "8")


def test_a_delivery_leaves_the_tables_as_they_were(blocks, tmp_path):
    deliver(tmp_path, blocks, profile=Profile.DIRTY)
    for block, again in zip(blocks, made(), strict=True):
        for table, frame in block.items():
            pd.testing.assert_frame_equal(frame, again[table])


def test_numbering_continues_in_the_second_block(blocks, tmp_path):
    settings = Settings(seed=7, residents=1_000)
    delivery = Delivery(tmp_path, profile=Profile.DIRTY, settings=settings)
    first, second = (delivery.add(block) for block in blocks)
    delivery.close()
    rows = {
        part: [defect.row for defect in defects if defect.file == "sof_utbetalning.csv"]
        for part, defects in (("first", first), ("second", second))
    }
    length = len((tmp_path / "sof/sof_utbetalning.csv").read_bytes().splitlines()) - 1
    assert 0 < max(rows["first"]) < min(row for row in rows["second"] if row) < length
    assert max(rows["second"]) <= length
    # What is odd about a file as a whole is said once.
    whole_files = [defect for defect in (*first, *second) if defect.row == 0]
    assert len(set(whole_files)) == len(whole_files)


def test_declarations_come_along_and_the_alias_tables_only_when_dirty(
    blocks, tmp_path, monkeypatch
):
    catalogue = tmp_path / "declarations"
    for department in DEPARTMENTS:
        (catalogue / department).mkdir(parents=True)
        (catalogue / department / f"{department}_person.yaml").write_text("name: person\n")
        (catalogue / department / f"{department}_alias.yaml").write_text("name: alias\n")
    monkeypatch.setattr(module, "_DECLARATIONS", catalogue)
    for profile in Profile:
        deliver(tmp_path / profile, blocks, profile=profile)
        for department in DEPARTMENTS:
            there = {path.stem for path in (tmp_path / profile / department).glob("*.yaml")}
            alias = {f"{department}_alias"} if profile is Profile.DIRTY else set()
            # The register and its declaration are in every folder.
            assert there == {f"{department}_person", "kir_person"} | alias


def test_every_folder_has_the_same_register(blocks, tmp_path):
    deliver(tmp_path, blocks)
    for name in ("kir_person.csv", "kir_person.yaml"):
        copies = {(tmp_path / department / name).read_bytes() for department in DEPARTMENTS}
        assert len(copies) == 1
    deliver(tmp_path / "without", [{"sof_barn": blocks[0]["sof_barn"]}])
    assert not (tmp_path / "without/sof/kir_person.yaml").exists()


def test_a_clean_declaration_names_no_table_of_aliases():
    text = "name: a\nlinkage:\n  aliases: {dataset: b, column: c}\n"
    compared = "  compare: {d: e}\n"
    assert module.without_aliases(text + "schema:\n") == "name: a\nlinkage: {}\nschema:\n"
    assert module.without_aliases(text + compared) == "name: a\nlinkage:\n" + compared
    assert module.without_aliases("schema:\n  aliases: x\n") == "schema:\n  aliases: x\n"


def test_every_declared_file_is_delivered_and_the_other_way_round(blocks, tmp_path):
    deliver(tmp_path, blocks, profile=Profile.DIRTY)
    for department in DEPARTMENTS:
        declared = {path.stem for path in (tmp_path / department).glob("*.yaml")}
        data = [p for p in (tmp_path / department).iterdir() if p.suffix != ".yaml"]
        tables = {
            "vof_utford" if path.suffix == ".sqlite" else path.stem.rstrip("0123456789").rstrip("_")
            for path in data
        }
        assert tables <= declared


def test_empty_tables_have_their_heading(blocks, tmp_path):
    empty = {table: frame.iloc[:0] for table, frame in blocks[0].items()}
    deliver(tmp_path, [empty])
    heading = ";".join(blocks[0]["sof_barn"].columns) + "\n"
    assert (tmp_path / "sof/sof_barn.csv").read_text() == heading
    assert pyarrow.parquet.read_table(tmp_path / "amf/amf_insats.parquet").num_rows == 0
    deliver(tmp_path / "dirty", [empty], profile=Profile.DIRTY)
