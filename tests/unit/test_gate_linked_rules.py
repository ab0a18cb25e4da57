"""What stands against a linked study at a node, and what its steward is shown."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from linked_kinds import study_of
from linked_nodes import LinkedTown, Party, keyed
from linked_studies import OPEN, PRIVATE, category, linked_study, own, table

from models import documents
from models.errors import InvalidDocumentError, ProtocolViolationError, RefusedError
from models.governance import any_study
from models.governance.linked import LinkedStudy
from models.governance.step import StepKey
from models.governance.study import Protection
from models.linkage import leaving
from models.linkage.plan import plan
from models.quantities import Delta, Epsilon
from models.replicated import sealing
from node.gate.policy import Policy
from node.gate.preview import MESSAGES, messages, preview, short
from node.ledger.ledger import Subject
from node.runs import Role


def studied(**changes: object) -> LinkedStudy:
    variables = [
        (own("eligible", "school"), category("eligible", "no", "yes")),
        (own("help", "social", of="household", absent=True), category("help", "no", "yes")),
    ]
    return keyed(linked_study(variables, [table("t", "eligible", "help")], **changes))


STUDY = studied()


@pytest.fixture
def town(tmp_path: Path) -> Iterator[LinkedTown]:
    made = LinkedTown(tmp_path, STUDY)
    yield made
    made.close()


def against(party: Party, study: LinkedStudy, **policy: Any) -> tuple[str, ...]:
    """Give the objections to another study, at this party with other settings."""
    settings = {"owner": party.policy.owner, **policy}
    return party.department.gated(policy=Policy(**settings)).objections(study)


def only(found: tuple[str, ...]) -> str:
    [text] = found
    return text


def test_nothing_stands_against_what_fits(town: LinkedTown) -> None:
    for party in town.parties.values():
        assert against(party, STUDY) == ()


# --- as a server ---


def test_a_server_must_say_who_runs_it(town: LinkedTown) -> None:
    auditor = town.parties["auditor"]
    assert "`owner` is not set in node.toml" in only(against(auditor, STUDY, owner=" "))
    said = only(against(auditor, STUDY, owner="The social welfare board"))
    assert "run by The auditors, and `owner` in node.toml says The social welfare board" in said
    assert against(auditor, STUDY, owner="the  AUDITORS.") == ()


def test_a_department_that_is_no_server_needs_no_owner(town: LinkedTown) -> None:
    assert against(town.parties["school"], STUDY, owner="") == ()
    assert "`owner` is not set" in only(against(town.parties["social"], STUDY, owner=""))


def test_two_servers_of_one_owner_cannot_even_be_read() -> None:
    """Neither as a study, nor from a document that says so under its right hash."""
    one, two = STUDY.committee.servers
    for servers in (
        (one, replace(two, owner="THE auditors")),
        (one, replace(two, owner=STUDY.committee.coordinator)),
    ):
        with pytest.raises(ValueError, match="same owner"):
            replace(STUDY.committee, servers=servers)
    text = STUDY.canonical().decode().replace("The social welfare board", "the auditors")
    with pytest.raises(InvalidDocumentError, match="same owner"):
        any_study.read(json.loads(text), what="the study")
    assert any_study.read(json.loads(STUDY.canonical()), what="the study") == STUDY


# --- as a department ---


def declared(party: Party, **changes: Any) -> None:
    own_ = party.department.declared
    own_["school_table"] = replace(own_["school_table"], **changes)


def promised(party: Party, **changes: Any) -> None:
    assert party.department.register is not None
    party.department.register = replace(party.department.register, **changes)


def none_declared(party: Party) -> None:
    del party.department.declared["school_table"]


def no_register(party: Party) -> None:
    party.department.register = None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (none_declared, "the dataset school_table is not declared"),
        (
            lambda party: declared(party, columns=(category("other", "no", "yes"),)),
            "the column eligible of school_table is not declared",
        ),
        (
            lambda party: declared(party, columns=(category("eligible", "yes", "no"),)),
            "the column eligible of school_table is declared otherwise",
        ),
        (no_register, "no register is declared at this node, and it asks for the one of 2024-12"),
        (
            lambda party: promised(party, date=date(2023, 12, 31)),
            "the one at this node is of 2023-12-31",
        ),
        (lambda party: promised(party, household=None), "declares no `household`"),
        (lambda party: promised(party, protected=None), "does not declare who they are"),
    ],
)
def test_what_is_declared_otherwise_stands_against_it(
    town: LinkedTown, change: Callable[[Party], None], said: str
) -> None:
    school = town.parties["school"]
    change(school)
    assert said in only(against(school, STUDY))
    with pytest.raises(RefusedError, match="is refused at this node"):
        school.department.gate.open(STUDY.digest())


def test_what_a_study_does_not_need_of_the_register_may_be_undeclared(town: LinkedTown) -> None:
    school = town.parties["school"]
    promised(school, household=None, protected=None)
    simple = keyed(study_of("two departments", privacy=replace(PRIVATE, unit="resident")))
    simple = replace(simple, register=replace(simple.register, protected="include"))
    found = against(school, simple)
    assert not [text for text in found if "register" in text]


def test_limits_hold_for_data_that_is_not_public(town: LinkedTown) -> None:
    school = town.parties["school"]
    said = only(against(school, STUDY, per_study=Epsilon(0.5)))
    assert "it asks for an ε of 1; this node allows a study at most 0.5" in said
    assert "δ of 1e-06" in only(against(school, STUDY, per_study_delta=Delta(1e-7)))
    assert "links 2 departments" in only(against(school, STUDY, minimum_linked=3))
    declared(school, public=True)
    assert against(school, STUDY, per_study=Epsilon(0.5), per_study_delta=Delta(1e-7)) == ()


def test_without_noise_only_public_data_is_shared(town: LinkedTown) -> None:
    study = studied(privacy=OPEN)
    assert study.privacy.protection is Protection.NONE
    school = town.parties["school"]
    assert "asks for no noise" in only(against(school, study))
    declared(school, public=True)
    assert against(school, study) == ()


def test_one_population_pays(town: LinkedTown) -> None:
    social = town.parties["social"]
    gate = social.department.gated(
        policy=Policy(owner=social.policy.owner, populations={"social_table": "clients"})
    )
    assert gate.subject(STUDY) == Subject(dataset="social_table", population="clients")
    gate = social.department.gate
    assert gate.subject(STUDY) == Subject(dataset="social_table", population="residents")
    two = [
        (own("eligible", "school"), category("eligible", "no", "yes")),
        (replace(own("year", "school"), dataset="years"), category("year", "a", "b")),
        (own("help", "social"), category("help", "no", "yes")),
    ]
    study = keyed(linked_study(two, [table("t", "eligible", "year", "help")]))
    school = town.parties["school"]
    years = replace(school.department.declared["school_table"], name="years")
    school.department.declared["years"] = replace(years, columns=(category("year", "a", "b"),))
    assert against(school, study) == ()
    said = only(against(school, study, populations={"years": "others"}))
    assert "about several populations (others, residents)" in said


def test_others_and_other_programs_have_no_part_in_it(town: LinkedTown) -> None:
    school = town.parties["school"]
    assert "was made for the program" in only(against(school, keyed(STUDY, code="0" * 64)))
    other = keyed(study_of("hazard", privacy=replace(PRIVATE, unit="resident")))
    assert "does not name this department" in against(school, other)[0]
    wrong = replace(STUDY.roster.members[0], identity="ab" * 32)
    roster = replace(STUDY.roster, members=(wrong, *STUDY.roster.members[1:]))
    changed = replace(STUDY, roster=roster)
    found = against(school, changed)
    assert any("another identity key for auditor" in text for text in found)


def test_the_one_charged_step_is_the_run(town: LinkedTown) -> None:
    school, auditor = (town.parties[name].department.gate for name in ("school", "auditor"))
    digest = STUDY.digest()
    school.admit(StepKey(study=digest, run=77, step="linked"), STUDY)
    for gate, step in ((school, "train/1"), (school, "evaluate"), (auditor, "linked")):
        with pytest.raises(ProtocolViolationError, match="has no step"):
            gate.admit(StepKey(study=digest, run=77, step=step), STUDY)


def test_a_witness_is_a_server_and_no_department(town: LinkedTown) -> None:
    Role.WITNESS.admits(STUDY, name="auditor")
    Role.DEPARTMENT.admits(STUDY, name="social")
    Role.DEPARTMENT.admits(STUDY, name="auditor")
    with pytest.raises(RefusedError, match="names school as a department"):
        Role.WITNESS.admits(STUDY, name="school")


# --- what would leave ---


ALL = keyed(study_of("all at once", privacy=replace(PRIVATE, unit="resident")))


@pytest.mark.parametrize(
    ("study", "member", "steps"),
    [
        (ALL, "school", ["offer", "join", "mix", "spine", "seeds", "share", "totals"]),
        (ALL, "auditor", ["offer", "join", "begun", "turned", "opened", "erased"]),
        (
            STUDY,
            "social",
            [
                *("offer", "join", "mix", "spine", "seeds", "share", "totals"),
                *("begun", "opened", "erased"),
            ],
        ),
    ],
)
def test_every_message_is_described(study: LinkedStudy, member: str, steps: list[str]) -> None:
    found = leaving.describe(study, member=member)
    assert [kind.step for kind in found.kinds] == steps
    assert found.study == study.digest()
    digests = {leaving.describe(study, member=name).digest() for name in study.departments}
    assert len(digests) == len(study.departments)


def test_the_shares_are_described_with_the_noise_that_hides_a_unit() -> None:
    found = {kind.step: kind for kind in leaving.describe(STUDY, member="social").kinds}
    noise = plan(STUDY).noise
    for step in ("share", "totals", "opened"):
        [said] = found[step].noise
        assert (said.multiplier, said.bound) == (noise.noise, noise.reach)
        assert "one household is protected" in said.about
    assert found["opened"].scale == noise.scale
    assert not found["mix"].noise
    assert "turned" not in found  # no columns of two departments are multiplied


def test_without_noise_the_description_says_so() -> None:
    found = {
        kind.step: kind for kind in leaving.describe(studied(privacy=OPEN), member="social").kinds
    }
    assert found["share"].noise[0].multiplier is None
    assert found["opened"].scale is None


def test_what_is_longer_or_otherwise_than_described_does_not_leave(town: LinkedTown) -> None:
    gate = town.parties["social"].department.gate
    agreed = plan(STUDY)
    most = agreed.rows * agreed.layout.columns("social") * agreed.ring.octets + sealing.TAG
    gate.leave(STUDY, "share/1", {"body": bytes(most)})
    gate.leave(STUDY, "share/1", {"body": b""})
    words = agreed.ring.zeros(agreed.noise.length)
    gate.leave(STUDY, "opened", {"sum": words}, scale=agreed.noise.scale)
    for step, values, scale in (
        ("share/1", {"body": bytes(most + 1)}, None),
        ("share/1", {"other": b""}, None),
        ("share/1", {"body": words}, None),
        ("opened", {"sum": words}, None),
        ("opened", {"sum": words}, agreed.noise.scale - 1),
        ("opened", {"sum": words[:-1]}, agreed.noise.scale),
        ("opened", {"sum": words.tobytes()}, agreed.noise.scale),
        ("turned/1", {"turned": b""}, None),
        ("train/1", {"sum": words}, None),
    ):
        with pytest.raises(RefusedError, match="not what the approved preview describes"):
            gate.leave(STUDY, step, values, scale=scale)


def test_the_steward_reads_servers_questions_and_protection() -> None:
    points = {point.about: point.text for point in preview(STUDY)}
    assert (
        "coordinator, run by The city's office, auditor, run by The auditors" in points["servers"]
    )
    assert "two of them together can read every record" in points["servers"]
    assert points["variable help"].startswith("social: social_table, help of anybody in")
    assert "2024-12-31, at most 1,000 residents" in points["register"]
    assert "ε = 1" in points["protection"]
    assert "question t" in points
    assert "epsilon of 1" in points["releases"]
    for kind in ("all at once", "match"):
        assert preview(keyed(study_of(kind, privacy=OPEN)))


def test_the_preview_lists_every_message() -> None:
    found = leaving.describe(STUDY, member="social")
    rows = messages(found)
    assert len(rows) == len(found.kinds)
    assert all(len(row) == len(MESSAGES) for row in rows)
    by_step = {row[0].partition("/")[0]: row for row in rows}
    assert "octets, at most" in by_step["share"][2]
    assert "own noise of standard deviation" in by_step["opened"][3]
    assert found.digest() in short(found)
    assert documents.write(found)
