"""`datalabbet demo-data generate`: equal bytes from equal arguments, whole or not at all."""

import hashlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from demo.city import folders
from demo.city.cli import RESIDENTS, demo_data
from demo.city.delivery.delivery import Profile
from demo.city.generate import Order, generate, read_effects
from demo.city.settings import MUNICIPALITIES, Effects
from models.errors import StorageError, UsageError

SEED = 7
FEW = 2_000


def quiet(text: str) -> None:
    del text


def order(where: Path, name: str = "city", **changes: object) -> Order:
    given = {
        "seed": SEED,
        "residents": FEW,
        "profile": Profile.CLEAN,
        "out": where / name,
        "truth": where / f"{name}.json",
    }
    return Order(**{**given, **changes})


def make(where: Path, name: str = "city", **changes: object) -> Order:
    asked = order(where, name, **changes)
    generate(asked, tell=quiet)
    return asked


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def command(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(demo_data, ["generate", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def truth_of(asked: Order) -> dict[str, object]:
    return json.loads(asked.truth.read_text(encoding="utf-8"))


@pytest.mark.parametrize("profile", ["clean", "dirty"])
def test_command_run_twice_gives_equal_bytes(tmp_path: Path, profile: str) -> None:
    for name in ("one", "two"):
        code, said, told = command(
            *("--seed", SEED, "--residents", FEW, "--profile", profile, "--output", "json"),
            *("--out", tmp_path / name, "--truth", tmp_path / f"{name}.json"),
        )
        assert code == 0
        assert json.loads(said)["rows"]["kir_person"] > FEW / 2
        assert "Block 1 of 1" in told
    one, two = digests(tmp_path / "one"), digests(tmp_path / "two")
    assert one == two
    assert {"kir/kir_person.csv", "amf/amf_insats.parquet", "vof/vof.sqlite"} <= set(one)
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


IN_THREADS = """
import sys
from pathlib import Path
from demo.city.delivery.delivery import Profile
from demo.city.generate import Order, generate

folder = Path(sys.argv[1])
asked = Order(
    seed=7, residents=6_000, profile=Profile.DIRTY, out=folder / "city", truth=folder / "truth.json"
)
generate(asked, tell=lambda text: None)
"""


def test_number_of_threads_changes_no_byte(tmp_path: Path) -> None:
    found = []
    for threads in ("1", "2"):
        folder = tmp_path / threads
        folder.mkdir()
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        environment = {**os.environ, **dict.fromkeys(names, threads)}
        command = [sys.executable, "-c", IN_THREADS, str(folder)]
        subprocess.run(command, env=environment, check=True)
        found.append(digests(folder))
    estimates = json.loads((tmp_path / "1" / "truth.json").read_text(encoding="utf-8"))["estimates"]
    assert all(estimates.values())  # a city that determines them: they are summed in parallel
    assert found[0] == found[1]


def test_other_seed_gives_other_people(tmp_path: Path) -> None:
    one, two = make(tmp_path, "one"), make(tmp_path, "two", seed=SEED + 1)
    assert digests(one.out)["kir/kir_person.csv"] != digests(two.out)["kir/kir_person.csv"]


def test_truth_holds_arguments_effects_and_what_was_planted(tmp_path: Path) -> None:
    asked = make(tmp_path, residents=6_000, profile=Profile.DIRTY, effects=Effects(j3=2.0))
    truth = truth_of(asked)
    assert truth["arguments"] == {
        "seed": SEED,
        "residents": 6_000,
        "profile": "dirty",
        "municipality": "A",
        "scale": 1,
    }
    assert truth["effects"] == {"j1": 1.0, "j2": 1.0, "j3": 2.0, "j4": 1.0, "j5": 1.0}
    files = {(defect["department"], defect["file"]) for defect in truth["defects"]}
    assert {department for department, _ in files} == {"kir", "sof", "amf", "skf", "vof"}
    assert all((asked.out / department / file).is_file() for department, file in files)
    assert truth["overlaps"]["sof_and_amf"] > 0
    assert truth["rows"]["skf_franvaro"] > 0
    assert set(truth["estimates"]) == {"joined", "alone"}
    for name, columns in truth["latent"].items():
        lengths = {len(values) for values in columns.values()}
        assert len(lengths) == 1, name
        assert lengths.pop() > 0, name


def test_clean_city_has_no_planted_defect(tmp_path: Path) -> None:
    assert truth_of(make(tmp_path))["defects"] == []


def test_effects_change_what_they_name_and_nothing_else(tmp_path: Path) -> None:
    """Eligibility moves with j1; the households, the care and the payments stay."""
    one = make(tmp_path, "one", residents=6_000)
    two = make(tmp_path, "two", residents=6_000, effects=Effects(j1=-20.0))
    first, second = digests(one.out), digests(two.out)
    changed = {name for name in first if first[name] != second[name]}
    assert changed
    assert {re.sub(r"_\d{4}\.csv", "", name) for name in changed} <= {
        "skf/skf_slutbetyg",
        "skf/skf_betyg",
    }


def test_effects_of_zero_are_read_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "effects.json"
    file.write_text('{"j1": 0, "j2": 0, "j3": 0, "j4": 0, "j5": 0}', encoding="utf-8")
    command(
        *("--residents", FEW, "--effects", file),
        *("--out", tmp_path / "city", "--truth", tmp_path / "truth.json"),
    )
    truth = json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))
    assert set(truth["effects"].values()) == {0.0}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("j1 = 0", "is not JSON"),
        ("[1, 2]", "is not a JSON object"),
        ('{"j9": 1}', "no effect j9"),
        ('{"j2": "1"}', "j2 is not a number"),
        ('{"j2": true}', "j2 is not a number"),
        ('{"j3": NaN}', "j3 is not a finite number"),
        ('{"j3": 1e999}', "j3 is not a finite number"),
        ('{"j3": -1001}', "j3 is not a finite number of at most 1000"),
        ('{"j3": 1' + "0" * 400 + "}", "j3 is not a finite number"),
    ],
)
def test_wrong_effects_are_refused_by_file_and_key(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "effects.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=problem) as refused:
        read_effects(file)
    assert str(file) in refused.value.message


def test_effects_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_effects(tmp_path / "none.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(UsageError, match="is not JSON"):
        read_effects(tmp_path / "bytes.json")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [({"residents": 999}, "too small"), ({"scale": 0}, "--scale"), ({"seed": -1}, "--seed")],
)
def test_sizes_that_make_no_city_are_refused(
    tmp_path: Path, changes: dict[str, int], problem: str
) -> None:
    with pytest.raises(UsageError, match=problem):
        make(tmp_path, **changes)
    assert list(tmp_path.iterdir()) == []


def test_truth_is_refused_where_a_node_reads(tmp_path: Path) -> None:
    out = tmp_path / "city"
    with pytest.raises(UsageError, match="in the folder of the data"):
        make(tmp_path, truth=out / "truth.json")
    with pytest.raises(UsageError, match="in the folder of the data"):
        make(tmp_path, truth=out / "sof" / ".." / "sof" / "truth.json")
    (tmp_path / "link").symlink_to(out)
    with pytest.raises(UsageError, match="in the folder of the data"):
        make(tmp_path, truth=tmp_path / "link" / "truth.json")
    home = tmp_path / "node"
    (home / "datasets").mkdir(parents=True)
    (home / folders.NODE_SETTINGS).touch()
    with pytest.raises(UsageError, match="in a node's folder"):
        make(tmp_path, truth=home / "datasets" / "truth.json")
    other = make(tmp_path, "other")
    with pytest.raises(UsageError, match="in a node's folder"):
        make(tmp_path, truth=other.out / "vof" / "truth.json")


def test_truth_replaces_a_truth_file_and_nothing_else(tmp_path: Path) -> None:
    mine = tmp_path / "notes.json"
    mine.write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match="not a truth file"):
        make(tmp_path, truth=mine)
    assert mine.read_text(encoding="utf-8") == "{}"
    with pytest.raises(UsageError, match="not a truth file"):
        make(tmp_path, truth=tmp_path)


def test_folder_with_foreign_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    asked = make(tmp_path)
    mine = asked.out / "sof" / "notes.txt"
    mine.write_text("mine", encoding="utf-8")
    before = digests(asked.out)
    with pytest.raises(UsageError, match=r"sof/notes\.txt"):
        make(tmp_path, seed=SEED + 1)
    assert digests(asked.out) == before
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="not a folder"):
        make(tmp_path, "file", truth=tmp_path / "t.json")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.csv").touch()
    with pytest.raises(UsageError, match=r"a\.csv"):
        make(tmp_path, "full")


def test_second_run_into_the_same_folder_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    make(tmp_path, profile=Profile.DIRTY)
    again = make(tmp_path)
    fresh = make(tmp_path, "fresh")
    assert digests(again.out) == digests(fresh.out)
    assert again.truth.read_bytes() == fresh.truth.read_bytes()


def interrupt(text: str) -> None:
    """Stop when files of the first block are written and open."""
    if text.startswith("Block 2 of 2: writing"):
        raise KeyboardInterrupt


def test_interrupted_run_leaves_no_trace(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        generate(order(tmp_path, scale=2), tell=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_interrupted_run_leaves_the_earlier_city(tmp_path: Path) -> None:
    asked = make(tmp_path)
    before, truth = digests(asked.out), asked.truth.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        generate(order(tmp_path, scale=2), tell=interrupt)
    assert digests(asked.out) == before
    assert asked.truth.read_bytes() == truth
    assert sorted(path.name for path in tmp_path.iterdir()) == ["city", "city.json"]


def test_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written: Not a directory"):
        make(tmp_path, "city", out=tmp_path / "file" / "city")
    with pytest.raises(StorageError, match="cannot be written"):
        make(tmp_path, "city", truth=tmp_path / "file" / "truth.json")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_interrupted_move_says_so_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make(tmp_path, "whole")
    moved = Path.replace

    def stop_at_schools(source: Path, target: Path) -> Path:
        if target.parent.name == "skf":
            raise KeyboardInterrupt
        return moved(source, target)

    monkeypatch.setattr(Path, "replace", stop_at_schools)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path)
    marker = json.loads((tmp_path / "city" / folders.MARKER).read_text(encoding="utf-8"))
    assert marker["complete"] is False
    assert not (tmp_path / "city.json").exists()
    monkeypatch.undo()
    assert digests(make(tmp_path).out) == digests(whole.out)


def people(asked: Order) -> list[str]:
    """All numbers of the departments' files that identify residents."""
    found: set[str] = set()
    for path in sorted(asked.out.rglob("*.csv")):
        found |= set(re.findall(r"\b\d{12}\b", path.read_bytes().decode("latin-1")))
    for path in sorted(asked.out.rglob("*.parquet")):
        found |= set(pd.read_parquet(path).get("pnr", pd.Series(dtype=str)))
    with sqlite3.connect(asked.out / "vof" / "vof.sqlite") as database:
        found |= {str(row[0]) for row in database.execute("SELECT pnr FROM vof_utford")}
    database.close()
    return sorted(found)


def test_blocks_have_other_people_and_ids(tmp_path: Path) -> None:
    one, two = make(tmp_path, "one"), make(tmp_path, "two", scale=2)
    register = pd.read_csv(two.out / "kir" / "kir_person.csv", dtype=str)
    assert not register["pnr"].duplicated().any()
    assert len(register) > 1.8 * FEW
    first = pd.read_csv(one.out / "kir" / "kir_person.csv", dtype=str)
    pd.testing.assert_frame_equal(register.head(len(first)), first)
    second = register.tail(len(register) - len(first))
    assert not set(first["bostad_id"]) & set(second["bostad_id"])
    for name, key in (("sof/sof_person", "pnr"), ("sof/sof_beslut", "beslut_id")):
        table = pd.read_csv(two.out / f"{name}.csv", sep=";", dtype=str, encoding="latin-1")
        assert not table[key].duplicated().any()
    programmes = pd.read_parquet(two.out / "amf" / "amf_insats.parquet")
    assert not programmes["insats_id"].duplicated().any()
    truth = truth_of(two)
    assert truth["rows"]["kir_person"] == len(register)
    assert len(truth["latent"]["households"]["head"]) == len(
        truth_of(one)["latent"]["households"]["head"]
    )


def test_no_number_in_any_file_is_a_persons(tmp_path: Path) -> None:
    found = people(make(tmp_path))
    assert len(found) > FEW
    assert all(81 <= int(number[4:6]) <= 92 for number in found)


def test_municipalities_share_no_one(tmp_path: Path) -> None:
    country = [people(make(tmp_path, code, municipality=code)) for code in "ABC"]
    everybody = [number for numbers in country for number in numbers]
    assert len(set(everybody)) == len(everybody)


def test_command_knows_the_municipalities_by_their_size() -> None:
    assert {code: place.residents for code, place in MUNICIPALITIES.items()} == RESIDENTS
