"""A steward's no, and the limits of a node, hold for work that is under way too."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from nodes import Bench, Department, parameters
from studies import IDENTITIES, study, summed_study

from models.errors import RefusedError
from models.governance.approval import Decision
from models.governance.study import Study
from models.privacy.plan import plan
from models.quantities import Delta
from node.gate.policy import Policy


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = Department(tmp_path)
    yield made
    made.close()


class Withdrawing(Bench):
    """The steward says no while it works."""

    def __init__(self, asked: Study, department: Department) -> None:
        super().__init__(plan(asked))
        self.asked_for, self.department = asked, department

    def train(self, **asked):
        released = super().train(**asked)
        refuse(self.department, self.asked_for)
        return released


def refuse(department: Department, asked: Study) -> None:
    department.approvals.store(asked, department.say(asked, Decision.REFUSED))


def test_an_answer_that_was_stored_before_the_no_does_not_leave(department: Department) -> None:
    department.approve(study())
    steps = department.steps(study(), lambda: Bench(plan(study())))
    asked = {"round_number": 1, "attempt": 1, "parameters": parameters(study())}
    assert steps.train(**asked)  # and again, as after a lost stream
    assert steps.train(**asked)
    refuse(department, study())
    with pytest.raises(RefusedError, match="was refused"):
        steps.train(**asked)


def test_a_no_during_the_work_holds_for_its_answer(department: Department) -> None:
    department.approve(study())
    steps = department.steps(study(), lambda: Withdrawing(study(), department))
    with pytest.raises(RefusedError, match="was refused"):
        steps.train(round_number=1, attempt=1, parameters=parameters(study()))


def test_keys_of_a_study_that_was_withdrawn_are_still_known(department: Department) -> None:
    department.approve(summed_study())
    refuse(department, summed_study())
    later = summed_study(retention_days=30)
    roster = later.signed_roster
    members = tuple(
        replace(member, identity="ab" * 32) if member.name == "care" else member
        for member in roster.members
    )
    changed = replace(later, roster=replace(roster, members=members))
    assert IDENTITIES["care"] != "ab" * 32
    assert any(
        "another identity key for care" in text for text in department.gate.objections(changed)
    )
    assert department.gate.objections(later) == ()


def test_a_delta_above_the_nodes_limit_is_refused(department: Department) -> None:
    asked = study(privacy={"delta": Delta(2e-4)})
    assert "a δ of 0.0002; this node allows at most 0.0001" in department.gate.objections(asked)[0]
    department.gate = department.gated(policy=Policy(per_study_delta=Delta(1e-3)))
    assert department.gate.objections(asked) == ()


def test_a_node_may_ask_how_many_departments_a_resident_is_reckoned_in(
    department: Department,
) -> None:
    assert department.gate.objections(study()) == ()
    department.gate = department.gated(policy=Policy(departments_per_resident=2))
    assert (
        "a resident in 1 of the departments; this node asks for 2"
        in (department.gate.objections(study())[0])
    )
    assert department.gate.objections(study(privacy={"departments_per_resident": 2})) == ()
    wider = department.gated(policy=Policy(departments_per_resident=9))
    assert wider.objections(study(privacy={"departments_per_resident": None})) == ()
