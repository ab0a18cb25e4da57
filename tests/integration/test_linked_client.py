"""Linked studies through SDK and command, against a whole coordinator under mutual TLS."""

import json
from datetime import timedelta
from pathlib import Path

import cities
import linked_releases
import numpy as np
import pandas as pd
import pytest
from linked_releases import GRADES, MADE

from coordinator.client import cli
from coordinator.client.linked_results import LinkedResults
from coordinator.release import linked_bundle
from models.errors import InvalidDocumentError, NotFoundError
from models.governance import linked_draft
from models.governance.linked import LinkedStudy
from models.governance.states import RunState
from models.linkage.plan import plan
from models.linkage.tables import NoisyTable, Opened, Total
from models.quantities import NoiseVariance
from models.schema import CategoryColumn, Declaration, KeyColumn, NumericColumn

TEXT = linked_releases.linked_studies.TEXT
MORE = np.array([[20.0, 0.0], [0.0, 0.0]])
RUNS = (2**47 + 11, 2**47 + 12)


def declaration(name: str, *columns: object) -> Declaration:
    return Declaration(
        name=name,
        title=TEXT,
        description=TEXT,
        steward="Steward",
        resident_id="pnr",
        secrecy="OSL 23 kap.",
        columns=columns,
    )


PUPILS = declaration(
    "pupils",
    CategoryColumn(name="passed", meaning=TEXT, categories=("no", "yes")),
    NumericColumn(name="absence", type="number", meaning=TEXT, minimum=0.0, maximum=60.0),
)
ASSISTANCE = declaration("assistance", KeyColumn(name="household", type="key", meaning=TEXT))


@pytest.fixture(scope="module")
def city(tmp_path_factory):
    with cities.running(tmp_path_factory.mktemp("linked-city") / "home") as made:
        yield made


@pytest.fixture(scope="module")
def anna(city):
    with city.person("anna") as connected:
        yield connected


@pytest.fixture(scope="module")
def profile(city, anna) -> str:
    return str(city.folder.parent / "profile-anna")


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("files") / "passing-2026.yaml"
    text = linked_draft.template("passing-2026").replace(", absence, assistance]", ", assistance]")
    text = text.replace("terms: [assistance, absence], linear: [absence]", "terms: [assistance]")
    path.write_text(text.replace("releases: 1", "releases: 4"), "utf-8")
    return path


@pytest.fixture(scope="module")
def parties(city, file):
    """Give the departments and the witness, enrolled; two of them declared their datasets."""
    made = {
        name: cities.Department(city, name) for name in ("schools", "social-services", "auditors")
    }
    made["schools"].declare(PUPILS)
    made["social-services"].declare(ASSISTANCE)
    return made


@pytest.fixture(scope="module")
def ready(anna, file, parties) -> LinkedStudy:
    """Give a proposed study that everybody approved."""
    study = anna.propose(file).study
    assert isinstance(study, LinkedStudy)
    for party in parties.values():
        party.decide(study)
    return study


@pytest.fixture(scope="module")
def released(city, ready):
    """Give two releases of the study, a quarter apart."""
    agreed = plan(ready)
    (target,) = agreed.layout.targets
    made = []
    for place, run in enumerate(RUNS):
        counts = GRADES[1:] + place * MORE
        table = NoisyTable(
            question=target.question,
            table=target.table,
            axes=target.axes,
            counts=counts if target.axes[0].variable == "assistance" else counts.T,
            variance=agreed.noise.variance,
        )
        rest = tuple(
            Total(department=name, unlinked=1.0, protected=0.0, variance=NoiseVariance(1.0))
            for name in ready.departments
        )
        bundle = linked_bundle.build(
            study=ready,
            run_id=run,
            opened=Opened(tables=(table,), totals=rest),
            residents=900,
            erased={},
            finished=place + 1,
            created_at=MADE + timedelta(days=91 * place),
        )
        city.put_run(ready, run, RunState.FINISHED)
        city.put_release(bundle.record, dict(bundle.files))
        made.append(bundle)
    return made


def command(capsys, *arguments: str) -> tuple[int, str, str]:
    code = cli.run(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def as_json(capsys, *arguments: str):
    code, out, err = command(capsys, *arguments, "--output", "json")
    assert code == 0, err
    return json.loads(out)


# --- studies ---------------------------------------------------------------------------------


def test_everything_wrong_with_a_linked_study_is_told_at_once(
    parties, profile, file, tmp_path, capsys
) -> None:
    text = file.read_text("utf-8").replace("column: passed", "column: grade")
    path = tmp_path / "study.yaml"
    path.write_text(text.replace("name: auditors", "name: nobody"), "utf-8")
    code, _, err = command(capsys, "study", "propose", str(path), "--profile", profile)
    assert code == 4
    assert "schools does not declare the column grade in pupils" in err
    assert "nobody has not enrolled a node" in err


def test_what_cannot_be_asked_is_refused_before_it_is_proposed(
    parties, anna, profile, file, tmp_path, capsys
) -> None:
    path = tmp_path / "study.yaml"
    text = (
        file.read_text("utf-8")
        .replace("    bins: 6\n", "")
        .replace("of: [passed", "of: [passed, absence")
    )
    path.write_text(text.replace("study: passing-2026", "study: unasked"), "utf-8")
    code, _, err = command(capsys, "study", "propose", str(path), "--profile", profile)
    assert code == 4
    assert "absence is a number without bins" in err
    with pytest.raises(NotFoundError):
        anna.study("unasked")


def test_a_linked_study_is_proposed_approved_shown_and_listed(ready, profile, capsys) -> None:
    data = as_json(capsys, "study", "show", "passing-2026", "--profile", profile)
    assert data["state"] == "ready"
    assert data["study_hash"] == ready.digest()
    code, out, _ = command(capsys, "study", "show", "passing-2026", "--profile", profile)
    assert code == 0
    assert "does not hold if two of the three servers pool" in out
    code, out, _ = command(capsys, "study", "list", "--profile", profile)
    assert "3 of 3" in out


def test_the_client_resolves_what_the_coordinator_accepts(ready, anna, file) -> None:
    assert anna.resolve(file) == ready
    assert anna.resolve(ready) is ready
    assert anna.propose(ready).study_hash == ready.digest()


def test_what_was_proposed_is_held_against_the_catalogue(anna, parties, file, tmp_path) -> None:
    text = file.read_text("utf-8").replace("study: passing-2026", "study: passing-2027")
    (tmp_path / "s.yaml").write_text(text, "utf-8")
    study = anna.resolve(tmp_path / "s.yaml")
    parties["schools"].declare(declaration("pupils", *PUPILS.columns[1:]))
    try:
        with pytest.raises(InvalidDocumentError, match="does not declare the column passed"):
            anna.propose(study)
    finally:
        parties["schools"].declare(PUPILS)


# --- releases --------------------------------------------------------------------------------


def test_answers_are_printed_and_given_as_data_frames(released, anna, profile, capsys) -> None:
    run = str(RUNS[0])
    code, out, err = command(capsys, "releases", "results", run, "--profile", profile)
    assert code == 0, err
    assert "0.500 (" in out
    data = as_json(capsys, "releases", "results", run, "--profile", profile)
    names = [figure["name"] for answer in data["answers"] for figure in answer["figures"]]
    frame = anna.results(RUNS[0]).figures
    assert isinstance(frame, pd.DataFrame)
    assert list(frame["figure"]) == names
    cells = anna.results(RUNS[0]).table("passing")
    assert cells["residents"].sum() == GRADES[1:].sum()


def test_a_linked_release_is_listed_shown_and_exported(
    released, anna, profile, tmp_path, capsys
) -> None:
    data = as_json(capsys, "releases", "list", "--profile", profile)
    assert {item["run"] for item in data} == set(map(str, RUNS))
    code, out, _ = command(capsys, "releases", "show", str(RUNS[0]), "--profile", profile)
    assert code == 0
    assert "per household" in out
    folder = tmp_path / "release"
    code, _, err = command(
        capsys, "releases", "export", str(RUNS[0]), str(folder), "--profile", profile
    )
    assert code == 0, err
    assert LinkedResults.from_release(folder) == anna.results(RUNS[0])


def test_the_trend_has_both_releases_and_a_figure(released, profile, tmp_path, capsys) -> None:
    drawn = tmp_path / "trend.svg"
    arguments = ("linked", "trend", "passing-2026", "--only", "share", "--profile", profile)
    data = as_json(capsys, *arguments, "--figure", str(drawn))
    for figure in data["figures"]:
        assert [seen["run"] for seen in figure["releases"]] == list(map(str, RUNS))
    assert b"<svg" in drawn.read_bytes()
    code, out, err = command(capsys, *arguments)
    assert code == 0, err
    assert "2026-11-22" in out
    assert "2027-02-21" in out
    assert "change" in out


def test_results_are_drawn(released, profile, tmp_path, capsys) -> None:
    drawn = tmp_path / "results.svg"
    code, _, err = command(
        capsys,
        *("releases", "results", str(RUNS[1]), "--only", "share", "--figure", str(drawn)),
        *("--profile", profile),
    )
    assert code == 0, err
    assert f"Drawn in {drawn}." in err
    assert b"Kort" not in drawn.read_bytes()
    assert b"Short title in English" in drawn.read_bytes()


def test_a_study_without_releases_has_no_trend(released, profile, capsys) -> None:
    code, _, err = command(capsys, "linked", "trend", "nothing", "--profile", profile)
    assert code == 4
    assert "there is no release of nothing" in err
