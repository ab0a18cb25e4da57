"""Runs of linked studies at real nodes: one charge, one spine, one opening, and nothing else."""

import base64
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from linked_kinds import study_of
from linked_nodes import LinkedTown, People, clear, keyed, shortened
from linked_oracle import vector
from linked_studies import OPEN, PRIVATE, category, linked_study, own, table
from nodes import RUN

from models.errors import (
    BudgetExhaustedError,
    ContextUsedError,
    DataContractError,
    NotJoinedError,
    ProtocolViolationError,
    RefusedError,
)
from models.governance.approval import Decision
from models.governance.linked import LinkedStudy
from models.ledger.entries import ChargeEntry
from models.linkage import plan as plans
from models.linkage.plan import plan
from models.linkage.tables import opened
from models.replicated import mixing, sealing
from models.replicated.messages import Mixes
from node.gate.linked import Linked
from node.gate.policy import Policy
from protos.codec import read_json

RESIDENT = replace(PRIVATE, unit="resident")


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have 150 residents in three chunks."""
    with shortened(monkeypatch):
        yield


def household_study(**changes: object) -> LinkedStudy:
    """Give a study of school and social services in which social services are a server."""
    variables = [
        (own("eligible", "school"), category("eligible", "no", "yes")),
        (own("help", "social", of="household", absent=True), category("help", "no", "yes")),
    ]
    return keyed(linked_study(variables, [table("t", "eligible", "help")], **changes))


@pytest.fixture
def town(tmp_path: Path) -> Iterator[LinkedTown]:
    made = LinkedTown(tmp_path, household_study())
    yield made
    made.close()


def order(town: LinkedTown) -> list[str]:
    """Give the ids in the order of the spine, from a department's own memory."""
    holding = town.holding("school")
    assert isinstance(holding, Linked)
    ids = sorted(town.people.ids)
    return [ids[place] for place in holding._bench._spine.order]


def all_charges(town: LinkedTown) -> dict[str, int]:
    return {name: party.charges for name, party in town.parties.items()}


# --- the whole of a run ---


@pytest.mark.parametrize("kind", ["all at once", "household"])
def test_without_noise_the_tables_are_those_of_the_records(tmp_path: Path, kind: str) -> None:
    study = keyed(study_of(kind, privacy=OPEN))
    town = LinkedTown(tmp_path, study, public=True)
    found = opened(study, town.opened(), residents=town.residents)
    records, households = clear(study, town.people, order(town))
    cells = np.concatenate([item.counts.reshape(-1) for item in found.tables])
    assert np.array_equal(cells, vector(study, records, households))
    assert cells.any()
    known = set(town.people.ids)
    for total in found.totals:
        mine = [v.name for v in study.variables if v.department == total.department]
        ids = {each for name in mine for each in town.people.codes[name]}
        assert total.unlinked == len(ids - known)
    assert all_charges(town) == {name: int(name in study.departments) for name in study.parties}
    town.close()


def test_with_noise_the_tables_are_near_the_records(town: LinkedTown) -> None:
    study = town.study
    found = opened(study, town.opened(), residents=town.residents)
    records, households = clear(study, town.people, order(town))
    [answer] = found.tables
    apart = answer.counts.reshape(-1) - vector(study, records, households)
    assert np.all(np.abs(apart) < 6 * np.sqrt(answer.variance.value))
    assert np.any(apart != 0)


def test_what_is_asked_again_is_answered_with_the_same_bytes(town: LinkedTown) -> None:
    town.begin()
    school, auditor = town.holding("school"), town.serving("auditor")
    assert school.mix() == school.mix()
    assert {name: school.seeds() for name in "ab"} == dict.fromkeys("ab", town.seeds["school"])
    assert auditor.begin(town.begins["auditor"]) == auditor.begin(town.begins["auditor"])
    for chunk in (1, 2, 3):
        assert school.share(chunk) == school.share(chunk)
        town.fold(chunk)
    first = town.open()
    totals = {name: town.holding(name).totals() for name in town.study.departments}
    assert auditor.open(totals) == auditor.open(totals)
    assert np.array_equal(town.open(), first)
    assert auditor.erase() == auditor.erase()
    assert auditor.erase().chunks == 3
    with pytest.raises(NotJoinedError):
        auditor.open(totals)
    assert all_charges(town) == {"school": 1, "social": 1, "auditor": 0}


# --- the charge ---


def test_nothing_is_charged_and_no_record_read_before_the_seeds(town: LinkedTown) -> None:
    for name in town.study.departments:  # nobody could read these
        (town.parties[name].folder / "datasets" / f"{name}_table.csv").unlink()
    town.agree()
    town.spine()
    assert set(all_charges(town).values()) == {0}
    town.holding("school").seeds()
    assert town.parties["school"].charges == 1
    with pytest.raises(DataContractError):
        town.holding("school").share(1)
    with pytest.raises(NotJoinedError):
        town.holding("social").share(1)


def test_the_ledger_says_what_was_charged_and_to_whom(town: LinkedTown) -> None:
    town.begin()
    with sqlite3.connect(town.parties["social"].folder / "node.db") as connection:
        rows = connection.execute("SELECT document FROM entries WHERE kind = 'charge'").fetchall()
    [charge] = [read_json(ChargeEntry, row[0].encode(), what="a charge") for row in rows]
    connection.close()
    assert (charge.step, charge.dataset, charge.population) == (
        "linked",
        "social_table",
        "residents",
    )
    assert charge.cost == plans.cost(town.study)


def test_a_study_is_run_as_often_as_it_pays_for(tmp_path: Path) -> None:
    study = household_study(privacy=replace(PRIVATE, releases=2, spare_runs=1))
    town = LinkedTown(tmp_path, study)
    for run in (RUN, RUN + 1, RUN + 2):
        town.take_up(run)
        town.begin()
    town.take_up(RUN + 3)
    with pytest.raises(BudgetExhaustedError, match="its ε is spent"):
        town.begin()
    assert all_charges(town) == {"school": 3, "social": 3, "auditor": 0}
    town.close()


def test_a_run_is_charged_once_over_restarts_and_shared_in_one_life(town: LinkedTown) -> None:
    """A killed node has lost its keys: it shares nothing more, and its charge stays."""
    town.begin()
    town.fold(1)
    town.parties["school"].restart()
    town.parts["school"] = town.parties["school"].part()
    for ask in (
        lambda: town.holding("school").share(2),
        lambda: town.holding("school").totals(),
        lambda: town.holding("school").seeds(),
        lambda: town.holding("school").mix(),
    ):
        with pytest.raises(NotJoinedError):
            ask()
    assert town.parties["school"].charges == 1


def test_a_restarted_department_is_not_charged_again_for_the_run(town: LinkedTown) -> None:
    """Even if all others begin the very run anew with it, as a dishonest coordinator may ask."""
    town.begin()
    for party in town.parties.values():
        party.restart()
    town.take_up(RUN)
    with pytest.raises(ContextUsedError):
        town.begin()
    assert town.parties["school"].charges == 1


def restarted(town: LinkedTown, name: str) -> None:
    town.parties[name].restart()
    town.parts[name] = town.parties[name].part()


def test_a_member_with_new_keys_does_not_come_into_a_run_that_was_charged(
    town: LinkedTown,
) -> None:
    town.begin()
    restarted(town, "social")
    with pytest.raises(RefusedError, match="was started anew"):
        town.agree()


def test_before_the_charge_all_may_agree_and_be_ordered_anew(town: LinkedTown) -> None:
    town.agree()
    before = town.spine()
    shared = town.parts["school"].joining.secret("auditor")
    restarted(town, "social")
    town.agree()
    # Nothing is sealed twice under one key: also two that kept theirs have another secret.
    assert town.parts["school"].joining.secret("auditor") != shared
    school = town.holding("school")
    with pytest.raises(NotJoinedError):
        school.seeds()  # under the earlier keys
    assert town.spine()["school"].digest != before["school"].digest
    town.begin()
    town.fold(1)
    assert all_charges(town) == {"school": 1, "social": 1, "auditor": 0}


def test_a_restarted_server_opens_nothing(town: LinkedTown) -> None:
    town.begin()
    for chunk in (1, 2, 3):
        town.fold(chunk)
    town.parties["auditor"].restart()
    town.parts["auditor"] = town.parties["auditor"].part()
    for ask in (lambda: town.serving("auditor").open({}), town.serving("auditor").erase):
        with pytest.raises(NotJoinedError):
            ask()
    with pytest.raises(NotJoinedError):
        town.serving("auditor").begin(town.begins["auditor"])


# --- what a node does not do ---


def test_a_stopped_node_and_a_withdrawn_approval_send_nothing_more(town: LinkedTown) -> None:
    town.begin()
    town.parties["school"].department.switch.stop("because", now=_now())
    with pytest.raises(RefusedError, match="stopped"):
        town.holding("school").share(1)
    social = town.parties["social"].department
    social.approvals.store(town.study, social.say(town.study, Decision.REFUSED))
    with pytest.raises(RefusedError, match="refused"):
        town.holding("social").share(1)
    with pytest.raises(RefusedError, match="refused"):
        town.serving("social").fold(1, {})


def _now():
    from nodes import NOW

    return NOW


def test_records_that_are_about_others_than_were_charged_are_not_shared(town: LinkedTown) -> None:
    town.begin()
    department = town.parties["school"].department
    declared = department.declared["school_table"]
    department.declared["school_table"] = replace(declared, public=True)
    with pytest.raises(RefusedError, match="about others now"):
        town.holding("school").share(1)


def test_registers_that_differ_by_one_row_begin_nothing(tmp_path: Path) -> None:
    """The departments say different things, and each server sees it for itself."""
    study = household_study()

    def spoil(folder: Path) -> None:
        name = folder / "social" / "datasets" / "population.csv"
        lines = name.read_text(encoding="utf-8").splitlines()
        name.write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")

    town = LinkedTown(tmp_path, study, spoil=spoil)
    with pytest.raises(RefusedError, match="registers of 2024-12-31 differ") as caught:
        town.begin()
    assert "school: 150; social: 149" in caught.value.message
    town.close()


def test_a_register_with_more_residents_than_the_study_says_is_refused(tmp_path: Path) -> None:
    town = LinkedTown(tmp_path, household_study(residents=149))
    with pytest.raises(RefusedError, match="has 150 residents, and the study says at most 149"):
        town.begin()
    assert town.parties["school"].charges == 0
    town.close()


def test_a_spine_that_is_shorter_than_the_others_is_found_by_its_bodies(town: LinkedTown) -> None:
    """A department that lies about its register cannot send what the servers expect."""
    town.begin()
    bodies = town.bodies(1)
    with pytest.raises(ProtocolViolationError, match="chunk 1 of school has another length"):
        town.serving("auditor").fold(1, bodies | {"school": bodies["school"][:-4]})


# --- what others send ---


def test_the_parts_of_the_secret_must_be_everybodys_and_stay(town: LinkedTown) -> None:
    town.agree()
    mixes = town.mixes()
    school = town.holding("school")
    [item] = mixes["school"].parts
    for parts in (
        (replace(item, sender="school"),),
        (replace(item, sender="auditor"),),
        (item, item),
        (replace(item, box=replace(item.box, to="social")),),
        mixes["social"].parts,
    ):
        with pytest.raises(ProtocolViolationError):
            school.spine(Mixes(parts=parts))
    octets = bytearray(base64.b64decode(item.box.data))
    octets[3] ^= 1
    spoiled = replace(item.box, data=base64.b64encode(bytes(octets)).decode())
    with pytest.raises(ProtocolViolationError, match="does not open"):
        school.spine(Mixes(parts=(replace(item, box=spoiled),)))
    said = school.spine(mixes["school"])
    assert school.spine(mixes["school"]) == said
    key = sealing.box_key(
        town.parts["social"].joining.secret("school"),
        sender="social",
        to="school",
        study=town.study.digest(),
        run=RUN,
        purpose=sealing.MIX,
    )
    other = sealing.boxed(key, mixing.part(_Zeros()), to="school")
    with pytest.raises(ProtocolViolationError, match="other parts"):
        school.spine(Mixes(parts=(replace(item, box=other),)))


class _Zeros:
    def token(self, size: int) -> bytes:
        return bytes(size)


def test_a_server_begins_once_and_with_everybodys_boxes(town: LinkedTown) -> None:
    town.begin()
    auditor, begin = town.serving("auditor"), town.begins["auditor"]
    with pytest.raises(RefusedError, match="with other seeds before"):
        auditor.begin(replace(begin, pair=town.begins["social"].pair))
    with pytest.raises(RefusedError, match="with other seeds before"):
        auditor.begin(town.begins["social"])


def test_a_server_begins_with_nothing_less(town: LinkedTown) -> None:
    town.begin(servers=False)
    auditor, begin = town.serving("auditor"), town.begins["auditor"]
    turned = tuple(replace(item, sender=_other(item.sender)) for item in begin.seeds)
    for wrong in (
        town.begins["social"],  # boxes for another server
        replace(begin, seeds=town.begins["social"].seeds),
        replace(begin, spines=begin.spines[:1] * 2),
        replace(begin, seeds=begin.spines),
        replace(begin, seeds=turned),
        replace(begin, pair="AAAA"),
    ):
        with pytest.raises(ProtocolViolationError):
            auditor.begin(wrong)
    assert auditor.begin(begin).residents == 150


def _other(name: str) -> str:
    return {"school": "social", "social": "school"}[name]


def test_chunks_come_in_order_and_all_of_them(town: LinkedTown) -> None:
    town.begin()
    bodies = town.bodies(2)
    with pytest.raises(ProtocolViolationError, match="the next is 1"):
        town.serving("auditor").fold(2, bodies)
    town.fold(1)
    totals = {name: town.holding(name).totals() for name in town.study.departments}
    with pytest.raises(ProtocolViolationError, match="only 1 of 3 chunks"):
        town.serving("auditor").open(totals)
    with pytest.raises(RefusedError, match="no chunk 4"):
        town.holding("school").share(4)


def test_rows_with_two_ones_are_refused_at_home(
    town: LinkedTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.begin()
    from node.work.spine import _Coded

    monkeypatch.setattr(
        _Coded,
        "columns",
        lambda self, layout, *, department, rows: np.ones(
            (rows.stop - rows.start, layout.columns(department)), dtype=np.uint8
        ),
    )
    with pytest.raises(Exception, match="two categories of eligible at once"):
        town.holding("school").share(1)


def test_a_server_that_is_no_department_holds_nothing(town: LinkedTown) -> None:
    assert town.parts["auditor"].holding is None
    assert town.parts["school"].serving is None
    assert town.parts["social"].serving is not None
    assert town.parts["social"].holding is not None


def test_as_few_departments_as_the_policy_says_take_part(tmp_path: Path) -> None:
    town = LinkedTown(tmp_path, household_study())
    school = town.parties["school"].department
    gate = school.gated(policy=Policy(minimum_linked=3))
    with pytest.raises(RefusedError, match="links 2 departments; this node asks for at least 3"):
        gate.open(town.study.digest())
    town.close()


def test_a_run_of_people_nobody_knows_opens(tmp_path: Path) -> None:
    study = household_study(privacy=replace(OPEN))
    people = People.invented(study)
    for codes in people.codes.values():
        for each in [each for each in codes if each in set(people.ids)]:
            del codes[each]
    town = LinkedTown(tmp_path, study, people=people, public=True)
    found = opened(study, town.opened(), residents=town.residents)
    assert not found.tables[0].counts.any()
    assert plan(study).noise.scale == 0
    town.close()
