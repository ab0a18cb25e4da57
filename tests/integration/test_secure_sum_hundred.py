"""A step of a hundred departments in one process: keys agreed on, values masked, the sum read."""

import numpy as np
import pytest
from secure_sums import City, department_names, noise, plan

from models.errors import ContextUsedError, RefusedError
from models.governance.roster import Mode
from models.secagg.coordinator import NewAttempt, Total
from models.secagg.rings import Ring

COUNT, LENGTH = 100, 1000


@pytest.fixture(scope="module")
def pairwise() -> City:
    return City.of(department_names(COUNT))


def units(generator: np.random.Generator) -> dict[str, np.ndarray]:
    return {name: generator.integers(-1000, 1001, LENGTH) for name in department_names(COUNT)}


def test_a_hundred_complete_a_step_in_pairs(pairwise: City) -> None:
    context, values = pairwise.context(plan(LENGTH)), units(np.random.default_rng(1))
    messages = [pairwise.message(name, context, values[name]) for name in pairwise.names]
    found = pairwise.total(context, messages)
    assert isinstance(found, Total)
    assert found.members == tuple(department_names(COUNT))
    plain = sum(values.values())
    drawn = sum(noise(name, context) for name in pairwise.names)
    assert np.array_equal(found.values, plain + drawn)
    assert not np.array_equal(found.values, plain)
    # All but one see nothing: what one message holds is not near its value.
    words = np.frombuffer(messages[0].payload, dtype="<i8")
    assert np.median(np.abs(words.astype(np.float64))) > 2.0**60


def test_without_one_of_the_hundred_there_is_no_sum(pairwise: City) -> None:
    context, values = pairwise.context(plan(LENGTH), attempt=2), units(np.random.default_rng(2))
    messages = [pairwise.message(name, context, values[name]) for name in pairwise.names[:-1]]
    found = pairwise.total(context, messages)
    assert isinstance(found, NewAttempt)
    assert found.missing == (pairwise.names[-1],)
    with pytest.raises(ContextUsedError):
        pairwise.message(pairwise.names[0], context, values[pairwise.names[0]])
    with pytest.raises(RefusedError):
        pairwise.message(pairwise.names[0], pairwise.context(plan(LENGTH), attempt=4), values)


def test_a_hundred_and_a_witness_do_without_some() -> None:
    city = City.of(department_names(COUNT), Mode.WITNESS, minimum=60)
    context = city.context(plan(LENGTH, ring=Ring.BITS_32))
    values, there = units(np.random.default_rng(3)), city.names[:70]
    found = city.total(context, [city.message(name, context, values[name]) for name in there])
    assert isinstance(found, Total)
    assert found.members == there
    expected = sum(values[name] + noise(name, context) for name in there)
    assert np.array_equal(found.values, expected)
