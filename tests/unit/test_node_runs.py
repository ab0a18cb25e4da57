"""A node's part in a run: by the study, by its name, and by what its program was started as."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fleets import DECLARATION
from nodes import RUN, Department
from scripted import ScriptedEntropy
from studies import KEYS, masked_study, rows, study, summed_study, write_csv
from summers import offers

from models.errors import NotJoinedError, RefusedError
from models.governance.roster import Mode
from models.governance.study import Study
from models.secagg.agreement import Offers
from node.gate.averaged_sums import AveragedSums
from node.gate.steps import Steps
from node.gate.sums import Sums
from node.gate.witness import Witness
from node.link.keyring import IDENTITY, Keyring
from node.rules import Rules
from node.runs import Role, Runs
from node.shelf import Shelf

WITNESSED = summed_study(secure_sum={"mode": Mode.BOTH, "witness": "auditor"})
MASKED = masked_study(secure_sum={"mode": Mode.BOTH, "witness": "auditor"})


class Member:
    """A node's rules with files of its own, as `node.rules.open_rules` composes them."""

    def __init__(self, folder: Path, name: str, *studies: Study) -> None:
        self.department = Department(folder, name=name, declared={})
        for each in studies:
            self.department.approve(each)
        self.keyring = Keyring(folder / "state")
        pem = KEYS[name].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.keyring.write(IDENTITY, pem)
        (folder / "datasets").mkdir()
        if name != "auditor":
            (folder / "datasets" / "pupils.yaml").write_text(DECLARATION, encoding="utf-8")
            write_csv(folder / "datasets" / "pupils.csv", rows(80, prefix=name))
        self.shelf = Shelf(folder / "datasets")
        self.department.declared = self.shelf.declarations()
        self.scratch = folder / "scratch"

    def runs(self, role: Role) -> Runs:
        mine = self.department
        rules = Rules(
            keyring=self.keyring,
            department=mine.name,
            shelf=self.shelf,
            approvals=mine.approvals,
            gate=mine.gate,
            journal=mine.journal,
            ledger=mine.ledger,
        )
        entropy = ScriptedEntropy(mine.name)
        return Runs(rules=rules, role=role, entropy=entropy, scratch=self.scratch)


@pytest.fixture
def school(tmp_path: Path) -> Iterator[Member]:
    made = Member(tmp_path, "school", study(), summed_study(), WITNESSED, MASKED)
    yield made
    made.department.close()


@pytest.fixture
def auditor(tmp_path: Path) -> Iterator[Member]:
    (tmp_path / "auditor").mkdir()
    made = Member(tmp_path / "auditor", "auditor", WITNESSED)
    yield made
    made.department.close()


@pytest.mark.parametrize(
    ("chosen", "kind"),
    [(study(), Steps), (summed_study(), Sums), (WITNESSED, Sums), (MASKED, AveragedSums)],
)
def test_a_department_does_what_the_study_asks(
    school: Member, chosen: Study, kind: type[object]
) -> None:
    runs = school.runs(Role.DEPARTMENT)
    assert runs.open(chosen.digest()) == chosen
    work = runs.work(chosen, run=RUN)
    assert isinstance(work, kind)
    work.close()


def test_a_witness_witnesses(auditor: Member) -> None:
    runs = auditor.runs(Role.WITNESS)
    assert isinstance(runs.work(runs.open(WITNESSED.digest()), run=RUN), Witness)


@pytest.mark.parametrize("chosen", [study(), summed_study(), WITNESSED])
def test_a_department_does_not_witness(school: Member, chosen: Study) -> None:
    with pytest.raises(RefusedError, match="does not name school as its witness"):
        school.runs(Role.WITNESS).open(chosen.digest())


def test_a_witness_is_no_department(auditor: Member) -> None:
    with pytest.raises(RefusedError, match="names auditor as its witness"):
        auditor.runs(Role.DEPARTMENT).open(WITNESSED.digest())


def test_what_is_not_approved_is_not_opened(school: Member) -> None:
    other = summed_study(study="pupils-else")
    with pytest.raises(RefusedError, match="not approved"):
        school.runs(Role.DEPARTMENT).open(other.digest())


def test_the_records_are_opened_by_the_first_sum_and_leave_no_file(school: Member) -> None:
    sums = school.runs(Role.DEPARTMENT).work(summed_study(), run=RUN)
    assert isinstance(sums, Sums)
    with pytest.raises(NotJoinedError):
        sums.histogram(attempt=1)
    others = offers(summed_study()) | {"school": sums.offer()}
    sums.join(Offers(offers=tuple(others.values())))
    assert not school.scratch.exists()
    assert np.any(sums.histogram(attempt=1).words)
    assert school.scratch.stat().st_mode & 0o077 == 0
    assert [path.name for path in school.scratch.rglob("*")] == [str(RUN)]
    sums.close()


def test_a_program_whose_files_were_changed_opens_no_run(
    school: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = school.runs(Role.DEPARTMENT)
    assert runs.open(summed_study().digest()) == summed_study()
    monkeypatch.setattr("node.runs.present_digest", lambda: "ab" * 32)  # an upgrade beneath it
    with pytest.raises(RefusedError, match="files were changed since this node was started"):
        runs.open(summed_study().digest())
