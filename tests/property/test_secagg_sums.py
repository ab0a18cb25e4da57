"""Sums are exact, and one message alone looks the same whatever its value is."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from secure_sums import City, department_names, noise, plan

from models.governance.roster import Mode
from models.secagg import coordinator, masks, node
from models.secagg.contexts import Context
from models.secagg.rings import Ring

DOUBT = 1e-6
"""A fair test of a right implementation fails this rarely."""

CITIES: dict[tuple[int, Mode], City] = {}


def city_of(size: int, mode: Mode) -> City:
    """Keys are agreed on once per size and mode; every example has a step of its own."""
    if (size, mode) not in CITIES:
        CITIES[size, mode] = City.of(department_names(size), mode, minimum=2)
    made = CITIES[size, mode]
    return City(made.roster, made.agreements, {name: type(u)() for name, u in made.used.items()})


@given(
    size=st.integers(2, 20),
    mode=st.sampled_from(list(Mode)),
    ring=st.sampled_from(list(Ring)),
    length=st.integers(1, 40),
    seed=st.integers(0, 2**32),
)
def test_the_sum_is_exact(size: int, mode: Mode, ring: Ring, length: int, seed: int) -> None:
    city = city_of(size, mode)
    generator = np.random.default_rng(seed)
    largest = int(generator.integers(0, 2**26 if ring is Ring.BITS_32 else 2**53))
    context = city.context(plan(length, ring=ring, largest=largest), step=f"train/{seed}")
    units = {n: generator.integers(-largest, largest + 1, size=length) for n in city.names}
    there = list(city.names)
    if mode is Mode.WITNESS:
        generator.shuffle(there)
        there = there[: int(generator.integers(2, size + 1))]
    found = city.total(context, [city.message(n, context, units[n]) for n in there])
    assert isinstance(found, coordinator.Total)
    exact = [0] * length
    for name in there:
        for place, (value, share) in enumerate(zip(units[name], noise(name, context), strict=True)):
            exact[place] += int(value) + int(share)
    assert found.values.tolist() == exact
    assert found.members == tuple(sorted(there))


@given(order=st.permutations(range(5)), mode=st.sampled_from(list(Mode)))
def test_the_order_of_arrival_does_not_matter(order: list[int], mode: Mode) -> None:
    city = city_of(5, mode)
    context = city.context(step="train/1")
    messages = [city.message(name, context, np.arange(5)) for name in city.names]
    found = city.total(context, [messages[place] for place in order])
    assert found.values.tolist() == city.total(context, messages).values.tolist()


def test_long_vectors_are_masked_block_by_block_without_losing_an_element() -> None:
    city = city_of(3, Mode.PAIRWISE)
    for ring, length in itertools.product(Ring, (16_383, 16_384, 32_768, 32_769, 100_001)):
        context = city.context(plan(length, ring=ring), step=f"long/{ring}/{length}")
        units = np.arange(length) % 1000
        found = city.total(context, [city.message(n, context, units) for n in city.names])
        shares = sum(noise(name, context) for name in city.names)
        assert np.array_equal(found.values, 3 * units + shares)


def test_a_hundred_nodes_complete_a_step() -> None:
    city = City.of(department_names(100))
    context = city.context(plan(100))
    units = np.arange(100)
    found = city.total(context, [city.message(name, context, units) for name in city.names])
    shares = sum(noise(name, context) for name in city.names)
    assert found.values.tolist() == (100 * units + shares).tolist()


def covered(city: City, context: Context, value: int, *, hide: bool = True) -> np.ndarray:
    """The bytes of one node's message; without `hide`, of its noisy value as it is."""
    units = np.full(context.plan.length, value)
    if hide:
        payload = city.message(city.names[1], context, units).payload
    else:
        ring = context.plan.ring
        payload = ring.write(ring.encode(units + noise(city.names[1], context)))
    return np.frombuffer(payload, dtype=np.uint8)


def p_uniform(counts: np.ndarray) -> float:
    return float(stats.chisquare(counts).pvalue)


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("ring", list(Ring))
def test_a_message_is_uniform_whatever_its_value(mode: Mode, ring: Ring) -> None:
    city = city_of(4, mode)
    shape = plan(2**16, ring=ring, largest=2**26)
    tables = []
    for value in (0, 2**26):
        context = city.context(shape, step=f"value/{value}")
        octets = covered(city, context, value)
        counts = np.bincount(octets, minlength=256)
        assert p_uniform(counts) > DOUBT
        for place in range(ring.octets):  # each byte of an element by itself
            part = np.bincount(octets[place :: ring.octets], minlength=256)
            assert p_uniform(part) > DOUBT
        pairs = np.bincount(octets[::2] // 16 * 16 + octets[1::2] // 16, minlength=256)
        assert p_uniform(pairs) > DOUBT
        tables.append(counts)
    assert stats.chi2_contingency(np.array(tables)).pvalue > DOUBT


def test_what_is_not_masked_is_found_out() -> None:
    city = city_of(4, Mode.PAIRWISE)
    tables = []
    for value in (0, 2**26):
        octets = covered(city, city.context(plan(2**16, largest=2**26)), value, hide=False)
        tables.append(np.bincount(octets, minlength=256))
        assert p_uniform(tables[-1]) < DOUBT
    used = np.array(tables)[:, np.sum(tables, axis=0) > 0]
    assert stats.chi2_contingency(used).pvalue < DOUBT


def test_over_many_steps_one_element_is_uniform_whatever_its_value() -> None:
    city = city_of(3, Mode.PAIRWISE)
    tables = []
    for value in (0, 999):
        contexts = (city.context(plan(1), step=f"many/{value}/{n}") for n in range(1000))
        octets = np.concatenate([covered(city, context, value) for context in contexts])
        tables.append(np.bincount(octets, minlength=256))
        assert p_uniform(tables[-1]) > DOUBT
    assert stats.chi2_contingency(np.array(tables)).pvalue > DOUBT


def test_messages_of_all_nodes_but_one_are_uniform_together() -> None:
    city = city_of(3, Mode.PAIRWISE)
    context = city.context(plan(2**16))
    one, two, three = (
        np.frombuffer(city.message(n, context, np.zeros(2**16, dtype=np.int64)).payload, np.uint8)
        for n in city.names
    )
    assert p_uniform(np.bincount(one // 16 * 16 + two // 16, minlength=256)) > DOUBT
    # All of them are not: their sum is small.
    total = (one[::8] + two[::8] + three[::8]).astype(np.uint8)
    assert p_uniform(np.bincount(total, minlength=256)) < DOUBT


def test_masks_of_two_contexts_and_two_pairs_are_unrelated() -> None:
    city = city_of(4, Mode.PAIRWISE)
    agreed = city.agreements[city.names[0]]
    keys = {
        masks.key(pair, context=city.context(step=f"train/{n}").digest())
        for pair in agreed.pairs
        for n in range(100)
    }
    assert len(keys) == 300
    one, two = (node.own_masks(agreed, context=c * 64) for c in "ab")
    words = [Ring.BITS_32.zeros(2**16) for _ in range(2)]
    for row, pads in zip(words, (one, two), strict=True):
        masks.apply(row, pads)
    difference = (words[0] - words[1]).view(np.uint8)
    assert p_uniform(np.bincount(difference, minlength=256)) > DOUBT
