"""Ring elements, and the bound under which a sum does not wrap."""

import math

import numpy as np
import pytest

from models import documents
from models.errors import AccountingError, InvalidDocumentError, ProtocolViolationError
from models.secagg.rings import Ring, SumMayWrapError, SumPlan


def plan(**changes: int) -> SumPlan:
    fields = {"ring": 32, "length": 4, "largest": 10, "scale": 4} | changes
    return documents.read(SumPlan, fields, what="plan")


@pytest.mark.parametrize("ring", list(Ring))
def test_signed_numbers_come_back(ring: Ring) -> None:
    values = np.array([0, 1, -1, ring.largest, -ring.largest, -ring.largest - 1])
    assert ring.decode(ring.encode(values)).tolist() == values.tolist()


@pytest.mark.parametrize("ring", list(Ring))
def test_a_sum_beyond_the_largest_number_wraps(ring: Ring) -> None:
    words = ring.encode(np.array([ring.largest])) + ring.encode(np.array([1]))
    assert ring.decode(words).tolist() == [-ring.largest - 1]


@pytest.mark.parametrize("ring", list(Ring))
@pytest.mark.parametrize("order", ["<i8", ">i8"])
def test_words_in_the_place_of_their_values_are_the_same_words(ring: Ring, order: str) -> None:
    values = np.array([0, 1, -1, 258, ring.largest, -ring.largest - 1], dtype=order)
    expected = ring.encode(values)
    assert not np.shares_memory(expected, values)
    found = ring.encode(values, reuse=True)
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("ring", list(Ring))
def test_numbers_travel_alike_whatever_the_machine_order(ring: Ring) -> None:
    values = [1, -2, 2**30, 258]
    little, big = (np.array(values, dtype=order) for order in ("<i8", ">i8"))
    assert ring.write(ring.encode(little)) == ring.write(ring.encode(big))
    expected = b"".join(v.to_bytes(ring.octets, "little", signed=True) for v in values)
    assert ring.write(ring.encode(big)) == expected


@pytest.mark.parametrize("ring", list(Ring))
def test_elements_held_in_the_other_order_travel_alike(ring: Ring) -> None:
    words = ring.encode(np.array([1, 258, -7]))
    swapped = words.astype(words.dtype.newbyteorder(">"))
    assert ring.write(swapped) == ring.write(words)


def test_what_is_not_a_64_bit_integer_is_refused() -> None:
    for values in (np.array([1.5]), np.array([1], dtype=np.int32), np.array([1], dtype=np.uint64)):
        with pytest.raises(AccountingError, match="64-bit integers"):
            Ring.BITS_64.encode(values)
        with pytest.raises(AccountingError, match="64-bit integers"):
            plan(length=1).cut(values)


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_a_payload_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(ProtocolViolationError, match="length"):
        Ring.BITS_32.read(bytes(size), length=4)


def test_values_are_cut_to_the_bound_and_left_as_they_were() -> None:
    values = np.array([-(2**63), -11, 10, 2**62])
    assert plan().cut(values).tolist() == [-10, -10, 10, 10]
    assert values.tolist() == [-(2**63), -11, 10, 2**62]


def test_cutting_moves_no_two_sums_further_apart() -> None:
    generator = np.random.default_rng(1)
    one, other = generator.integers(-30, 30, size=(2, 1000, 4))
    for a, b in zip(one, other, strict=True):
        assert np.abs(plan().cut(a) - plan().cut(b)).max() <= np.abs(a - b).max()
        assert ((plan().cut(a) - plan().cut(b)) ** 2).sum() <= ((a - b) ** 2).sum()


@pytest.mark.parametrize(
    "changes",
    [
        {"ring": 16},
        {"length": 0},
        {"length": 2**24 + 1},
        {"largest": -1},
        {"largest": 2**53},
        {"scale": 0},
        {"scale": 2**25 + 1},
        {"unknown": 1},
    ],
    ids=str,
)
def test_plans_outside_their_limits_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(InvalidDocumentError):
        plan(**changes)


def exact_tail(*, scale: int, nodes: int, beyond: int) -> float:
    """P(|sum of discrete Gaussians| >= beyond), by adding up the exact distribution."""
    reach = 40 * scale
    one = np.array([math.exp(-(x**2) / (2 * scale**2)) for x in range(-reach, reach + 1)])
    one /= one.sum()
    total = one
    for _ in range(nodes - 1):
        total = np.convolve(total, one)
    middle = nodes * reach
    return float(total[: middle - beyond + 1].sum() + total[middle + beyond :].sum())


@pytest.mark.parametrize(("scale", "nodes"), [(1, 2), (2, 3), (4, 10), (8, 5)])
def test_noise_stays_inside_its_spread_but_for_2_to_the_minus_60(scale: int, nodes: int) -> None:
    for length in (1, 1000, 10**6):
        spread = plan(scale=scale, length=length).spread(nodes)
        assert length * exact_tail(scale=scale, nodes=nodes, beyond=spread) <= 2**-60
        # The bound is not idle: four fifths of it would not do.
        assert length * exact_tail(scale=scale, nodes=nodes, beyond=spread * 4 // 5) > 2**-60


def test_a_plan_that_may_wrap_is_refused() -> None:
    tight = plan(largest=(2**31 - 1 - plan().spread(3)) // 3)
    tight.check(3)
    with pytest.raises(SumMayWrapError, match="32 bits"):
        tight.check(4)
    documents.read(
        SumPlan, {"ring": 64, "length": 4, "largest": tight.largest, "scale": 4}, what="plan"
    ).check(4)


def test_a_plan_that_is_refused_would_have_wrapped() -> None:
    broken = plan(largest=2**31 - 1)
    values = broken.cut(np.full(4, 2**40))
    words = broken.ring.encode(values) + broken.ring.encode(values)
    assert broken.ring.decode(words).tolist() == [-2] * 4
    with pytest.raises(SumMayWrapError):
        broken.check(2)
