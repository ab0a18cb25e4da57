"""Clipped gradients of networks: right, exact, and bounded whatever is asked."""

from itertools import pairwise

import numpy as np
import pytest
from network_rows import People, clipped, contribution

from models.errors import AccountingError, DataContractError
from models.families import chunks as pieces
from models.families.network import NetworkSpec, shapes
from models.families.network_gradient import gradient, grains, row_width
from models.families.whole import multiplied, whole
from models.quantities import ClipNorm

SPECS = [
    NetworkSpec(inputs=4, hidden=(), classes=2),
    NetworkSpec(inputs=4, hidden=(), classes=3),
    NetworkSpec(inputs=4, hidden=(5,), classes=2),
    NetworkSpec(inputs=4, hidden=(5, 3), classes=4),
]
BOUND = ClipNorm(0.6)
BITS = 20
GRAIN = BOUND.value / 2 ** (BITS + 12)
COUNTS = [1, 3, 1, 1, 2, 7, 1, 16, 1, 17]


def some(spec: NetworkSpec, *, seed: int = 0, size: float = 1.0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {
        name: (size * generator.normal(size=shape)).astype(np.float32)
        for name, shape in shapes(spec).items()
    }


def exact(spec: NetworkSpec, parameters: dict, chunks, *, bits: int = BITS) -> np.ndarray:
    return grains(spec, parameters, chunks, bound=BOUND, bits=bits)


def norm(units: np.ndarray) -> int:
    """Give the squared norm, in Python's integers."""
    return sum(int(v) ** 2 for v in units)


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("size", [0.1, 1.0, 5.0])
def test_the_sum_is_that_of_the_clipped_means_of_row_gradients(spec, size) -> None:
    people = People.of(spec, COUNTS)
    parameters = some(spec, size=size)
    slow = [
        clipped(contribution(spec, parameters, people, resident), BOUND.value)
        for resident in range(people.residents)
    ]
    found = exact(spec, parameters, people.everyone()) * GRAIN
    assert found == pytest.approx(np.sum(slow, axis=0), abs=1e-3 * BOUND.value)
    units = gradient(spec, parameters, people.everyone(), bound=BOUND, bits=BITS)
    assert units * GRAIN * 4096 == pytest.approx(found, abs=BOUND.value * 2.0**-BITS)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_what_a_resident_adds_does_not_depend_on_who_else_is_there(spec, monkeypatch) -> None:
    people = People.of(spec, COUNTS * 2)
    parameters = some(spec, size=2.0)
    alone = [exact(spec, parameters, people.only(resident)) for resident in range(people.residents)]
    together = exact(spec, parameters, people.everyone())
    assert together.tolist() == sum(alone).tolist()
    assert (
        exact(spec, parameters, people.only(1, 4, 7)).tolist()
        == sum(alone[resident] for resident in (1, 4, 7)).tolist()
    )
    for numbers in (5, 8):  # residents are cut: whoever else is there, in the same places
        monkeypatch.setattr(pieces, "_NUMBERS", numbers)
        cut = [exact(spec, parameters, people.only(each)) for each in range(people.residents)]
        assert exact(spec, parameters, people.everyone()).tolist() == sum(cut).tolist()
        assert np.abs(sum(cut) - together).max() * GRAIN < 1e-3 * BOUND.value


def test_a_library_s_product_would_depend_on_the_others() -> None:
    generator = np.random.default_rng(5)
    rows, weight = generator.normal(size=(1000, 700)), generator.normal(size=(33, 700))
    rows[:, 1:] *= 1e8 * generator.normal(size=699)

    def differ(product) -> int:
        whole_lot = product(rows, weight)
        return sum(
            product(rows[:size], weight).tobytes() != whole_lot[:size].tobytes()
            for size in (1, 2, 3, 5, 7, 11, 13, 97)
        )

    assert differ(lambda x, w: x @ w.T) > 0
    assert differ(multiplied) == 0


@pytest.mark.parametrize("inner", [1, 2, 3, 64, 1000, 4097])
def test_products_of_rows_are_exact_and_close(inner) -> None:
    generator = np.random.default_rng(inner)
    values, weight = generator.normal(size=(20, inner)), generator.normal(size=(3, inner))
    expected = values @ weight.T
    largest = np.abs(values).max(axis=1, keepdims=True) * np.abs(weight).max() * inner
    assert (np.abs(multiplied(values, weight) - expected) <= largest * 2.0**-18).all()
    bits = (53 - inner.bit_length()) // 2
    rows, _ = whole(values, bits=bits)
    turned, _ = whole(weight, bits=bits, together=True)
    by_integers = [
        [sum(int(a) * int(b) for a, b in zip(row, other, strict=True)) for other in turned]
        for row in rows
    ]
    assert (rows @ turned.T).tolist() == by_integers
    assert (
        max(abs(int(v)) for v in rows.ravel()) * max(abs(int(v)) for v in turned.ravel()) * (inner)
        <= 2**53
    )


HOSTILE = {
    "huge": 1e38,
    "tiny": 1e-38,
    "subnormal": 1e-44,
    "infinite": np.inf,
    "not a number": np.nan,
    "minus infinite": -np.inf,
}


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("bits", [10, 20])
def test_nobody_adds_more_than_the_bound_whatever_is_asked(spec, value, bits) -> None:
    people = People.of(spec, [1, 3, 1, 17])
    generator = np.random.default_rng(3)
    for name in shapes(spec):
        for spread in (True, False):
            parameters = some(spec, size=3.0)
            array = parameters[name]
            where = generator.random(array.shape) < (1.0 if spread else 0.4)
            parameters[name] = np.where(where, np.float32(value), array)
            alone = [
                exact(spec, parameters, people.only(each), bits=bits)
                for each in range(people.residents)
            ]
            assert max(norm(each) for each in alone) <= 4 ** (bits + 12)
            together = exact(spec, parameters, people.everyone(), bits=bits)
            assert together.tolist() == sum(alone).tolist()


def test_the_bound_is_used_and_would_be_broken_without_the_clip() -> None:
    spec = SPECS[2]
    people, parameters = People.of(spec, COUNTS), some(spec, size=5.0)
    vectors = [contribution(spec, parameters, people, each) for each in range(people.residents)]
    norms = np.linalg.norm(vectors, axis=1)
    assert (norms > 2 * BOUND.value).any()
    assert (norms < BOUND.value).any()
    for resident, length in enumerate(norms):
        if length < BOUND.value / 100:  # then truncation of its slopes shows
            continue
        found = norm(exact(spec, parameters, people.only(resident)))
        ratio = np.sqrt(found) * GRAIN / min(length, BOUND.value)
        assert ratio == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_a_resident_whose_inputs_are_no_numbers_adds_little_and_disturbs_nobody(value) -> None:
    spec = SPECS[2]
    people = People.of(spec, COUNTS)
    parameters = some(spec)
    expected = exact(spec, parameters, people.everyone())
    for resident in (0, 1):
        strange = people.inputs.copy()
        strange[np.flatnonzero(people.owners == resident)[-1], 2] = value
        other = People(inputs=strange, outcomes=people.outcomes, owners=people.owners)
        found = exact(spec, parameters, other.everyone())
        mine = exact(spec, parameters, people.only(resident))
        changed = exact(spec, parameters, other.only(resident))
        assert (found - expected).tolist() == (changed - mine).tolist()
        assert norm(changed) == 0 or np.isfinite(value)


def test_rows_that_cancel_keep_the_bound_and_count_little() -> None:
    spec = SPECS[2]
    parameters = some(spec, size=3.0)
    one = People.of(spec, [1] * 40, seed=7)
    doubled = [np.repeat(each, 2, axis=0) for each in (one.inputs, one.outcomes, one.owners)]
    doubled[1][1::2] = 1 - doubled[1][1::2]  # the same person says yes and no
    people = People(inputs=doubled[0], outcomes=doubled[1], owners=doubled[2])
    for resident in range(people.residents):
        found = exact(spec, parameters, people.only(resident))
        assert norm(found) <= 4 ** (BITS + 12)
        plain = contribution(spec, parameters, people, resident)
        assert found * GRAIN == pytest.approx(clipped(plain, BOUND.value), abs=0.01 * BOUND.value)
    for change in (0.0, 1e-6, 1e-3):  # nearly nothing is left, of two large gradients
        inputs = people.inputs.copy()
        inputs[1::2] += np.float32(change)
        slightly = People(inputs=inputs, outcomes=people.outcomes, owners=people.owners)
        alone = [exact(spec, parameters, slightly.only(each)) for each in range(40)]
        assert max(norm(each) for each in alone) <= 4 ** (BITS + 12)
        assert exact(spec, parameters, slightly.everyone()).tolist() == sum(alone).tolist()


def test_rows_of_another_model_are_refused() -> None:
    spec = SPECS[2]
    parameters = some(spec)
    for wrong in (NetworkSpec(inputs=3, hidden=(), classes=2), SPECS[1]):
        people = People.of(wrong, [1] * 20)
        with pytest.raises(DataContractError):
            exact(spec, parameters, people.everyone())


def test_more_rows_than_an_exact_product_takes_are_refused() -> None:
    spec = NetworkSpec(inputs=2, hidden=(), classes=2)
    people = People.of(spec, np.ones(2**17 + 1, dtype=np.int64))
    with pytest.raises(AccountingError):
        exact(spec, some(spec), people.everyone())
    assert exact(spec, some(spec), people.everyone(width=row_width(spec))).any()


def test_rows_that_are_no_numbers_are_marked_and_disturb_no_other() -> None:
    values = np.array([[1.0, -0.5], [np.nan, 1.0], [np.inf, 1.0], [1e-300, 0.0], [0.0, 0.0]])
    integers, units = whole(values, bits=12)
    assert integers.tolist() == [[4096, -2048], [0, 0], [0, 0], [0, 0], [0, 0]]
    assert np.isfinite(units[:, 0]).tolist() == [True, False, False, True, True]


def test_nobody_gives_zero() -> None:
    spec = SPECS[3]
    assert exact(spec, some(spec), iter(())).tolist() == [0] * spec.weights
    assert row_width(spec) >= sum(a + b for a, b in pairwise(spec.widths))
