"""What would leave is described before, approved by its hash, and held against what does leave."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from nodes import Bench, Department, parameters
from studies import masked_study, public_study, study, summed_study

from models import documents
from models.errors import ProtocolViolationError, RefusedError
from models.governance.approval import Approval, sign
from models.governance.roster import Mode
from models.governance.step import StepKey
from models.governance.study import Study
from models.privacy.plan import plan
from models.quantities import Share
from models.training import kinds
from models.training.kinds import MOST_OCTETS, Kind
from models.training.leaving import describe
from models.training.studies import training_plan
from node.gate.preview import MESSAGES, messages, preview, short
from protos.codec import read_json
from protos.sums import MOST_RAW

WITNESSED = {"mode": Mode.WITNESS, "witness": "auditor"}


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = Department(tmp_path)
    yield made
    made.close()


def names(of: Study, *, witness: bool = False) -> list[str]:
    return [kind.step for kind in describe(of, witness=witness).kinds]


def kind(of: Study, step: str) -> Kind:
    (found,) = describe(of).find(step)
    return found


def message(of: Study, step: str) -> dict[str, np.ndarray]:
    """Give a message as the description says: zeros."""
    forms = kind(of, step).arrays
    return {form.name: np.zeros(form.shape, dtype=form.dtype) for form in forms}


def test_local_noise_is_described_to_the_last_array() -> None:
    assert names(study()) == ["train", "evaluate"]
    train = kind(study(), "train/3")
    assert {(f.name, f.dtype, f.shape) for f in train.arrays} == {
        ("0.weight", "<f4", (1, 7)),
        ("0.bias", "<f4", (1,)),
        ("weight", "<f8", ()),
    }
    assert (train.numbers, train.times) == (3, 4)
    assert [noise.multiplier for noise in train.noise] == [
        plan(study()).training,
        plan(study()).count,
    ]
    assert train.noise[0].count == 5
    assert train.noise[0].sampling.value == 0.2
    assert kind(study(), "evaluate").times == 2
    assert names(study(privacy={"holdout": Share(0.0)})) == ["train"]
    assert "whatever is counted here" in kind(study(training={"weights": "equal"}), "train").meaning


def test_no_noise_is_described_as_none() -> None:
    found = kind(public_study(), "train")
    assert {noise.multiplier for noise in found.noise} == {None}
    assert found.times is None


def test_secure_sums_are_described_with_bound_noise_and_repetitions() -> None:
    summed = summed_study()
    steps = training_plan(summed)
    assert names(summed) == ["offer", "join", "histogram", "train", "evaluate"]
    train = kind(summed, "train/1")
    assert (train.numbers, train.times) == (steps.recipe.steps, steps.recipe.steps + 2)
    assert [(f.name, f.dtype, f.shape) for f in train.arrays] == [
        ("context", "|u1", (32,)),
        ("sum", "<u8", (steps.gradient.length,)),
    ]
    plan = steps.sum_plan(steps.gradient)
    assert (train.scale, train.largest, train.bits) == (
        plan.scale,
        plan.largest,
        steps.gradient.bits,
    )
    (noise,) = train.noise
    assert (noise.bound, noise.multiplier) == (steps.recipe.clip, steps.gradient.noise)
    for name in ("histogram", "evaluate"):
        assert kind(summed, name).times == steps.terms.draws


def test_a_witness_sends_keys_and_masks_and_nothing_of_a_resident() -> None:
    summed = summed_study(secure_sum=WITNESSED)
    found = describe(summed, witness=True)
    assert names(summed, witness=True) == ["offer", "join", "masks", "masks", "masks"]
    assert all(not kind.noise for kind in found.kinds)
    assert {"masks"}.isdisjoint(names(summed))


def test_the_largest_document_is_the_wires() -> None:
    assert MOST_OCTETS == MOST_RAW


def test_the_hash_changes_with_whatever_would_leave() -> None:
    base = describe(summed_study())
    others = [
        describe(summed_study(), witness=True),
        describe(summed_study(model={"bins": 5})),
        describe(summed_study(secure_sum={"residents": 301})),
        describe(study()),
    ]
    assert len({base.digest(), *(other.digest() for other in others)}) == 5
    again = replace(base, kinds=base.kinds[:-1])
    assert again.digest() != base.digest()


# --- the gate: what was approved is what this program would send ---


@pytest.mark.parametrize("wanted", [study(), summed_study()], ids=["local", "summed"])
def test_an_approval_of_another_description_does_not_open_the_study(
    department: Department, wanted: Study
) -> None:
    yes = department.say(wanted)
    other = replace(yes.statement, preview="0" * 64)
    department.approvals.store(wanted, sign(other, department.key))
    with pytest.raises(RefusedError, match="something else than what was approved"):
        department.gate.open(wanted.digest())
    department.approvals.store(wanted, yes)
    assert department.gate.open(wanted.digest()) == wanted


def test_an_older_approval_opens_local_noise_and_never_a_secure_sum(department: Department) -> None:
    for wanted in (study(), summed_study()):
        department.approvals.store(wanted, department.say(wanted, preview=False))
    assert department.gate.open(study().digest()) == study()
    with pytest.raises(RefusedError, match="something else than what was approved"):
        department.gate.open(summed_study().digest())


def test_an_older_approval_is_read_written_and_signed_as_it_was(department: Department) -> None:
    old = department.say(study(), preview=False)
    content = documents.write(old)
    assert b"preview" not in content
    assert b"preview" not in old.statement.signed_bytes()
    assert documents.write(read_json(Approval, content, what="an approval")) == content
    new = department.say(study())
    assert documents.write(new).count(b'"preview"') == 1


# --- on the way out ---


@pytest.mark.parametrize("step", ["histogram", "train/2", "evaluate"])
def test_a_described_message_of_a_secure_sum_leaves(department: Department, step: str) -> None:
    wanted = summed_study()
    department.approve(wanted)
    department.gate.leave(wanted, step, message(wanted, step), scale=kind(wanted, step).scale)


def test_keys_leave_as_documents_of_bounded_size(department: Department) -> None:
    wanted = summed_study()
    department.approve(wanted)
    department.gate.leave(wanted, "offer", {"offer": b"{}"})
    department.gate.leave(wanted, "join", {"cohort": bytes(MOST_OCTETS)})
    for values in ({"offer": bytes(MOST_OCTETS + 1)}, {"cohort": b"{}"}, {"offer": np.zeros(2)}):
        with pytest.raises(RefusedError, match="not what the approved preview describes"):
            department.gate.leave(wanted, "offer", values)


def spoiled(values: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    """Give messages that differ from a described one in one thing each."""
    sums = values["sum"]
    yield {**values, "sum": sums[:-1]}
    yield {**values, "sum": np.append(sums, sums[:1])}
    yield {**values, "sum": sums.reshape(1, -1)}
    yield {**values, "sum": sums.astype(np.float64)}
    yield {**values, "sum": sums.astype(np.int64)}
    yield {**values, "sum": sums.astype(">u8")}
    yield {**values, "sum": sums.tobytes()}
    yield {**values, "plain": sums}
    yield {"sum": sums}
    yield {"context": values["context"], "total": sums}
    yield {}


def test_a_message_that_differs_in_anything_does_not_leave(department: Department) -> None:
    wanted = summed_study()
    department.approve(wanted)
    scale = kind(wanted, "train").scale
    assert scale is not None
    for values in spoiled(message(wanted, "train")):
        with pytest.raises(RefusedError, match="not what the approved preview describes"):
            department.gate.leave(wanted, "train/1", values, scale=scale)
    for wrong in (None, 0, scale - 1, scale + 1):
        with pytest.raises(RefusedError, match="not what the approved preview describes"):
            department.gate.leave(wanted, "train/1", message(wanted, "train"), scale=wrong)
    for step in ("masks", "other", ""):
        with pytest.raises(RefusedError, match="not what the approved preview describes"):
            department.gate.leave(wanted, step, message(wanted, "train"), scale=scale)


def test_a_witness_gives_masks_of_described_lengths_only(tmp_path: Path) -> None:
    wanted = summed_study(secure_sum=WITNESSED)
    auditor = Department(tmp_path, name="auditor", declared={})
    auditor.approve(wanted)
    lengths = {part.length for part in training_plan(wanted).sums.values()}
    for length in lengths:
        words = np.zeros(length, dtype="<u8")
        auditor.gate.leave(wanted, "masks", {"set": b"{}", "sum": words})
    with pytest.raises(RefusedError, match="not what the approved"):
        auditor.gate.leave(wanted, "masks", {"set": b"{}", "sum": np.zeros(3, dtype="<u8")})
    with pytest.raises(RefusedError, match="not what the approved"):
        auditor.gate.leave(wanted, "train/1", message(wanted, "train"), scale=1)
    auditor.close()


def test_a_study_that_is_not_approved_sends_nothing(department: Department) -> None:
    with pytest.raises(RefusedError, match="was not approved"):
        department.gate.leave(study(), "train/1", message(study(), "train"))


class Talkative(Bench):
    """A bench with a mistake: it releases one array more, in another type or shape."""

    def __init__(self, more: dict[str, np.ndarray]) -> None:
        super().__init__(plan(study()))
        self.more = more

    def train(self, **asked: object) -> object:
        released = super().train(**asked)
        return replace(released, values={**released.values, **self.more})


@pytest.mark.parametrize(
    "more",
    [
        {"count": np.array(17.0)},
        {"0.bias": np.zeros(2, dtype=np.float32)},
        {"0.bias": np.zeros(1, dtype=np.float64)},
    ],
)
def test_what_a_mistaken_program_releases_does_not_leave(
    department: Department, more: dict[str, np.ndarray]
) -> None:
    department.approve(study())
    start = parameters(study())
    steps = department.steps(study(), lambda: Talkative(more))
    with pytest.raises(RefusedError, match="not what the approved preview describes"):
        steps.train(round_number=1, attempt=1, parameters=start)
    again = department.steps(study(), lambda: Bench(plan(study())))
    with pytest.raises(RefusedError, match="not what the approved"):  # it stays where it is stored
        again.train(round_number=1, attempt=1, parameters=start)
    assert again.train(round_number=2, attempt=1, parameters=start)["weight"] == 120.5


def test_without_the_check_it_would_leave(
    department: Department, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinds, "check", lambda *_, **__: None)
    department.approve(study())
    steps = department.steps(study(), lambda: Talkative({"count": np.array(17.0)}))
    values = steps.train(round_number=1, attempt=1, parameters=parameters(study()))
    assert values["count"] == 17


def test_local_noise_without_residents_set_aside_has_no_evaluation(department: Department) -> None:
    wanted = study(privacy={"holdout": Share(0.0)})
    department.approve(wanted)
    with pytest.raises(ProtocolViolationError, match="has no step evaluate"):
        department.gate.admit(StepKey(study=wanted.digest(), run=77, step="evaluate"), wanted)


# --- in words ---


def test_the_preview_of_a_secure_sum_says_what_protects() -> None:
    text = {point.about: point.text for point in preview(summed_study())}
    assert "each a secure sum" in text["method"]
    assert "even if 1 of the departments" in text["protection"]
    assert "each pair of departments" in text["protection"]
    assert "epsilon 2, delta 1e-05" in text["protection"]
    assert "masked integers" in text["what leaves"]
    assert text["program"] == summed_study().code
    witnessed = {p.about: p.text for p in preview(summed_study(secure_sum=WITNESSED))}
    assert "the witness auditor" in witnessed["protection"]


def test_the_preview_of_local_noise_under_masks_says_what_protects() -> None:
    masked = masked_study(secure_sum=WITNESSED)
    text = {point.about: point.text for point in preview(masked)}
    assert "updates averaged in a secure sum" in text["method"]
    assert "noise is added at this node before anything leaves it" in text["protection"]
    assert "the epsilon does not rest on that" in text["protection"]
    assert "the witness auditor" in text["protection"]
    assert "only good in a sum" in text["what leaves"]
    rows = {row[0]: row for row in messages(describe(masked))}
    assert rows["train/1..3"][2] == "context |u1 [32], sum <u8 [9]"
    assert "5 of them in a message" in rows["train/1..3"][3]
    assert "own noise of standard deviation 8" in rows["train/1..3"][3]


def test_the_table_of_messages_is_readable() -> None:
    rows = {row[0]: row for row in messages(describe(summed_study()))}
    steps = training_plan(summed_study())
    assert all(len(row) == len(MESSAGES) for row in rows.values())
    _, often, held, hidden = rows[f"train/1..{steps.recipe.steps}"]
    assert often == f"{steps.recipe.steps + 2} times"
    assert held == "context |u1 [32], sum <u8 [26]"
    assert f"standard deviation {steps.gradient.scale}" in hidden
    assert rows["offer"][3] == "nothing of a resident"
    assert "when asked" in rows["offer"]
    local = messages(describe(study()))
    assert "weight <f8 [one number]" in local[0][2]
    assert "5 of them in a message" in local[0][3]
    assert "none on" in messages(describe(public_study()))[0][3]
    assert short(describe(study())).startswith(describe(study()).digest())
