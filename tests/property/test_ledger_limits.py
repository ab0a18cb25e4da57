"""The node's limits: what is spent never exceeds them, by another accountant's computation."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import dp_accounting
import pytest
from dp_accounting.pld import PLDAccountant
from hypothesis import given, settings
from hypothesis import strategies as some
from ledgers import Open

from models.errors import BudgetExhaustedError
from models.governance.cost import (
    Event,
    GaussianEvent,
    JointGaussianEvent,
    NonPrivateEvent,
    SampledGaussianEvent,
)
from models.ledger.limits import Limits
from models.quantities import Delta, Epsilon, NoiseMultiplier, SamplingRate
from node.ledger.ledger import Subject

DELTA = Delta(1e-6)
LIMITS = Limits(per_year=Epsilon(2.0), total=Epsilon(3.0), delta=DELTA)
EVENTS: tuple[Event, ...] = (
    GaussianEvent(noise=NoiseMultiplier(6.0)),
    SampledGaussianEvent(sampling=SamplingRate(0.1), noise=NoiseMultiplier(1.5), count=5),
    SampledGaussianEvent(sampling=SamplingRate(0.02), noise=NoiseMultiplier(1.0), count=20),
    JointGaussianEvent(
        sampling=SamplingRate(1.0), noise=NoiseMultiplier(18.0), departments=3, count=1
    ),
)
Charge = tuple[int, int, str, Event]


def independent(events: list[Event]) -> float:
    accountant = PLDAccountant(value_discretization_interval=2e-3)
    for event in events:
        if isinstance(event, GaussianEvent):
            accountant.compose(dp_accounting.GaussianDpEvent(event.noise.value))
        elif isinstance(event, JointGaussianEvent):
            jointly = event.noise.value / event.departments
            accountant.compose(dp_accounting.GaussianDpEvent(jointly), event.count)
        else:
            gaussian = dp_accounting.GaussianDpEvent(event.noise.value)
            sampled = dp_accounting.PoissonSampledDpEvent(event.sampling.value, gaussian)
            accountant.compose(sampled, event.count)
    return float(accountant.get_epsilon(DELTA.value)) if events else 0.0


def worst(charges: list[Charge]) -> float:
    """Give the ε of the resident who is in training of every study, or in evaluation of each."""
    studies = sorted({study for _, study, _, _ in charges})
    chosen: list[Event] = []
    for study in studies:
        parts = [
            [event for _, s, step, event in charges if s == study and (step == "evaluate") is last]
            for last in (False, True)
        ]
        # The ε of a part does not always tell which is worse beside other studies: then this is
        # below the worst, which is the side that a bound may be on.
        chosen += max(parts, key=independent)
    return independent(chosen)


@pytest.mark.timeout(600)
@settings(max_examples=4, deadline=None)
@given(
    some.lists(
        some.tuples(
            some.sampled_from([2025, 2026]),
            some.integers(0, 2),
            some.sampled_from(["train/1", "train/2", "evaluate"]),
            some.sampled_from(EVENTS),
        ),
        min_size=10,
        max_size=24,
    )
)
def test_what_is_spent_never_exceeds_the_limits(wanted: list[Charge]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        opened = Open(Path(folder), limits=LIMITS)
        taken: list[Charge] = []
        latest = 2025
        for year, study, step, event in wanted:
            opened.clock = datetime(year, 6, 1, tzinfo=UTC)
            try:
                opened.charge(0, event, study=f"{study:064x}", step=step)
            except BudgetExhaustedError:
                continue
            latest = max(latest, year)  # a clock that goes back opens no other year
            taken.append((latest, study, step, event))
        charged = sum(1 for _ in taken)
        with opened.ledger.book() as book:
            assert sum(book.studies.charges.values()) == charged
        opened.close()
    assert worst(taken) <= LIMITS.total.value * (1 + 1e-4)
    for year in (2025, 2026):
        of_year = [charge for charge in taken if charge[0] == year]
        assert worst(of_year) <= LIMITS.per_year.value * (1 + 1e-4)


def fill(opened: Open, event: Event, *, study: str = "a" * 64) -> int:
    """Charge until it is refused; give how often it went well."""
    for number in range(1, 500):
        try:
            opened.charge(number, event, study=study)
        except BudgetExhaustedError:
            return number - 1
    raise AssertionError("never refused")


@pytest.mark.parametrize("event", EVENTS)
def test_a_limit_is_used_up_to_its_end(tmp_path: Path, event: Event) -> None:
    """The charge that is refused would indeed have exceeded it: nothing is wasted."""
    opened = Open(tmp_path, limits=LIMITS)
    times = fill(opened, event)
    assert independent([event] * times) <= LIMITS.per_year.value * (1 + 1e-4)
    assert independent([event] * (times + 1)) > LIMITS.per_year.value * 0.995
    opened.close()


def test_a_refusal_tells_which_limit_and_what_is_left_and_charges_nothing(tmp_path: Path) -> None:
    opened = Open(tmp_path, limits=LIMITS)
    fill(opened, EVENTS[0])
    head = opened.head()
    with pytest.raises(BudgetExhaustedError, match=r"ε 2 in 2026 .* ε 1\.\d+ is spent, ε 0\.\d+"):
        opened.charge(400, EVENTS[0], study="b" * 64)
    assert opened.head() == head
    for year in (2027, 2028):  # a new year each, and what is left in all
        opened.clock = datetime(year, 1, 1, tzinfo=UTC)
        fill(opened, EVENTS[0], study="b" * 64)
    with pytest.raises(BudgetExhaustedError, match="ε 3 in all"):
        opened.charge(400, EVENTS[0])
    opened.close()


def test_populations_are_apart_and_public_data_has_none(tmp_path: Path) -> None:
    opened = Open(tmp_path, limits=LIMITS)
    fill(opened, EVENTS[0])
    employees = Subject(dataset="staff_survey", population="employees")
    opened.charge(400, EVENTS[0], about=employees)
    opened.charge(401, NonPrivateEvent(), about=Subject(dataset="open", population=None))
    with pytest.raises(BudgetExhaustedError):
        opened.charge(402, NonPrivateEvent(), about=employees)
    opened.close()


def test_limits_outlive_a_restart_and_their_change_is_an_entry(tmp_path: Path) -> None:
    opened = Open(tmp_path, limits=LIMITS)
    fill(opened, EVENTS[0])
    opened.close()
    again = Open(tmp_path, limits=LIMITS)
    with pytest.raises(BudgetExhaustedError):
        again.charge(400, EVENTS[0])
    again.close()
    raised = Limits(per_year=Epsilon(2.5), total=Epsilon(3.0), delta=DELTA)
    higher = Open(tmp_path, limits=raised)
    higher.charge(401, EVENTS[0])
    with higher.ledger.book() as book:
        assert book.limits == raised
    content = higher.export()
    assert content.count(b'"kind":"limits"') == 2
    higher.close()
