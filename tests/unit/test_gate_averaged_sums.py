"""Masked updates at the gate: one stored release for a round, masked afresh for each attempt."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from nodes import NOW
from safetensors.numpy import load
from studies import masked_study
from summers import RUN, City

from models.errors import (
    ContextUsedError,
    NotJoinedError,
    ProtocolViolationError,
    RefusedError,
)
from models.families.network import initial
from models.governance.roster import Mode
from models.governance.step import StepKey
from models.privacy import accounting
from models.privacy.plan import plan
from models.secagg.contexts import Entry, Purpose
from models.training import averaged
from node.gate.averaged_sums import AveragedSums
from node.gate.policy import Policy
from node.gate.steps import request_digest
from node.ledger.contexts import ReleasedContexts

STUDY = masked_study(secure_sum={"residents": 180})
WITNESSED = masked_study(
    secure_sum={"residents": 180, "mode": Mode.WITNESS, "witness": "auditor"}, minimum_cohort=2
)


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    made = City(tmp_path, STUDY)
    made.join()
    yield made
    made.close()


def start(city: City) -> dict[str, np.ndarray]:
    return initial(city.study)


def stored(city: City, name: str, step: str = "train/1") -> dict[str, np.ndarray]:
    """Give the release that a department keeps."""
    key = StepKey(study=city.study.digest(), run=RUN, step=step, attempt=1)
    answer = city[name].department.ledger.answered(key, request_digest(start(city)))
    assert answer is not None
    return load(answer)


def test_the_sum_is_that_of_the_stored_releases(city: City) -> None:
    total = city.total("train/1", city.ask("train/1", start(city)), start(city))
    units = [averaged.update(STUDY, stored(city, name)) for name in STUDY.departments]
    assert np.abs(total.values - sum(units)).max() <= 3 * 8 * 32  # the rounding of the messages
    mean, weight = averaged.mean(STUDY, total.values)
    heavy = [float(stored(city, name)["weight"]) for name in STUDY.departments]
    assert weight == pytest.approx(sum(heavy))
    for name, array in mean.items():
        releases = [stored(city, each)[name].astype(float) for each in STUDY.departments]
        np.testing.assert_allclose(array, np.average(releases, axis=0, weights=heavy), atol=1e-6)


def test_a_round_costs_what_it_costs_without_masks(city: City) -> None:
    city.ask("train/1", start(city))
    city.ask("train/2", start(city))
    city.ask("evaluate", start(city))
    agreed, spent = plan(STUDY), city["care"].department.ledger.spending(STUDY.digest())
    training = agreed.round_cost(first=True) + agreed.round_cost(first=False)
    assert accounting.counts(spent.training) == accounting.counts(training)
    assert spent.evaluation == agreed.evaluation_cost()
    assert spent.charges == 3


def test_another_attempt_masks_the_same_release_and_costs_nothing(city: City) -> None:
    """Drop-and-retry: the difference of two sums is a release under all of its noise."""
    first = city.ask("train/1", start(city))
    before = {name: stored(city, name) for name in STUDY.departments}
    again = city.ask("train/1", start(city), attempt=2)
    assert {node.charges for node in city.nodes.values()} == {1}
    assert {tuple(node.opened) for node in city.nodes.values()} == {(1,)}
    for name in STUDY.departments:
        assert first[name].context != again[name].context
        assert not (first[name].words == again[name].words).any()  # masks of their own
        after = stored(city, name)
        assert all(np.array_equal(before[name][key], after[key]) for key in after)
    one = city.total("train/1", first, start(city)).values
    two = city.total("train/1", again, start(city), attempt=2).values
    assert np.abs(one - two).max() <= 6 * 8 * 32


def test_dropping_a_department_shows_no_more_than_its_release(tmp_path: Path) -> None:
    city = City(tmp_path, WITNESSED)
    for node in city.nodes.values():
        node.department.gate = node.department.gated(policy=Policy(minimum_summed=2))
        node.start()
    city.join()
    everybody = city.total("train/1", city.ask("train/1", start(city)), start(city))
    but = city.ask("train/1", start(city), attempt=2, names=["school", "labour"])
    fewer = city.total("train/1", but, start(city), attempt=2)
    found = everybody.values - fewer.values
    release = averaged.update(WITNESSED, stored(city, "care"))
    assert np.abs(found - release).max() <= 6 * 8 * 32
    assert city["care"].charges == city["school"].charges == 1
    city.close()


def test_a_repeated_request_gets_the_same_bytes_and_no_other(city: City) -> None:
    first, again = city.ask("train/1", start(city)), city.ask("train/1", start(city))
    for name in STUDY.departments:
        assert first[name].words.tobytes() == again[name].words.tobytes()
    city.ask("train/2", start(city))
    for name in STUDY.departments:
        with pytest.raises(ContextUsedError):
            city.ask("train/1", start(city), names=[name])
    assert {node.charges for node in city.nodes.values()} == {2}


def test_a_round_may_not_be_asked_with_other_parameters(city: City) -> None:
    """Neither under the same attempt nor under a new one: there is one release of a round."""
    city.ask("train/1", start(city))
    other = {name: array + np.float32(1) for name, array in start(city).items()}
    for attempt in (1, 2):
        with pytest.raises(ProtocolViolationError, match="other parameters"):
            city.ask("train/1", other, attempt=attempt, names=["care"])
    assert city["care"].charges == 1


def test_after_a_restart_only_a_new_attempt_is_answered(city: City) -> None:
    first = city.ask("train/1", start(city))
    before = stored(city, "care")
    city["care"].restart()
    with pytest.raises(NotJoinedError):
        city.ask("train/1", start(city), names=["care"])
    city.join()
    with pytest.raises(ContextUsedError):
        city.ask("train/1", start(city), names=["care"])
    again = city.ask("train/1", start(city), attempt=2)
    assert again["care"].context != first["care"].context
    assert all(np.array_equal(before[n], a) for n, a in stored(city, "care").items())
    assert city["care"].opened == [1]  # the records stay shut
    assert city["care"].charges == 1


def test_more_attempts_than_the_roster_has_are_refused(city: City) -> None:
    with pytest.raises(RefusedError, match="attempt 4"):
        city.ask("train/1", start(city), attempt=4, names=["care"])
    assert city["care"].charges == 0


def test_there_is_no_histogram_and_no_further_round(city: City) -> None:
    with pytest.raises(ProtocolViolationError):
        city["care"].sums.histogram(attempt=1)
    with pytest.raises(ProtocolViolationError, match="3 rounds"):
        city.ask("train/4", start(city), names=["care"])
    wrong = {name: array.astype(np.float64) for name, array in start(city).items()}
    with pytest.raises(ProtocolViolationError):
        city.ask("train/1", wrong, names=["care"])
    assert city["care"].charges == 0


def test_a_stopped_node_sends_nothing(city: City) -> None:
    city.ask("train/1", start(city), names=["care"])
    city["care"].department.switch.stop("test", now=NOW)
    for attempt in (1, 2):
        with pytest.raises(RefusedError, match="stopped"):
            city.ask("train/1", start(city), attempt=attempt, names=["care"])


def test_a_context_without_a_stored_release_is_not_noted(city: City) -> None:
    used = ReleasedContexts(city["care"].department.journal)

    def entry(step: str, purpose: Purpose) -> Entry:
        return Entry(
            purpose=purpose, study=STUDY.digest(), run=RUN, step=step, attempt=1,
            context="0" * 64, members=("care",),
        )  # fmt: skip

    with pytest.raises(RefusedError, match="no stored release"):
        used.use(entry("train/1", Purpose.RELEASED))
    city.ask("train/1", start(city))
    with pytest.raises(RefusedError, match="charge of its own"):
        used.use(entry("train/1", Purpose.MESSAGE))
    with pytest.raises(ContextUsedError):
        used.use(entry("train/1", Purpose.RELEASED))


def test_one_message_says_nothing_about_its_release(city: City) -> None:
    """Masked, its elements are uniform; without the masks the release would be read off."""
    assert isinstance(city["care"].sums, AveragedSums)
    answers = city.ask("train/1", start(city))
    for name, answer in answers.items():
        units = averaged.update(STUDY, stored(city, name))
        distance = np.abs((answer.words.view(np.int64) - units).astype(np.float64))
        assert distance.min() > 2**40
        assert np.abs(units).max() < 2**52
