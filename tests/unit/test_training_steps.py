"""Steps under a plan: what a node gives, and what follows from the totals."""

import math
from dataclasses import replace

import numpy as np
import pytest
import trainings
from scripted import ScriptedEntropy
from sklearn.metrics import roc_auc_score

from models.errors import DataContractError, ProtocolViolationError, UsageError
from models.evaluation import histograms, metrics
from models.families import additive
from models.families.chunks import Chunk
from models.families.momentum import Iterate, Start
from models.families.network import NetworkSpec, check, logits
from models.training import plan as plans
from models.training import steps
from models.training.plan import TrainingPlan

ENTROPY = ScriptedEntropy("steps")


@pytest.fixture(scope="module")
def plan() -> TrainingPlan:
    return plans.make(trainings.terms())


def test_the_histogram_starts_the_descent(plan) -> None:
    block = trainings.block(5000)
    units = steps.histogram(plan, block)
    begin = steps.start(plan, units).start
    counts = np.bincount(block.codes[:-1].ravel())
    assert begin.scales[:-1] == pytest.approx(np.sqrt(5000 / counts), rel=1e-4)
    assert begin.scales[-1] == 1.0
    share = block.outcomes.mean()
    assert begin.intercepts == pytest.approx([math.log(share / (1 - share))], rel=1e-3)


def test_the_intercepts_of_several_classes_are_their_log_shares() -> None:
    shape = replace(trainings.SHAPE, classes=3)
    block = trainings.block(5000, classes=3)
    made = plans.make(trainings.terms(shape=shape))
    begin = steps.start(made, steps.histogram(made, block)).start
    shares = np.bincount(block.outcomes) / 5000
    assert begin.intercepts == pytest.approx(np.log(shares), abs=1e-3)


def test_noise_cannot_make_a_start_that_is_not_finite() -> None:
    shape = trainings.SHAPE
    for counts in (np.full(shape.counts, -1e9), np.full(shape.counts, 1e9), np.zeros(shape.counts)):
        begin = Start.of(counts, shape=shape, residents=30.0, floor=69.0)
        assert np.isfinite(begin.scales).all()
        assert np.isfinite(begin.intercepts).all()
        assert (begin.scales >= 1).all()


def slow_descent(
    start: Start, gradients: list[np.ndarray], *, rate: float
) -> dict[str, np.ndarray]:
    """Momentum, cosine and average as a text book has them."""
    position = [0.0] * (len(start.scales) - 1) + [float(start.intercepts[0])]
    velocity, seen = [0.0] * len(position), []
    for step, gradient in enumerate(gradients):
        size = rate * 0.5 * (1 + math.cos(math.pi * step / len(gradients)))
        velocity = [0.9 * v + g for v, g in zip(velocity, gradient, strict=True)]
        position = [p - size * v for p, v in zip(position, velocity, strict=True)]
        seen.append(position)
    half = np.mean(seen[len(gradients) // 2 :], axis=0) * start.scales
    return {"0.weight": half[None, :-1], "0.bias": half[-1:]}


@pytest.mark.parametrize("count", [1, 2, 7, 8])
def test_the_descent_is_momentum_with_a_cosine_and_the_average_of_its_second_half(count) -> None:
    generator = np.random.default_rng(count)
    shape = trainings.SHAPE
    counts = generator.uniform(100, 900, shape.counts)
    start = Start.of(counts, shape=shape, residents=1000.0, floor=20.0)
    gradients = [generator.normal(size=shape.weights) for _ in range(count)]
    at = Iterate.at(start)
    for gradient in gradients:
        at = at.after(gradient, steps=count, rate=0.3)
    expected = slow_descent(start, gradients, rate=0.3)
    found = at.parameters(steps=count)
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=1e-5)
        assert found[name].shape == values.shape


@pytest.mark.parametrize(("classes", "sampling"), [(2, 1.0), (3, 1.0), (2, 0.25)])
def test_training_over_departments_finds_what_there_is(classes, sampling) -> None:
    shape = replace(trainings.SHAPE, classes=classes)
    made = plans.make(trainings.terms(shape=shape, epsilon=4.0, sampling=sampling))
    blocks = [trainings.block(1250, classes=classes, seed=seed) for seed in range(4)]
    found = trainings.train(made, blocks, entropy=ENTROPY)
    check(NetworkSpec(inputs=shape.levels, hidden=(), classes=classes), found)
    test = trainings.block(4000, classes=classes, seed=9)
    inputs = np.zeros((4000, shape.levels))
    inputs[np.arange(4000), test.codes[:-1]] = 1.0
    scores = logits(found, inputs)
    best = 0.76 if classes == 2 else 0.7
    truth = test.outcomes if classes == 2 else test.outcomes == 1
    assert roc_auc_score(truth, scores[:, -1 if classes == 2 else 1]) > best


def test_departments_give_what_the_pooled_records_give(plan) -> None:
    codes, outcomes, owners = trainings.rows(400)
    halves = [owners < 150, owners >= 150]
    parts = [
        additive.Block.of(
            trainings.SHAPE,
            codes[:, rows],
            outcomes=outcomes[rows],
            owners=owners[rows] - owners[rows].min(),
        )
        for rows in halves
    ]
    whole = trainings.block(400)
    asked = steps.question(plan, steps.start(plan, steps.histogram(plan, whole)))
    pooled = steps.gradient(plan, whole, asked, entropy=ENTROPY)
    apart = sum(steps.gradient(plan, part, asked, entropy=ENTROPY) for part in parts)
    assert np.abs(pooled - apart).max() <= 1  # each rounds its sum once


def test_a_step_clips_and_samples_as_the_plan_says() -> None:
    made = plans.make(trainings.terms(sampling=0.1))
    block = trainings.block(5000)
    at = steps.start(made, steps.histogram(made, block))
    asked = steps.question(made, at)
    chosen = made.sample(5000, entropy=ScriptedEntropy("one"))
    expected = additive.gradient(
        block.part(chosen),
        at.weights,
        scales=at.start.scales,
        bound=made.recipe.clip,
        bits=made.gradient.bits,
    )
    found = steps.gradient(made, block, asked, entropy=ScriptedEntropy("one"))
    assert found.tolist() == expected.tolist()
    other = steps.gradient(made, block, asked, entropy=ScriptedEntropy("two"))
    assert found.tolist() != other.tolist()


def test_records_of_another_model_are_refused(plan) -> None:
    block = trainings.block(50, classes=3)
    with pytest.raises(DataContractError):
        steps.histogram(plan, block)
    at = steps.start(plan, steps.histogram(plan, trainings.block(50)))
    with pytest.raises(DataContractError):
        steps.gradient(plan, block, steps.question(plan, at), entropy=ENTROPY)


def test_totals_of_another_length_and_steps_out_of_turn_are_refused(plan) -> None:
    with pytest.raises(ProtocolViolationError):
        steps.start(plan, np.zeros(5, dtype=np.int64))
    at = steps.start(plan, np.zeros(plan.histogram.length, dtype=np.int64))
    with pytest.raises(ProtocolViolationError):
        steps.advanced(plan, at, np.zeros(5, dtype=np.int64))
    with pytest.raises(ProtocolViolationError, match="steps left"):
        steps.parameters(plan, at)
    for _ in range(plan.recipe.steps):
        at = steps.advanced(plan, at, np.zeros(plan.gradient.length, dtype=np.int64))
    with pytest.raises(ProtocolViolationError, match="all its steps"):
        steps.advanced(plan, at, np.zeros(plan.gradient.length, dtype=np.int64))
    with pytest.raises(ProtocolViolationError, match="all its steps"):
        steps.question(plan, at)
    with pytest.raises(ProtocolViolationError, match="histogram"):
        steps.start(plan, None)


def test_a_node_refuses_what_no_step_asks(plan) -> None:
    block = trainings.block(50)
    asked = steps.question(plan, steps.start(plan, steps.histogram(plan, block)))
    steps.check(plan, asked)
    forms = {name: (str(array.dtype), array.shape) for name, array in asked.items()}
    assert forms == steps.forms(plan)
    weights = asked["weights"]
    wrong = [
        {"weights": weights},
        asked | {"more": weights},
        asked | {"weights": weights.astype(np.float32)},
        asked | {"weights": weights[1:]},
        asked | {"scales": np.full_like(asked["scales"], np.nan)},
        asked | {"weights": np.full_like(weights, np.inf)},
    ]
    for arrays in wrong:
        with pytest.raises(ProtocolViolationError):
            steps.check(plan, arrays)
        with pytest.raises(ProtocolViolationError):
            steps.gradient(plan, block, arrays, entropy=ENTROPY)


@pytest.mark.parametrize("stop", [0, 7, 40])
def test_a_training_goes_on_from_a_checkpoint_to_the_last_bit(plan, stop) -> None:
    block = trainings.block(500)
    whole = trainings.train(plan, [block], entropy=ScriptedEntropy("one"))
    again = trainings.train(plan, [block], entropy=ScriptedEntropy("one"), stop=stop)
    assert {name: array.tobytes() for name, array in whole.items()} == {
        name: array.tobytes() for name, array in again.items()
    }


def test_a_checkpoint_of_another_training_is_refused(plan) -> None:
    at = steps.start(plan, np.zeros(plan.histogram.length, dtype=np.int64))
    saved = steps.save(plan, at)
    other = plans.make(trainings.terms(shape=replace(trainings.SHAPE, levels=14)))
    with pytest.raises(ProtocolViolationError):
        steps.restore(other, saved)
    for step in (-1, plan.recipe.steps + 1):
        with pytest.raises(ProtocolViolationError):
            steps.restore(plan, saved | {"step": np.array(step)})


@pytest.mark.parametrize("classes", [2, 3])
def test_the_evaluation_goes_through_the_same_kind_of_sum(classes) -> None:
    shape = replace(trainings.SHAPE, classes=classes)
    made = plans.make(trainings.terms(shape=shape, epsilon=2.0, holdout=0.3))
    block = trainings.block(3000, classes=classes)
    chances = np.random.default_rng(1).dirichlet(np.ones(classes), size=3000)
    chunk = Chunk(
        inputs=np.zeros((3000, 1), dtype=np.float32),
        outcomes=block.outcomes,
        owners=block.owners,
        shares=np.ones(3000),
        complete=True,
    )
    rows = histograms.contributions(chances, chunk=chunk)
    units = steps.evaluation(made, rows)
    plain, variance = steps.evaluated(made, units)
    assert plain == pytest.approx(rows.sum(axis=0).reshape(plain.shape), abs=0.01)
    total = trainings.total(made.evaluation, [units, 0 * units, 0 * units], entropy=ENTROPY)
    noisy, variance = steps.evaluated(made, total)
    found = metrics.evaluate(
        histogram=noisy, noise_variance=variance, classes=classes, seed=bytes(32)
    )
    assert found.residents.low <= 3000 <= found.residents.high


def test_without_held_out_residents_there_is_no_evaluation(plan) -> None:
    rows = np.zeros((3, 128))
    with pytest.raises(UsageError):
        steps.evaluation(plan, rows)
    with pytest.raises(UsageError):
        steps.evaluated(plan, np.zeros(128, dtype=np.int64))
    made = plans.make(trainings.terms(holdout=0.3))
    with pytest.raises(DataContractError):
        steps.evaluation(made, rows[:, 1:])
