"""The noise of a linked study, and reading what was opened."""

import dataclasses
import math

import numpy as np
import pytest
from dp_accounting import dp_event
from dp_accounting.pld import PLDAccountant
from linked_studies import OPEN, PRIVATE, category, linked_study, own, school_study, table

from models.errors import ProtocolViolationError, UsageError
from models.governance.cost import NonPrivateEvent
from models.governance.questions import Match
from models.governance.study import Protection
from models.linkage import plan as plans
from models.linkage.plan import CARRIERS, SERVERS, plan
from models.linkage.tables import opened
from models.quantities import Epsilon
from models.secagg.rings import Ring


def independent(study, *, runs: int) -> float:
    """Give ε by the plain Gaussian mechanism of dp-accounting, from the integers alone."""
    noise = plan(study).noise
    sigma = math.sqrt(CARRIERS) * noise.scale / (noise.reach.value * 2**noise.bits)
    accountant = PLDAccountant()
    accountant.compose(dp_event.SelfComposedDpEvent(dp_event.GaussianDpEvent(sigma), runs))
    return float(accountant.get_epsilon(study.privacy.delta.value))


@pytest.mark.parametrize("runs", [1, 4])
def test_what_is_spent_is_an_independent_computation_and_never_below(runs: int) -> None:
    study = school_study(privacy=dataclasses.replace(PRIVATE, releases=runs))
    spent, other = plans.epsilon(study, runs=runs), independent(study, runs=runs)
    assert other <= spent <= min(1.01 * other, 1.0)


def test_less_noise_would_cost_too_much() -> None:
    study = school_study()
    made = plan(study).noise
    less = dataclasses.replace(made, scale=round(made.scale * 0.98))
    assert less.noise < made.noise
    accountant = PLDAccountant()
    accountant.compose(dp_event.GaussianDpEvent(less.noise.value))
    assert accountant.get_epsilon(1e-6) > 1.0


def test_a_cell_has_the_noise_of_three_shares() -> None:
    made = plan(school_study()).noise
    assert made.variance.value == pytest.approx(SERVERS * (made.scale / 2**made.bits) ** 2)


def test_more_tables_cost_more_noise() -> None:
    one = school_study()
    two = dataclasses.replace(
        one, questions=(*one.questions, table("again", "eligible", "assistance"))
    )
    assert plan(two).noise.variance > plan(one).noise.variance


def test_without_protection_there_is_no_noise_and_no_bound() -> None:
    study = school_study(privacy=OPEN)
    assert plan(study).noise.scale == 0
    assert plans.cost(study).events == (NonPrivateEvent(),)
    assert plans.epsilon(study, runs=1) is None


def test_many_residents_in_fine_units_take_the_larger_ring() -> None:
    little = dataclasses.replace(PRIVATE, epsilon=Epsilon(100.0))
    few, many = school_study(privacy=little), school_study(privacy=little, residents=20_000_000)
    assert (plan(few).ring, plan(many).ring) == (Ring.BITS_32, Ring.BITS_64)


def test_a_study_that_needs_too_much_memory_is_refused_with_the_figure() -> None:
    levels = [str(number) for number in range(45)]
    years = [str(number) for number in range(200)]
    cares = tuple(f"care_{number}" for number in range(200))
    study = linked_study(
        [
            (own("year", "one"), category("year", *years)),
            (own("out", "one"), category("out", *levels)),
            *[(own(name, "two"), category(name, *levels)) for name in cares],
        ],
        [
            dataclasses.replace(
                table("t", "out", "care"), match=Match(name="care", by="year", variables=cares)
            )
        ],
    )
    with pytest.raises(UsageError, match=r"needs 1,\d\d\d MiB of memory"):
        plan(study)


def test_too_many_cells_are_refused_with_the_figure() -> None:
    levels = [str(number) for number in range(490)]
    study = linked_study(
        [
            *[(own(f"v{i}", f"dep-{i}"), category(f"v{i}", *levels[:60])) for i in range(2)],
            (own("v2", "dep-2"), category("v2", *levels)),
        ],
        [table("t", "v0", "v1", "v2"), table("u", "v0", "v2", "v1")],
    )
    with pytest.raises(UsageError, match="3,528,000 cells"):
        plan(study)


def test_opened_units_are_counts_and_totals_in_quarters() -> None:
    study = school_study(privacy=OPEN)
    made = plan(study)
    units = np.arange(made.noise.length, dtype=np.int64) << made.noise.bits
    found = opened(study, units, residents=1000)
    [only] = found.tables
    np.testing.assert_array_equal(only.counts, np.arange(6).reshape(2, 3))
    assert [axis.variable for axis in only.axes] == ["eligible", "assistance"]
    assert (found.totals[0].unlinked, found.totals[1].protected) == (24.0, 36.0)


@pytest.mark.parametrize("value", [-(1 << 30), 1 << 30])
def test_numbers_that_cannot_be_counts_are_refused(value: int) -> None:
    study = school_study()
    units = np.zeros(plan(study).noise.length, dtype=np.int64)
    units[1] = value
    with pytest.raises(ProtocolViolationError, match="no counts"):
        opened(study, units, residents=1000)


def test_local_noise_is_no_protection_of_a_linked_study() -> None:
    with pytest.raises(ValueError, match="secure-sum, or none"):
        dataclasses.replace(PRIVATE, protection=Protection.LOCAL_NOISE)
