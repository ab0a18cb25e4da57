"""`datalabbet privacy plan` for linked studies: how sharp the answers will be, told beforehand."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from scripted import ScriptedEntropy

from coordinator.client import cli, declared, linked_planning
from models import documents
from models.governance import any_study, linked_draft
from models.replicated.holder import Holder

PUPILS = """\
name: pupils
title: {sv: Elever, en: Pupils}
description: {sv: Elever, en: Pupils}
steward: Steward
resident_id: pnr
secrecy: OSL 23 kap. 1 §
schema:
  fields:
    - name: passed
      type: string
      meaning: {sv: Godkänd, en: Passed}
      constraints: {enum: ["no", "yes"]}
    - name: absence
      type: number
      meaning: {sv: Frånvaro, en: Absence}
      constraints: {minimum: 0, maximum: 60}
"""
ASSISTANCE = """\
name: assistance
title: {sv: Bistånd, en: Assistance}
description: {sv: Bistånd, en: Assistance}
steward: Steward
resident_id: pnr
secrecy: OSL 26 kap. 1 §
schema:
  fields:
    - name: months
      type: integer
      meaning: {sv: Månader, en: Months}
      constraints: {minimum: 0, maximum: 12}
"""
HAZARD = """\
  - kind: hazard
    name: leaving
    title: {sv: Vägen ut, en: The way out}
    start: start
    duration: months
    event: ended
    entry: begun
    bands: [3, 6]
    window: 3
"""


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = cli.run(["privacy", "plan", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with a declaration for each department, in folders of their own."""
    for name, text in (("schools", PUPILS), ("social-services", ASSISTANCE)):
        place = tmp_path / "nodes" / name
        place.mkdir(parents=True)
        (place / "dataset.yaml").write_text(text, encoding="utf-8")
    return tmp_path / "nodes"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "passing.yaml"
    path.write_text(linked_draft.template("passing"), encoding="utf-8")
    return path


def plans(capsys, study: Path, folder: Path, *arguments: str) -> list[dict]:
    given = (str(study), "--declaration", str(folder), *arguments, "--output", "json")
    code, out, err = run(capsys, *given)
    assert code == 0, err
    found = json.loads(out)
    assert found["file"] == str(study)
    return found["plans"]


def test_a_plan_tells_noise_intervals_load_and_who_could_see_what(capsys, study, folder) -> None:
    code, out, err = run(capsys, str(study), "--declaration", str(folder))
    assert code == 0, err
    told = " ".join(out.split())
    for text in (
        "2 departments, up to 150 000 residents, epsilon 1 for one household over 1 run.",
        "No figure is expected to drown in noise.",
        "24 cells are opened; each is off by about 5.5 residents.",
        "passing: Pupils who passed, by the household's assistance",
        "difference: passed = yes | assistance = yes against no",
        "Nobody's records were read.",
        "schools uploads 7.3 MB",
        "It does not hold if two of the three servers pool what they hold",
    ):
        assert text in told, text


def test_the_plan_in_swedish(capsys, study, folder) -> None:
    code, out, err = run(
        capsys,
        str(study),
        "--declaration",
        str(folder),
        "--language",
        "sv",
        "--epsilon",
        "0.05",
        *("--size", "passing=1500"),
    )
    assert code == 0, err
    told = " ".join(out.split())
    for text in (
        "2 förvaltningar, upp till 150 000 invånare, epsilon 0,05 för ett hushåll",
        "Den här frågan kommer att drunkna i brus: passing.",
        "passing: Godkända elever efter hushållets bistånd",
        "väntat 95 %-intervall",
        "schools laddar upp 7,3 MB",
        "Det gäller inte om två av de tre servrarna",
    ):
        assert text in told, text
    assert not re.search(r"\b(residents|noise|drown)\b", out)


def test_a_question_that_will_drown_is_named_before_anything_is_spent(
    capsys, study, folder
) -> None:
    weak, strong = plans(
        capsys, study, folder, "--size", "passing=1500", "--epsilon", "0.05", "--epsilon", "2"
    )
    assert weak["drowns"]
    assert "This question will drown in noise: passing." in " ".join(weak["words"]["en"])
    assert "What would help" in " ".join(weak["words"]["en"])
    assert not strong["drowns"]
    assert weak["noise_in_residents"] > 30 * strong["noise_in_residents"]
    assert 0.97 * 0.05 < weak["privacy"]["epsilon_if_all_is_used"] <= 0.05
    for mild, bad in zip(strong["expected"], weak["expected"], strict=True):
        assert mild["figure"] == bad["figure"]
        assert mild["noise_alone"] <= mild["half_width"] < bad["half_width"]


def test_sizes_make_intervals_wider_or_narrower(capsys, study, folder) -> None:
    def width(*arguments: str) -> float:
        (item,) = plans(capsys, study, folder, *arguments)
        return next(e["half_width"] for e in item["expected"] if e["kind"] == "difference")

    everybody, class_of_a_year = width(), width("--size", "passing=1500")
    rare = width("--size", "passing=1500", "--size", "assistance=yes=60")
    assert everybody < class_of_a_year < rare


def test_the_upload_told_is_what_a_department_really_sends(study, folder) -> None:
    text = study.read_text("utf-8").replace("residents: 150000", "residents: 5000")
    draft = any_study.read_draft(text, name="study.yaml")
    (made,) = linked_planning.variations(draft, declared.read_all([folder]))
    load = linked_planning.planned(made).load
    for name in made.departments:
        holder = Holder(
            made, run=7, department=name, residents=5000, entropy=ScriptedEntropy("upload")
        )
        width = linked_planning.plans.plan(made).layout.columns(name)
        sent = 0
        for chunk in range(1, holder.chunks + 1):
            rows = holder.rows(chunk)
            sent += len(holder.body(chunk, np.zeros((rows.stop - rows.start, width), np.uint8)))
        assert sent <= load.up[name] <= 1.1 * sent
    assert load.down == sum(load.up.values())
    assert load.between == 0


def test_a_plan_names_the_traffic_between_servers_where_there_is_some(tmp_path) -> None:
    schools = PUPILS.replace("name: pupils", "name: spells").replace("passed", "ended")
    more = "".join(
        f"    - {{name: {name}, type: integer, meaning: {{sv: M, en: M}}, "
        f"constraints: {{minimum: {low}, maximum: {high}}}}}\n"
        for name, low, high in (("start", 0, 5), ("months", 1, 12), ("begun", 0, 17))
    )
    (tmp_path / "d.yaml").write_text(schools + more, encoding="utf-8")
    (tmp_path / "e.yaml").write_text(
        schools.replace("name: spells", "name: measures") + more, encoding="utf-8"
    )
    text = linked_draft.template("leaving")
    start, end = text.index("variables:"), text.index("privacy:")
    variables = "variables:\n" + "".join(
        f"  - {{name: {name}, department: {whose}, dataset: {dataset}, column: {name}}}\n"
        for name, whose, dataset in (
            ("start", "schools", "spells"),
            ("months", "schools", "spells"),
            ("ended", "schools", "spells"),
            ("begun", "social-services", "measures"),
        )
    )
    text = text[:start] + variables + "questions:\n" + HAZARD + text[end:]
    text = text.replace("- name: social-services\n      owner", "- name: care\n      owner")
    draft = any_study.read_draft(text, name="study.yaml")
    (made,) = linked_planning.variations(draft, declared.read_all([tmp_path]))
    item = linked_planning.planned(made)
    assert item.load.between >= 150_000 * 12 * 4


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--size", "passing"), "is no number of residents"),
        (("--size", "passing=many"), "is no number of residents"),
        (("--size", "passing=1", "--size", "passing=2"), "given twice"),
        (("--size", "truancy=5"), "neither a question nor a category"),
        (("--size", "passing=200000"), "not between 0 and the register's"),
        (("--residents", "5"), "has the departments and the register that its file names"),
        (("--epsilon", "-1"), "Epsilon must be above 0"),
        (("--declaration", "missing.yaml"), "cannot be read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_says_nothing_about_a_linked_study_is_refused(
    capsys, study, folder, arguments, told
) -> None:
    code, _, err = run(capsys, str(study), "--declaration", str(folder), *arguments)
    assert code == 4
    assert told in err


def test_a_study_that_is_too_large_is_refused_with_the_figure(capsys, study, folder) -> None:
    wide = PUPILS.replace("minimum: 0, maximum: 60", "minimum: 0, maximum: 100000")
    (folder / "schools" / "dataset.yaml").write_text(wide, encoding="utf-8")
    names = [f"absence_{n}" for n in range(3)]
    more = "".join(
        f"  - {{name: {name}, department: schools, dataset: pupils, column: absence, bins: 200}}\n"
        for name in names
    )
    text = study.read_text("utf-8").replace("questions:\n", f"{more}questions:\n", 1)
    study.write_text(text.replace("of: [passed,", f"of: [passed, {', '.join(names)},"), "utf-8")
    code, _, err = run(capsys, str(study), "--declaration", str(folder))
    assert code == 4
    assert re.search(r"would have [\d,]+ columns; [\d,]+ are the most", err)


def test_without_protection_there_is_no_noise(capsys, study, folder) -> None:
    for path in folder.rglob("*.yaml"):
        path.write_text(path.read_text("utf-8") + "public: true\n", encoding="utf-8")
    text = study.read_text("utf-8").replace(
        "protection: secure-sum", 'protection: "none: secure sum and disclosure rules only"'
    )
    text = text.replace("  epsilon: 1.0\n", "").replace("  delta: 1e-6\n", "")
    study.write_text(text, "utf-8")
    (item,) = plans(capsys, study, folder)
    assert item["privacy"]["epsilon_if_all_is_used"] is None
    assert item["noise_in_residents"] == 0
    assert all(found["noise_alone"] == 0 for found in item["expected"])
    code, _, err = run(capsys, str(study), "--declaration", str(folder), "--epsilon", "1")
    assert code == 4
    assert "says nothing about a study without protection" in err


def test_an_empty_folder_of_declarations_is_told(capsys, study, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    code, _, err = run(capsys, str(study), "--declaration", str(tmp_path / "empty"))
    assert code == 4
    assert "holds no declaration" in err


def test_what_the_catalogue_printed_says_whose_it_is(tmp_path, folder) -> None:
    (_, pupils), _ = declared.read_all([folder])
    found = json.loads(documents.write(pupils))
    entry = {"department": "schools", "published_at": "2026-11-22", "declaration": found}
    path = tmp_path / "pupils.json"
    path.write_text(json.dumps([entry]), encoding="utf-8")
    assert declared.read_all([path]) == [("schools", pupils)]


def test_a_new_linked_file_can_be_planned_as_it_is(capsys, tmp_path, folder) -> None:
    path = tmp_path / "my-question.yaml"
    assert cli.run(["study", "new", str(path), "--linked"]) == 0
    assert "study: my-question" in path.read_text("utf-8")
    capsys.readouterr()
    (item,) = plans(capsys, path, folder)
    assert item["study"] == "my-question"
    assert cli.run(["study", "check", str(path), "--offline"]) == 0
    assert cli.run(["study", "new", str(tmp_path / "x.yaml"), "--linked", "--dataset", "d"]) == 4
