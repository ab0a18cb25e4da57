"""The coordinator's side of secure sums: what it asks, reads, counts and tells."""

import json
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
import studies
from dp_accounting import GaussianDpEvent, SelfComposedDpEvent, pld
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from scripted import ScriptedEntropy

from coordinator import release
from coordinator.client import views
from coordinator.flower.question import Question
from coordinator.flower.sums import SumMessages, largest_answer
from coordinator.release.sum_costs import Answered
from coordinator.rounds import checkpoint
from coordinator.rounds.checkpoint import Checkpoint
from models import documents
from models.families import network
from models.governance.record import ReleaseRecord
from models.governance.resolution import resolve
from models.governance.roster import Mode
from models.governance.study import Study, StudyDraft
from models.governance.words import against_whom, protection_in_words
from models.privacy.sampler import discrete_gaussian
from models.secagg import agreement
from models.secagg.agreement import Cohort, EphemeralKey, Joined, Offer
from models.secagg.contexts import Context
from models.training import messages, steps
from models.training.studies import training_plan
from protos import sums
from protos.codec import read_json

RUN = 2**62 + 1
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
STUDY = studies.summed_study(secure_sum={"residents": 180})
WITNESSED = studies.summed_study(
    secure_sum={"residents": 180, "mode": Mode.WITNESS, "witness": "auditor"}
)
NODES = {"school": 30, "care": 10, "labour": 20, "auditor": 40}


def offers(study: Study, *, run: int = RUN, **other: Any) -> dict[str, Offer]:
    return {
        name: agreement.offer(
            study.signed_roster,
            study=study.digest(),
            run=run,
            member=name,
            ephemeral=EphemeralKey.fresh(ScriptedEntropy(f"key {name}")),
            identity=studies.KEYS[name],
        )
        for name in study.parties
    }


def cohort(study: Study) -> Cohort:
    found = list(offers(study).values())
    return agreement.verify(study.signed_roster, found, study=study.digest(), run=RUN, minimum=3)


def context(study: Study = STUDY, step: str = "train/1") -> Context:
    return messages.context(
        study, run=RUN, step=step, attempt=1, cohort=cohort(study).digest(), arrays={}
    )


class Wire:
    """One question over a real grid, and the node at its other end."""

    def __init__(self, study: Study = STUDY) -> None:
        nodes = {name: NODES[name] for name in study.parties}
        self.messages = SumMessages(study=study, run_id=RUN, nodes=nodes)
        self.line = self.messages.grid.attach("labour")

    def answer(self, question: Question[Any], arrays: dict[str, Array], **more: Any) -> Any:
        """Give labour's answer as it was read; None: a misfit."""
        from flwr.common.serde import message_from_proto, message_to_proto
        from flwr.proto.message_pb2 import Message as WireMessage

        letter = self.line.take(seconds=1)
        self.request = message_from_proto(WireMessage.FromString(letter.data))
        reply = Message(RecordDict({"arrays": ArrayRecord(arrays), **more}), reply_to=self.request)
        data = message_to_proto(reply).SerializeToString()
        self.messages.grid.accept("labour", letter.message_id, data)
        question.collect()
        assert ("labour" in question.answers) != ("labour" in question.misfits)
        return question.answers.get("labour")


def raw(content: bytes, **changes: Any) -> Array:
    given = {"dtype": "uint8", "shape": (len(content),), "stype": sums.RAW, "data": content}
    return Array(**given | changes)


def elements(plan: Any, **changes: Any) -> Array:
    data = bytes(8 * plan.length)
    given = {"dtype": "uint64", "shape": (plan.length,), "stype": sums.RAW, "data": data}
    return Array(**given | changes)


# --- what is asked ---


@pytest.mark.parametrize(
    ("step", "kind", "config"),
    [
        ("histogram", "train.histogram", {"attempt": 1}),
        ("train/1", "train.step", {"step": 1, "attempt": 1}),
        ("train/25", "train.step", {"step": 25, "attempt": 1}),
        ("evaluate", "evaluate.scores", {"attempt": 1}),
    ],
)
def test_a_step_is_asked_under_its_name(step: str, kind: str, config: dict[str, int]) -> None:
    wire, asked = Wire(), context(step=step)
    point = {"weights": np.arange(6, dtype=np.float64).reshape(3, 2)}
    question = wire.messages.sum(("labour",), asked, point)
    found = wire.answer(
        question, {"context": raw(bytes.fromhex(asked.digest())), "sum": elements(asked.plan)}
    )
    assert found.context == asked.digest()
    assert found.payload == bytes(8 * asked.plan.length)
    assert wire.request.metadata.message_type == kind
    assert dict(wire.request.content["config"]) == config
    assert set(wire.request.content["arrays"]) == {"weights"}
    np.testing.assert_array_equal(
        wire.request.content["arrays"]["weights"].numpy(), point["weights"]
    )


def test_who_is_left_out_is_not_asked() -> None:
    wire = Wire()
    wire.messages.grid.leave_out("labour")
    wire.messages.offer(STUDY.departments)
    assert wire.line.take(seconds=0) is None
    assert wire.messages.asked(STUDY.departments) == ("school", "care")
    assert not wire.messages.present()


def test_the_longest_sum_and_the_largest_document_fit() -> None:
    plan = training_plan(STUDY)
    longest = max(8 * part.length for part in plan.sums.values())
    assert largest_answer(STUDY) >= longest + sums.MOST_RAW


# --- what is read ---

GOOD = {
    "a sum": lambda plan, digest: {"context": raw(digest), "sum": elements(plan)},
}
MISFITS = {
    "another context": lambda p, d: {"context": raw(bytes(32)), "sum": elements(p)},
    "a shorter context": lambda p, d: {"context": raw(d[:31]), "sum": elements(p)},
    "a longer context": lambda p, d: {"context": raw(d + b"x"), "sum": elements(p)},
    "a context of another type": lambda p, d: {
        "context": raw(d, dtype="int8"),
        "sum": elements(p),
    },
    "no context": lambda p, d: {"sum": elements(p)},
    "no sum": lambda p, d: {"context": raw(d)},
    "an array more": lambda p, d: {"context": raw(d), "sum": elements(p), "more": raw(b"")},
    "a sum of another ring": lambda p, d: {"context": raw(d), "sum": elements(p, dtype="uint32")},
    "signed numbers": lambda p, d: {"context": raw(d), "sum": elements(p, dtype="int64")},
    "another shape": lambda p, d: {"context": raw(d), "sum": elements(p, shape=(1, p.length))},
    "fewer elements": lambda p, d: {
        "context": raw(d),
        "sum": elements(p, shape=(p.length - 1,), data=bytes(8 * p.length - 8)),
    },
    "fewer bytes than it says": lambda p, d: {
        "context": raw(d),
        "sum": elements(p, data=bytes(8 * p.length - 1)),
    },
    "more bytes than it says": lambda p, d: {
        "context": raw(d),
        "sum": elements(p, data=bytes(8 * p.length + 8)),
    },
    "numpy's form": lambda p, d: {
        "context": raw(d),
        "sum": Array(np.zeros(p.length, dtype=np.uint64)),
    },
}


@pytest.mark.parametrize("case", [*GOOD, *MISFITS])
def test_a_sum_is_read_exactly(case: str) -> None:
    wire, asked = Wire(), context()
    arrays = (GOOD | MISFITS)[case](asked.plan, bytes.fromhex(asked.digest()))
    found = wire.answer(wire.messages.sum(("labour",), asked, {}), arrays)
    assert (found is None) == (case in MISFITS)


def test_a_sum_with_another_record_is_none() -> None:
    wire, asked = Wire(), context()
    arrays = GOOD["a sum"](asked.plan, bytes.fromhex(asked.digest()))
    question = wire.messages.sum(("labour",), asked, {})
    with pytest.raises(Exception, match="unknown form"):
        wire.answer(question, arrays, more=ConfigRecord({"x": 1}))


def test_an_offer_is_taken_from_its_member_alone() -> None:
    found = offers(STUDY)
    wire = Wire()
    mine = wire.answer(
        wire.messages.offer(("labour",)), {"offer": raw(documents.write(found["labour"]))}
    )
    assert mine == found["labour"]
    bad = {
        "in another's name": found["school"],
        "another roster": offers(STUDY, run=77)["labour"],
    }
    for problem, offer in bad.items():
        question = wire.messages.offer(("labour",))
        assert wire.answer(question, {"offer": raw(documents.write(offer))}) is None
        assert problem in question.misfits["labour"]
    question = wire.messages.offer(("labour",))
    forged = json.loads(documents.write(found["labour"]))
    forged["statement"]["key"] = "09" + "00" * 31
    content = json.dumps(forged, sort_keys=True, separators=(",", ":")).encode()
    assert wire.answer(question, {"offer": raw(content)}) is None
    question = wire.messages.offer(("labour",))
    assert wire.answer(question, {"offer": raw(b"{}")}) is None
    assert "secret" not in question.misfits["labour"]


def test_whoever_agreed_on_another_cohort_is_a_misfit() -> None:
    wire, agreed = Wire(), cohort(STUDY)
    all_offers = tuple(offers(STUDY).values())
    for digest, fits in ((agreed.digest(), True), ("0" * 64, False)):
        question = wire.messages.join(("labour",), all_offers, cohort=agreed)
        content = documents.write(Joined(cohort=digest))
        found = wire.answer(question, {"cohort": raw(content)})
        assert (found is not None) == fits


# --- what is kept ---


def test_a_training_goes_on_from_its_checkpoint_to_the_last_bit() -> None:
    plan = training_plan(STUDY)

    def total(step: str) -> np.ndarray:
        part = messages.part(plan, step)
        entropy = ScriptedEntropy(step)
        return discrete_gaussian(scale=part.scale, size=part.length, entropy=entropy)

    at = steps.start(plan, total("histogram"))
    kept = at
    everybody = STUDY.departments
    for number in range(1, plan.recipe.steps + 1):
        at = steps.advanced(plan, at, total(messages.train(number)))
        state = Checkpoint(
            parameters={}, state=steps.save(plan, kept), rounds=(everybody,) * number
        )
        content = checkpoint.encode(state, departments=everybody)
        found = checkpoint.decode(content, departments=everybody, round_number=number)
        kept = steps.restore(plan, found.state)
        kept = steps.advanced(plan, kept, total(messages.train(number)))
    for name, array in steps.parameters(plan, at).items():
        assert np.array_equal(array, steps.parameters(plan, kept)[name])


# --- what is released ---


def parameters(study: Study) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(5)
    shapes = network.shapes(network.NetworkSpec.of(study))
    return {name: generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def build(study: Study = STUDY, **changes: Any) -> release.ReleaseBundle:
    everybody = study.departments
    given = {
        "study": study,
        "run_id": RUN,
        "parameters": parameters(study),
        "metrics": None,
        "departments_by_round": [everybody] * training_plan(study).recipe.steps,
        "evaluated_by": everybody,
        "created_at": NOW,
    }
    attempts = changes.pop("attempts", {})
    given |= changes
    summed = Answered(
        histogram=everybody,
        steps=given["departments_by_round"],
        evaluation=given["evaluated_by"],
        attempts=attempts,
    )
    return release.build(**given, summed=summed)


def independent(study: Study, steps_taken: int) -> float:
    """Give the ε of a histogram and so many steps by dp-accounting alone, from the shares."""
    plan = training_plan(study)
    many = plan.terms.departments
    accountant = pld.PLDAccountant()
    for part, count in ((plan.histogram, 1), (plan.gradient, steps_taken)):
        deviation = np.sqrt(part.carriers * part.scale**2 - 16) / (part.reach * many)
        accountant.compose(SelfComposedDpEvent(GaussianDpEvent(deviation), count))
    return float(accountant.get_epsilon(study.privacy.delta.value))


@pytest.mark.parametrize("departments", [1, 2, 3])
def test_what_was_spent_is_that_of_the_sums_once(departments: int) -> None:
    study = studies.summed_study(
        secure_sum={"residents": 180}, privacy={"departments_per_resident": departments}
    )
    protection = build(study).record.protection
    expected = independent(study, training_plan(study).recipe.steps)
    for found in (protection.epsilon, *(item.epsilon for item in protection.departments)):
        assert expected <= found <= 1.01 * expected
    assert protection.epsilon <= study.privacy.epsilon.value


def test_a_sum_counts_as_often_as_its_step_was_attempted() -> None:
    # A coordinator that is killed may have read the sum of the first attempt, and lost it.
    many = training_plan(STUDY).recipe.steps
    found = build(attempts={"train/3": 2, "train/7": 3}).record.protection.epsilon
    assert independent(STUDY, many + 3) <= found <= 1.01 * independent(STUDY, many + 3)
    assert found > build().record.protection.epsilon
    twice = build(attempts={"evaluate": 3, "histogram": 2}).record.protection
    assert twice.departments[0].evaluation.events[0].count == 3


def test_a_department_that_was_away_spent_less() -> None:
    everybody, two = WITNESSED.departments, ("school", "care")
    many = training_plan(WITNESSED).recipe.steps
    rounds = [everybody] * 5 + [two] * (many - 5)
    protection = build(WITNESSED, departments_by_round=rounds, evaluated_by=two).record.protection
    by_name = {item.department: item for item in protection.departments}
    assert by_name["labour"].rounds == 5
    assert by_name["labour"].evaluation is None
    assert by_name["labour"].epsilon < by_name["school"].epsilon == protection.epsilon
    assert by_name["labour"].epsilon == pytest.approx(independent(WITNESSED, 5), rel=0.01)
    assert protection.secure_sum.sums == many + 2


def test_the_record_and_the_card_say_how_it_was_summed() -> None:
    bundle = build(WITNESSED)
    record = read_json(ReleaseRecord, bundle.files["record.json"], what="the record")
    assert record == bundle.record
    summed = record.protection.secure_sum
    assert (summed.mode, summed.witness, summed.colluders) == (Mode.WITNESS, "auditor", 1)
    plan = training_plan(WITNESSED)
    assert summed.noise_step == plan.gradient.noise
    assert record.protection.noise_training is None
    card = bundle.files["card.md"].decode()
    assert "25 steps of gradient descent, each one secure sum" in card
    assert "with the witness `auditor`, who saw no value" in card
    assert "they do not add up" in card
    assert f"{plan.gradient.noise.value:.3f} (step)" in card
    assert "Steps answered" in card
    text = views.record_text(record)
    assert "steps" in text
    assert "rounds" not in text


def test_a_record_of_local_noise_says_nothing_of_sums() -> None:
    study = studies.study()
    bundle = release.build(
        study=study,
        run_id=RUN,
        parameters=parameters(study),
        metrics=None,
        departments_by_round=[study.departments],
        evaluated_by=(),
        created_at=NOW,
    )
    assert bundle.record.protection.secure_sum is None
    # Left out, so that records from before there were sums still have their own bytes.
    assert "secure_sum" not in json.loads(bundle.files["record.json"])["protection"]
    read_json(ReleaseRecord, bundle.files["record.json"], what="the record")


def pair() -> Study:
    """Give a study of two departments that tolerates no colluder by its settings."""
    written = {item.name: getattr(STUDY, item.name) for item in fields(StudyDraft)}
    written |= {"departments": ("school", "care"), "minimum_cohort": 2}
    written["secure_sum"] = replace(STUDY.summed, colluders=0)
    declared = dict.fromkeys(("school", "care"), studies.declaration())
    draft = StudyDraft(**written)
    return resolve(draft, declared, code=STUDY.code, identities=studies.IDENTITIES)


def test_the_noise_of_an_evaluation_is_that_of_those_who_answered() -> None:
    plan = training_plan(WITNESSED)
    total = np.zeros(plan.evaluation.length, dtype=np.int64)
    _, all_three = steps.evaluated(plan, total)
    _, two = steps.evaluated(plan, total, answered=2)
    assert two.value == pytest.approx(all_three.value * 2 / 3)


def test_the_words_say_whom_it_does_not_protect_against() -> None:
    def words(**settings: Any) -> str:
        study = studies.summed_study(secure_sum={"residents": 180, **settings})
        told = protection_in_words(study, 1.0)
        assert against_whom(study).en in told.en
        assert against_whom(study).sv in told.sv
        return told.en

    one, two, none = words(), words(colluders=2), words(colluders=0)
    assert "also if one department and the coordinator pool what they know" in one
    assert "not if more departments than that pool" in one
    assert "up to 2 departments" in two
    assert "not if more than 2 pool what they know" in two
    assert "not against a department, which knows its own share of the noise" in none
    witnessed = words(mode=Mode.WITNESS, witness="auditor")
    assert "rests on auditor, who must not give the masks to the coordinator" in witnessed
    assert "auditor" not in words(mode=Mode.BOTH, witness="auditor")
    assert "also if one department" in against_whom(pair()).en  # each adds all of the noise


def test_a_study_is_shown_with_its_witness() -> None:
    from models.governance.principal import Principal, Role
    from models.governance.states import StudyState
    from models.governance.views import StudyStatus

    status = StudyStatus(
        study=WITNESSED,
        study_hash=WITNESSED.digest(),
        state=StudyState.PROPOSED,
        approvals=(),
        proposed_at=NOW,
        proposed_by=Principal(Role.CENTRAL, "anna"),
    )
    text = views.study_text(status)
    assert "steps of secure sums (witness)" in text
    assert "auditor" in text
    assert "0 of 4" in str(views.studies_sheet([status]).rows)
