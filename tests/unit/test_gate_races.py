"""Two workers on one step: every release is paid for, and one answer stands."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from nodes import Bench, Department, parameters
from studies import study

from models.governance.step import StepKey
from models.privacy.plan import plan
from node.gate.steps import Steps


class Noisy(Bench):
    """A bench whose every release differs, as real noise does."""

    drawn = 0
    meanwhile: Callable[[], object] | None = None

    def train(self, **asked: object) -> object:
        released = super().train(**asked)
        Noisy.drawn += 1
        for name, array in released.values.items():
            if name != "weight":
                np.add(array, np.float32(Noisy.drawn), out=array)
        if self.meanwhile is not None:
            self.meanwhile()
        return released


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = Department(tmp_path)
    made.approve(study())
    yield made
    made.close()


def first_round(steps: Steps) -> dict[str, list[float]]:
    values = steps.train(round_number=1, attempt=1, parameters=parameters(steps.study))
    return {name: values[name].tolist() for name in values}


def test_a_step_answered_by_another_worker_meanwhile_is_not_done_unpaid(
    department: Department, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run withdrawn and given again has two workers for a moment, the old one in its step."""
    old, new = Noisy(plan(study())), Noisy(plan(study()))
    one = department.steps(study(), lambda: old)
    other = department.steps(study(), lambda: new)
    answers = []
    admit = department.gate.admit

    def slow(step: StepKey, of: object) -> None:
        monkeypatch.setattr(department.gate, "admit", admit)
        answers.append(first_round(one))
        admit(step, of)

    monkeypatch.setattr(department.gate, "admit", slow)
    answers.append(first_round(other))
    assert new.asked == []
    assert answers[0] == answers[1]
    assert department.ledger.spending(study().digest()).charges == 1


def test_of_two_workers_who_both_paid_one_answer_stands(department: Department) -> None:
    old, new = Noisy(plan(study())), Noisy(plan(study()))
    one = department.steps(study(), lambda: old)
    other = department.steps(study(), lambda: new)
    answers = []
    new.meanwhile = lambda: answers.append(first_round(one))
    answers.append(first_round(other))
    assert department.ledger.spending(study().digest()).charges == 2
    assert answers[0] == answers[1]
