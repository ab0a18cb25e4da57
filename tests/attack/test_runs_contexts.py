"""A coordinator that attacks what messages are bound to, at real nodes with their real ledgers.

Each attack fails against the nodes as they are, and works with its one defence switched off here.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fits import CLEARLY_WRONG, PLAUSIBLE, fits_variance
from hostile import AUDITOR, LAX, OTHERS, VICTIM, Arrays, Hostile, Town
from nodes import RUN
from studies import summed_study

from models.governance.answers import Fault
from models.governance.roster import Mode
from models.privacy import sampler
from models.randomness import Entropy
from models.secagg import contexts
from models.training import messages, studies
from models.training.messages import EVALUATE, HISTOGRAM
from node.ledger.contexts import ChargedContexts, WitnessContexts

PAIRWISE = summed_study()
WITNESSED = summed_study(
    secure_sum={"mode": Mode.WITNESS, "witness": AUDITOR},
    privacy={"spare_rounds": 6},
    minimum_cohort=2,
)
FIRST = "train/1"
Patch = pytest.MonkeyPatch


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Hostile]]:
    made: list[Hostile] = []

    def one(study: object = PAIRWISE) -> Hostile:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Hostile(Town(folder, study, policy=LAX)))
        made[-1].agree()
        return made[-1]

    yield one
    for attacker in made:
        attacker.town.close()


def forget(patch: Patch) -> None:
    """Switch off the memory of what was answered, at departments and witness."""
    for memory in (ChargedContexts, WitnessContexts):
        patch.setattr(memory, "insert", lambda *_: None)


# --- different models to different nodes ---


def isolated(attacker: Hostile) -> tuple[np.ndarray, np.ndarray]:
    """Give what comes of another question to the victim than to the others; and its value.

    The victim is asked for its gradient at a point of the attacker's choice, and the others at
    one where all they say is known beforehand.
    """
    mine, theirs = attacker.town.point(fill=0.25), attacker.town.point(fill=50.0)
    answers = attacker.asked([VICTIM], FIRST, mine) | attacker.asked(OTHERS, FIRST, theirs)
    known = sum(attacker.value(name, FIRST, theirs) for name in OTHERS)
    return attacker.added(FIRST, answers.values()) - known, attacker.value(VICTIM, FIRST, mine)


def test_different_models_to_different_nodes(make: Callable[..., Hostile]) -> None:
    attacker = make()
    assert not attacker.learns(FIRST, *isolated(attacker))


def test_masks_that_do_not_know_the_model_give_the_victim_away(
    make: Callable[..., Hostile], monkeypatch: Patch
) -> None:
    monkeypatch.setattr(messages, "model_digest", lambda arrays: "0" * 64)
    attacker = make()
    assert attacker.learns(FIRST, *isolated(attacker))


def test_different_models_are_found_out_by_an_honest_coordinator(
    make: Callable[..., Hostile],
) -> None:
    """The context that comes back says what was computed with."""
    attacker = make()
    good, other = attacker.town.point(), attacker.town.point(fill=1.0)
    found = attacker.asked([VICTIM], FIRST, other) | attacker.asked(OTHERS, FIRST, good)
    expected = attacker.context(FIRST, good).digest()
    assert [found[n].context == expected for n in (VICTIM, *OTHERS)] == [False, True, True]


# --- inconsistent sets of survivors ---


def two_sets(attacker: Hostile) -> np.ndarray | None:
    """Give the victim's message without the masks of the witness, from two of its sums."""
    answers = attacker.asked(WITNESSED.departments, HISTOGRAM)
    context = attacker.context(HISTOGRAM)
    whole = attacker.masks(context, WITNESSED.departments)
    assert not isinstance(whole, Fault)
    rest = attacker.masks(context, OTHERS)
    if isinstance(rest, Fault):
        assert rest is Fault.ANSWERED
        return None
    return attacker.less(HISTOGRAM, [answers[VICTIM]], whole - rest)


def test_two_sets_for_one_attempt(make: Callable[..., Hostile]) -> None:
    attacker = make(WITNESSED)
    assert two_sets(attacker) is None
    context = attacker.context(HISTOGRAM)
    # The witness's database remembers, when its program does not; and it has another key then.
    attacker.town[AUDITOR].restart()
    assert attacker.masks(context, OTHERS) is Fault.NOT_JOINED
    attacker.agree()
    assert attacker.masks(context, OTHERS) is Fault.REFUSED
    assert attacker.masks(attacker.context(HISTOGRAM), OTHERS) is Fault.ANSWERED


def test_a_witness_that_forgets_opens_a_message(
    make: Callable[..., Hostile], monkeypatch: Patch
) -> None:
    forget(monkeypatch)
    attacker = make(WITNESSED)
    found = two_sets(attacker)
    assert found is not None
    assert attacker.learns(HISTOGRAM, found, attacker.value(VICTIM, HISTOGRAM))


def test_a_set_of_one(make: Callable[..., Hostile]) -> None:
    attacker = make(WITNESSED)
    attacker.asked(WITNESSED.departments, HISTOGRAM)
    assert attacker.masks(attacker.context(HISTOGRAM), [VICTIM]) is Fault.REFUSED


# --- replay and reuse after a restart ---


def twice(attacker: Hostile, *, key_survives: bool) -> np.ndarray | Fault:
    """Ask for the same attempt with two points, the node being restarted in between.

    Gives the difference of the two messages: without the masks, if they are the same.
    """
    node = attacker.town[VICTIM]
    offers = attacker.offers()
    first = attacker.ask(VICTIM, FIRST, attacker.town.point())
    key = node.joining._key
    node.restart()
    assert attacker.ask(VICTIM, FIRST, attacker.town.point()) is Fault.NOT_JOINED
    if key_survives:
        node.joining._key = key
        attacker.join(VICTIM, offers)
    else:
        stale = attacker.join(VICTIM, offers)  # its key in them is not its own now
        assert isinstance(stale, Fault)
        attacker.agree()
    second = attacker.ask(VICTIM, FIRST, attacker.town.point(fill=1.0))
    if isinstance(second, Fault):
        assert attacker.ask(VICTIM, FIRST, attacker.town.point()) is second  # nor the first again
        return second
    ring = attacker.summed(FIRST).ring
    return ring.decode(second.words - first.words)


def difference(attacker: Hostile) -> np.ndarray:
    points = (attacker.town.point(fill=1.0), attacker.town.point())
    one, other = (attacker.value(VICTIM, FIRST, point) for point in points)
    return one - other


@pytest.mark.parametrize("key_survives", [False, True])
def test_an_attempt_is_answered_once_over_restarts(
    make: Callable[..., Hostile], key_survives: bool
) -> None:
    """The ledger file is reopened: what was used is used, with new keys or stolen old ones."""
    attacker = make()
    assert twice(attacker, key_survives=key_survives) is Fault.ANSWERED
    assert attacker.town[VICTIM].charges == 1


def test_without_memory_new_keys_alone_hide_the_difference(
    make: Callable[..., Hostile], monkeypatch: Patch
) -> None:
    forget(monkeypatch)
    attacker = make()
    found = twice(attacker, key_survives=False)
    assert not isinstance(found, Fault)
    assert not attacker.learns(FIRST, found, difference(attacker))


def test_a_node_that_keeps_its_key_and_forgets_gives_the_difference_away(
    make: Callable[..., Hostile], monkeypatch: Patch
) -> None:
    """Masks that are bound to the model as well must be switched off for it: the third defence."""
    forget(monkeypatch)
    attacker = make()
    found = twice(attacker, key_survives=True)
    assert not isinstance(found, Fault)
    assert not attacker.learns(FIRST, found, difference(attacker))
    monkeypatch.setattr(messages, "model_digest", lambda arrays: "0" * 64)
    attacker = make()
    found = twice(attacker, key_survives=True)
    assert not isinstance(found, Fault)
    assert attacker.learns(FIRST, found, difference(attacker))


# --- drop and retry ---


def dropped(attacker: Hostile, step: str, point: Arrays) -> np.ndarray:
    """Give the sum with the victim less the sum without it, the step being asked again."""
    sums = []
    for attempt, names in enumerate((attacker.study.departments, OTHERS), 1):
        attacker.agree(*names, AUDITOR)
        answers = attacker.asked(names, step, point, attempt=attempt)
        cohort = attacker.town["care"].joining.agreement.cohort.digest()
        about = {"run": RUN, "step": step, "attempt": attempt, "cohort": cohort}
        context = messages.context(attacker.study, arrays=point, **about)
        pads = attacker.masks(context, names)
        assert not isinstance(pads, Fault)
        sums.append(attacker.less(step, answers.values(), pads))
    return sums[0] - sums[1]


def all_dropped(attacker: Hostile) -> np.ndarray:
    """Drop the victim in six steps; give what is left beside its values, in shares of noise."""
    found = []
    for number in range(1, 7):
        step, point = messages.train(number), attacker.town.point(fill=number / 10)
        value = attacker.value(VICTIM, step, point)
        found.append(attacker.noise(step, dropped(attacker, step, point), value))
    return np.concatenate(found)


def test_dropping_a_department_gives_its_value_under_five_shares_of_noise(
    make: Callable[..., Hostile],
) -> None:
    """Of three departments, and afresh of two: more than any one released sum has."""
    found = all_dropped(make(WITNESSED))
    assert fits_variance(found, np.sqrt(5)) > PLAUSIBLE
    assert fits_variance(found, np.sqrt(2)) < CLEARLY_WRONG


def test_without_fresh_noise_it_gives_the_value_under_the_victims_share_alone(
    make: Callable[..., Hostile], monkeypatch: Patch
) -> None:
    kept: dict[int, np.ndarray] = {}

    def stale(values: np.ndarray, *, scale: int, entropy: Entropy) -> None:
        """Draw once for each node, and use it for ever."""
        if id(entropy) not in kept:
            drawn = sampler.discrete_gaussian(scale=scale, size=values.size, entropy=entropy)
            kept[id(entropy)] = drawn
        values += kept[id(entropy)]

    monkeypatch.setattr(sampler, "add_discrete_gaussian", stale)
    attacker = make(WITNESSED)
    found = all_dropped(attacker).reshape(6, -1)
    share = kept[id(attacker.town[VICTIM].sums._bench._entropy)]
    share = share / messages.part(attacker.town.plan, FIRST).scale
    assert np.allclose(found, share, atol=1e-9)  # one draw of the victim's, and nothing else
    assert fits_variance(share, 1.0) > PLAUSIBLE


# --- more attempts, and more steps, than there are ---


def averaged(attacker: Hostile, attempts: int) -> tuple[float, set[Fault]]:
    """Give how far the mean of many attempts at one step is from the value, and the refusals."""
    point, found, faults = attacker.town.point(), [], set()
    for attempt in range(1, attempts + 1):
        answers = {n: attacker.ask(n, FIRST, point, attempt=attempt) for n in PAIRWISE.departments}
        faults |= {answer for answer in answers.values() if isinstance(answer, Fault)}
        if not any(isinstance(answer, Fault) for answer in answers.values()):
            found.append(attacker.added(FIRST, answers.values()))
    value = sum(attacker.value(name, FIRST, point) for name in PAIRWISE.departments)
    noise = attacker.noise(FIRST, np.mean(found, axis=0), value)
    return float(np.sqrt(np.mean(np.square(noise)))), faults


def test_more_attempts_than_allowed(make: Callable[..., Hostile]) -> None:
    attacker = make()
    left, faults = averaged(attacker, 40)
    assert faults == {Fault.REFUSED}
    assert left > 0.6  # three attempts, each paid for: one sum of three shares each
    assert {node.charges for node in attacker.town.nodes.values()} == {3}


def test_attempts_without_a_limit_end_with_the_plans_budget(
    make: Callable[..., Hostile], monkeypatch: Patch
) -> None:
    monkeypatch.setattr(contexts, "check", lambda *_: None)
    attacker = make()
    _, faults = averaged(attacker, 40)
    assert faults == {Fault.BUDGET_EXHAUSTED}
    most = attacker.town.plan.recipe.steps + attacker.town.plan.terms.spare
    assert {node.charges for node in attacker.town.nodes.values()} == {most}


def test_without_limit_and_budget_the_noise_is_averaged_away(
    make: Callable[..., Hostile], monkeypatch: Patch
) -> None:
    monkeypatch.setattr(contexts, "check", lambda *_: None)
    monkeypatch.setattr(studies, "check", lambda *_, **__: None)
    attacker = make()
    left, faults = averaged(attacker, 40)
    assert not faults
    assert left < 0.4


@pytest.mark.parametrize("number", [0, 26, 9999, 10_000])
def test_a_step_that_the_training_does_not_have(make: Callable[..., Hostile], number: int) -> None:
    attacker = make()
    assert attacker.town.plan.recipe.steps == 25
    found = attacker.ask(VICTIM, f"train/{number}", attacker.town.point())
    assert found is Fault.FAILED
    assert not attacker.town[VICTIM].charges
    assert not isinstance(attacker.ask(VICTIM, "train/25", attacker.town.point()), Fault)


def test_the_evaluation_is_not_asked_more_often_than_the_plan_says(
    make: Callable[..., Hostile],
) -> None:
    """Nor the histogram: each has residents of its own, and draws of its own."""
    from models.families.network import initial

    attacker = make(summed_study(secure_sum={"attempts": 9}))
    draws, model = attacker.town.plan.terms.draws, initial(attacker.study)
    for step, arrays in ((HISTOGRAM, {}), (EVALUATE, model)):
        found = [attacker.ask(VICTIM, step, arrays, attempt=n + 1) for n in range(draws + 1)]
        assert found[-1] is Fault.BUDGET_EXHAUSTED
        assert not [answer for answer in found[:-1] if isinstance(answer, Fault)]


def test_the_noise_of_many_attempts_is_not_that_of_one() -> None:
    """The checks above can fail: a mean of forty has another variance than one."""
    sample = np.random.default_rng(1).normal(size=(40, 26)).mean(axis=0)
    assert fits_variance(sample, 1.0) < CLEARLY_WRONG
