"""`datalabbet privacy plan`: offline from a declaration file, and with the catalogue."""

import json
import re
import subprocess
import sys
from pathlib import Path

import cities
import pytest
import studies
import yaml

from coordinator.client import cli, declared, privacy
from models import documents
from models.errors import InvalidDocumentError, UsageError
from models.governance.study import Protection, SecureSumSettings, StudyDraft
from node import datasets

ROOT = Path(__file__).resolve().parents[2]
DECLARATIONS = sorted((ROOT / "demo" / "city" / "declarations").rglob("*.yaml"))
SUMMED = {
    "secure_sum": SecureSumSettings(residents=1500),
    "model": {"bins": 5},
    "minimum_cohort": 3,
    "privacy": {"protection": Protection.SECURE_SUM, "clip": None},
}


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = cli.run(["privacy", "plan", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def study_file(folder: Path, draft: StudyDraft) -> str:
    path = folder / "study.yaml"
    text = yaml.safe_dump(json.loads(documents.write(draft)), allow_unicode=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.fixture
def declaration(tmp_path: Path) -> str:
    """Give a file with what `catalogue show pupils --output json` prints."""
    path = tmp_path / "pupils.json"
    found = json.loads(documents.write(studies.declaration()))
    entry = {"department": "school", "published_at": "2026-11-22", "declaration": found}
    path.write_text(json.dumps([entry], ensure_ascii=False, indent=2), encoding="utf-8")
    return str(path)


@pytest.fixture
def summed(tmp_path: Path) -> str:
    return study_file(tmp_path, studies.draft(**SUMMED))


def test_a_plan_tells_the_noise_and_the_loss_without_a_coordinator(
    capsys, summed, declaration, tmp_path
) -> None:
    nobody = str(tmp_path / "nobody")
    code, out, err = run(
        capsys, summed, "--declaration", declaration, "--profile", nobody, "--repetitions", "2"
    )
    assert code == 0, err
    assert "Trying 1 of 1" in err
    for told in (
        "1 500 residents in 3 departments, epsilon 2: ",
        "Of 100 pairs of residents",
        "residents add who all pull the same way",
        "Someone who guesses from this release",
        "without noise",
        "Nobody's records were read",
        "Departments send masked numbers",
    ):
        assert told in " ".join(out.split()), told


def test_variations_stand_beside_each_other(capsys, summed, declaration) -> None:
    arguments = "--epsilon 0.2 --epsilon 8 --residents 400 --residents 12000 --repetitions 2"
    code, out, err = run(
        capsys, summed, "--declaration", declaration, *arguments.split(), "-o", "json"
    )
    assert code == 0, err
    plans = json.loads(out)["plans"]
    assert [(p["residents"], p["privacy"]["epsilon"]) for p in plans] == [
        (400, 0.2),
        (400, 8.0),
        (12000, 0.2),
        (12000, 8.0),
    ]
    first, last = plans[0], plans[-1]
    assert first["forecast"]["verdict"] == "mostly-noise"
    assert "mostly noise" in first["words"]["en"][0]
    assert "brus" in first["words"]["sv"][0]
    assert first["forecast"]["release_margin"] is None
    assert last["forecast"]["verdict"] == "hardly"
    assert last["forecast"]["residents_per_invented_one"] == 2
    assert last["forecast"]["release_margin"] < 0.05
    assert first["noise_in_residents"]["level"] > last["noise_in_residents"]["level"]
    for item in plans:
        whole = item["privacy"]["epsilon_if_all_is_used"]
        assert 0.97 < whole / item["privacy"]["epsilon"] <= 1
        assert [part["name"] for part in item["privacy"]["parts"]] == [
            "histogram of levels",
            "gradient step",
            "evaluation",
        ]


def test_more_departments_need_no_more_noise_in_a_sum_unless_residents_are_in_more(
    capsys, tmp_path, declaration
) -> None:
    def step(privacy: dict[str, object], departments: str) -> float:
        file = study_file(tmp_path, studies.draft(**SUMMED | {"privacy": privacy}))
        arguments = ("--departments", departments, "--repetitions", "0", "-o", "json")
        code, out, err = run(capsys, file, "--declaration", declaration, *arguments)
        assert code == 0, err
        (item,) = json.loads(out)["plans"]
        assert item["departments"] == int(departments)
        assert item["forecast"] is None
        return item["noise_in_residents"]["level"]

    one = SUMMED["privacy"] | {"departments_per_resident": 1}
    every = SUMMED["privacy"] | {"departments_per_resident": None}
    assert step(one, "20") < step(one, "5")  # one colluder of 20 matters less than one of 5
    assert step(every, "20") > 3 * step(every, "5")


def test_the_plan_in_swedish(capsys, summed, declaration) -> None:
    code, out, err = run(
        capsys, summed, "--declaration", declaration, "--language", "sv", "--repetitions", "2"
    )
    assert code == 0, err
    assert "1 500 invånare i 3 förvaltningar, epsilon 2: " in out
    assert "Ingens uppgifter har lästs" in out
    assert not re.search(r"\bresidents\b(?!_per)", out.replace("departments_per_resident", ""))


def test_local_noise_is_priced_and_not_tried(capsys, tmp_path, declaration) -> None:
    file = study_file(tmp_path, studies.draft())
    code, out, err = run(capsys, file, "--declaration", declaration, "--epsilon", "1")
    assert code == 0, err
    assert "3 departments, epsilon 1." in out
    assert "gradient step" in out
    assert "nothing is tried out" in out
    assert "adds all of its noise itself" in " ".join(out.split())
    code, out, _ = run(capsys, file, "--declaration", declaration, "-o", "json")
    (item,) = json.loads(out)["plans"]
    assert (item["forecast"], item["noise_in_residents"], item["residents"]) == (None, None, None)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--epsilon", "0"), "Epsilon must be above 0"),
        (("--epsilon", "1e-9"), "no reasonable amount of noise"),
        (("--residents", "0"), "residents must be at least 1"),
        (("--departments", "1"), "1 is not in the range 2<=x<=1000"),
        (("--signal", "0.4"), "the signal must be above 0.5"),
        (("--share", "1"), "the share must be between"),
        (("--repetitions", "1"), "one trial says nothing"),
    ],
    ids=str,
)
def test_what_cannot_be_planned_is_refused_in_words(
    capsys, summed, declaration, arguments, told
) -> None:
    code, out, err = run(capsys, summed, "--declaration", declaration, *arguments)
    assert (code, out) == (4, "")
    assert told in err


def test_a_plan_without_a_declaration_says_how_to_get_one(capsys, summed, tmp_path) -> None:
    code, _, err = run(capsys, summed, "--profile", str(tmp_path / "nobody"))
    assert code == 4
    assert "--declaration FILE" in err


def test_a_declaration_of_another_dataset_is_refused(capsys, summed) -> None:
    code, _, err = run(capsys, summed, "--declaration", str(DECLARATIONS[0]))
    assert code == 4
    assert "the study asks for the dataset pupils" in err


def test_a_check_prices_a_secure_sum_and_says_what_it_protects_against() -> None:
    found = privacy.preview(studies.summed_study())
    said = privacy.as_text(found, studies.summed_study())
    assert found is not None
    assert 0.97 * 2 < found.total <= 2
    assert all(part.loss < found.total for part in found.parts)
    for told in ("histogram of levels", "Every resident is in every step", "masked numbers"):
        assert told in said


def test_residents_say_nothing_about_local_noise(capsys, tmp_path, declaration) -> None:
    file = study_file(tmp_path, studies.draft())
    code, _, err = run(capsys, file, "--declaration", declaration, "--residents", "5")
    assert code == 4
    assert "does not depend on the number of residents" in err


def test_the_catalogue_gives_the_declaration(capsys, summed, tmp_path_factory) -> None:
    with cities.running(tmp_path_factory.mktemp("city") / "home") as city:
        with city.person("anna") as anna:
            city.ready(anna)
        profile = str(city.folder.parent / "profile-anna")
        code, out, err = run(capsys, summed, "--profile", profile, "--repetitions", "0")
    assert code == 0, err
    assert "3 departments, epsilon 2." in out


# --- declarations from files -----------------------------------------------------------------


@pytest.mark.parametrize("path", DECLARATIONS, ids=lambda path: path.stem)
def test_a_stewards_file_says_what_the_node_would_publish(path: Path) -> None:
    assert declared.read(path) == datasets.load(path).declaration


def test_a_published_declaration_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "pupils.json"
    path.write_bytes(documents.write(studies.declaration()))
    assert declared.read(path) == studies.declaration()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[1, 2]", "pupils"),
        ("schema: {fields: 5}", "columns"),
        ("schema: {fields: [5]}", "columns"),
        ("- {department: school}", "document"),
        ("name: Not A Name", "name"),
    ],
)
def test_what_is_no_declaration_is_refused(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "pupils.yaml"
    path.write_text(content)
    with pytest.raises((InvalidDocumentError, UsageError), match=told):
        declared.read(path)


def test_the_command_starts_without_the_accountant_torch_or_flower() -> None:
    code = (
        "import sys; from coordinator.client import cli; cli.run(['privacy', 'plan', '--help']);"
        "heavy = {'dp_accounting', 'torch', 'flwr', 'scipy', 'pandas'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--epsilon" in done.stdout
