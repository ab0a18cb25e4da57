"""One step: receipts, what a node and a witness refuse, what the coordinator checks."""

import copy
import pickle
import threading
from dataclasses import replace

import numpy as np
import pytest
from scripted import ScriptedEntropy
from secure_sums import RUN, WITNESS, City, MemoryContexts, department_names, identity, noise, plan

from models.errors import AccountingError, ContextUsedError, ProtocolViolationError, RefusedError
from models.governance.roster import Mode
from models.secagg import coordinator, masks, node, witness
from models.secagg.contexts import Purpose, Receipt
from models.secagg.rings import Ring, SumMayWrapError
from models.secagg.witness import SetRequest

NAMES = department_names(3)
UNITS = np.array([5, -6, 7, 0, 999])


@pytest.fixture(params=list(Mode))
def city(request: pytest.FixtureRequest) -> City:
    return City.of(NAMES, request.param)


@pytest.fixture
def pairwise() -> City:
    return City.of(NAMES)


@pytest.fixture
def witnessed() -> City:
    return City.of(department_names(4), Mode.WITNESS)


def test_a_step_gives_the_sum_of_values_and_noise(city: City) -> None:
    context = city.context()
    messages = [city.message(name, context, UNITS) for name in NAMES]
    found = city.total(context, messages)
    assert isinstance(found, coordinator.Total)
    assert found.members == city.names
    noises = [noise(name, context) for name in NAMES]
    assert found.values.tolist() == (3 * UNITS + sum(noises)).tolist()
    assert len({tuple(each) for each in noises}) == 3


def test_a_message_is_value_noise_and_masks(city: City) -> None:
    context = city.context()
    message = city.message(NAMES[1], context, UNITS)
    words = context.plan.ring.encode(UNITS + noise(NAMES[1], context))
    masks.apply(words, node.own_masks(city.agreements[NAMES[1]], context=context.digest()))
    assert message.payload == context.plan.ring.write(words)
    assert UNITS.tolist() == [5, -6, 7, 0, 999]


def test_values_beyond_the_bound_are_cut(city: City) -> None:
    context = city.context()
    units = {name: np.full(5, 10**15) for name in NAMES}
    found = city.total(context, [city.message(name, context, units[name]) for name in NAMES])
    expected = 3 * context.plan.largest + sum(noise(name, context) for name in NAMES)
    assert found.values.tolist() == expected.tolist()


@pytest.mark.parametrize("units", [np.zeros(4), np.zeros(5), np.zeros((5, 1), dtype=np.int64)])
def test_values_of_another_shape_or_type_are_refused(pairwise: City, units: np.ndarray) -> None:
    with pytest.raises(AccountingError):
        pairwise.message(NAMES[0], pairwise.context(), units)


def test_no_message_without_a_receipt_of_the_memory(pairwise: City) -> None:
    ready = node.prepare(pairwise.agreements[NAMES[0]], pairwise.context())
    with pytest.raises(RefusedError, match="UsedContexts alone"):
        Receipt(ready.entry, object())
    receipt = pairwise.used[NAMES[0]].use(ready.entry)
    node.masked(ready, UNITS, receipt=receipt, entropy=ScriptedEntropy())
    with pytest.raises(ContextUsedError, match="receipt has been used"):
        node.masked(ready, UNITS, receipt=receipt, entropy=ScriptedEntropy())


def test_a_receipt_cannot_be_copied(pairwise: City) -> None:
    ready = node.prepare(pairwise.agreements[NAMES[0]], pairwise.context())
    receipt = pairwise.used[NAMES[0]].use(ready.entry)
    for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(RefusedError, match="cannot be copied"):
            duplicate(receipt)


def test_a_receipt_is_good_for_its_own_context_only(pairwise: City) -> None:
    agreed = pairwise.agreements[NAMES[0]]
    one, two = (node.prepare(agreed, pairwise.context(step=f"train/1/{n}")) for n in (1, 2))
    receipt = pairwise.used[NAMES[0]].use(one.entry)
    with pytest.raises(RefusedError, match="another context"):
        node.masked(two, UNITS, receipt=receipt, entropy=ScriptedEntropy())
    node.masked(one, UNITS, receipt=receipt, entropy=ScriptedEntropy())


def test_of_many_threads_one_spends_the_receipt(pairwise: City) -> None:
    ready = node.prepare(pairwise.agreements[NAMES[0]], pairwise.context())
    receipt = pairwise.used[NAMES[0]].use(ready.entry)
    start, won = threading.Barrier(8), []

    def spend() -> None:
        start.wait()
        try:
            receipt.spend(ready.entry)
        except ContextUsedError:
            return
        won.append(1)

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert won == [1]


def test_what_could_not_be_written_gives_no_receipt(pairwise: City) -> None:
    class FullDisk(MemoryContexts):
        def insert(self, entry):
            raise OSError("no space left")

    ready = node.prepare(pairwise.agreements[NAMES[0]], pairwise.context())
    with pytest.raises(OSError, match="no space"):
        FullDisk().use(ready.entry)


def test_an_entry_holds_all_that_an_audit_needs(witnessed: City) -> None:
    request = SetRequest(context=witnessed.context(), members=tuple(department_names(3)))
    witnessed.witness_sum(request)
    (entry,) = witnessed.used[WITNESS].entries.values()
    assert (entry.purpose, entry.run, entry.step, entry.attempt) == (
        Purpose.SET,
        RUN,
        "train/1/1",
        1,
    )
    assert entry.members == request.members
    assert entry.context == request.context.digest()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"study": "00" * 32}, "another study or run"),
        ({"run": RUN + 1}, "another study or run"),
        ({"cohort": "00" * 32}, "another cohort"),
        ({"attempt": 4}, "not among the 3 allowed"),
        ({"attempt": 0}, "not among the 3 allowed"),
    ],
    ids=str,
)
def test_a_node_and_the_witness_refuse_what_is_not_of_their_run(changes, match) -> None:
    city = City.of(NAMES, Mode.BOTH)
    context = city.context(**changes)
    with pytest.raises(RefusedError, match=match):
        node.prepare(city.agreements[NAMES[0]], context)
    request = SetRequest(context=context, members=tuple(NAMES))
    with pytest.raises(RefusedError, match=match):
        witness.prepare(city.agreements[WITNESS], request)


def test_everybody_refuses_a_sum_that_may_wrap() -> None:
    city = City.of(NAMES, Mode.BOTH)
    context = city.context(plan(ring=Ring.BITS_32, largest=2**30))
    request = SetRequest(context=context, members=tuple(NAMES))
    for attempt in (
        lambda: node.prepare(city.agreements[NAMES[0]], context),
        lambda: witness.prepare(city.agreements[WITNESS], request),
        lambda: coordinator.start(city.roster, city.cohort, context),
    ):
        with pytest.raises(SumMayWrapError):
            attempt()


def test_the_coordinator_starts_with_the_run_s_cohort_only(pairwise: City) -> None:
    other = City.of(department_names(4))
    with pytest.raises(RefusedError, match="another cohort"):
        coordinator.start(pairwise.roster, pairwise.cohort, other.context())
    with pytest.raises(RefusedError, match="another cohort"):
        coordinator.start(other.roster, pairwise.cohort, pairwise.context())


def test_a_missing_node_costs_a_new_attempt() -> None:
    for mode in (Mode.PAIRWISE, Mode.BOTH):
        city = City.of(NAMES, mode)
        context = city.context(attempt=2)
        state = city.collection(context, [city.message(n, context, UNITS) for n in NAMES[1:]])
        expected = coordinator.NewAttempt(missing=(NAMES[0],), left=1)
        assert coordinator.total(state) == expected
        if mode.witnessed:
            assert coordinator.request(state) == expected


def test_with_a_witness_a_missing_node_costs_nothing(witnessed: City) -> None:
    context = witnessed.context()
    there = [name for name in witnessed.names if name != "dep-001"]
    found = witnessed.total(context, [witnessed.message(n, context, UNITS) for n in there])
    assert found.members == tuple(there)
    assert found.values.tolist() == (3 * UNITS + sum(noise(n, context) for n in there)).tolist()


def test_with_a_witness_fewer_than_the_minimum_cost_a_new_attempt(witnessed: City) -> None:
    context = witnessed.context(attempt=3)
    messages = [witnessed.message(name, context, UNITS) for name in witnessed.names[:2]]
    expected = coordinator.NewAttempt(missing=("dep-002", "dep-003"), left=0)
    assert witnessed.total(context, messages) == expected


def test_a_coordinator_without_a_witness_asks_none(pairwise: City) -> None:
    context = pairwise.context()
    state = pairwise.collection(context, [pairwise.message(n, context, UNITS) for n in NAMES])
    with pytest.raises(RefusedError, match="no witness"):
        coordinator.request(state)


def test_the_witness_refuses_small_foreign_double_and_unordered_sets(witnessed: City) -> None:
    names = witnessed.names
    for members, error, match in (
        (names[:2], RefusedError, "2 departments answered; 3 are needed"),
        ((*names[:3], "stranger"), ProtocolViolationError, "not in the cohort"),
        ((*names[:3], WITNESS), ProtocolViolationError, "not in the cohort"),
        ((*names[:2], names[1]), ProtocolViolationError, "each once"),
        (names[:3][::-1], ProtocolViolationError, "in order"),
    ):
        request = SetRequest(context=witnessed.context(), members=members)
        with pytest.raises(error, match=match):
            witnessed.witness_sum(request)
    assert not witnessed.used[WITNESS].entries


def test_the_witness_has_a_minimum_of_its_own(witnessed: City) -> None:
    strict = replace(witnessed.agreements[WITNESS], minimum=4)
    request = SetRequest(context=witnessed.context(), members=witnessed.names[:3])
    with pytest.raises(RefusedError, match="4 are needed"):
        witness.prepare(strict, request)


def test_in_the_mode_both_the_witness_sums_for_the_whole_cohort_only() -> None:
    city = City.of(department_names(4), Mode.BOTH)
    request = SetRequest(context=city.context(), members=city.names[:3])
    with pytest.raises(RefusedError, match="4 are needed"):
        city.witness_sum(request)


def test_a_department_does_not_answer_for_sets(witnessed: City) -> None:
    request = SetRequest(context=witnessed.context(), members=witnessed.names)
    with pytest.raises(RefusedError, match="only the witness"):
        witness.prepare(witnessed.agreements[NAMES[0]], request)


def test_the_witness_repeats_the_same_answer_and_no_other(witnessed: City) -> None:
    request = SetRequest(context=witnessed.context(), members=witnessed.names)
    first = witnessed.witness_sum(request)
    assert witnessed.witness_sum(request) == first
    with pytest.raises(ContextUsedError, match="another set or context"):
        witnessed.witness_sum(replace(request, members=witnessed.names[:3]))
    other = replace(request, context=witnessed.context(model="ff" * 32))
    with pytest.raises(ContextUsedError, match="another set or context"):
        witnessed.witness_sum(other)


def test_a_receipt_of_the_witness_makes_no_message(witnessed: City) -> None:
    request = SetRequest(context=witnessed.context(), members=witnessed.names)
    asked = witness.prepare(witnessed.agreements[WITNESS], request)
    receipt = witnessed.used[NAMES[0]].use(asked.entry)
    ready = node.prepare(witnessed.agreements[NAMES[0]], witnessed.context())
    assert ready.entry.members == asked.entry.members
    with pytest.raises(RefusedError, match="another context"):
        node.masked(ready, UNITS, receipt=receipt, entropy=ScriptedEntropy())


def test_departments_can_check_the_signed_set(witnessed: City) -> None:
    request = SetRequest(context=witnessed.context(), members=witnessed.names[:3])
    signed = witnessed.witness_sum(request).signed
    assert witness.verify(witnessed.roster, signed).members == witnessed.names[:3]
    altered = replace(signed, statement=replace(signed.statement, members=witnessed.names))
    with pytest.raises(RefusedError, match="pinned identity key"):
        witness.verify(witnessed.roster, altered)
    for other in (City.of(NAMES), City.of(NAMES, Mode.WITNESS)):
        with pytest.raises(RefusedError, match="another roster"):
            witness.verify(other.roster, signed)


def test_the_coordinator_refuses_another_answer_than_it_asked_for(witnessed: City) -> None:
    context = witnessed.context()
    messages = [witnessed.message(name, context, UNITS) for name in witnessed.names]
    state = witnessed.collection(context, messages)
    with pytest.raises(RefusedError, match="belongs to the modes"):
        coordinator.total(state)
    answer = witnessed.witness_sum(SetRequest(context=context, members=witnessed.names[:3]))
    with pytest.raises(ProtocolViolationError, match="another set or context"):
        coordinator.total(state, answer)
    early = witnessed.collection(context, messages[:3])
    assert isinstance(coordinator.total(early, answer), coordinator.Total)
    with pytest.raises(ProtocolViolationError, match="length"):
        coordinator.total(early, replace(answer, payload=answer.payload[:-8]))


def test_the_coordinator_refuses_an_answer_that_the_witness_did_not_sign(witnessed: City) -> None:
    context = witnessed.context()
    messages = [witnessed.message(name, context, UNITS) for name in witnessed.names]
    state = witnessed.collection(context, messages)
    made = witnessed.witness_sum(SetRequest(context=context, members=witnessed.names))
    forged = replace(made.signed, signature="A" * 86 + "==")
    with pytest.raises(RefusedError, match="pinned identity key"):
        coordinator.total(state, replace(made, signed=forged))


def test_a_mask_sum_in_a_mode_without_witness_is_refused(pairwise: City, witnessed: City) -> None:
    context = pairwise.context()
    state = pairwise.collection(context, [pairwise.message(n, context, UNITS) for n in NAMES])
    request = SetRequest(context=witnessed.context(), members=witnessed.names)
    with pytest.raises(RefusedError, match="belongs to the modes"):
        coordinator.total(state, witnessed.witness_sum(request))


def test_the_witness_answers_only_with_its_own_receipt(witnessed: City) -> None:
    context = witnessed.context()
    one, other = (
        witness.prepare(witnessed.agreements[WITNESS], SetRequest(context=context, members=members))
        for members in (witnessed.names, witnessed.names[:3])
    )
    receipt = witnessed.used[WITNESS].use(one.entry)
    with pytest.raises(RefusedError, match="another context"):
        witness.answer(other, receipt=receipt, identity=identity(WITNESS))


def test_the_context_binds_each_of_its_parts(pairwise: City) -> None:
    changes = [
        {},
        {"study": "00" * 32},
        {"run": RUN + 1},
        {"step": "train/1/2"},
        {"attempt": 2},
        {"cohort": "00" * 32},
        {"model": "00" * 32},
        {"privacy": "00" * 32},
        {"code": "00" * 32},
        {"plan": plan(6)},
        {"plan": plan(ring=Ring.BITS_32)},
        {"plan": plan(largest=999)},
        {"plan": replace(plan(), scale=5)},
    ]
    found = {replace(pairwise.context(), **each).digest() for each in changes}
    assert len(found) == len(changes)
