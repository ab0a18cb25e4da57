"""Shapes, start and prediction; numpy and torch must agree."""

import numpy as np
import pytest
import torch

from models.errors import ProtocolViolationError
from models.families.network import (
    NetworkSpec,
    check,
    classes,
    initial,
    logits,
    probabilities,
    shapes,
)
from models.families.neural import build
from tests.support.studies import study

SPECS = [
    NetworkSpec(inputs=5, hidden=(), classes=2),
    NetworkSpec(inputs=5, hidden=(), classes=4),
    NetworkSpec(inputs=5, hidden=(7, 3), classes=2),
    NetworkSpec(inputs=5, hidden=(7,), classes=3),
]


def some_parameters(spec: NetworkSpec, seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {
        name: generator.normal(size=shape).astype(np.float32)
        for name, shape in shapes(spec).items()
    }


@pytest.mark.parametrize("spec", SPECS)
def test_numpy_predicts_what_torch_predicts(spec: NetworkSpec) -> None:
    parameters = some_parameters(spec)
    module = build(spec)
    assert {k: tuple(v.shape) for k, v in module.state_dict().items()} == shapes(spec)
    module.load_state_dict({name: torch.tensor(array) for name, array in parameters.items()})
    x = np.random.default_rng(1).normal(size=(50, 5)).astype(np.float32)
    with torch.no_grad():
        out = module(torch.tensor(x)).double()
    np.testing.assert_allclose(logits(parameters, x), out.numpy(), atol=1e-5)
    expected = torch.softmax(out, 1) if spec.classes > 2 else torch.sigmoid(out)
    got = probabilities(parameters, x)
    assert got.shape == (50, spec.classes)
    np.testing.assert_allclose(got[:, -1], expected[:, -1].numpy(), atol=1e-6)
    np.testing.assert_allclose(got.sum(axis=1), 1.0)


def test_the_order_of_the_names_does_not_matter() -> None:
    spec = SPECS[2]
    parameters = some_parameters(spec)
    x = np.ones((2, 5), dtype=np.float32)
    turned = dict(reversed(parameters.items()))
    check(spec, turned)
    assert (probabilities(turned, x) == probabilities(parameters, x)).all()


def test_probabilities_stay_finite_for_extreme_scores() -> None:
    x = np.array([[1e4], [-1e4]], dtype=np.float32)
    one = {"0.weight": np.array([[1e4]], np.float32), "0.bias": np.zeros(1, np.float32)}
    assert probabilities(one, x).tolist() == [[0, 1], [1, 0]]
    assert probabilities(one, x[:0]).shape == (0, 2)


def test_a_logistic_regression_starts_at_zero_and_a_network_does_not() -> None:
    logistic = study(model={"family": "logistic", "bins": 4})
    assert all((array == 0).all() for array in initial(logistic).values())
    network = study(model={"family": "mlp", "hidden": (6,)})
    start = initial(network)
    assert np.abs(start["0.weight"]).min() > 0
    assert len(np.unique(start["2.weight"])) == 6
    assert (start["0.bias"] == 0).all()


def test_the_start_follows_from_the_study_alone() -> None:
    network = study(model={"family": "mlp", "hidden": (6,)})
    other = study(model={"family": "mlp", "hidden": (6,)}, study="another-study")
    again = initial(network)
    assert all((array == again[name]).all() for name, array in initial(network).items())
    assert (initial(other)["0.weight"] != again["0.weight"]).any()


def test_the_network_of_a_study() -> None:
    given = study(model={"family": "mlp", "hidden": (6,), "bins": 4}, outcome="grade")
    spec = NetworkSpec.of(given)
    assert (spec, classes(given)) == (NetworkSpec(inputs=13, hidden=(6,), classes=3), 3)
    check(spec, initial(given))


def _changed(name: str, array: np.ndarray) -> dict[str, np.ndarray]:
    return {**some_parameters(SPECS[0]), name: array}


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        _changed("2.weight", np.zeros((1, 5), np.float32)),
        _changed("0.weight", np.zeros((5, 1), np.float32)),
        _changed("0.weight", np.zeros((1, 5), np.float64)),
        _changed("0.bias", np.array([np.nan], np.float32)),
        _changed("0.bias", np.array([np.inf], np.float32)),
    ],
)
def test_other_parameters_are_refused(parameters: dict[str, np.ndarray]) -> None:
    with pytest.raises(ProtocolViolationError):
        check(SPECS[0], parameters)
