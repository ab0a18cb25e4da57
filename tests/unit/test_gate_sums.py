"""Secure sums at real nodes: what may be answered, once, after it was written down and charged."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fits import CLEARLY_WRONG, PLAUSIBLE, fits_variance
from nodes import NOW, RUN
from studies import KEYS, declaration, summed_study
from summers import City, plain

from models.errors import (
    BudgetExhaustedError,
    ContextUsedError,
    DatalabbetError,
    NotJoinedError,
    ProtocolViolationError,
    RefusedError,
    StorageError,
)
from models.families.network import initial
from models.governance.approval import Decision
from models.governance.release import Release
from models.governance.roster import Mode
from models.governance.study import Study
from models.quantities import Epsilon
from models.secagg.agreement import Offers
from models.secagg.coordinator import Total
from models.training import messages
from models.training.messages import EVALUATE, HISTOGRAM
from node.gate.policy import Policy

WITNESSED = {"mode": Mode.WITNESS, "witness": "auditor"}


@pytest.fixture(scope="module")
def study() -> Study:
    return summed_study()


@pytest.fixture
def city(study: Study, tmp_path: Path) -> Iterator[City]:
    made = City(tmp_path, study)
    made.join()
    yield made
    made.close()


def model(study: Study) -> dict[str, np.ndarray]:
    return initial(study)


def noise(city: City, step: str, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Give what a total holds besides the departments' own integers, in standard deviations."""
    found = city.total(step, city.ask(step, arrays), arrays)
    assert isinstance(found, Total)
    assert set(found.members) == set(city.study.departments)
    values = [plain(city.study, city[name].data, step, arrays) for name in city.study.departments]
    part = messages.part(city.plan, step)
    return (found.values - sum(values)) / part.scale


def test_the_sums_are_those_of_the_records_with_the_plans_noise(city: City) -> None:
    """Every step of a whole run against the oracle; noise of three nodes, no more and no less."""
    found = [noise(city, HISTOGRAM, {})]
    found += [noise(city, messages.train(n), city.point(fill=n / 10)) for n in range(1, 6)]
    found += [noise(city, EVALUATE, model(city.study))]
    together = np.concatenate(found)
    assert fits_variance(together, np.sqrt(3)) > PLAUSIBLE
    assert fits_variance(together, np.sqrt(2)) < CLEARLY_WRONG
    assert {node.charges for node in city.nodes.values()} == {7}


def test_a_witness_opens_the_sum_of_those_who_answered(tmp_path: Path) -> None:
    study = summed_study(secure_sum=WITNESSED, departments=("school", "care", "labour"))
    city = City(tmp_path, study)
    city.join()
    answers = city.ask(HISTOGRAM)
    found = city.total(HISTOGRAM, answers)
    assert isinstance(found, Total)
    values = [plain(study, city[name].data, HISTOGRAM, {}) for name in study.departments]
    spread = (found.values - sum(values)) / city.plan.histogram.scale
    assert np.abs(spread).max() < 12
    np.testing.assert_array_equal(city.total(HISTOGRAM, answers).values, found.values)
    city.close()


def test_the_charge_is_durable_before_the_records_are_opened(city: City) -> None:
    city.ask(HISTOGRAM)
    city.ask("train/1", city.point())
    assert [node.opened for node in city.nodes.values()] == [[1], [1], [1]]


def test_a_repeated_request_gets_the_same_bytes_from_memory(city: City) -> None:
    first, again = city.ask("train/1", city.point()), city.ask("train/1", city.point())
    for name in city.study.departments:
        assert first[name].words.tobytes() == again[name].words.tobytes()
        assert first[name].context == again[name].context
    assert {node.charges for node in city.nodes.values()} == {1}


def refused(city: City, error: type[Exception], step: str, *args: object, **named: object) -> None:
    """Ask every department; each refuses, nothing more is charged and nothing is opened."""
    before = {name: (node.charges, list(node.opened)) for name, node in city.nodes.items()}
    for name in city.study.departments:
        with pytest.raises(error):
            city.ask(step, *args, names=[name], **named)
    after = {name: (node.charges, list(node.opened)) for name, node in city.nodes.items()}
    assert after == before


def test_other_arrays_under_the_same_attempt_are_refused(city: City) -> None:
    """Two messages under the same masks would give away the difference of their values."""
    city.ask("train/1", city.point())
    refused(city, ContextUsedError, "train/1", city.point(fill=1.0))
    city.ask("train/1", city.point(fill=1.0), attempt=2)


def test_only_the_newest_answer_is_kept(city: City) -> None:
    city.ask("train/1", city.point())
    city.ask("train/2", city.point(fill=0.5))
    refused(city, ContextUsedError, "train/1", city.point())


def test_steps_may_be_asked_in_any_order_each_once(city: City) -> None:
    """The order is the coordinator's affair: every step is charged, whenever it comes."""
    city.ask("train/5", city.point())
    city.ask(HISTOGRAM)
    city.ask("train/2", city.point())
    assert city["school"].charges == 3
    refused(city, ContextUsedError, "train/5", city.point())


def test_a_step_that_the_plan_does_not_have_is_refused(city: City) -> None:
    last = city.plan.recipe.steps
    refused(city, ProtocolViolationError, messages.train(last + 1), city.point())
    city.ask(messages.train(last), city.point())


def test_an_attempt_that_the_roster_does_not_have_is_refused(city: City) -> None:
    most = city.study.signed_roster.attempts
    refused(city, RefusedError, "train/1", city.point(), attempt=most + 1)
    city.ask("train/1", city.point(), attempt=most)


def test_the_spare_attempts_are_all_there_is(tmp_path: Path) -> None:
    """The plan covers the steps and two more; the histogram may be asked for twice."""
    study = summed_study(secure_sum={"attempts": 9, "residents": 100})
    city = City(tmp_path, study)
    city.join()
    for attempt in (1, 2):
        city.ask(HISTOGRAM, attempt=attempt)
    refused(city, BudgetExhaustedError, HISTOGRAM, attempt=3)
    steps = city.plan.recipe.steps
    for attempt in (1, 2, 3):
        city.ask("train/1", city.point(), attempt=attempt)
    for number in range(2, steps + 1):
        city.ask(messages.train(number), city.point())
    refused(city, BudgetExhaustedError, "train/1", city.point(), attempt=4)
    city.ask(EVALUATE, model(study))
    city.close()


# --- keys ---


def test_without_keys_nothing_is_answered(study: Study, tmp_path: Path) -> None:
    city = City(tmp_path, study)
    refused(city, NotJoinedError, HISTOGRAM)
    city.join()
    city.ask(HISTOGRAM)
    city.close()


def test_the_offer_of_a_life_stays_the_same(city: City) -> None:
    offers = city.offers()
    city.join()
    city["care"].restart()
    again = city.offers()
    same = [a == b for a, b in zip(offers.offers, again.offers, strict=True)]
    assert same == [name != "care" for name in city.nodes]


def test_after_a_restart_a_used_attempt_is_refused_and_the_next_is_answered(city: City) -> None:
    """The memory of contexts outlives the program; the answer and the keys do not."""
    city.ask("train/1", city.point())
    city["care"].restart()
    with pytest.raises(NotJoinedError):
        city.ask("train/1", city.point(), names=["care"])
    city.join()
    refused(city, ContextUsedError, "train/1", city.point())
    found = city.total(
        "train/1", city.ask("train/1", city.point(), attempt=2), city.point(), attempt=2
    )
    assert isinstance(found, Total)
    assert city["care"].charges == 2


def test_a_lost_memory_of_contexts_is_found_in_the_ledger(city: City) -> None:
    """Who could take contexts away would get a second message: the signed ledger shows it."""
    import sqlite3

    city.ask("train/1", city.point())
    city["care"].close()
    with sqlite3.connect(city["care"].department.database) as connection:
        names = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'contexts'"
        ).fetchall()
        for (name,) in names:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("DELETE FROM contexts")
    connection.close()
    city["care"].life += 1
    city["care"].__post_init__()
    city.join()
    with pytest.raises(StorageError, match="charged"):
        city.ask("train/1", city.point(), names=["care"])


@pytest.mark.parametrize("spoil", ["absent", "double", "signature", "run", "study", "outsider"])
def test_offers_that_are_not_the_runs_change_nothing(
    city: City, tmp_path: Path, spoil: str
) -> None:
    mine, *others = city.offers().offers
    before = city["school"].joining.agreement
    if spoil == "absent":
        others = others[:1]
    elif spoil == "double":
        others = [*others, others[0]]
    elif spoil == "signature":
        others[0] = replace(others[0], signature=others[1].signature)
    elif spoil == "outsider":
        others[0] = replace(
            others[0], statement=replace(others[0].statement, member="x"), signature="A" * 86 + "=="
        )
    else:
        change = {"run": RUN + 1} if spoil == "run" else {"study": "0" * 64}
        others[0] = replace(others[0], statement=replace(others[0].statement, **change))
    with pytest.raises(RefusedError):
        city["school"].joining.join(Offers(offers=(mine, *others)))
    assert city["school"].joining.agreement is before
    assert city["school"].joining.join(city.offers()).cohort == before.cohort.digest()


def test_a_message_under_another_cohort_is_another_message(city: City) -> None:
    """When a member came back with another key, the answer in memory is not that of the run."""
    city.ask("train/1", city.point())
    city["labour"].restart()
    city.join()
    with pytest.raises(ContextUsedError):
        city.ask("train/1", city.point(), names=["school"])


@pytest.mark.parametrize("least", [3, 4])
def test_a_cohort_below_this_nodes_own_minimum_is_refused(tmp_path: Path, least: int) -> None:
    """Four departments agreed on three at least; a node that asks for four keeps to it."""
    study = summed_study(secure_sum=WITNESSED)
    city = City(tmp_path, study)
    school = city["school"]
    school.joining._gate = school.department.gated(policy=Policy(minimum_summed=least))
    if least > study.minimum_cohort:
        with pytest.raises(RefusedError, match="at least 4"):
            school.joining.offer()
    else:
        city.join()
    city.close()


# --- the gate ---


def test_a_stopped_node_answers_nothing_not_even_again(city: City) -> None:
    city.ask("train/1", city.point())
    for name in city.study.departments:
        city[name].department.switch.stop("a test", now=NOW)
    refused(city, RefusedError, "train/1", city.point())
    for name in city.study.departments:
        with pytest.raises(RefusedError):
            city[name].joining.offer()
        city[name].department.switch.resume()
    city.ask("train/1", city.point())


def test_a_withdrawn_approval_ends_the_answers(city: City) -> None:
    city.ask("train/1", city.point())
    for name in city.study.departments:
        department = city[name].department
        department.approvals.store(city.study, department.say(city.study, Decision.REFUSED))
    refused(city, RefusedError, "train/2", city.point())
    offers = [city[name].joining.offer for name in city.study.departments]
    for offer in offers:
        with pytest.raises(RefusedError):
            offer()


def test_a_study_that_was_not_approved_gets_no_key(city: City) -> None:
    other = replace(city.study, study="pupils-else")
    city["school"].study = other
    city["school"].start()
    with pytest.raises(RefusedError, match="not approved"):
        city["school"].joining.offer()


def test_charges_go_to_whom_the_records_were_declared_to_be_about(city: City) -> None:
    """The declaration is changed while the records are opened: they are closed again."""
    node = city["school"]

    def meanwhile() -> object:
        node.department.declared["pupils"] = declaration(public=True)
        return Refusing()

    node.instead = meanwhile
    with pytest.raises(RefusedError, match="changed while it was opened"):
        city.ask(HISTOGRAM, names=["school"])
    assert Refusing.closed
    assert node.charges == 1


class Refusing:
    """A bench that must not be asked."""

    closed = False

    def answer(self, **asked: object) -> Release:
        raise AssertionError(asked)

    def close(self) -> None:
        Refusing.closed = True


class Other:
    """A bench that gives what was never approved."""

    def __init__(self, city: City, words: np.ndarray) -> None:
        self.city, self.words = city, words

    def answer(self, *, ready: object, **_: object) -> Release:
        cost = messages.cost(self.city.plan, ready.context.step)
        return Release(values={"sum": self.words}, cost=cost)

    def close(self) -> None:
        pass


def test_only_the_approved_form_leaves(city: City) -> None:
    length = city.plan.histogram.length
    fits = np.zeros(length, dtype=np.uint64)
    for number, words in enumerate((fits[1:], fits.astype(np.uint32), fits.astype(float), fits), 1):
        city["school"].sums._shut()
        city["school"].instead = lambda words=words: Other(city, words)
        if words is fits:
            city.ask("train/4", city.point(), names=["school"])
            continue
        with pytest.raises(RefusedError):
            city.ask(messages.train(number), city.point(), names=["school"])


class Failing:
    def answer(self, **_: object) -> Release:
        raise OSError("the disk is gone")

    def close(self) -> None:
        pass


def test_a_failure_uses_the_attempt_up_and_refunds_nothing(city: City) -> None:
    node = city["school"]
    node.instead = Failing
    with pytest.raises(OSError, match="disk"):
        city.ask("train/1", city.point(), names=["school"])
    node.instead = None
    node.sums._shut()
    with pytest.raises(ContextUsedError):
        city.ask("train/1", city.point(), names=["school"])
    city.ask("train/1", city.point(), attempt=2, names=["school"])
    assert node.charges == 2


def test_all_studies_on_the_same_residents_count(study: Study, tmp_path: Path) -> None:
    """A limit of the node below the study's ε is met in the middle of the run."""
    from models.ledger.limits import Limits
    from models.quantities import Delta

    city = City(tmp_path, study)
    city.join()
    low = Limits(per_year=Epsilon(0.8), total=Epsilon(0.8), delta=Delta(1e-5))
    city["school"].department.limits = low
    city["school"].department.close()
    city["school"].department.__post_init__()
    city["school"].start()
    city.join()
    city.ask(HISTOGRAM, names=["school"])

    def everything() -> None:
        for number in range(1, city.plan.recipe.steps + 1):
            city.ask(messages.train(number), city.point(), names=["school"])

    with pytest.raises(BudgetExhaustedError, match="this node allows"):
        everything()
    assert 1 < city["school"].charges < city.plan.recipe.steps
    city.close()


# --- hostile questions ---


def spoiled(city: City) -> dict[str, dict[str, np.ndarray]]:
    good = city.point()
    return {
        "not a number": good | {"weights": np.full_like(good["weights"], np.nan)},
        "infinite": good | {"scales": np.full_like(good["scales"], np.inf)},
        "another shape": good | {"weights": good["weights"][:-1]},
        "another type": good | {"weights": good["weights"].astype(np.float32)},
        "missing": {"weights": good["weights"]},
        "more": good | {"extra": good["weights"]},
    }


@pytest.mark.parametrize(
    "what", ["not a number", "infinite", "another shape", "another type", "missing", "more"]
)
def test_a_question_that_is_not_the_plans_costs_nothing(city: City, what: str) -> None:
    refused(city, ProtocolViolationError, "train/1", spoiled(city)[what])
    refused(city, ProtocolViolationError, EVALUATE, spoiled(city)[what])


def test_a_hostile_model_moves_the_sum_no_further_than_any_other(city: City) -> None:
    """Weights beyond all bounds: every resident still counts for one clip at most."""
    arrays = city.point(fill=1e308)
    found = city.total("train/1", city.ask("train/1", arrays), arrays)
    part = city.plan.gradient
    residents = sum(node.sums._bench._prepared.training.residents for node in city.nodes.values())
    spread = 12 * np.sqrt(3) * part.scale
    assert np.abs(found.values).max() <= (residents << part.bits) + spread


# --- the witness ---


@pytest.fixture
def witnessed(tmp_path: Path) -> Iterator[City]:
    made = City(tmp_path, summed_study(secure_sum=WITNESSED))
    made.join()
    yield made
    made.close()


def request(city: City, *, members: tuple[str, ...] | None = None, **changes: object) -> object:
    from models.secagg.witness import SetRequest

    cohort = city["auditor"].joining.agreement.cohort.digest()
    context = messages.context(
        city.study, run=RUN, step=HISTOGRAM, attempt=1, cohort=cohort, arrays={}
    )
    context = replace(context, **changes)
    return SetRequest(context=context, members=members or tuple(sorted(city.study.departments)))


def test_the_witness_gives_the_same_answer_for_the_same_set(witnessed: City) -> None:
    auditor = witnessed["auditor"].witness
    assert auditor.masks(request(witnessed)) == auditor.masks(request(witnessed))


@pytest.mark.parametrize(
    "changes",
    [
        {"run": RUN + 1},
        {"study": "0" * 64},
        {"step": "train/9999"},
        {"step": "else"},
        {"attempt": 1000},
        {"cohort": "0" * 64},
        {"code": "0" * 64},
        {"privacy": "0" * 64},
        {"members": ("care", "labour")},
    ],
)
def test_the_witness_answers_for_the_approved_study_alone(
    witnessed: City, changes: dict[str, object]
) -> None:
    auditor = witnessed["auditor"].witness
    with pytest.raises(DatalabbetError):
        auditor.masks(request(witnessed, **changes))
    auditor.masks(request(witnessed))


def test_the_witness_does_not_answer_for_less_noise(witnessed: City) -> None:
    good = request(witnessed)
    weak = replace(good.context.plan, scale=1)
    with pytest.raises(RefusedError, match="another context"):
        witnessed["auditor"].witness.masks(request(witnessed, plan=weak))


def test_a_restarted_witness_gives_no_second_sum(witnessed: City) -> None:
    """It has another key then, so that its masks would be of another cohort."""
    witnessed["auditor"].witness.masks(request(witnessed))
    witnessed["auditor"].restart()
    with pytest.raises(NotJoinedError):
        witnessed["auditor"].witness.masks(
            replace(request_of_another_life(witnessed), members=("care", "labour", "school"))
        )
    witnessed.join()
    with pytest.raises(ContextUsedError):
        witnessed["auditor"].witness.masks(request(witnessed))


def request_of_another_life(city: City) -> object:
    from models.secagg.witness import SetRequest

    context = messages.context(
        city.study, run=RUN, step=HISTOGRAM, attempt=1, cohort="0" * 64, arrays={}
    )
    return SetRequest(context=context, members=("care", "labour", "school"))


def test_the_witness_needs_the_approval_of_its_own_steward(witnessed: City) -> None:
    auditor = witnessed["auditor"]
    said = auditor.department.say(witnessed.study, Decision.REFUSED)
    auditor.department.approvals.store(witnessed.study, said)
    with pytest.raises(RefusedError):
        auditor.witness.masks(request(witnessed))
    with pytest.raises(RefusedError):
        auditor.witness.offer()


def test_a_stopped_witness_answers_nothing(witnessed: City) -> None:
    auditor = witnessed["auditor"]
    auditor.department.switch.stop("a test", now=NOW)
    with pytest.raises(RefusedError, match="stopped"):
        auditor.witness.masks(request(witnessed))
    auditor.department.switch.resume()
    auditor.witness.masks(request(witnessed))


def test_the_witness_signs_with_the_key_of_the_roster(witnessed: City) -> None:
    from models.secagg import witness as mathematics

    found = witnessed["auditor"].witness.masks(request(witnessed))
    stated = mathematics.verify(witnessed.study.signed_roster, found.signed)
    assert stated.members == ("care", "labour", "school")
    assert KEYS["auditor"].public_key() == witnessed.study.signed_roster.witness.key
