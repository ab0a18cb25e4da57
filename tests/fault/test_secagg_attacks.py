"""Each known attack on a secure sum, carried out: it fails, and without the defence it works.

The attacker is the coordinator, which carries every message, alone or with members that collude.
Where a defence is switched off, that is done here: by leaving out a check that the product makes,
or by a memory that forgets. What no defence here stops is shown at the end.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from scripted import ScriptedEntropy
from secure_sums import (
    RUN,
    STUDY,
    WITNESS,
    City,
    MemoryContexts,
    agree,
    department_names,
    ephemeral,
    identity,
    member,
    noise,
    offer,
    plan,
    roster,
)

from models.errors import ContextUsedError, ProtocolViolationError, RefusedError
from models.governance.roster import Mode, Roster
from models.privacy import sampler
from models.secagg import agreement, coordinator, masks, node, signing, witness
from models.secagg.agreement import Agreement, EphemeralKey, Keyed, Offer, Pair
from models.secagg.contexts import Context, Entry
from models.secagg.masks import Mask
from models.secagg.node import Masked
from models.secagg.rings import Words
from models.secagg.witness import SetRequest

VICTIM, *OTHERS = department_names(4)
UNITS = np.array([1, -2, 300, 0, 999])
ZEROS = np.zeros(5, dtype=np.int64)


class Forgetful(MemoryContexts):
    """The memory of a member that does not keep what it answered."""

    def insert(self, entry: Entry) -> Entry | None:
        return None


def words(message: Masked, context: Context) -> Words:
    return context.plan.ring.read(message.payload, length=context.plan.length)


def opened(message: Masked, context: Context, known: Iterable[Pair]) -> list[int]:
    """What is left of a message when the attacker takes off the masks of the pairs it knows."""
    found = words(message, context).copy()
    pads = []
    for pair in known:
        low = pair.low == message.member or WITNESS in {pair.low, pair.high}
        pads.append(Mask(masks.key(pair, context=message.context), subtracted=low))
    masks.apply(found, pads)
    return context.plan.ring.decode(found).tolist()


def secret_value(context: Context, seed: object = 0) -> list[int]:
    """What the victim hides: its value with its noise."""
    return (UNITS + noise(VICTIM, context, seed)).tolist()


def is_garbage(values: list[int]) -> bool:
    return max(abs(value) for value in values) > 2**40


def answer(agreed: Agreement, context: Context) -> Masked:
    """The victim's message under an agreement, drawn as `City.message` does."""
    ready = node.prepare(agreed, context)
    entropy = ScriptedEntropy(f"noise {agreed.me} {context.digest()} 0")
    return node.masked(ready, UNITS, receipt=MemoryContexts().use(ready.entry), entropy=entropy)


def attacker_key(name: str) -> EphemeralKey:
    return EphemeralKey.fresh(ScriptedEntropy(f"attacker {name}"))


def pairs_of_attacker(names: Iterable[str]) -> list[Pair]:
    public = ephemeral(VICTIM).public
    return [Pair(*sorted((VICTIM, n)), attacker_key(n).shared(public)) for n in names]


# Substituted keys -----------------------------------------------------------------------------


def substituted(rules: Roster, signer: str | None) -> list[Offer]:
    """The victim's offer, and offers in the others' names with the attacker's keys."""
    made = [offer(rules, VICTIM)]
    for name in OTHERS:
        said = replace(offer(rules, name).statement, key=attacker_key(name).public)
        signature = offer(rules, name).signature
        if signer is not None:
            signature = signing.sign(said, identity(signer), domain="secure-sum-offer")
        made.append(Offer(statement=said, signature=signature))
    return made


@pytest.mark.parametrize("signer", [None, "coordinator", VICTIM])
def test_substituted_keys_are_refused(signer: str | None) -> None:
    rules = roster([VICTIM, *OTHERS])
    with pytest.raises(RefusedError, match="pinned identity key"):
        agree(rules, substituted(rules, signer), VICTIM)


def unverified(rules: Roster, offers: list[Offer]) -> Agreement:
    """`agree` without `verify`."""
    keyed = [Keyed(name=o.statement.member, key=o.statement.key) for o in offers]
    mine = ephemeral(VICTIM)
    cohort = agreement.Cohort(
        roster=rules.digest(), study=STUDY, run=RUN, members=tuple(keyed), witness=None
    )
    pairs = [
        Pair(*sorted((VICTIM, each.name)), mine.shared(each.key))
        for each in keyed
        if each.name != VICTIM
    ]
    return Agreement(roster=rules, cohort=cohort, me=VICTIM, minimum=2, pairs=tuple(pairs))


def test_without_signatures_substituted_keys_open_a_message() -> None:
    rules = roster([VICTIM, *OTHERS])
    agreed = unverified(rules, substituted(rules, None))
    context = replace(City.of([VICTIM, *OTHERS]).context(), cohort=agreed.cohort.digest())
    found = opened(answer(agreed, context), context, pairs_of_attacker(OTHERS))
    assert found == secret_value(context)


def test_keys_of_low_order_are_refused_and_would_be_known_to_all() -> None:
    rules = roster([VICTIM, *OTHERS])
    said = replace(offer(rules, OTHERS[0]).statement, key="00" * 32)
    low = Offer(
        statement=said,
        signature=signing.sign(said, identity(OTHERS[0]), domain="secure-sum-offer"),
    )
    honest = [offer(rules, name) for name in (VICTIM, *OTHERS[1:])]
    with pytest.raises(ProtocolViolationError, match="low order"):
        agree(rules, [low, *honest], VICTIM)
    with pytest.raises(ProtocolViolationError, match="low order"):
        agreement.verify(rules, [low, *honest], study=STUDY, run=RUN, minimum=2)
    # X25519 with such a key gives zeros (RFC 7748, section 6.1): were it used, anyone could mask.
    city = City.of([VICTIM, *OTHERS])
    agreed = city.agreements[VICTIM]
    pairs = tuple(replace(pair, secret=bytes(32)) for pair in agreed.pairs)
    context = city.context()
    message = answer(replace(agreed, pairs=pairs), context)
    assert opened(message, context, pairs) == secret_value(context)


# Sybils and small cohorts ---------------------------------------------------------------------


def with_sybils(rules: Roster) -> list[Offer]:
    """The victim alone among members that the coordinator made up."""
    pinned = roster([VICTIM, *OTHERS]).digest()
    made = [replace(offer(rules, VICTIM).statement, roster=pinned)]
    for name in SYBILS:
        said = replace(offer(rules, name, key=attacker_key(name)).statement, roster=pinned)
        made.append(said)
    return [
        Offer(
            statement=said,
            signature=signing.sign(said, identity(said.member), domain="secure-sum-offer"),
        )
        for said in made
    ]


SYBILS = ["sybil-1", "sybil-2", "sybil-3"]


def test_sybils_are_refused() -> None:
    rules = roster([VICTIM, *OTHERS])
    with pytest.raises(RefusedError, match="does not name"):
        agree(rules, with_sybils(roster([VICTIM, *SYBILS])), VICTIM)


def test_where_the_coordinator_writes_the_roster_sybils_open_a_message() -> None:
    rules = roster([VICTIM, *SYBILS])
    offers = [offer(rules, VICTIM)] + [offer(rules, n, key=attacker_key(n)) for n in SYBILS]
    agreed = agree(rules, offers, VICTIM)
    context = replace(City.of([VICTIM, *OTHERS]).context(), cohort=agreed.cohort.digest())
    found = opened(answer(agreed, context), context, pairs_of_attacker(SYBILS))
    assert found == secret_value(context)


def test_a_cohort_under_the_node_s_own_minimum_is_refused() -> None:
    rules = roster([VICTIM, *OTHERS], minimum=2)
    offers = [offer(rules, name) for name in (VICTIM, OTHERS[0])]
    with pytest.raises(RefusedError, match="3 are the minimum"):
        agree(rules, offers, VICTIM, minimum=3)


def test_without_the_minimum_one_colluder_is_enough() -> None:
    city = City.of([VICTIM, OTHERS[0]], minimum=2)
    context = city.context()
    messages = [city.message(VICTIM, context, UNITS), city.message(OTHERS[0], context, ZEROS)]
    total = city.total(context, messages)
    known = noise(OTHERS[0], context)  # the colluder's own part of the sum
    assert (total.values - known).tolist() == secret_value(context)


# Sets that do not agree -----------------------------------------------------------------------


def two_sets(city: City, context: Context) -> list[int]:
    """The witness's sums with and without the victim, and the victim's message without both."""
    message = city.message(VICTIM, context, UNITS)
    sums = [
        context.plan.ring.read(
            city.witness_sum(SetRequest(context=context, members=members)).payload,
            length=context.plan.length,
        )
        for members in (city.names, tuple(OTHERS))
    ]
    found = words(message, context) - (sums[0] - sums[1])
    return context.plan.ring.decode(found).tolist()


def test_the_witness_answers_for_one_set_also_after_a_restart() -> None:
    city = City.of([VICTIM, *OTHERS], Mode.WITNESS)
    context = city.context()
    with pytest.raises(ContextUsedError):
        two_sets(city, context)
    restarted = City.of([VICTIM, *OTHERS], Mode.WITNESS)  # the same keys, the memory kept
    restarted.used[WITNESS] = city.used[WITNESS]
    for members in (tuple(OTHERS), city.names[:3]):
        with pytest.raises(ContextUsedError):
            restarted.witness_sum(SetRequest(context=context, members=members))


def test_a_witness_that_forgets_opens_a_message() -> None:
    city = City.of([VICTIM, *OTHERS], Mode.WITNESS)
    city.used[WITNESS] = Forgetful()
    context = city.context()
    assert two_sets(city, context) == secret_value(context)


def test_a_set_of_one_is_refused_and_would_open_a_message() -> None:
    city = City.of([VICTIM, *OTHERS], Mode.WITNESS)
    context = city.context()
    alone = SetRequest(context=context, members=(VICTIM,))
    with pytest.raises(RefusedError, match="3 are needed"):
        city.witness_sum(alone)
    lax = replace(city.agreements[WITNESS], minimum=1)
    ready = witness.prepare(lax, alone)
    receipt = MemoryContexts().use(ready.entry)
    made = witness.answer(ready, receipt=receipt, identity=identity(WITNESS))
    ring = context.plan.ring
    pads = ring.read(made.payload, length=context.plan.length)
    message = city.message(VICTIM, context, UNITS)
    assert ring.decode(words(message, context) - pads).tolist() == secret_value(context)


def test_a_set_that_the_coordinator_signs_itself_is_found_out() -> None:
    city = City.of([VICTIM, *OTHERS], Mode.WITNESS)
    context = city.context()
    signed = city.witness_sum(SetRequest(context=context, members=city.names)).signed
    forged = replace(signed.statement, members=tuple(OTHERS))
    signature = signing.sign(forged, identity("coordinator"), domain="secure-sum-set")
    with pytest.raises(RefusedError, match="pinned identity key"):
        witness.verify(city.roster, witness.SignedSet(statement=forged, signature=signature))


# Replay and reuse -----------------------------------------------------------------------------


def two_answers(city: City, context: Context) -> list[int]:
    """What two messages under the same masks give away: the difference of their values."""
    first = city.message(VICTIM, context, ZEROS, seed="first")
    second = city.message(VICTIM, context, UNITS, seed="second")
    return context.plan.ring.decode(words(second, context) - words(first, context)).tolist()


@pytest.mark.parametrize("mode", list(Mode))
def test_a_context_is_answered_once_also_after_a_restart(mode: Mode) -> None:
    city = City.of([VICTIM, *OTHERS], mode)
    context = city.context()
    with pytest.raises(ContextUsedError):
        two_answers(city, context)
    restarted = City.of([VICTIM, *OTHERS], mode)  # the same keys, the memory kept
    restarted.used[VICTIM] = city.used[VICTIM]
    with pytest.raises(ContextUsedError):
        restarted.message(VICTIM, context, UNITS)
    for changes in ({"model": "ff" * 32}, {"plan": plan(5, largest=999)}):
        with pytest.raises(ContextUsedError):  # another context, but no new attempt
            restarted.message(VICTIM, replace(context, **changes), UNITS)


@pytest.mark.parametrize("mode", list(Mode))
def test_a_node_that_forgets_gives_away_the_difference(mode: Mode) -> None:
    city = City.of([VICTIM, *OTHERS], mode)
    city.used[VICTIM] = Forgetful()
    found = two_answers(city, city.context())
    assert np.abs(np.array(found) - UNITS).max() < 64 * 2 * city.context().plan.scale
    assert not is_garbage(found)


def test_offers_of_an_earlier_run_are_refused() -> None:
    rules = roster([VICTIM, *OTHERS])
    old = [offer(rules, name, run=RUN - 1) for name in OTHERS]
    with pytest.raises(RefusedError, match="another roster, study or run"):
        agree(rules, [offer(rules, VICTIM), *old], VICTIM)


def test_if_they_were_not_keys_stolen_after_a_run_would_open_later_ones() -> None:
    rules = roster([VICTIM, *OTHERS])
    stolen = {name: attacker_key(name) for name in OTHERS}
    old = [offer(rules, name, run=RUN - 1, key=stolen[name]) for name in OTHERS]
    agreed = unverified(rules, [offer(rules, VICTIM), *old])
    context = replace(City.of([VICTIM, *OTHERS]).context(), cohort=agreed.cohort.digest())
    found = opened(answer(agreed, context), context, pairs_of_attacker(OTHERS))
    assert found == secret_value(context)


# Different models, altered parameters ---------------------------------------------------------


def raw_sum(context: Context, messages: Iterable[Masked]) -> list[int]:
    """The sum of what arrived, by a coordinator that checks nothing."""
    total = context.plan.ring.zeros(context.plan.length)
    for message in messages:
        total = total + words(message, context)
    return context.plan.ring.decode(total).tolist()


DIFFERENCES = {
    "model": {"model": "ff" * 32},
    "privacy parameters": {"privacy": "ff" * 32},
    "code": {"code": "ff" * 32},
    "less noise": {"plan": replace(plan(), scale=1)},
    "another bound": {"plan": plan(largest=10**6)},
    "attempt": {"attempt": 2},
    "step": {"step": "train/1/2"},
}


@pytest.mark.parametrize("changes", DIFFERENCES.values(), ids=DIFFERENCES.keys())
def test_what_the_nodes_do_not_agree_on_makes_the_sum_garbage(changes) -> None:
    city = City.of([VICTIM, *OTHERS])
    context = city.context()
    other = replace(context, **changes)
    messages = [city.message(VICTIM, other, UNITS)]
    messages += [city.message(name, context, ZEROS) for name in OTHERS]
    assert is_garbage(raw_sum(context, messages))
    state = city.collection(context, messages[1:])
    with pytest.raises(ProtocolViolationError, match="another context"):
        coordinator.received(state, messages[0], sender=VICTIM)


def test_if_masks_were_not_bound_to_the_model_it_would_not_be_noticed() -> None:
    city = City.of([VICTIM, *OTHERS])
    context = city.context()  # every mask is made for this one, whatever model a node was sent
    messages = [city.message(VICTIM, context, UNITS)]
    messages += [city.message(name, context, ZEROS) for name in OTHERS]
    found = np.array(raw_sum(context, messages))
    assert np.abs(found - UNITS).max() < 64 * 4 * context.plan.scale


def test_what_the_witness_does_not_agree_on_makes_the_sum_garbage() -> None:
    city = City.of([VICTIM, *OTHERS], Mode.WITNESS)
    context = city.context()
    lie = replace(context, model="ff" * 32)
    total = np.array(raw_sum(context, [city.message(n, context, UNITS) for n in city.names]))
    payload = city.witness_sum(SetRequest(context=lie, members=city.names)).payload
    ring = context.plan.ring
    found = ring.encode(total) - ring.read(payload, length=5)
    assert is_garbage(ring.decode(found).tolist())


def test_cohorts_told_differently_make_the_sum_garbage() -> None:
    names = department_names(5)
    rules = roster(names)
    told = {VICTIM: names[:4], names[1]: [*names[:3], names[4]], names[2]: names[:4]}
    agreements = {n: agree(rules, [offer(rules, m) for m in told[n]], n) for n in told}
    messages = []
    for agreed in agreements.values():
        context = replace(City.of(names).context(), cohort=agreed.cohort.digest())
        messages.append(answer(agreed, context))
    assert is_garbage(raw_sum(context, messages))


# Drop and retry -------------------------------------------------------------------------------


def kept_noise(name: str) -> np.ndarray:
    entropy = ScriptedEntropy(f"kept {name}")
    return sampler.discrete_gaussian(scale=plan().scale, size=5, entropy=entropy)


def masked_without_fresh_noise(city: City, name: str, context: Context) -> Masked:
    """Raw masks over the same noisy value in every attempt: what the interface does not offer."""
    ready = node.prepare(city.agreements[name], context)
    covered = context.plan.ring.encode(UNITS + kept_noise(name))
    masks.apply(covered, node.own_masks(ready.agreement, context=ready.entry.context))
    payload = context.plan.ring.write(covered)
    return Masked(member=name, context=ready.entry.context, payload=payload)


def test_without_fresh_noise_a_second_attempt_opens_the_dropped_message() -> None:
    whole, rest = City.of([VICTIM, *OTHERS]), City.of(OTHERS)
    sums = [
        raw_sum(context, [masked_without_fresh_noise(city, n, context) for n in city.names])
        for city, context in ((whole, whole.context()), (rest, rest.context(attempt=2)))
    ]
    difference = np.array(sums[0]) - np.array(sums[1])
    assert difference.tolist() == (UNITS + kept_noise(VICTIM)).tolist()


def test_each_attempt_has_noise_of_its_own() -> None:
    length = 4000
    units = np.full(length, 7)
    whole, rest = City.of([VICTIM, *OTHERS]), City.of(OTHERS)
    first, second = whole.context(plan(length)), rest.context(plan(length), attempt=2)
    sums = [
        np.array(raw_sum(context, [city.message(n, context, units) for n in city.names]))
        for city, context in ((whole, first), (rest, second))
    ]
    left = sums[0] - sums[1] - units
    shares = len(whole.names) + len(rest.names)
    assert np.var(left) == pytest.approx(shares * first.plan.scale**2, rel=0.15)


def test_a_dropped_node_costs_an_attempt_and_attempts_end() -> None:
    city = City.of([VICTIM, *OTHERS])
    for attempt in range(1, 4):
        context = city.context(attempt=attempt)
        state = city.collection(context, [city.message(n, context, UNITS) for n in OTHERS])
        found = coordinator.total(state)
        assert found == coordinator.NewAttempt(missing=(VICTIM,), left=3 - attempt)
        assert is_garbage(context.plan.ring.decode(state.words).tolist())
    with pytest.raises(RefusedError, match="not among the 3 allowed"):
        city.message(OTHERS[0], city.context(attempt=4), UNITS)


# Truncated, duplicated, re-ordered, strangers' messages ---------------------------------------


@pytest.fixture
def city() -> City:
    return City.of([VICTIM, *OTHERS])


def test_messages_that_are_cut_or_too_long_are_refused(city: City) -> None:
    context = city.context()
    message = city.message(VICTIM, context, UNITS)
    state = city.collection(context, [])
    for payload in (b"", message.payload[:-1], message.payload[:-8], message.payload + bytes(8)):
        with pytest.raises(ProtocolViolationError, match="length"):
            coordinator.received(state, replace(message, payload=payload), sender=VICTIM)
    assert state.missing == city.names


def test_a_duplicate_is_refused_and_would_spoil_the_sum(city: City) -> None:
    context = city.context()
    messages = [city.message(name, context, UNITS) for name in city.names]
    state = city.collection(context, messages)
    with pytest.raises(ProtocolViolationError, match="answered already"):
        coordinator.received(state, messages[0], sender=VICTIM)
    assert not is_garbage(coordinator.total(state).values.tolist())
    assert is_garbage(raw_sum(context, [*messages, messages[0]]))


def test_a_late_message_of_an_earlier_step_or_attempt_is_refused(city: City) -> None:
    late = city.message(VICTIM, city.context(), UNITS)
    for changes in ({"attempt": 2}, {"step": "train/1/2"}):
        state = city.collection(city.context(**changes), [])
        with pytest.raises(ProtocolViolationError, match="another context"):
            coordinator.received(state, late, sender=VICTIM)


def test_a_message_in_another_s_name_is_refused(city: City) -> None:
    context = city.context()
    message = city.message(VICTIM, context, UNITS)
    state = city.collection(context, [])
    with pytest.raises(ProtocolViolationError, match="in another's name"):
        coordinator.received(state, message, sender=OTHERS[0])
    stranger = replace(message, member="stranger")
    with pytest.raises(ProtocolViolationError, match="not in the cohort"):
        coordinator.received(state, stranger, sender="stranger")


# What stays open ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", list(Mode))
def test_all_other_members_together_learn_the_noisy_value(mode: Mode) -> None:
    """Not prevented: the victim's share of the noise is then all that protects it."""
    city = City.of([VICTIM, *OTHERS], mode)
    context = city.context()
    message = city.message(VICTIM, context, UNITS)
    pooled = [
        pair
        for name, agreed in city.agreements.items()
        if name != VICTIM
        for pair in agreed.pairs
        if VICTIM in {pair.low, pair.high}
    ]
    assert opened(message, context, pooled) == secret_value(context)
    # One honest member that keeps its secret (for `witness`: the witness) is enough.
    assert is_garbage(opened(message, context, pooled[:-1]))


def test_a_member_can_spoil_the_sum_unnoticed(city: City) -> None:
    """Not prevented: nobody sees a single value, so nobody can tell a wrong one."""
    context = city.context()
    messages = [city.message(name, context, ZEROS) for name in city.names]
    poison = context.plan.ring.encode(np.full(5, 10**6))
    spoilt = context.plan.ring.write(words(messages[1], context) + poison)
    messages[1] = replace(messages[1], payload=spoilt)
    found = city.total(context, messages)
    shares = sum(noise(name, context) for name in city.names)
    assert found.values.tolist() == (shares + 10**6).tolist()


def test_pins_are_only_as_good_as_the_people_who_compared_them() -> None:
    """Not prevented: a key that was pinned wrongly is trusted."""
    rules = roster([VICTIM, *OTHERS])
    wrong = member(OTHERS[0], identity("coordinator"))
    fooled = replace(rules, members=(rules.members[0], wrong, *rules.members[2:]))
    assert fooled.digest() != rules.digest()  # approvals of the right one do not cover it
