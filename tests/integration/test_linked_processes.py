"""Linked studies by the nodes' own commands: departments and a witness as processes."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fleets import Federation, ended, node_command, node_process, until
from linked_nodes import People, keyed, owner, write
from linked_studies import category, linked_study, own, table

from models.governance.linked import LinkedDraft, LinkedStudy
from models.governance.states import RunState
from node import config, home

pytestmark = pytest.mark.timeout(400)


def two_departments() -> LinkedStudy:
    """Give a study of school and social services, of which the latter are a server too."""
    variables = [
        (own("eligible", "school"), category("eligible", "no", "yes")),
        (own("help", "social", of="household", absent=True), category("help", "no", "yes")),
    ]
    return keyed(linked_study(variables, [table("t", "eligible", "help")]))


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    made = Federation(tmp_path)
    yield made
    made.close()


@pytest.fixture
def processes() -> Iterator[dict[str, "subprocess.Popen[bytes]"]]:
    started: dict[str, subprocess.Popen[bytes]] = {}
    yield started
    for process in started.values():
        process.kill()
        process.wait()


def enrolled(federation: Federation, study: LinkedStudy, name: str) -> Path:
    """Enrol a party with its register and tables; a server says who runs it."""
    path = federation.folder / name
    home.create(path)
    if name in study.departments:
        write(path / "datasets", study, People.invented(study), department=name)
    said = owner(study, name)
    if said:
        with (path / config.FILE).open("a", encoding="utf-8") as file:
            file.write(f'\nowner = "{said}"\n')
    done = node_command(path, *federation.enrolling(), given=federation.token(name))
    assert done.returncode == 0, done.stderr
    return path


def test_commands_take_a_linked_study_from_its_file_to_its_release(
    federation: Federation, processes: dict[str, "subprocess.Popen[bytes]"]
) -> None:
    """Two departments (one of them a server), a witness and a coordinator, as processes."""
    study = two_departments()
    homes = {name: enrolled(federation, study, name) for name in study.parties}
    for name, path in homes.items():
        command = "run" if name in study.departments else "witness"
        log = federation.folder / f"{name}.log"
        processes[name] = node_process(path, log, command=command)
    names = LinkedDraft.__dataclass_fields__
    draft = LinkedDraft(**{name: getattr(study, name) for name in names})
    with federation.central() as central:
        until(
            lambda: len(central.catalogue()) == 4, seconds=120, what="two registers and two tables"
        )
        central.propose(draft)
        shown = said(homes["social"], "preview", study.study)
        assert shown["objections"] == []
        steps = [kind["step"] for kind in shown["leaving"]["kinds"]]
        assert steps[2:] == [
            "mix",
            "spine",
            "seeds",
            "share",
            "totals",
            "begun",
            "opened",
            "erased",
        ]
        for path in homes.values():
            said(path, "studies", "approve", study.study, "--steward", "Eva", "--yes")
        run = central.start_run(study.study)
        last = ended(central, run.run_id, seconds=180)
        logs = {name: (federation.folder / f"{name}.log").read_text() for name in homes}
        assert last.state is RunState.FINISHED, (last, logs)
    for name in study.departments:
        [spent] = said(homes[name], "status")["studies"]
        assert spent["charges"] == 1
        assert 0 < spent["epsilon_spent"] <= 1.0
    assert said(homes["auditor"], "status")["studies"][0]["charges"] == 0


def said(path: Path, *arguments: str) -> dict[str, Any]:
    """Give what a node's command says."""
    done = node_command(path, *arguments, "--output", "json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
