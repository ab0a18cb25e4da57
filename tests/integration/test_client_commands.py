"""The SDK and the command `datalabbet` against a whole coordinator under mutual TLS."""

import json
import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cities
import numpy as np
import pandas as pd
import pytest
import studies
import yaml

from coordinator import release
from coordinator.client import Datalabbet, cli, connection, exports
from coordinator.client import profile as profiles
from coordinator.store import releases
from coordinator.store.database import open_database, writing
from models import documents
from models.errors import (
    AlreadyExistsError,
    ConfigurationError,
    ConnectionFailedError,
    DeadlineError,
    InvalidDocumentError,
    NotAllowedError,
    NotFoundError,
    ProtocolViolationError,
    RefusedError,
    UnauthenticatedError,
    UsageError,
)
from models.families import network
from models.governance.principal import Principal, Role
from models.governance.states import RunState, StudyState

RUN = 2**47 + 1


@pytest.fixture(scope="module")
def city(tmp_path_factory):
    with cities.running(tmp_path_factory.mktemp("city") / "home") as made:
        yield made


@pytest.fixture(scope="module")
def anna(city):
    with city.person("anna") as connected:
        yield connected


@pytest.fixture(scope="module")
def profile(city, anna) -> str:
    return str(city.folder.parent / "profile-anna")


@pytest.fixture(scope="module")
def ready(city, anna):
    """Give an approved study."""
    return city.ready(anna)


@pytest.fixture(scope="module")
def released(city, ready):
    """Give the release of a finished run."""
    shapes = network.shapes(network.NetworkSpec.of(ready))
    bundle = release.build(
        study=ready,
        run_id=RUN,
        parameters={name: np.full(shape, 0.25, np.float32) for name, shape in shapes.items()},
        metrics=None,
        departments_by_round=[["school", "care"]],
        evaluated_by=[],
        created_at=datetime(2026, 11, 22, tzinfo=UTC),
    )
    city.put_run(ready, RUN, RunState.FINISHED)
    city.put_release(bundle.record, dict(bundle.files))
    return bundle


def command(capsys, *arguments: str) -> tuple[int, str, str]:
    code = cli.run(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def as_json(capsys, *arguments: str):
    code, out, err = command(capsys, *arguments, "--output", "json")
    assert code == 0, err
    return json.loads(out)


def study_file(folder: Path, study=None) -> Path:
    draft = json.loads(documents.write(study or studies.study(study="from-a-file")))
    for name in ("columns", "code", "roster"):  # what `resolve` adds
        draft.pop(name)
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(draft, allow_unicode=True), encoding="utf-8")
    return path


# --- enrolment -------------------------------------------------------------------------------


def test_a_token_enrols_once(city, tmp_path, capsys) -> None:
    text = city.invite(Principal(Role.ANALYST, "bo"))
    (tmp_path / "token").write_text(text)
    arguments = ["enrol", "--coordinator", city.main, "--enrol-address", city.enrolment]
    arguments += ["--token-file", str(tmp_path / "token")]
    data = as_json(capsys, *arguments, "--profile", str(tmp_path / "bo"))
    assert (data["name"], data["role"]) == ("bo", "analyst")
    assert (tmp_path / "bo" / "identity.pem").stat().st_mode & 0o077 == 0
    code, _, err = command(capsys, *arguments, "--profile", str(tmp_path / "bo"))
    assert code == 4
    assert "enrolled already" in err
    code, out, err = command(
        capsys, *arguments, "--profile", str(tmp_path / "again"), "--output", "json"
    )
    assert code == 2
    assert json.loads(out)["error"]["code"] == "UNAUTHENTICATED"
    assert text not in out + err
    assert not (tmp_path / "again").exists()


def test_a_wrong_token_never_leaves_the_machine(city, tmp_path, capsys) -> None:
    (tmp_path / "token").write_text("dlb1.nonsense")
    arguments = ["enrol", "--coordinator", city.main, "--enrol-address", city.enrolment]
    code, _, err = command(
        capsys, *arguments, "--token-file", str(tmp_path / "token"), "--profile", str(tmp_path)
    )
    assert code == 4
    assert "not a whole enrolment token" in err


def test_a_department_token_is_not_for_people(city, tmp_path) -> None:
    with pytest.raises(InvalidDocumentError, match="identity_public_key"):
        connection.enrol(
            folder=tmp_path / "x",
            token=cities.token.parse(city.invite(Principal(Role.DEPARTMENT, "health"))),
            coordinator=city.main,
            enrol_address=city.enrolment,
        )


def test_another_coordinator_is_not_believed(city, tmp_path) -> None:
    with cities.running(tmp_path / "other") as other:
        foreign = other.profile("eve")
        settings = {"coordinator": city.main}
        (foreign / "profile.json").write_text(json.dumps(settings))
        with Datalabbet.connect(foreign) as eve, pytest.raises(ConnectionFailedError):
            eve.studies()


def test_a_certificate_is_renewed_in_its_last_third(city) -> None:
    folder = city.profile("carl")
    before = profiles.load(folder)
    start = before.certificate.not_valid_before_utc
    end = before.certificate.not_valid_after_utc
    assert not before.due(start + (end - start) / 2)
    assert before.due(end - (end - start) / 4)
    with pytest.raises(UnauthenticatedError, match="expired"):
        before.due(end)
    with connection.open_channel(before) as channel:
        after = connection.renewed(before, channel, now=end - (end - start) / 4)
    assert after.certificate.serial_number != before.certificate.serial_number
    assert after.certificate.public_key() != before.certificate.public_key()
    with Datalabbet.connect(folder) as carl:
        assert carl.who == Principal(Role.CENTRAL, "carl")
        assert isinstance(carl.studies(), tuple)


def test_a_revoked_member_is_refused(city, capsys) -> None:
    folder = city.profile("mallory")
    cities.operate.revoke(city.around, Principal(Role.CENTRAL, "mallory"))
    code, _, err = command(capsys, "study", "list", "--profile", str(folder))
    assert code == 2
    assert "revoked" in err


def test_an_analyst_may_read_but_not_start(city, ready) -> None:
    with city.person("dora", role=Role.ANALYST) as dora:
        assert dora.study(ready.study).study == ready
        with pytest.raises(NotAllowedError):
            dora.start_run(ready.study)
        with pytest.raises(NotAllowedError):
            dora.propose(studies.study(study="not-mine"))


# --- catalogue and members -------------------------------------------------------------------


def test_the_catalogue_shows_what_stewards_declared(ready, profile, capsys) -> None:
    data = as_json(capsys, "catalogue", "list", "--profile", profile)
    assert {item["department"] for item in data} == set(ready.departments)
    code, out, _ = command(capsys, "catalogue", "show", "pupils", "--profile", profile)
    assert code == 0
    assert "0 to 100" in out
    assert "north, south, west" in out
    only = as_json(
        capsys, "catalogue", "show", "pupils", "--department", "care", "--profile", profile
    )
    assert [item["department"] for item in only] == ["care"]
    code, _, err = command(capsys, "catalogue", "show", "nothing", "--profile", profile)
    assert code == 4
    assert "no department has declared" in err


def test_the_members_are_listed(ready, profile, capsys) -> None:
    data = as_json(capsys, "members", "--profile", profile)
    names = {(item["role"], item["name"]) for item in data}
    assert {("central", "anna"), ("department", "school")} <= names


# --- studies ---------------------------------------------------------------------------------


def test_a_new_study_file_is_filled_from_the_catalogue(ready, profile, tmp_path, capsys) -> None:
    path = tmp_path / "Läsa 2026.yaml"
    code, out, _ = command(
        capsys, "study", "new", str(path), "--dataset", "pupils", "--profile", profile
    )
    assert (code, out.strip()) == (0, str(path))
    text = path.read_text(encoding="utf-8")
    for department in ready.departments:
        assert f"  - {department}\n" in text
    data = as_json(capsys, "study", "check", str(path), "--profile", profile)
    assert data["checked"] == "catalogue"
    code, _, err = command(capsys, "study", "new", str(path))
    assert code == 4
    assert "exists already" in err


def test_a_check_tells_the_price(ready, profile, tmp_path, capsys) -> None:
    path = study_file(tmp_path)
    data = as_json(capsys, "study", "check", str(path), "--profile", profile)
    privacy = data["privacy"]
    assert privacy["epsilon"] == 2.0
    assert 1.9 < privacy["epsilon_if_all_is_used"] <= 2.0
    parts = {part["name"]: part for part in privacy["parts"]}
    assert parts["gradient step"]["epsilon_each"] < parts["round"]["epsilon_each"] < 2.0
    assert parts["gradient step"]["times"] == 5 * 4
    code, out, _ = command(capsys, "study", "check", str(path), "--profile", profile)
    assert code == 0
    assert "gradient step" in out
    code, out, err = command(capsys, "study", "check", str(path), "--offline")
    assert code == 0
    assert "well formed" in out
    assert "catalogue" in err


def test_everything_wrong_with_a_study_is_told_at_once(ready, profile, tmp_path, capsys) -> None:
    draft = studies.draft(
        study="wrong", departments=("school", "care", "police"), variables=("age", "weight")
    )
    data = json.loads(documents.write(draft))
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(data))
    code, out, err = command(
        capsys, "study", "check", str(path), "--profile", profile, "-o", "json"
    )
    assert code == 4
    message = json.loads(out)["error"]["message"]
    assert "police has not declared the dataset pupils" in message
    assert "school does not declare the column weight" in message
    assert message in err


def test_a_dry_run_proposes_nothing(ready, anna, profile, tmp_path, capsys) -> None:
    path = study_file(tmp_path, studies.study(study="only-thought"))
    data = as_json(capsys, "study", "propose", str(path), "--dry-run", "--profile", profile)
    assert data["study"] == "only-thought"
    with pytest.raises(NotFoundError):
        anna.study("only-thought")


def test_proposing_twice_is_proposing_once(ready, anna, profile, tmp_path, capsys) -> None:
    path = study_file(tmp_path)
    first = as_json(capsys, "study", "propose", str(path), "--profile", profile)
    again = as_json(capsys, "study", "propose", str(path), "--profile", profile)
    assert first == again
    assert first["state"] == "proposed"
    assert first["study_hash"] == anna.study("from-a-file").study_hash
    with pytest.raises(AlreadyExistsError):
        anna.propose(studies.study(study="from-a-file", retention_days=1))
    code, out, _ = command(capsys, "study", "show", "from-a-file", "--profile", profile)
    assert code == 0
    assert "not decided" in out
    listed = as_json(capsys, "study", "list", "--profile", profile)
    assert {item["study"] for item in listed} >= {"from-a-file", ready.study}


def test_an_approved_study_is_ready(ready, anna, profile, capsys) -> None:
    status = anna.study(ready.digest())
    assert len(status.approvals) == len(ready.departments)
    code, out, _ = command(capsys, "study", "show", ready.study, "--profile", profile)
    assert code == 0
    assert out.count("approved by Steward") == len(ready.departments)


def test_a_study_that_is_not_there(profile, capsys) -> None:
    code, _, err = command(capsys, "study", "show", "nowhere", "--profile", profile)
    assert code == 4
    assert err.startswith("Error: ")


# --- runs ------------------------------------------------------------------------------------


@pytest.fixture
def waiting(city, anna):
    """Give a run that waits for departments which never come."""
    number = next(_numbers)
    study = studies.study(study=f"waits-{number}")
    anna.propose(study)
    for department in _departments(city):
        department.decide(study)
    assert anna.study(study.study).state is StudyState.READY
    status = anna.start_run(study.study)
    yield status
    anna.stop(status.run_id)


_numbers = iter(range(1, 100))
_known = {}


def _departments(city):
    if not _known:
        for name in studies.DEPARTMENTS:
            _known[name] = cities.Department(city, name)
            _known[name].declare(studies.declaration())
    return _known.values()


def test_a_run_starts_once_per_request(waiting, anna) -> None:
    request_id = "4b1c1c3e-29f0-4b5c-9f7e-1f5f8f0f7a11"
    with pytest.raises(RefusedError):
        anna.start_run(waiting.study, request_id=request_id)  # it runs already
    assert anna.run(waiting.run_id).study == waiting.study
    assert [item.run_id for item in anna.runs(waiting.study)] == [waiting.run_id]


def test_watching_ends_when_the_run_is_stopped(waiting, anna, profile, capsys) -> None:
    stopper = threading.Timer(1.0, lambda: anna.stop(waiting.run_id))
    stopper.start()
    code, out, err = command(
        capsys, "run", "watch", str(waiting.run_id), "--profile", profile, "-o", "json"
    )
    stopper.join()
    assert code == 1
    assert json.loads(out)["error"]["code"] == "RUN_FAILED"
    assert "stopped after 0 of 3 rounds" in err


def test_watching_has_a_time_limit(waiting, anna, profile, capsys) -> None:
    code, _, err = command(
        capsys, "run", "watch", str(waiting.run_id), "--timeout", "0.5", "--profile", profile
    )
    assert code == 3
    assert "The run goes on" in err
    with pytest.raises(DeadlineError):
        list(anna.watch(waiting.run_id, timeout=0.2))


def test_stop_and_list(waiting, profile, capsys) -> None:
    stopped = as_json(capsys, "run", "stop", str(waiting.run_id), "--profile", profile)
    assert stopped["state"] == "stopped"
    assert stopped["run"] == str(waiting.run_id)
    listed = as_json(capsys, "run", "list", "--study", waiting.study, "--profile", profile)
    assert [item["state"] for item in listed] == ["stopped"]
    code, _, err = command(capsys, "run", "watch", "424242", "--profile", profile)
    assert code == 4
    assert "no run" in err


def test_watching_survives_a_restart_of_the_coordinator(tmp_path) -> None:
    with cities.running(tmp_path / "home") as own, own.person("anna") as anna:
        study = own.ready(anna)
        run = anna.start_run(study.study)
        seen = []
        done = threading.Event()

        def watch() -> None:
            seen.extend(anna.watch(run.run_id, timeout=60))  # one by one, as they come
            done.set()

        thread = threading.Thread(target=watch)
        thread.start()
        while not seen:
            threading.Event().wait(0.05)
        own.stop()
        own.start()
        anna.stop(run.run_id)
        assert done.wait(30)
        thread.join()
        assert seen[-1].state is RunState.STOPPED


# --- releases --------------------------------------------------------------------------------


def test_a_release_is_listed_shown_and_exported(released, profile, tmp_path, capsys) -> None:
    listed = as_json(capsys, "releases", "list", "--profile", profile)
    assert listed[0]["run"] == str(RUN)
    shown = as_json(capsys, "releases", "show", str(RUN), "--profile", profile)
    assert shown == json.loads(released.files["record.json"])
    code, out, _ = command(capsys, "releases", "show", str(RUN), "--profile", profile)
    assert code == 0
    assert "epsilon spent" in out
    target = tmp_path / "deep" / "release"
    data = as_json(capsys, "releases", "export", str(RUN), str(target), "--profile", profile)
    assert data["files"] == sorted(released.files)
    for name, content in released.files.items():
        assert (target / name).read_bytes() == content
    code, _, err = command(
        capsys, "releases", "export", str(RUN), str(target), "--profile", profile
    )
    assert code == 4
    assert "not empty" in err


def test_an_exported_model_predicts_like_the_direct_one(released, anna, tmp_path) -> None:
    from coordinator.client import ReleasedClassifier

    frame = pd.DataFrame({"age": [1, 99], "income": [0.0, 2.0], "area": ["north", "west"]})
    direct = anna.classifier(RUN).predict_proba(frame)
    folder = anna.export(RUN, tmp_path / "release")
    assert np.array_equal(direct, ReleasedClassifier.from_release(folder).predict_proba(frame))
    assert anna.release(RUN) == released.record


def test_a_model_answers_no_questions(released, profile, capsys) -> None:
    code, _, err = command(capsys, "releases", "results", str(RUN), "--profile", profile)
    assert code == 4
    assert "is a model, which answers no questions" in err
    assert "datalabbet releases show" in err


def test_a_file_larger_than_a_message_arrives_whole(city, anna, tmp_path) -> None:
    study = studies.study(study="large", model={"family": "mlp", "hidden": (1024, 1024)})
    anna.propose(study)
    for department in _departments(city):
        department.decide(study)
    shapes = network.shapes(network.NetworkSpec.of(study))
    bundle = release.build(
        study=study,
        run_id=RUN + 1,
        parameters={name: np.full(shape, 0.25, np.float32) for name, shape in shapes.items()},
        metrics=None,
        departments_by_round=[["school", "care"]],
        evaluated_by=[],
        created_at=datetime(2026, 11, 21, tzinfo=UTC),
    )
    assert len(bundle.files["model.safetensors"]) > 4 << 20
    city.put_run(study, RUN + 1, RunState.FINISHED)
    city.put_release(bundle.record, dict(bundle.files))
    folder = anna.export(RUN + 1, tmp_path / "large")
    for name, content in bundle.files.items():
        assert (folder / name).read_bytes() == content
    assert [item.run_id for item in anna.releases()][-1] == RUN + 1  # the older one comes last


def test_a_run_without_a_release(anna) -> None:
    with pytest.raises(NotFoundError, match="has no release"):
        anna.release(424242)


def test_a_broken_download_leaves_nothing(released, anna, tmp_path) -> None:
    summary = anna.releases()[0]

    def short(name: str):
        yield released.files[name][:-1]

    def long(name: str):
        yield released.files[name]
        yield b"x"

    for download in (short, long):
        with pytest.raises(ProtocolViolationError, match="is not the file"):
            exports.write(
                tmp_path / "release", summary=summary, record=released.record, download=download
            )
    assert list(tmp_path.iterdir()) == []


def test_a_release_is_saved_once(released, city) -> None:
    engine = open_database(city.around.settings.database_url(city.folder))
    with writing(engine) as connection:
        releases.save(connection, record=released.record, files={"card.md": b"another"})
    assert releases.content(engine, RUN, "card.md") == released.files["card.md"]
    with pytest.raises(NotFoundError, match="no such file"):
        releases.content(engine, RUN, "nothing.txt")
    engine.dispose()


# --- no way ----------------------------------------------------------------------------------


def test_without_a_coordinator_it_says_so(city, tmp_path, capsys) -> None:
    folder = tmp_path / "profile"
    shutil.copytree(city.profile("erik"), folder)
    (folder / "profile.json").write_text(json.dumps({"coordinator": "127.0.0.1:1"}))
    code, out, err = command(capsys, "study", "list", "--profile", str(folder), "-o", "json")
    assert code == 2
    assert json.loads(out)["error"]["code"] == "CONNECTION"
    assert "cannot be reached" in err


def test_a_damaged_profile_is_told(tmp_path) -> None:
    with pytest.raises(ConfigurationError, match="not an enrolled profile"):
        Datalabbet.connect(tmp_path)
    for name in ("identity.pem", "authority.pem"):
        (tmp_path / name).write_text("nothing")
    (tmp_path / "profile.json").write_text("{")
    with pytest.raises(ConfigurationError, match="damaged"):
        Datalabbet.connect(tmp_path)
    (tmp_path / "profile.json").write_text('{"coordinator": "127.0.0.1:1"}')
    with pytest.raises(ConfigurationError, match="certificate"):
        Datalabbet.connect(tmp_path)
    with pytest.raises(ConfigurationError, match="HOST:PORT"):
        profiles.address("nowhere")


def test_an_expired_profile_is_told_before_calling(city, monkeypatch) -> None:
    folder = city.profile("fia")
    later = datetime.now(UTC) + timedelta(days=40)
    monkeypatch.setattr("coordinator.client.config.now", lambda: later)
    with pytest.raises(UnauthenticatedError, match="expired"):
        Datalabbet.connect(folder)
    with pytest.raises(UsageError, match="enrolled already"):
        connection.enrol(
            folder=folder,
            token=cities.token.parse(city.invite(Principal(Role.CENTRAL, "fia"))),
            coordinator=city.main,
            enrol_address=city.enrolment,
        )
