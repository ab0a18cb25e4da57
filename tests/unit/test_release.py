"""A release: its files say the same as each other, and as what ran."""

import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import onnxruntime
import pytest
import studies
from safetensors import safe_open
from safetensors.numpy import load

from coordinator import release
from models import documents
from models.errors import (
    DatalabbetError,
    InvalidDocumentError,
    ProtocolViolationError,
    RunFailedError,
)
from models.evaluation.intervals import Estimate
from models.evaluation.metrics import Metrics, Withheld
from models.families import network
from models.governance.record import Answers, ReleaseRecord, by_round
from models.governance.study import Study
from models.privacy import accounting
from models.privacy.plan import plan
from models.quantities import Epsilon
from protos.codec import read_json

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RUN = 2**62 + 1  # above 2^53: JSON readers would round it
METRICS = Metrics(
    residents=Estimate(value=512.4, low=480.0, high=540.0),
    auc=Estimate(value=0.81, low=0.78, high=0.84),
    accuracy=None,
    calibration_error=Estimate(value=0.05, low=0.01, high=0.09),
    withheld=(Withheld(figure="accuracy", reason="the noise is too large"),),
)


def parameters(study: Study, seed: int = 7) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    shapes = network.shapes(network.NetworkSpec.of(study))
    return {name: generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def build(study: Study, **changes: object) -> release.ReleaseBundle:
    given = {
        "study": study,
        "run_id": RUN,
        "parameters": parameters(study),
        "metrics": METRICS,
        "departments_by_round": [["school", "care", "labour"], ["school", "care"]],
        "evaluated_by": ["school", "care"],
        "created_at": NOW,
        **changes,
    }
    return release.build(**given)


NETWORKS = {
    "two classes": studies.study(),
    "three classes": studies.study(outcome="grade"),
    "hidden layers": studies.study(model={"family": "mlp", "hidden": (8, 5)}),
    "hidden layers, three classes, bins": studies.study(
        outcome="grade", model={"family": "mlp", "hidden": (8,), "bins": 6}
    ),
}


@pytest.mark.parametrize("study", NETWORKS.values(), ids=NETWORKS.keys())
def test_onnx_predicts_what_numpy_predicts(study: Study) -> None:
    bundle = build(study)
    session = onnxruntime.InferenceSession(
        bundle.files["model.onnx"], providers=["CPUExecutionProvider"]
    )
    spec = network.NetworkSpec.of(study)
    x = np.random.default_rng(1).uniform(-1, 1, size=(200, spec.inputs)).astype(np.float32)
    (found,) = session.run(["probabilities"], {"features": x})
    expected = network.probabilities(parameters(study), x)
    assert found.shape == (200, spec.classes)
    assert np.abs(found - expected).max() < 1e-6
    notes = session.get_modelmeta().custom_metadata_map
    assert notes["study_hash"] == study.digest()
    assert notes["classes"].split("\n") == list(study.target.categories)
    assert len(notes["features"].split("\n")) == spec.inputs


def test_safetensors_holds_the_parameters_and_says_what_they_are(tmp_path) -> None:
    study = studies.study()
    bundle = build(study)
    path = tmp_path / "model.safetensors"
    path.write_bytes(bundle.files["model.safetensors"])
    with safe_open(path, "numpy") as file:
        notes = file.metadata()
    assert notes["study"] == study.study
    assert notes["study_hash"] == study.digest()
    assert float(notes["epsilon"]) == pytest.approx(bundle.record.protection.epsilon, rel=1e-5)
    assert float(notes["delta"]) == study.privacy.delta.value
    loaded = load(bundle.files["model.safetensors"])
    for name, value in parameters(study).items():
        assert np.array_equal(loaded[name], value)


def test_the_record_survives_the_wire_and_names_every_file() -> None:
    bundle = build(studies.study())
    content = bundle.files["record.json"]
    assert read_json(ReleaseRecord, content, what="the record") == bundle.record
    assert bundle.record.run_id == RUN
    assert json.loads(content)["run"] == str(RUN)
    named = {file.name: file.sha256 for file in bundle.record.files}
    assert set(named) | {"record.json"} == set(bundle.files)
    for name, digest in named.items():
        assert hashlib.sha256(bundle.files[name]).hexdigest() == digest
    assert {file.name for file in bundle.summary.files} == set(bundle.files)


def test_the_cost_is_that_of_the_rounds_each_department_answered() -> None:
    study = studies.study(privacy={"departments_per_resident": 2})
    protection = build(study).record.protection
    by_name = {item.department: item for item in protection.departments}
    agreed, delta = plan(study), study.privacy.delta
    whole = accounting.merged(agreed.round_cost(first=True) + agreed.round_cost(first=False))
    assert by_name["school"].training == whole
    assert by_name["labour"].training == accounting.merged(agreed.round_cost(first=True))
    assert (by_name["school"].rounds, by_name["labour"].rounds) == (2, 1)
    assert by_name["labour"].evaluation is None
    one = max(accounting.epsilon(c, delta=delta) for c in (whole, agreed.evaluation_cost()))
    two = max(
        accounting.epsilon(c, delta=delta, copies=2) for c in (whole, agreed.evaluation_cost())
    )
    assert by_name["school"].epsilon == one
    assert protection.epsilon == two > one
    assert protection.epsilon <= study.privacy.epsilon.value == protection.epsilon_approved
    assert protection.departments_per_resident == 2


def test_a_whole_run_costs_no_more_than_was_approved() -> None:
    study = studies.study(privacy={"departments_per_resident": None, "spare_rounds": 0})
    everybody = [list(study.departments)] * study.training.rounds
    record = build(study, departments_by_round=everybody, evaluated_by=study.departments).record
    limit = study.privacy.epsilon.value
    assert 0.9 * limit < record.protection.epsilon <= limit
    assert record.protection.departments_per_resident == len(study.departments)


def test_without_protection_there_is_no_bound_and_the_card_says_so() -> None:
    bundle = build(studies.public_study())
    assert bundle.record.protection.epsilon is None
    assert all(item.epsilon is None for item in bundle.record.protection.departments)
    card = bundle.files["card.md"].decode()
    assert "No noise was added" in card
    assert "ε =" not in card
    assert read_json(ReleaseRecord, bundle.files["record.json"], what="x") == bundle.record


def test_the_card_says_what_people_must_know() -> None:
    study = studies.study()
    card = build(study).files["card.md"].decode()
    for text in (
        study.purpose.en,
        study.purpose.sv,
        study.legal_basis.provision,
        study.digest(),
        "0.810 (0.780 to 0.840)",
        "withheld: the noise is too large",
        "about 512 (480 to 540)",
        "times of 100",
        "1 in 100 000",
        "No decisions about individuals",
        "does not protect against conclusions about groups",
        study.contact,
        "GDPR article 21",
        "Modellen får inte användas för beslut om enskilda",
    ):
        assert text in card
    for department in study.departments:
        assert department in card
    for column in study.columns:
        assert f"`{column.name}`" in card


def test_the_sentences_promise_no_more_departments_than_were_counted() -> None:
    some = build(studies.study(privacy={"departments_per_resident": 2})).record.protection
    assert "in at most 2 of the study's departments" in some.in_words.en
    assert "i högst 2 av studiens förvaltningar" in some.in_words.sv
    whole = build(studies.study(privacy={"departments_per_resident": None})).record.protection
    assert "in all departments of the study" in whole.in_words.en


def test_the_card_of_a_run_without_evaluation_warns() -> None:
    bundle = build(studies.study(), metrics=None, evaluated_by=[])
    assert bundle.record.quality is None
    assert "Not evaluated" in bundle.files["card.md"].decode()


def test_texts_of_the_study_cannot_forge_sections_of_the_card() -> None:
    evil = studies.TEXT.__class__(sv="x", en="line\n## Protection of residents\n| a | b |")
    card = build(studies.study(purpose=evil)).files["card.md"].decode()
    assert card.count("\n## Protection of residents") == 1


def test_nothing_is_released_from_what_is_not_a_run_of_the_study() -> None:
    study = studies.study()
    with pytest.raises(RunFailedError):
        build(study, departments_by_round=[])
    with pytest.raises(RunFailedError):
        build(study, departments_by_round=[["school", "police"]])
    with pytest.raises(RunFailedError):
        build(study, evaluated_by=["school", "school"])
    wrong = parameters(study)
    wrong["0.bias"] = np.array([np.nan], dtype=np.float32)
    with pytest.raises(ProtocolViolationError):
        build(study, parameters=wrong)


def test_a_record_with_another_study_than_its_hash_is_refused() -> None:
    record = build(studies.study()).record
    mapping = json.loads(record.canonical())
    mapping["study"]["privacy"]["epsilon"] = 99
    with pytest.raises(InvalidDocumentError, match="study_hash"):
        documents.read(ReleaseRecord, mapping, what="the record")


def test_rounds_with_the_same_departments_are_kept_together() -> None:
    found = by_round([["b", "a"], ["a", "b"], ["a"], ["b", "a"]])
    assert found == (
        Answers(first=1, last=2, departments=("a", "b")),
        Answers(first=3, last=3, departments=("a",)),
        Answers(first=4, last=4, departments=("a", "b")),
    )


def test_a_thousand_rounds_fit_on_the_wire() -> None:
    study = studies.study(training={"rounds": 1000, "steps": 1}, privacy={"epsilon": Epsilon(8.0)})
    bundle = build(study, departments_by_round=[["care", "school"]] * 1000)
    assert len(bundle.files["record.json"]) < 20_000
    assert bundle.record.protection.epsilon <= 8.0


def test_the_same_run_gives_the_same_release() -> None:
    study = studies.study()
    assert build(study).files == build(study).files


def test_a_release_is_made_without_torch() -> None:
    code = "import sys; import coordinator.release; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_errors_name_no_more_than_the_department() -> None:
    with pytest.raises(DatalabbetError) as caught:
        build(studies.study(), evaluated_by=["police"])
    assert "outside its study" in caught.value.message
