"""Messages that a coordinator changes, cuts, repeats or re-orders, at real nodes.

And what stops all of it: the switch, and the preview that the steward approved. Each attack
fails against the nodes as they are, and works with its one defence switched off here.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fits import CLEARLY_WRONG, PLAUSIBLE, fits_variance
from hostile import OTHERS, VICTIM, Answer, Hostile, Party, Town
from nodes import NOW, RUN
from studies import summed_study

from models.errors import DatalabbetError, ProtocolViolationError
from models.governance.answers import Fault
from models.governance.study import Study
from models.quantities import Epsilon
from models.secagg.agreement import Offer
from models.secagg.rings import SumPlan
from models.training import kinds, messages
from models.training.messages import HISTOGRAM
from models.training.studies import training_plan
from node.gate.gate import Gate
from node.work.sum_bench import SumBench
from protos import sums

STUDY = summed_study()
FIRST = "train/1"
Patch = pytest.MonkeyPatch


@pytest.fixture
def attacker(tmp_path: Path) -> Iterator[Hostile]:
    town = Town(tmp_path, STUDY)
    made = Hostile(town)
    made.agree()
    yield made
    town.close()


def charges(attacker: Hostile) -> int:
    return sum(node.charges for node in attacker.town.nodes.values())


# --- what was approved is changed afterwards ---


def altered(what: str) -> Study:
    """Give what the coordinator would rather have had approved."""
    roster = STUDY.signed_roster
    one, two, three = roster.members
    mixed = (replace(one, identity=two.identity), replace(two, identity=one.identity), three)
    return {
        "more epsilon": replace(STUDY, privacy=replace(STUDY.privacy, epsilon=Epsilon(4.0))),
        "fewer residents": summed_study(secure_sum={"residents": 20}),
        "roster": replace(STUDY, roster=replace(roster, members=mixed)),
        "code": replace(STUDY, code="0" * 64),
        "another bound": replace(STUDY, privacy=replace(STUDY.privacy, spare_rounds=0)),
    }[what]


ALTERED = ["more epsilon", "fewer residents", "roster", "code", "another bound"]


def work_on(attacker: Hostile, study: Study) -> None:
    """Have the victim's program take up another study than the approved one."""
    node = attacker.town[VICTIM]
    node.study = study
    node.again()


@pytest.mark.parametrize("what", ALTERED)
def test_a_study_that_was_altered_after_its_approval(attacker: Hostile, what: str) -> None:
    study = altered(what)
    assert study.digest() != STUDY.digest()
    work_on(attacker, study)
    assert attacker.offer(VICTIM) is Fault.REFUSED
    assert isinstance(attacker.ask(VICTIM, HISTOGRAM), Fault)
    assert not charges(attacker)


def noise_of(attacker: Hostile) -> np.ndarray:
    """Give what the victim's own messages have beside their values, in approved shares.

    All masks of the victim's pairs are taken off: the others tell the attacker their secrets.
    """
    pairs = [
        pair
        for name in OTHERS
        for pair in attacker.town[name].joining.agreement.pairs
        if VICTIM in {pair.low, pair.high}
    ]
    point, found = attacker.town.point(), []
    for step in map(messages.train, range(1, 6)):
        answer = attacker.ask(VICTIM, step, point)
        assert isinstance(answer, Answer), answer
        opened = attacker.opened(step, answer, pairs)
        found.append(attacker.noise(step, opened, attacker.value(VICTIM, step, point)))
    return np.concatenate(found)


def test_the_noise_is_the_approved_one(attacker: Hostile) -> None:
    assert fits_variance(noise_of(attacker), 1.0) > PLAUSIBLE


def test_a_gate_that_takes_what_it_is_given_makes_less_noise(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    """The steward read ε 2; the coordinator has 4 asked for, and would have half the noise."""
    weaker = altered("more epsilon")
    part, approved = (messages.part(training_plan(s), FIRST) for s in (weaker, STUDY))
    assert part.scale < 0.6 * approved.scale
    town = Town(tmp_path, STUDY)
    opened = Gate.open

    def lenient(gate: Gate, study_hash: str) -> Study:
        return weaker if study_hash == weaker.digest() else opened(gate, study_hash)

    monkeypatch.setattr(Gate, "open", lenient)
    monkeypatch.setattr(Gate, "leave", lambda *_, **__: None)
    attacker = Hostile(town)
    attacker.study = town.study = weaker
    for node in town.nodes.values():
        node.study = weaker
        node.again()
    attacker.agree()
    found = noise_of(attacker)
    assert fits_variance(found, 1.0) < CLEARLY_WRONG
    assert fits_variance(found, part.scale / approved.scale) > PLAUSIBLE
    town.close()


def test_numbers_in_a_message_change_nothing(attacker: Hostile) -> None:
    """A node reads which step and which attempt; whatever else a message says is not read."""
    more = {"epsilon": 100.0, "scale": 1, "clip": 1e9, "minimum": 1, "code": "0" * 64}
    found = attacker.say(VICTIM, sums.HISTOGRAM, config={"attempt": 1, **more})
    assert not isinstance(found, Fault)
    again = attacker.ask(VICTIM, HISTOGRAM)
    assert found["arrays"]["sum"].data == again.words.tobytes()
    assert again.context == attacker.context(HISTOGRAM).digest()


def test_another_program_than_the_approved_one(attacker: Hostile) -> None:
    """The node was updated in the middle of a run: the study named what ran before."""
    node = attacker.town[VICTIM]
    attacker.asked(STUDY.departments, HISTOGRAM)
    node.department.code = "0" * 64
    node.again()
    assert attacker.offer(VICTIM) is Fault.REFUSED
    node.department.code = STUDY.code
    node.again()
    assert isinstance(attacker.offer(VICTIM), Offer)


def test_if_programs_were_not_compared_it_would_answer(
    attacker: Hostile, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(Gate, "_standing", lambda *_: ())
    attacker.town[VICTIM].department.code = "0" * 64
    attacker.town[VICTIM].again()
    attacker.agree()
    assert isinstance(attacker.ask(VICTIM, HISTOGRAM), Answer)


# --- contributions out of range ---


def shift(attacker: Hostile, monkeypatch: Patch) -> float:
    """Give how far `care` moves the sum with values that no records give, in bounds of one node."""
    honest = SumBench._units
    broken: list[SumBench] = []

    def units(bench: SumBench, step: str, arrays: object) -> np.ndarray:
        found = honest(bench, step, arrays)
        return np.full_like(found, 2**60) if bench in broken else found

    monkeypatch.setattr(SumBench, "_units", units)
    point = attacker.town.point()
    attacker.asked(STUDY.departments, HISTOGRAM)
    broken.append(attacker.town["care"].sums._bench)
    answers = attacker.asked(STUDY.departments, FIRST, point)
    others = sum(attacker.value(n, FIRST, point) for n in STUDY.departments if n != "care")
    moved = attacker.added(FIRST, answers.values()) - others
    return float(np.median(moved) / attacker.summed(FIRST).largest)


def test_values_out_of_range_are_cut_to_the_bound(attacker: Hostile, monkeypatch: Patch) -> None:
    assert shift(attacker, monkeypatch) == pytest.approx(1.0, abs=0.05)


def test_without_the_cut_one_node_moves_the_sum_as_it_likes(
    attacker: Hostile, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(SumPlan, "cut", lambda plan, values: values.copy())
    assert shift(attacker, monkeypatch) > 1e6


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_question_that_is_not_a_number_costs_nothing(attacker: Hostile, value: float) -> None:
    """A gradient at such a point would be no number either, in every department alike."""
    spoilt = attacker.town.point()
    spoilt["weights"] = spoilt["weights"].copy()
    spoilt["weights"].flat[0] = value
    assert attacker.ask(VICTIM, FIRST, spoilt) is Fault.FAILED
    assert not charges(attacker)


# --- truncated, changed, repeated, re-ordered ---


def given(attacker: Hostile, data: bytes) -> object:
    """Give what the victim makes of bytes: an answer, a fault, or nothing at all."""
    try:
        return attacker.send(VICTIM, data)
    except ProtocolViolationError:
        return None


def test_a_truncated_message_is_not_answered(attacker: Hostile) -> None:
    """Cut anywhere: there is no answer, and no charge.

    But where only settings after the last array are lost, which no step needs.
    """
    whole = attacker.question(FIRST, attacker.town.point())
    found = [given(attacker, whole[:size]) for size in range(0, len(whole), 7)]
    assert not [reply for reply in found if not isinstance(reply, Fault | None)]
    assert not charges(attacker)
    assert not isinstance(given(attacker, whole), Fault | None)


def test_a_changed_message_is_answered_for_what_it_says(attacker: Hostile) -> None:
    """One byte of a thousand places is changed. Whatever is answered is bound to what came,

    and never twice: so no change makes a second message under the masks of a first.
    """
    whole = attacker.question(FIRST, attacker.town.point())
    generator, bound = np.random.default_rng(5), set()
    for place in generator.integers(0, len(whole), 300):
        spoilt = bytearray(whole)
        spoilt[place] ^= int(generator.integers(1, 256))
        reply = given(attacker, bytes(spoilt))
        if not isinstance(reply, Fault | None):
            bound.add((reply["arrays"]["context"].data, reply["arrays"]["sum"].data))
    assert len({context for context, _ in bound}) == len(bound)
    assert len(bound) == attacker.town[VICTIM].charges
    most = attacker.town.plan.recipe.steps + attacker.town.plan.terms.spare
    assert len(bound) <= most


def test_a_repeated_message_gets_the_same_bytes_at_no_cost(attacker: Hostile) -> None:
    data = attacker.question(FIRST, attacker.town.point())
    found = [attacker.send(VICTIM, data)["arrays"]["sum"].data for _ in range(5)]
    assert len(set(found)) == 1
    assert attacker.town[VICTIM].charges == 1


def test_messages_in_another_order_are_each_answered_once(attacker: Hostile) -> None:
    order = [7, 3, 25, 1, 3, 7, 25]
    found = [attacker.ask(VICTIM, messages.train(n), attacker.town.point()) for n in order]
    assert [isinstance(answer, Answer) for answer in found] == [True] * 4 + [False] * 3
    assert set(found[4:]) == {Fault.ANSWERED}
    assert attacker.town[VICTIM].charges == 4


def test_messages_of_another_run_are_not_answered(attacker: Hostile) -> None:
    assert given(attacker, attacker.bytes_of(sums.OFFER, run=RUN + 1)) is None


@pytest.mark.parametrize("kind", [sums.MASKS, "train", "evaluate", "query", "query.more"])
def test_messages_that_a_department_does_not_answer(attacker: Hostile, kind: str) -> None:
    assert attacker.say(VICTIM, kind, config={"attempt": 1}) is Fault.REFUSED


# --- the switch, and the preview ---


def test_a_stop_in_the_middle_of_a_run(attacker: Hostile, monkeypatch: Patch) -> None:
    """From then on nothing leaves, not even what was answered before; nothing is charged."""
    data = attacker.question(FIRST, attacker.town.point())
    attacker.send(VICTIM, data)
    attacker.town[VICTIM].department.switch.stop("enough", now=NOW)
    before = charges(attacker)
    for again in (data, attacker.question("train/2", attacker.town.point())):
        assert attacker.send(VICTIM, again) is Fault.REFUSED
    assert attacker.offer(VICTIM) is Fault.REFUSED
    assert charges(attacker) == before
    monkeypatch.setattr(Gate, "_go", lambda _: None)
    assert isinstance(attacker.ask(VICTIM, "train/2", attacker.town.point()), Answer)


def test_a_stop_while_a_message_is_made(attacker: Hostile, monkeypatch: Patch) -> None:
    """It was charged and made, and does not leave."""
    switch, honest = attacker.town[VICTIM].department.switch, SumBench.answer

    def slow(bench: SumBench, **asked: object) -> object:
        switch.stop("in between", now=NOW)
        return honest(bench, **asked)

    monkeypatch.setattr(SumBench, "answer", slow)
    assert attacker.ask(VICTIM, HISTOGRAM) is Fault.REFUSED
    assert attacker.town[VICTIM].charges == 1
    switch.resume()
    assert isinstance(attacker.ask(VICTIM, HISTOGRAM), Answer | Fault)
    assert attacker.town[VICTIM].charges == 1


class Talkative:
    """A bench of a program that was changed: it answers with more than was approved."""

    def __init__(self, honest: object, change: Callable[[np.ndarray], np.ndarray]) -> None:
        self.honest, self.change = honest, change

    def answer(self, **asked: object) -> object:
        release = self.honest.answer(**asked)
        return replace(release, values={"sum": self.change(release.values["sum"])})

    def close(self) -> None:
        self.honest.close()


CHANGES = {
    "longer": lambda words: np.append(words, words),
    "shorter": lambda words: words[:-1],
    "32 bits": lambda words: words.astype(np.uint32),
    "numbers": lambda words: words.astype(np.float64),
}


def talkative(attacker: Hostile, change: str) -> Fault | str:
    node: Party = attacker.town[VICTIM]
    honest = node._bench
    node.sums._open = lambda: Talkative(honest(), CHANGES[change])
    try:
        answer = attacker.ask(VICTIM, HISTOGRAM)
    except DatalabbetError as error:
        return error.message
    return answer if isinstance(answer, Fault) else "it left"


@pytest.mark.parametrize("change", CHANGES)
def test_a_message_that_is_not_as_the_approved_preview_describes(
    attacker: Hostile, change: str
) -> None:
    assert talkative(attacker, change) is Fault.REFUSED
    assert attacker.ask(VICTIM, HISTOGRAM) is Fault.REFUSED  # nor from memory
    assert attacker.town[VICTIM].charges == 1


@pytest.mark.parametrize("change", CHANGES)
def test_without_the_preview_it_would_leave(
    attacker: Hostile, change: str, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(kinds, "check", lambda *_, **__: None)
    assert talkative(attacker, change) != Fault.REFUSED


def test_less_noise_than_the_preview_says_does_not_leave(
    attacker: Hostile, monkeypatch: Patch
) -> None:
    """A plan that was changed in the program, with which the message would be made."""
    sum_plan = type(attacker.town.plan).sum_plan
    less = lambda plan, part: replace(sum_plan(plan, part), scale=1)  # noqa: E731
    monkeypatch.setattr(type(attacker.town.plan), "sum_plan", less)
    assert attacker.ask(VICTIM, HISTOGRAM) is Fault.REFUSED
