"""Studies with secure sums at the gate: program, keys, cohort, steps, witness."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nodes import RUN, Department
from studies import IDENTITIES, study, summed_study

from models.errors import ConfigurationError, ProtocolViolationError, RefusedError
from models.governance.approval import Decision
from models.governance.roster import Member, Mode
from models.governance.step import StepKey
from models.governance.study import Study
from models.quantities import Share
from models.training.studies import training_plan
from node import config
from node.gate import peers
from node.gate.policy import Policy
from protos.installed import code_digest

OTHER = "ab" * 32
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw().hex()
WITNESSED = {"mode": Mode.WITNESS, "witness": "auditor"}


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = Department(tmp_path)
    yield made
    made.close()


def with_key(name: str, identity: str, *, of: Study | None = None) -> Study:
    """Give the study with another identity key for a member, as a coordinator might write it."""
    base = of or summed_study()
    roster = base.signed_roster
    members = tuple(
        Member(name=m.name, identity=identity if m.name == name else m.identity)
        for m in roster.members
    )
    witness = roster.witness
    if witness is not None and witness.name == name:
        witness = Member(name=name, identity=identity)
    return replace(base, roster=replace(roster, members=members, witness=witness))


def against(department: Department, wanted: Study) -> str:
    return "; ".join(department.gate.objections(wanted))


# --- the program ---


@pytest.mark.parametrize("wanted", [study(), summed_study()], ids=["local", "summed"])
def test_a_study_for_another_program_is_refused(department: Department, wanted: Study) -> None:
    assert department.gate.objections(wanted) == ()
    other = replace(wanted, code=OTHER)
    said = against(department, other)
    assert f"{OTHER[:12]}, and this node runs {code_digest()[:12]}" in said
    assert "datalabbet-node code" in said
    department.approvals.store(other, department.say(other))
    with pytest.raises(RefusedError, match=f"program {OTHER[:12]}"):
        department.gate.open(other.digest())


def test_a_new_version_of_the_program_stops_a_study_that_was_approved(
    department: Department,
) -> None:
    wanted = study()
    department.approve(wanted)
    step = StepKey(study=wanted.digest(), run=RUN, step="train/1")
    department.gate.admit(step, wanted)
    with pytest.raises(RefusedError, match=f"this node runs {OTHER[:12]}"):
        department.gated(code=OTHER).admit(step, wanted)


# --- the keys ---


def test_the_right_keys_are_no_objection(department: Department) -> None:
    assert department.gate.objections(summed_study()) == ()
    assert department.gate.objections(summed_study(secure_sum=WITNESSED)) == ()


def test_another_key_for_this_node_is_refused(department: Department) -> None:
    assert "another identity key for this node" in against(department, with_key("school", STRANGER))


def test_this_nodes_key_under_another_name_is_refused(department: Department) -> None:
    swapped = with_key("school", STRANGER)
    swapped = with_key("care", IDENTITIES["school"], of=swapped)
    assert "this node's identity key under the name care" in against(department, swapped)


@pytest.mark.parametrize("given", [STRANGER, peers.fingerprint(STRANGER)])
def test_another_key_than_the_compared_one_is_refused(department: Department, given: str) -> None:
    department.gate = department.gated(policy=Policy(peers={"care": given}))
    assert "another identity key for care than `peers`" in against(department, summed_study())
    assert department.gate.objections(with_key("care", STRANGER)) == ()
    department.approve(summed_study())
    with pytest.raises(RefusedError, match="another identity key for care"):
        department.gate.open(summed_study().digest())


def test_a_key_that_was_compared_is_good_by_itself_and_by_its_fingerprint(
    department: Department,
) -> None:
    for given in (IDENTITIES["care"], peers.fingerprint(IDENTITIES["care"])):
        gate = department.gated(policy=Policy(peers={"care": given, "elsewhere": STRANGER}))
        assert gate.objections(summed_study()) == ()


def test_the_key_of_a_witness_is_compared_too(department: Department) -> None:
    department.gate = department.gated(policy=Policy(peers={"auditor": STRANGER}))
    assert "for auditor" in against(department, summed_study(secure_sum=WITNESSED))


def test_a_key_that_changes_between_studies_needs_the_stewards_word(
    department: Department,
) -> None:
    department.approve(summed_study())
    assert department.gate.objections(summed_study()) == ()
    later = with_key("care", STRANGER, of=summed_study(retention_days=30))
    assert "than a study approved here before; ask care" in against(department, later)
    named = department.gated(policy=Policy(peers={"care": STRANGER}))
    assert named.objections(later) == ()
    department.approve(later)
    # From then on the new key is the known one, and the old one is the change.
    assert (
        department.gate.objections(with_key("care", STRANGER, of=summed_study(retention_days=31)))
        == ()
    )
    assert "before; ask care" in against(department, summed_study(retention_days=32))


def test_a_key_in_a_study_that_was_refused_is_not_known(department: Department) -> None:
    wrong = with_key("care", STRANGER)
    department.approvals.store(wrong, department.say(wrong, Decision.REFUSED))
    assert department.gate.objections(summed_study()) == ()


def test_fingerprints_can_be_read_aloud() -> None:
    listed = {
        peer.name: peer for peer in peers.listed(summed_study(secure_sum=WITNESSED), me="care")
    }
    assert set(listed) == {"school", "care", "labour", "auditor"}
    assert (listed["auditor"].witness, listed["care"].own, listed["school"].own) == (
        True,
        True,
        False,
    )
    line = str(listed["care"])
    assert line.startswith("care (this node): ")
    digits = line.partition(": ")[2]
    assert {len(group) for group in digits.split()} == {4}
    assert digits.replace(" ", "") == peers.fingerprint(IDENTITIES["care"])
    assert peers.listed(study(), me="care") == ()


def test_peers_are_read_as_people_write_them(tmp_path: Path) -> None:
    text = peers.grouped(OTHER).upper()
    (tmp_path / "node.toml").write_text(f'minimum_summed = 2\n[peers]\ncare = "{text}"\n')
    settings = config.load(tmp_path)
    assert settings.peers == {"care": OTHER}
    assert settings.minimum_summed == 2
    (tmp_path / "node.toml").write_text('[peers]\ncare = "12"\n')
    with pytest.raises(ConfigurationError, match=r"peers\.care"):
        config.load(tmp_path)


# --- the cohort ---


def test_two_departments_need_the_nodes_word(department: Department) -> None:
    two = summed_study(secure_sum=WITNESSED, minimum_cohort=2)
    assert "goes on with 2 departments; this node asks for at least 3" in against(department, two)
    willing = department.gated(policy=Policy(minimum_summed=2))
    assert willing.objections(two) == ()
    assert (department.gate.minimum(two), willing.minimum(two)) == (3, 2)
    assert department.gate.minimum(study()) == 2  # local noise protects each alone
    assert department.gated(policy=Policy(minimum_summed=4)).objections(summed_study()) != ()


# --- the steps ---


def admit(department: Department, of: Study, step: str) -> None:
    department.gate.admit(StepKey(study=of.digest(), run=RUN, step=step), of)


def test_the_steps_of_the_plan_are_admitted_and_no_others(department: Department) -> None:
    wanted = summed_study()
    department.approve(wanted)
    last = training_plan(wanted).recipe.steps
    for step in ("histogram", "train/1", f"train/{last}", "evaluate"):
        admit(department, wanted, step)
    with pytest.raises(ProtocolViolationError, match=f"has {last} steps, not {last + 1}"):
        admit(department, wanted, f"train/{last + 1}")


def test_no_histogram_with_local_noise_and_no_evaluation_without_residents_aside(
    department: Department,
) -> None:
    department.approve(study())
    admit(department, study(), "train/3")
    with pytest.raises(ProtocolViolationError, match="has no step histogram"):
        admit(department, study(), "histogram")
    whole = summed_study(privacy={"holdout": Share(0.0)})
    department.approve(whole)
    admit(department, whole, "histogram")
    with pytest.raises(ProtocolViolationError, match="has no step evaluate"):
        admit(department, whole, "evaluate")


# --- the witness ---


def test_a_witness_needs_no_dataset_and_keeps_every_other_rule(tmp_path: Path) -> None:
    wanted = summed_study(secure_sum=WITNESSED)
    auditor = Department(tmp_path, name="auditor", declared={})
    assert auditor.gate.objections(wanted) == ()
    auditor.approve(wanted)
    admit(auditor, wanted, "train/1")
    assert "does not name this department" in against(auditor, summed_study())
    assert "another identity key for this node" in against(
        auditor, with_key("auditor", STRANGER, of=wanted)
    )
    assert "was made for the program" in against(auditor, replace(wanted, code=OTHER))
    two = summed_study(departments=("school", "care"), minimum_cohort=2, secure_sum=WITNESSED)
    assert "asks for at least 3" in against(auditor, two)
    auditor.close()


def test_a_department_is_not_let_off_its_declaration_by_a_witness(tmp_path: Path) -> None:
    school = Department(tmp_path, declared={})
    assert "is not declared" in against(school, summed_study(secure_sum=WITNESSED))
    school.close()
