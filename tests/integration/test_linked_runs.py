"""Whole runs of linked studies over mutual TLS, with the nodes' own gates, ledgers and records."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coordinators import QUICK, Coordinator
from linked_federation import LinkedFederation
from linked_kinds import study_of
from linked_nodes import clear, keyed, shortened
from linked_oracle import vector
from linked_studies import OPEN, PRIVATE, category, linked_study, own, table

from coordinator.release.linked_bundle import TABLES
from coordinator.store import releases
from models import documents
from models.errors import DataContractError
from models.governance.linked import LinkedStudy
from models.governance.linked_record import LinkedRecord
from models.governance.states import RunState
from models.linkage.plan import plan
from models.linkage.results import Tables

Make = Callable[..., LinkedFederation]


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have 150 residents in three chunks."""
    with shortened(monkeypatch):
        yield


def two_departments(**changes: object) -> LinkedStudy:
    """Give a study of school and social services, of which the latter are a server too."""
    variables = [
        (own("eligible", "school"), category("eligible", "no", "yes")),
        (own("help", "social", of="household", absent=True), category("help", "no", "yes")),
    ]
    return keyed(linked_study(variables, [table("t", "eligible", "help")], **changes))


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Give a function that makes federations, which are closed at the end."""
    made: list[LinkedFederation] = []

    def one(study: LinkedStudy, **options: Any) -> LinkedFederation:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        settings = replace(QUICK, grace_seconds=30.0)
        coordinator = Coordinator(folder, study=study, settings=settings)
        made.append(LinkedFederation(coordinator, **options))
        return made[-1]

    yield one
    for city in made:
        city.close()


def finished(city: LinkedFederation) -> LinkedRecord:
    ended = city.coordinator.wait_end(city.run_id, seconds=60)
    errors = {name: node.errors for name, node in city.nodes.items()}
    assert ended.state is RunState.FINISHED, (ended.message, errors)
    record = releases.get(city.coordinator.database, city.run_id)[1]
    assert isinstance(record, LinkedRecord)
    return record


def failure(city: LinkedFederation) -> str:
    ended = city.coordinator.wait_end(city.run_id, seconds=60)
    assert ended.state is RunState.FAILED, ended
    return ended.message


def cells(city: LinkedFederation) -> list[float | None]:
    content = releases.content(city.coordinator.database, city.run_id, TABLES)
    found = documents.read(Tables, json.loads(content), what="the tables")
    return [cell for each in found.tables for cell in each.cells]


@pytest.mark.parametrize("kind", ["all at once", "two departments", "three departments"])
def test_without_noise_the_release_has_the_counts_of_the_departments_files(
    make: Make, kind: str
) -> None:
    city = make(keyed(study_of(kind, privacy=OPEN)), public=True)
    city.everybody()
    record = finished(city)
    records, households = clear(city.study, city.town.people, sorted(city.town.people.ids))
    expected = vector(city.study, records, households).tolist()
    assert cells(city) == [None if 1 <= count <= 4 else count for count in expected]
    assert record.residents == 150
    assert [server.erased for server in record.servers] == [3, 3, 3]
    assert set(city.charges.values()) == {1}
    for node in city.nodes.values():
        assert not node.errors


def test_two_departments_and_a_witness_answer_with_noise_each_time_it_is_paid_for(
    make: Make,
) -> None:
    city = make(two_departments(privacy=replace(PRIVATE, releases=2)))
    city.everybody()
    deviation = plan(city.study).noise.variance.value ** 0.5
    for number in (1, 2):
        record = finished(city)
        assert record.protection.runs == number
        assert city.charges == {"school": number, "social": number}
        found = np.array(cells(city), dtype=np.float64)
        # Whose records count in a household depends on the order, which is each run's own.
        assert np.all(np.abs(found) < 150 + 6 * deviation)
        if number == 1:
            city.again()
    assert city.nodes["auditor"].asked[0] == ("query.offer", 0)
    assert {kind for kind, _ in city.nodes["auditor"].asked} == {
        "query.offer",
        "query.join",
        "query.begin",
        "train.fold",
        "train.open",
        "query.erase",
    }


def test_registers_that_differ_by_one_row_end_the_run_before_any_charge(make: Make) -> None:
    def spoil(folder: Path) -> None:
        name = folder / "social" / "datasets" / "population.csv"
        lines = name.read_text(encoding="utf-8").splitlines()
        name.write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")

    city = make(two_departments(), spoil=spoil)
    city.everybody()
    message = failure(city)
    assert "school (150 residents) / social (149 residents)" in message
    assert city.charges == {"school": 0, "social": 0}


def test_a_department_that_was_killed_ends_the_run_and_pays_again_for_another(
    make: Make,
) -> None:
    """What it had charged stays charged; nothing of the first run comes out."""
    city = make(two_departments(privacy=replace(PRIVATE, spare_runs=1)))
    killed: list[int] = []

    def kill(kind: str, chunk: int) -> None:
        if (kind, chunk) == ("train.fold", 2) and not killed:
            killed.append(chunk)
            city.nodes["school"].restart()

    city.join("auditor", before=kill)
    city.everybody()
    assert "school" in failure(city)
    assert city.charges == {"school": 1, "social": 1}
    city.again()
    finished(city)
    assert city.charges == {"school": 2, "social": 2}


def test_a_server_that_was_killed_ends_the_run(make: Make) -> None:
    city = make(two_departments())
    killed: list[int] = []

    def kill(kind: str, chunk: int) -> None:
        if (kind, chunk) == ("train.share", 3) and not killed:
            killed.append(chunk)
            city.nodes["auditor"].restart()

    city.join("school", before=kill)
    city.everybody()
    assert "auditor" in failure(city)


def test_a_department_mends_a_second_record_of_a_resident_before_it_shares(make: Make) -> None:
    """Nothing was shared yet: it is asked for the first chunk again, and has paid once."""
    lines: list[str] = []

    def spoil(folder: Path) -> None:
        name = folder / "school" / "datasets" / "school_table.csv"
        lines.extend(name.read_text(encoding="utf-8").splitlines())
        second = next(line for line in lines if line.startswith("r0"))
        name.write_text("\n".join([*lines, second]) + "\n", encoding="utf-8")

    city = make(two_departments(), spoil=spoil)
    asked: list[int] = []

    def mend(kind: str, chunk: int) -> None:
        if (kind, chunk) == ("train.share", 1):
            asked.append(chunk)
            if len(asked) == 2:
                folder = city.town.parties["school"].folder / "datasets"
                (folder / "school_table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    city.join("school", before=mend)
    city.everybody()
    finished(city)
    assert [type(error) for error in city.nodes["school"].errors] == [DataContractError]
    assert city.charges == {"school": 1, "social": 1}
