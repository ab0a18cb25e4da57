"""Every step passes the gate, is charged before it is done, and is answered once."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from nodes import RUN, Bench, Department, parameters
from studies import AGE, declaration, public_study, study

from models.errors import (
    AccountingError,
    BudgetExhaustedError,
    ProtocolViolationError,
    RefusedError,
)
from models.evaluation import histograms
from models.governance.approval import Decision
from models.governance.release import Release
from models.governance.step import StepKey
from models.ledger.limits import Limits
from models.privacy.plan import plan
from models.quantities import Delta, Epsilon, Share
from node.gate.policy import Policy
from node.gate.preview import preview
from node.gate.steps import Steps, request_digest


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = Department(tmp_path)
    yield made
    made.close()


@pytest.fixture
def bench() -> Bench:
    return Bench(plan(study()))


@pytest.fixture
def steps(department: Department, bench: Bench) -> Steps:
    department.approve(study())
    return department.steps(study(), lambda: bench)


def train(steps: Steps, number: int = 1, *, attempt: int = 1, shift: float = 0.0) -> float:
    values = steps.train(
        round_number=number, attempt=attempt, parameters=parameters(steps.study, shift=shift)
    )
    return float(values["weight"])


def key(number: int, *, attempt: int = 1) -> StepKey:
    return StepKey(study=study().digest(), run=RUN, step=f"train/{number}", attempt=attempt)


def test_a_step_gives_what_the_bench_released(steps: Steps) -> None:
    values = steps.train(round_number=1, attempt=1, parameters=parameters(study()))
    for name, array in parameters(study()).items():
        np.testing.assert_array_equal(values[name], array + 1)
        assert values[name].dtype == np.float32
    assert values["weight"] == 120.5


def test_a_repeated_step_is_answered_from_the_ledger(steps: Steps, bench: Bench) -> None:
    assert train(steps) == train(steps)
    assert bench.asked == ["train/1"]
    assert steps._ledger.spending(study().digest()).charges == 1


def test_a_step_is_answered_after_a_restart(
    department: Department, steps: Steps, bench: Bench
) -> None:
    train(steps)
    fresh = Bench(bench.plan)
    assert train(department.steps(study(), lambda: fresh)) == 120.5
    assert fresh.asked == []


def test_the_count_is_drawn_and_charged_in_the_first_round_alone(
    steps: Steps, bench: Bench
) -> None:
    for number in (1, 2, 3):
        train(steps, number)
    assert bench.weights == [None, 120.5, 120.5]
    spent = steps._ledger.spending(study().digest()).training
    kinds = [event.kind for event in spent.events]
    assert sorted(kinds) == ["gaussian", "sampled-gaussian"]


def test_the_charge_is_durable_before_the_records_are_opened(
    department: Department, bench: Bench
) -> None:
    department.approve(study())
    seen = []

    def opened() -> Bench:
        seen.append(department.ledger.spending(study().digest()).charges)
        return bench

    train(department.steps(study(), opened))
    assert seen == [1]


def test_a_crash_refunds_nothing_and_the_spare_round_is_all_there_is(
    steps: Steps, bench: Bench
) -> None:
    """Three rounds and one spare: after one crash all rounds pass, after two the last fails."""
    bench.fails = OSError("the disk is gone")
    with pytest.raises(OSError, match="disk"):
        train(steps)
    bench.fails = None
    for number in (1, 2, 3):
        train(steps, number)
    assert steps._ledger.spending(study().digest()).charges == 4
    with pytest.raises(BudgetExhaustedError, match="repeated"):
        train(steps, 3, attempt=2, shift=0.5)
    assert steps._ledger.spending(study().digest()).charges == 4
    assert bench.asked.count("train/3") == 1


def test_the_budget_covers_all_runs_of_a_study(department: Department, steps: Steps) -> None:
    for number in (1, 2, 3):
        train(steps, number)
    again = department.steps(study(), lambda: Bench(plan(study())), run=RUN + 1)
    train(again, 1)  # the spare round
    with pytest.raises(BudgetExhaustedError):
        train(again, 2)


def test_evaluation_is_charged_to_other_residents(steps: Steps, bench: Bench) -> None:
    for number in (1, 2, 3):
        train(steps, number)
    values = steps.evaluate(attempt=1, parameters=parameters(study(), shift=3))
    assert values["histogram"].shape == histograms.shape(2)
    spending = steps._ledger.spending(study().digest())
    assert spending.evaluation == bench.plan.evaluation_cost()
    steps.evaluate(attempt=2, parameters=parameters(study()))  # the spare one, after a crash
    with pytest.raises(BudgetExhaustedError):
        steps.evaluate(attempt=3, parameters=parameters(study()))


def test_other_parameters_under_the_same_attempt_are_refused(steps: Steps, bench: Bench) -> None:
    train(steps)
    with pytest.raises(ProtocolViolationError, match="other parameters"):
        train(steps, shift=0.5)
    assert bench.asked == ["train/1"]


def test_a_value_that_cost_something_else_is_not_answered(
    department: Department, bench: Bench
) -> None:
    class Cheap(Bench):
        def evaluate(self, *, parameters: dict[str, np.ndarray]) -> Release:
            release = super().evaluate(parameters=parameters)
            return replace(release, cost=self.plan.round_cost(first=False))

    department.approve(study())
    steps = department.steps(study(), lambda: Cheap(bench.plan))
    with pytest.raises(AccountingError, match="something else"):
        steps.evaluate(attempt=1, parameters=parameters(study()))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda p: {name: array * np.float32(np.nan) for name, array in p.items()},
        lambda p: {name: array + np.float32(np.inf) for name, array in p.items()},
        lambda p: {name: array.astype(np.float64) for name, array in p.items()},
        lambda p: {name: array[..., :-1] for name, array in p.items()},
        lambda p: {"other": next(iter(p.values()))},
        lambda p: {},
    ],
)
def test_garbage_from_the_coordinator_is_refused_and_costs_nothing(
    steps: Steps, bench: Bench, spoil: object
) -> None:
    with pytest.raises(ProtocolViolationError):
        steps.train(round_number=1, attempt=1, parameters=spoil(parameters(study())))
    assert bench.asked == []
    assert steps._ledger.spent(study().digest()) is None


def test_a_study_that_is_not_approved_is_refused(department: Department, bench: Bench) -> None:
    steps = department.steps(study(), lambda: bench)
    with pytest.raises(RefusedError, match="not approved"):
        train(steps)
    assert bench.asked == []
    assert department.ledger.spent(study().digest()) is None


def test_a_refusal_stops_a_run_that_goes_on(department: Department, steps: Steps) -> None:
    train(steps)
    department.approvals.store(study(), department.say(study(), Decision.REFUSED))
    with pytest.raises(RefusedError, match="was refused"):
        train(steps, 2)


def test_a_round_that_the_study_has_not_is_refused(steps: Steps, bench: Bench) -> None:
    with pytest.raises(ProtocolViolationError, match="3 rounds, not 4"):
        train(steps, 4)
    assert bench.asked == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "not declared at this node"),
        ({"pupils": declaration(columns=declaration().columns[1:])}, "column age is not declared"),
        (
            {
                "pupils": declaration(
                    columns=(replace(AGE, maximum=120), *declaration().columns[1:])
                )
            },
            "column age is declared otherwise",
        ),
    ],
)
def test_a_changed_declaration_is_refused(
    department: Department, steps: Steps, change: dict[str, object], said: str
) -> None:
    train(steps)
    department.declared = change
    with pytest.raises(RefusedError, match=said):
        train(steps, 2)


def test_other_words_about_a_column_change_nothing(department: Department, steps: Steps) -> None:
    reworded = replace(AGE, unit="years")
    columns = (reworded, *declaration().columns[1:])
    department.declared = {"pupils": declaration(columns=columns)}
    train(steps)


def test_no_noise_needs_public_data(department: Department) -> None:
    open_study = public_study()
    department.approve(open_study)
    bench = Bench(plan(open_study))
    steps = department.steps(open_study, lambda: bench)
    with pytest.raises(RefusedError, match="not declared public"):
        train(steps)
    department.declared = {"pupils": declaration(public=True)}
    train(steps)


def test_the_departments_own_minimum_cohort_holds(tmp_path: Path) -> None:
    strict = Department(tmp_path, policy=Policy(minimum_cohort=3))
    strict.approve(study())
    with pytest.raises(RefusedError, match="at least 3"):
        strict.gate.open(study().digest())
    strict.close()


def test_a_study_of_others_is_refused(department: Department) -> None:
    theirs = study(departments=("care", "labour"))
    assert department.gate.objections(theirs) == ("it does not name this department",)


def test_the_request_digest_tells_names_shapes_types_and_bytes_apart() -> None:
    base = np.arange(4, dtype=np.float32)
    requests = [
        {"a": base},
        {"b": base},
        {"a": base.reshape(2, 2)},
        {"a": base.view(np.int32)},
        {"a": base + 1},
        {"a": base[:2], "b": base[2:]},
    ]
    assert len({request_digest(item) for item in requests}) == len(requests)
    fortran = np.asfortranarray(base.reshape(2, 2))
    assert request_digest({"a": fortran}) == request_digest(requests[2])


def test_the_preview_says_all_that_is_approved() -> None:
    text = {point.about: point.text for point in preview(study())}
    assert text["hash"] == study().digest()
    assert "epsilon 2, delta 1e-05" in text["protection"]
    assert "at most 37 times of 100" in text["protection"]
    assert "clipped to" in text["protection"]
    assert "of the residents set aside" in text["method"]
    assert "learning rate" in text["method"]
    assert "noisy parameters" in text["what leaves"]
    assert "Skollagen" in text["legal basis"]
    assert all(name in text["variables"] for name in study().variables)
    assert "no noise" in {p.about: p.text for p in preview(public_study())}["protection"]


def test_the_preview_names_histograms_only_where_there_are_any() -> None:
    held = {p.about: p.text for p in preview(study())}["what leaves"]
    none = study(privacy={"holdout": Share(0.0)})
    assert "histograms" in held
    assert "histograms" not in {p.about: p.text for p in preview(none)}["what leaves"]


def test_a_study_that_asks_for_more_than_the_node_allows_is_refused(tmp_path: Path) -> None:
    strict = Department(tmp_path, policy=Policy(per_study=Epsilon(1.5)))
    assert "asks for an ε of 2" in " ".join(strict.gate.objections(study()))
    strict.declared = {"pupils": declaration(public=True)}  # nobody to protect
    assert strict.gate.objections(study()) == ()
    strict.close()


def test_the_limits_of_all_studies_stop_a_step_before_records_are_opened(
    tmp_path: Path, bench: Bench
) -> None:
    limits = Limits(per_year=Epsilon(0.5), total=Epsilon(16.0), delta=Delta(1e-6))
    strict = Department(tmp_path, limits=limits)
    strict.approve(study())
    steps = strict.steps(study(), lambda: bench)
    with pytest.raises(BudgetExhaustedError, match="in 2026"):
        train(steps)
    assert bench.asked == []
    assert strict.ledger.spent(study().digest()) is None
    strict.close()


def test_a_step_is_charged_to_the_population_of_its_dataset(tmp_path: Path, bench: Bench) -> None:
    policy = Policy(populations={"pupils": "children"})
    strict = Department(tmp_path, policy=policy)
    strict.approve(study())
    train(strict.steps(study(), lambda: bench))
    with strict.ledger.book() as book:
        assert {population for population, _ in book.accounts} == {"children"}
    strict.declared = {"pupils": declaration(public=True)}
    assert strict.gate.subject(study()).population is None
    strict.declared = {}
    with pytest.raises(RefusedError, match="not declared"):
        strict.gate.subject(study())
    strict.close()


def test_records_are_opened_anew_when_it_changes_whom_they_are_about(
    department: Department,
) -> None:
    """Records that were opened as private are never worked on for free."""
    department.approve(study())
    benches = []

    def opened() -> Bench:
        benches.append(Bench(plan(study())))
        return benches[-1]

    steps = department.steps(study(), opened)
    train(steps, 1)
    department.declared = {"pupils": declaration(public=True)}
    train(steps, 2)
    train(steps, 3)
    assert [bench.asked for bench in benches] == [["train/1"], ["train/2", "train/3"]]
    assert [bench.closed for bench in benches] == [True, False]


def test_a_declaration_that_changes_while_records_are_opened_stops_the_step(
    department: Department, bench: Bench
) -> None:
    department.approve(study())
    department.declared = {"pupils": declaration(public=True)}

    def opened() -> Bench:
        department.declared = {"pupils": declaration()}
        return bench

    with pytest.raises(RefusedError, match="while it was opened"):
        train(department.steps(study(), opened))
    assert bench.asked == []
    assert bench.closed
