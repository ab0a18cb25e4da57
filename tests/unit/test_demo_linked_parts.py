"""The demo's joint questions: their study files, folders and words."""

from pathlib import Path

import pytest
from linked_clear import draft, resolved
from typer.testing import CliRunner

from demo import cli, town
from demo.city.delivery.delivery import Profile
from demo.federation import Federation
from demo.linked import offices
from demo.linked.joint import DEPARTMENTS, OWNERS, WITNESS, Joint
from demo.linked.questions import EVERY, JOINT, NULL
from demo.linked.truth import WANTED, lines
from models import documents
from models.errors import UsageError
from models.governance.linked_record import Explanation
from models.governance.study import Protection
from models.linkage.asked import asked
from models.linkage.identity import Admission, Mode
from models.linkage.plan import epsilon, plan
from models.linkage.words import protection_in_words
from node import config
from node.datasets import load_folder


@pytest.mark.parametrize("joint", EVERY, ids=lambda joint: joint.code)
@pytest.mark.parametrize("protection", [Protection.NONE, Protection.SECURE_SUM])
def test_every_study_can_be_run(joint: Joint, protection: Protection) -> None:
    study = resolved(draft(joint, residents=150_000, protection=protection, epsilon="1"))
    made = plan(study)
    assert made.octets < 100 << 20
    assert study.committee.names[1] == WITNESS
    assert not {*study.committee.names} & {*study.departments}
    assert len({*study.committee.owners}) == 3
    assert len(asked(study)) == len(joint.questions)
    if protection is Protection.SECURE_SUM:
        spent = epsilon(study, runs=1)
        assert spent is not None
        assert 0.98 < spent <= 1


@pytest.mark.parametrize("joint", EVERY, ids=lambda joint: joint.code)
def test_what_protects_the_households_can_be_said_in_the_release(joint: Joint) -> None:
    terms = Protection.SECURE_SUM
    study = resolved(draft(joint, residents=150_000, protection=terms, epsilon="12"))
    said = protection_in_words(study, 12.0)
    told = documents.read(Explanation, {"sv": said.sv, "en": said.en}, what="the words")
    assert "12" in told.en


def test_the_questions_are_five_and_three_and_each_is_held_against_the_truth() -> None:
    assert [joint.code for joint in JOINT] == ["J1", "J2", "J3", "J4", "J5"]
    assert [joint.code for joint in NULL] == ["N1", "N2", "N3"]
    assert {*WANTED} == {joint.code for joint in EVERY}
    assert len({joint.study for joint in EVERY}) == len(EVERY)
    assert len({*OWNERS.values()}) == len(OWNERS)


def test_an_answer_that_is_not_there_is_missed() -> None:
    here = town.build(seed=3, residents=5_000)
    with pytest.raises(LookupError, match="log-ratio"):
        lines("J3", (), here.city)


def test_every_node_gets_its_folder_and_the_register(tmp_path: Path) -> None:
    here = town.build(seed=3, residents=5_000)
    offices.deliver(here, tmp_path / "nodes", profile=Profile.CLEAN, public=True)
    assert {home.name for home in (tmp_path / "nodes").iterdir()} == {*DEPARTMENTS}
    for department, folder in DEPARTMENTS.items():
        home = tmp_path / "nodes" / department / "datasets"
        found = load_folder(home, admission=Admission(mode=Mode.DEMO))
        assert all(item.declaration.public for item in found)
        assert sum(item.register is not None for item in found) == 1
        assert any(item.declaration.name.startswith(folder) for item in found)
    offices.deliver(here, tmp_path / "dirty" / "nodes", profile=Profile.DIRTY, public=False)
    home = tmp_path / "dirty" / "nodes" / "social-services" / "datasets"
    found = load_folder(home, admission=Admission(mode=Mode.DEMO))
    assert not any(item.declaration.public for item in found)
    assert "sof_alias" in {item.declaration.name for item in found}


def test_every_node_says_who_runs_it(tmp_path: Path) -> None:
    federation = Federation(root=tmp_path, departments=tuple(DEPARTMENTS), witnesses=(WITNESS,))
    for name in federation.nodes:
        federation.home(name).mkdir(parents=True)
        (federation.home(name) / config.FILE).write_text(config.template(Mode.DEMO))
    offices.own(federation)
    for name in federation.nodes:
        settings = config.load(federation.home(name))
        assert settings.owner == OWNERS[name]
        assert settings.mode is Mode.DEMO


def test_options_before_linked_are_refused() -> None:
    done = CliRunner().invoke(cli.app, ["--residents", "6000", "linked"])
    assert isinstance(done.exception, UsageError)
    assert "options stand before linked" in str(done.exception)
