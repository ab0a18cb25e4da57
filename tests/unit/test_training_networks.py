"""Networks trained with secure sums: the same steps, on residents' rows."""

from dataclasses import replace

import numpy as np
import pytest
import trainings
from network_rows import People
from scripted import ScriptedEntropy
from sklearn.metrics import roc_auc_score

from models.errors import DataContractError, ProtocolViolationError, UsageError
from models.families import network, network_gradient
from models.families.adam import Adam
from models.families.network import NetworkSpec, check, logits, probabilities
from models.training import plan as plans
from models.training import steps
from models.training.plan import TrainingPlan

SPEC = trainings.NETWORK


@pytest.fixture(scope="module")
def plan() -> TrainingPlan:
    return plans.make(trainings.terms(shape=SPEC))


def test_a_step_clips_and_samples_as_the_plan_says() -> None:
    made = plans.make(trainings.terms(shape=SPEC, sampling=0.1))
    people = People.of(SPEC, [1, 2] * 500)
    asked = steps.question(made, steps.start(made, None))
    chosen = made.sample(1000, entropy=ScriptedEntropy("one"))
    assert 60 < chosen.size < 140
    expected = network_gradient.gradient(
        SPEC,
        asked,
        people.chunks(chosen, width=1),
        bound=made.recipe.clip,
        bits=made.gradient.bits,
    )
    found = steps.gradient(made, people, asked, entropy=ScriptedEntropy("one"))
    assert found.tolist() == expected.tolist()
    other = steps.gradient(made, people, asked, entropy=ScriptedEntropy("two"))
    assert found.tolist() != other.tolist()


def test_departments_give_what_the_pooled_records_give(plan) -> None:
    whole = People.of(SPEC, [1, 3] * 200)
    parts = [
        People(
            inputs=whole.inputs[rows],
            outcomes=whole.outcomes[rows],
            owners=whole.owners[rows] - whole.owners[rows].min(),
        )
        for rows in (whole.owners < 150, whole.owners >= 150)
    ]
    asked = steps.question(plan, steps.start(plan, None))
    pooled = steps.gradient(plan, whole, asked, entropy=ScriptedEntropy("all"))
    apart = sum(steps.gradient(plan, part, asked, entropy=ScriptedEntropy("all")) for part in parts)
    assert np.abs(pooled - apart).max() <= 1  # each rounds its sum once


def test_the_start_is_public_and_depends_on_the_terms_alone(plan) -> None:
    one, again = (steps.question(plan, steps.start(plan, None)) for _ in range(2))
    check(SPEC, one)
    assert {name: array.tobytes() for name, array in one.items()} == {
        name: array.tobytes() for name, array in again.items()
    }
    other = plans.make(trainings.terms(shape=SPEC, residents=5001))
    elsewhere = steps.question(other, steps.start(other, None))
    assert (one["0.weight"] != elsewhere["0.weight"]).all()
    plain = plans.make(trainings.terms(shape=replace(SPEC, hidden=())))
    asked = steps.question(plain, steps.start(plain, None))
    assert not any(array.any() for array in asked.values())


def slow_adam(start: np.ndarray, gradients: list[np.ndarray], *, rate: float) -> np.ndarray:
    """Adam as its authors have it, a cosine over it, the mean of the second half."""
    place, mean, square, seen = start, 0.0, 0.0, []
    for t, gradient in enumerate(gradients, start=1):
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.99 * square + 0.01 * gradient**2
        size = rate * 0.5 * (1 + np.cos(np.pi * (t - 1) / len(gradients)))
        place = place - size * (mean / (1 - 0.9**t)) / np.sqrt(square / (1 - 0.99**t))
        seen.append(place)
    return np.mean(seen[len(gradients) // 2 :], axis=0)


@pytest.mark.parametrize("count", [1, 2, 7, 8])
def test_the_descent_is_adam_with_a_cosine_and_the_average_of_its_second_half(count) -> None:
    generator = np.random.default_rng(count)
    begin = network.drawn(SPEC, seed=bytes(32))
    gradients = [generator.normal(size=SPEC.weights) for _ in range(count)]
    at = Adam.at(SPEC, begin)
    for gradient in gradients:
        at = at.after(gradient, steps=count, rate=0.3)
    expected = slow_adam(network.flat(SPEC, begin), gradients, rate=0.3)
    assert network.flat(SPEC, at.parameters(steps=count)) == pytest.approx(expected, rel=1e-5)


def test_a_coordinate_without_any_gradient_stays() -> None:
    at = Adam.at(SPEC, network.drawn(SPEC, seed=bytes(32)))
    after = at.after(np.zeros(SPEC.weights), steps=5, rate=0.3)
    assert after.position.tolist() == at.position.tolist()


def auc(found: dict[str, np.ndarray], spec: NetworkSpec) -> float:
    test = People.of(spec, [1] * 4000, seed=99)
    if spec.classes == 2:
        return float(roc_auc_score(test.outcomes, logits(found, test.inputs)[:, 0]))
    scores = probabilities(found, test.inputs)
    return float(roc_auc_score(test.outcomes == 0, scores[:, 0]))


@pytest.mark.parametrize("sampling", [1.0, 0.2])
def test_a_network_finds_a_bend_that_a_line_cannot(sampling) -> None:
    found = {}
    for hidden in ((16,), ()):
        spec = replace(SPEC, hidden=hidden)
        made = plans.make(
            trainings.terms(shape=spec, epsilon=8.0, residents=8000, sampling=sampling)
        )
        parts = [People.of(spec, [1] * 2000, seed=seed) for seed in range(4)]
        found[hidden] = auc(trainings.train(made, parts, entropy=ScriptedEntropy("network")), spec)
    assert found[(16,)] > 0.85
    assert found[(16,)] > found[()] + 0.05


def test_several_classes_and_several_rows() -> None:
    spec = replace(SPEC, classes=3)
    made = plans.make(trainings.terms(shape=spec, epsilon=8.0, residents=1600))
    parts = [People.of(spec, [1] * 350 + [3] * 50, seed=seed) for seed in range(4)]
    found = trainings.train(made, parts, entropy=ScriptedEntropy("network"))
    check(spec, found)
    assert auc(found, spec) > 0.62


@pytest.mark.parametrize("stop", [0, 7, 90])
def test_a_training_goes_on_from_a_checkpoint_to_the_last_bit(plan, stop) -> None:
    people = People.of(SPEC, [1] * 100)
    whole, again = (
        trainings.train(plan, [people], entropy=ScriptedEntropy("one"), stop=each)
        for each in (None, stop)
    )
    assert {name: array.tobytes() for name, array in whole.items()} == {
        name: array.tobytes() for name, array in again.items()
    }


def test_what_no_step_asks_is_refused(plan) -> None:
    people = People.of(SPEC, [1] * 10)
    at = steps.start(plan, None)
    asked = steps.question(plan, at)
    steps.check(plan, asked)
    assert steps.forms(plan) == {
        name: (str(array.dtype), array.shape) for name, array in asked.items()
    }
    weight = asked["0.weight"]
    wrong = [
        {"0.weight": weight},
        asked | {"more": weight},
        asked | {"0.weight": weight.astype(np.float64)},
        asked | {"0.weight": weight[:, 1:]},
        asked | {"0.weight": np.full_like(weight, np.nan)},
        asked | {"2.bias": np.full_like(asked["2.bias"], np.inf)},
    ]
    for arrays in wrong:
        with pytest.raises(ProtocolViolationError):
            steps.gradient(plan, people, arrays, entropy=ScriptedEntropy("no"))


def test_parts_of_another_family_are_refused(plan) -> None:
    block, people = trainings.block(10), People.of(SPEC, [1] * 10)
    with pytest.raises(UsageError):
        steps.histogram(plan, block)
    asked = steps.question(plan, steps.start(plan, None))
    with pytest.raises(DataContractError):
        steps.gradient(plan, block, asked, entropy=ScriptedEntropy("no"))
    with pytest.raises(ProtocolViolationError):
        steps.start(plan, np.zeros(5, dtype=np.int64))
    additive = plans.make(trainings.terms())
    first = steps.start(additive, np.zeros(additive.histogram.length, dtype=np.int64))
    with pytest.raises(DataContractError):
        steps.gradient(
            additive, people, steps.question(additive, first), entropy=ScriptedEntropy("no")
        )
    with pytest.raises(ProtocolViolationError):
        steps.restore(additive, steps.save(plan, steps.start(plan, None)))
