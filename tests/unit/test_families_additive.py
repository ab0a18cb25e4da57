"""The additive model's integers: the fast code against the slow and obvious one."""

import additive_oracle
import numpy as np
import pytest
import trainings
from trainings import SHAPE

from models.errors import DataContractError
from models.families import additive
from models.families.additive import Block
from models.families.encoding import Encoder
from models.families.network import logits
from models.quantities import ClipNorm
from models.schema import Bilingual, CategoryColumn, Missing, NumericColumn

TEXT = Bilingual(sv="-", en="-")
BOUND, BITS = ClipNorm(2.0), 18


def place(classes: int, *, size: float = 1.0, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Give weights (levels + 1, outputs) and scales."""
    generator = np.random.default_rng(seed)
    outputs = 1 if classes == 2 else classes
    weights = generator.normal(scale=size, size=(SHAPE.levels + 1, outputs))
    return weights, np.append(generator.uniform(1, 8, SHAPE.levels), 1.0)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("most_rows", [1, 5])
@pytest.mark.parametrize("bound", [0.05, 2.0, 1e4])
@pytest.mark.parametrize("bits", [10, 20])
def test_the_gradient_is_the_oracle_s_to_the_last_unit(classes, most_rows, bound, bits) -> None:
    codes, outcomes, owners = trainings.rows(60, most_rows=most_rows, classes=classes)
    weights, scales = place(classes)
    found = additive.gradient(
        trainings.block(60, most_rows=most_rows, classes=classes),
        weights,
        scales=scales,
        bound=ClipNorm(bound),
        bits=bits,
    )
    expected = additive_oracle.gradient(
        codes, outcomes, owners, weights=weights, scales=scales, bound=bound, bits=bits
    )
    assert found.dtype == np.int64
    assert found.tolist() == expected
    assert np.abs(found).max() > 0


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("most_rows", [1, 5])
def test_the_histogram_is_the_oracle_s_to_the_last_unit(classes, most_rows) -> None:
    codes, outcomes, owners = trainings.rows(60, most_rows=most_rows, classes=classes)
    bound = np.sqrt(SHAPE.columns + 1)
    found = additive.histogram(
        trainings.block(60, most_rows=most_rows, classes=classes), bound=ClipNorm(bound), bits=BITS
    )
    expected = additive_oracle.histogram(
        codes,
        outcomes,
        owners,
        levels=SHAPE.levels,
        classes=classes,
        bound=float(bound),
        bits=BITS,
    )
    assert found.tolist() == expected
    counts = found[: SHAPE.levels] * bound / 2**BITS
    assert counts.sum() == pytest.approx(60 * SHAPE.columns, abs=1e-3)


def test_the_unclipped_gradient_is_that_of_the_loss() -> None:
    codes, outcomes, _ = trainings.rows(200)
    weights, scales = place(2)
    dense = np.hstack([additive_oracle.one_hot(codes, SHAPE.levels), np.ones((200, 1))]) * scales

    def loss(position: np.ndarray) -> float:
        score = dense @ position
        return float(np.logaddexp(0, score).sum() - score[outcomes == 1].sum())

    position = weights[:, 0] / scales
    step = 1e-5 * np.eye(len(scales))
    slope = [(loss(position + one) - loss(position - one)) / 2e-5 for one in step]
    found = additive.gradient(
        trainings.block(200), weights, scales=scales, bound=ClipNorm(1e4), bits=20
    )
    assert found * 1e4 / 2**20 == pytest.approx(slope, abs=0.03)


def test_scores_are_those_of_the_released_model() -> None:
    block = trainings.block(50)
    weights, _ = place(2)
    parameters = {
        "0.weight": weights[:-1].T.astype(np.float32),
        "0.bias": weights[-1].astype(np.float32),
    }
    dense = additive_oracle.one_hot(block.codes[:-1], SHAPE.levels)
    assert additive.scores(block, weights) == pytest.approx(logits(parameters, dense), abs=1e-5)


@pytest.mark.parametrize("most_rows", [1, 4])
def test_what_one_resident_adds_does_not_depend_on_the_others(most_rows) -> None:
    # Weights that cancel make any difference in rounding visible, were there one.
    whole = trainings.block(97, most_rows=most_rows)
    weights, scales = place(2, size=1e9)
    weights[-1] = -weights[whole.codes[:-1, 0]].sum(axis=0)

    def units(block: Block) -> np.ndarray:
        return additive.gradient(block, weights, scales=scales, bound=ClipNorm(2.0), bits=20)

    parts = [whole.part(np.array([resident])) for resident in range(97)]
    alone = sum(units(part) for part in parts)
    assert np.abs(units(whole) - alone).max() <= 97 / 2  # each was rounded once, alone
    one, rest = np.array([5]), np.delete(np.arange(97), 5)
    moved = units(whole) - units(whole.part(rest)) - units(whole.part(one))
    assert np.abs(moved).max() <= 2


def test_a_part_holds_the_rows_of_the_chosen_residents() -> None:
    whole = trainings.block(30, most_rows=4)
    chosen = np.array([0, 7, 29])
    part = whole.part(chosen)
    rows = np.isin(whole.owners, chosen)
    assert part.residents == 3
    assert part.codes.tolist() == whole.codes[:, rows].tolist()
    assert part.outcomes.tolist() == whole.outcomes[rows].tolist()
    assert np.unique(part.owners).tolist() == [0, 1, 2]
    assert whole.part(np.arange(30)).codes.tolist() == whole.codes.tolist()


def test_an_empty_sample_adds_zero() -> None:
    weights, scales = place(2)
    empty = trainings.block(30).part(np.empty(0, dtype=np.int64))
    assert empty.residents == 0
    found = additive.gradient(empty, weights, scales=scales, bound=BOUND, bits=BITS)
    assert found.tolist() == [0] * SHAPE.weights
    assert additive.histogram(empty, bound=BOUND, bits=BITS).tolist() == [0] * SHAPE.counts


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 1e308, 1e-320])
def test_no_weights_or_scales_make_a_contribution_leave_the_ball(poison) -> None:
    whole = trainings.block(20)
    for target in (0, 1):
        weights, scales = place(2)
        (weights if target else scales)[3] = poison
        for resident in range(20):
            part = whole.part(np.array([resident]))
            found = additive.gradient(part, weights, scales=scales, bound=BOUND, bits=BITS)
            norm = np.linalg.norm(found.astype(float))
            assert norm <= 2**BITS + np.sqrt(found.size)


def test_codes_are_those_of_the_encoder() -> None:
    columns = (
        NumericColumn(name="age", type="integer", meaning=TEXT, minimum=0, maximum=100),
        CategoryColumn(
            name="kind", meaning=TEXT, categories=("a", "b"), missing=Missing(meaning=TEXT)
        ),
    )
    values = {"age": np.array([0.0, 100.0, 55.0]), "kind": np.array([1, -1, 0])}
    inputs = Encoder.of(columns, bins=4).encode(values)
    assert additive.codes(inputs, columns=2).tolist() == [[0, 3, 2], [5, 6, 4]]
    assert additive.codes(inputs[:0], columns=2).shape == (2, 0)
    for wrong in (inputs[:, 1:], inputs * [0, 1, 1, 1, 1, 1, 1]):
        with pytest.raises(DataContractError, match="one level per row and column"):
            additive.codes(wrong, columns=2)


def test_rows_with_the_right_number_of_levels_in_all_but_not_each_are_refused() -> None:
    with pytest.raises(DataContractError):
        additive.codes(np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]]), columns=2)


@pytest.mark.parametrize(
    "change",
    [
        {"owners": np.array([1, 1, 2])},
        {"owners": np.array([0, 2, 2])},
        {"owners": np.array([0, 1, 0])},
        {"owners": np.array([0, 1])},
        {"outcomes": np.array([0, 1, 2])},
        {"outcomes": np.array([0, -1, 1])},
        {"codes": np.array([[0, 1, 13], [4, 4, 4], [7, 7, 7]])},
        {"codes": np.array([[0, 1, -1], [4, 4, 4], [7, 7, 7]])},
        {"codes": np.array([[0, 1, 2], [4, 4, 4]])},
    ],
    ids=str,
)
def test_a_block_refuses_rows_that_do_not_fit(change) -> None:
    rows = {
        "codes": np.array([[0, 1, 2], [4, 4, 4], [7, 7, 7]]),
        "outcomes": np.array([0, 1, 1]),
        "owners": np.array([0, 0, 1]),
    }
    made = rows | change
    codes = made.pop("codes")
    with pytest.raises(DataContractError):
        Block.of(SHAPE, codes, **made)
