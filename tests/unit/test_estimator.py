"""The released model as a scikit-learn estimator."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import studies
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from coordinator import release
from coordinator.client import ReleasedClassifier
from models.errors import DataContractError, ProtocolViolationError, UsageError
from models.families import network
from models.families.encoding import Encoder
from models.governance.study import Study

FRAME = pd.DataFrame(
    {
        "area": ["north", None, "west", "south"],
        "income": [1.5, np.nan, -10.0, 10.0],
        "age": [0, 100, 40, 41],
        "unrelated": ["a", "b", "c", "d"],
    }
)
VALUES = {
    "age": np.array([0.0, 100.0, 40.0, 41.0]),
    "income": np.array([1.5, np.nan, -10.0, 10.0]),
    "area": np.array([0, -1, 2, 1]),
}


def export(folder: Path, study: Study) -> Path:
    generator = np.random.default_rng(3)
    shapes = network.shapes(network.NetworkSpec.of(study))
    bundle = release.build(
        study=study,
        run_id=77,
        parameters={k: generator.normal(size=s).astype(np.float32) for k, s in shapes.items()},
        metrics=None,
        departments_by_round=[["school", "care"]],
        evaluated_by=[],
        created_at=datetime(2026, 11, 22, tzinfo=UTC),
    )
    folder.mkdir()
    for name, content in bundle.files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return export(tmp_path / "release", studies.study())


@parametrize_with_checks([ReleasedClassifier()])
def test_it_keeps_the_rules_of_scikit_learn(estimator, check) -> None:
    check(estimator)


@pytest.mark.parametrize(
    "study",
    [studies.study(), studies.study(outcome="grade", model={"family": "logistic", "bins": 5})],
    ids=["two classes", "three classes, bins"],
)
def test_it_predicts_what_the_network_gives(tmp_path: Path, study: Study) -> None:
    model = ReleasedClassifier.from_release(export(tmp_path / "release", study))
    x = Encoder.of(study.inputs, bins=study.model.bins).encode(VALUES)
    expected = network.probabilities(model.parameters_, x)
    assert np.array_equal(model.predict_proba(FRAME), expected)
    assert list(model.classes_) == list(study.target.categories)
    assert list(model.predict(FRAME)) == [
        study.target.categories[place] for place in expected.argmax(axis=1)
    ]
    assert model.n_features_in_ == 3
    assert model.release_.study == study
    assert 0 <= model.score(FRAME, model.predict(FRAME)) <= 1


def test_values_may_come_in_the_types_that_files_give(folder: Path) -> None:
    model = ReleasedClassifier.from_release(folder)
    as_text = FRAME.astype(object).assign(
        age=["0", "100", "40", "41"], income=["1.5", "NA", "-10", "10.0"]
    )
    as_category = FRAME.assign(area=FRAME["area"].astype("category"))
    as_nullable = FRAME.convert_dtypes()
    expected = model.predict_proba(FRAME)
    for frame in (
        as_text,
        as_category,
        as_nullable,
        FRAME.assign(area=["north", "", "west", "south"]),
    ):
        assert np.array_equal(model.predict_proba(frame), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"area": "east"}, "column area: 4 of its values are none of its categories"),
        ({"area": 3.5}, "column area: 4 of its values are none of its categories"),
        ({"age": 101}, "column age: 4 of its values lie outside 0 to 100"),
        ({"age": np.inf}, "column age: 4 of its values lie outside"),
        ({"age": 40.5}, "column age: 4 of its values are not whole numbers"),
        ({"age": np.nan}, "column age: 4 of its values are missing"),
        ({"income": "secret-value"}, "column income holds values that are no numbers"),
    ],
)
def test_what_was_not_declared_is_refused_by_column(folder, change, message) -> None:
    model = ReleasedClassifier.from_release(folder)
    with pytest.raises(DataContractError, match=message) as caught:
        model.predict(FRAME.assign(**change))
    assert "secret-value" not in str(caught.value)
    assert "east" not in str(caught.value)


def test_an_absent_column_is_named(folder: Path) -> None:
    with pytest.raises(DataContractError, match="lacks the columns age"):
        ReleasedClassifier.from_release(folder).predict(FRAME.drop(columns="age"))


def test_numbers_outside_the_bounds_can_be_clamped(folder: Path) -> None:
    model = ReleasedClassifier.from_release(folder, out_of_bounds="clamp")
    high = model.predict_proba(FRAME.assign(age=1000, income=np.inf))
    assert np.array_equal(high, model.predict_proba(FRAME.assign(age=100, income=10.0)))


def test_a_released_model_wants_names(folder: Path) -> None:
    with pytest.raises(UsageError, match="data frame"):
        ReleasedClassifier.from_release(folder).predict(np.zeros((2, 3)))


def test_an_empty_frame_gives_nothing(folder: Path) -> None:
    model = ReleasedClassifier.from_release(folder)
    assert model.predict_proba(FRAME.iloc[:0]).shape == (0, 2)


def test_a_changed_model_file_is_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ProtocolViolationError, match=r"not the file that record\.json names"):
        ReleasedClassifier.from_release(folder)


def test_what_is_no_release_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UsageError, match="does not hold a release"):
        ReleasedClassifier.from_release(tmp_path / "nowhere")
    (folder / "record.json").write_text("{}")
    with pytest.raises(UsageError, match="not valid"):
        ReleasedClassifier.from_release(folder)


def test_fitting_leaves_the_release_behind(folder: Path) -> None:
    model = ReleasedClassifier.from_release(folder)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 4))
    y = np.where(x[:, 0] > 0, "yes", "no")
    model.fit(x, y)
    assert not hasattr(model, "release_")
    assert model.score(x, y) > 0.9
    fresh = clone(ReleasedClassifier.from_release(folder, out_of_bounds="clamp"))
    assert fresh.out_of_bounds == "clamp"
    assert not hasattr(fresh, "release_")


def test_the_plain_installation_is_enough(folder: Path) -> None:
    code = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {{"torch", "flwr", "sqlalchemy", "onnx", "opacus", "pyarrow"}}:
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Block())
import pandas as pd
from coordinator.client import Datalabbet, ReleasedClassifier
import coordinator.client.cli
frame = pd.DataFrame({{"age": [1], "income": [2.0], "area": ["north"]}})
print(ReleasedClassifier.from_release({str(folder)!r}).predict_proba(frame).shape)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(1, 2)"


def test_predicting_needs_no_network_libraries(folder: Path) -> None:
    code = f"""
import sys
from coordinator.client import ReleasedClassifier
ReleasedClassifier.from_release({str(folder)!r})
print(sorted(name for name in ("torch", "flwr", "dp_accounting") if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
