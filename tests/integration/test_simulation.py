"""The engine `simulation`: one dataset as if many departments held it."""

import csv
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import residents
import visits
from declared import GOOD, HEADING, csv_dataset, declare
from flwr.app import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Context,
    Error,
    Message,
    MetricRecord,
    RecordDict,
)
from flwr.common.constant import ErrorCode
from flwr.supercore.task_identity import TaskIdentity
from typer.testing import CliRunner

import coordinator.flower.wire  # noqa: F401 - sets the identity that messages read
from demo import fields, forecast, partition, simulation
from demo.forecast import Wish
from demo.virtual import City, virtual_app
from demo.virtual_grid import VirtualGrid
from models.errors import InvalidDocumentError, RunFailedError, UsageError
from models.families import network
from models.governance.study import Study
from models.privacy.plan import plan
from node import datasets
from node.datasets import Dataset

SWEDISH = "source: {kind: csv, path: data.csv, delimiter: ';', encoding: iso-8859-1, decimal: ','}"


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with 5,245 people as one department's dataset, and its study."""
    folder = tmp_path_factory.mktemp("city")
    rows = pd.concat(residents.load().values(), ignore_index=True)
    fields.write(folder, visits.table("city"), rows, form="parquet")
    (folder / "study.yaml").write_text(visits.study(epsilon="2"), encoding="utf-8")
    return folder


def wish(folder: Path, **changes: Any) -> Wish:
    given = {"nodes": 5, "rounds": 2, "seed": 1, **changes}
    return Wish(declaration=folder / "visits.yaml", study=folder / "study.yaml", **given)


def held(dataset: Dataset, column: str) -> list[str]:
    source = dataset.source
    assert isinstance(source, datasets.CsvSource)
    with Path(source.path).open(encoding=source.encoding, newline="") as stream:
        return [row[column] for row in csv.DictReader(stream, delimiter=source.delimiter)]


@pytest.mark.parametrize("seed", [0, 7])
def test_each_resident_is_in_exactly_one_part(tmp_path: Path, seed: int) -> None:
    owners = [f"r{n % 40:02d}" for n in range(100)]
    rows = "".join(f" {owner} ;30;100,5;låg;true\n" for owner in owners)
    text = HEADING.replace(",", ";") + rows + ";31;1,5;låg;true\nragged;row\n"
    dataset = csv_dataset(tmp_path, text.encode("iso-8859-1"), SWEDISH)
    (tmp_path / "parts").mkdir()
    shares = partition.split(dataset, parts=7, folder=tmp_path / "parts", seed=seed)
    parts = [
        held(Dataset(declaration=dataset.declaration, source=source, file=""), "pnr")
        for source in shares.sources
    ]
    assert shares.residents == 40
    homes = [sorted({owner.strip() for owner in part}) for part in parts]
    assert sorted(owner for home in homes for owner in home) == sorted(set(owners))
    assert {len(home) for home in homes} == {5, 6}
    assert sum(len(part) for part in parts) == 100  # every row stays with its resident


def test_parts_of_a_parquet_file_hold_every_row_once(city: Path, tmp_path: Path) -> None:
    dataset = datasets.load(city / "visits.yaml")
    shares = partition.split(dataset, parts=50, folder=tmp_path, seed=0)
    parts = [pd.read_parquet(source.path) for source in shares.sources]
    whole = pd.read_parquet(city / "visits.parquet")
    assert sum(part["resident"].nunique() for part in parts) == whole["resident"].nunique()
    assert sum(len(part) for part in parts) == len(whole)


def test_the_split_depends_on_the_seed_alone() -> None:
    people = [f"r{n}" for n in range(100)]
    first = partition.deal(people, parts=4, seed=1)
    assert first == partition.deal(reversed(people), parts=4, seed=1)
    assert first != partition.deal(people, parts=4, seed=2)


def test_fewer_residents_than_departments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="fewer residents"):
        partition.split(csv_dataset(tmp_path, HEADING + GOOD), parts=2, folder=tmp_path, seed=0)


def test_a_query_is_refused(tmp_path: Path) -> None:
    query = declare(tmp_path, "source: {kind: sql, url: 'sqlite:///a.db', query: select 1}")
    with pytest.raises(UsageError, match="query"):
        partition.split(query, parts=2, folder=tmp_path, seed=0)


def test_the_study_is_that_of_the_virtual_departments(city: Path) -> None:
    study = forecast.virtual_study(wish(city), datasets.load(city / "visits.yaml"))
    assert study.departments == tuple(f"virtual-{n:04d}" for n in range(1, 6))
    assert (study.training.rounds, study.privacy.departments_per_resident) == (2, 1)


def test_an_undeclared_variable_is_told_once(city: Path, tmp_path: Path) -> None:
    text = visits.study(epsilon="2").replace("- coinsurance", "- shoe_size")
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    asked = Wish(
        declaration=city / "visits.yaml",
        study=tmp_path / "study.yaml",
        nodes=100,
        rounds=None,
        seed=0,
    )
    with pytest.raises(InvalidDocumentError) as caught:
        forecast.virtual_study(asked, datasets.load(asked.declaration))
    assert [item.field for item in caught.value.problems] == ["variables.shoe_size"]


@pytest.fixture
def small(city: Path, tmp_path: Path) -> City:
    dataset = datasets.load(city / "visits.yaml")
    study = forecast.virtual_study(wish(city), dataset)
    sources = partition.split(dataset, parts=5, folder=tmp_path, seed=1).sources
    return City(
        study=study,
        plan=plan(study),
        dataset=dataset,
        sources=sources,
        scratch=tmp_path / "scratch",
    )


def context_of(number: int) -> Context:
    config = {"partition-id": number, "num-partitions": 5}
    return Context(run_id=1, node_id=9, node_config=config, state=RecordDict(), run_config={})


def request(study: Study, kind: str, *, round_number: int = 1) -> Message:
    TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
    arrays = {name: Array(value) for name, value in network.initial(study).items()}
    config = ConfigRecord({"server-round": round_number, "attempt": 1})
    return Message(RecordDict({"arrays": ArrayRecord(arrays), "config": config}), 9, kind)


def test_a_virtual_department_trains_as_a_node_does_and_keeps_its_weight(small: City) -> None:
    app, context = virtual_app(small), context_of(3)
    first = app(request(small.study, "train"), context)
    second = app(request(small.study, "train", round_number=2), context)
    weights = [dict(answer.content["metrics"])["num-examples"] for answer in (first, second)]
    assert weights[0] == weights[1] > 1  # counted, with noise, once
    histogram = app(request(small.study, "evaluate"), context).content["arrays"]["histogram"]
    assert histogram.numpy().shape == (1, 2, 64)
    for name, before in network.initial(small.study).items():
        assert not np.array_equal(first.content["arrays"][name].numpy(), before)
    again = virtual_app(small)(request(small.study, "train"), context_of(3))
    other = virtual_app(small)(request(small.study, "train"), context_of(4))
    for name in first.content["arrays"]:
        data = first.content["arrays"][name].data
        assert again.content["arrays"][name].data != data  # the noise is never the same
        assert other.content["arrays"][name].data != data


def test_a_virtual_department_that_fails_says_why_without_records(small: City) -> None:
    for source in small.sources:
        Path(source.path).unlink()
    answer = virtual_app(small)(request(small.study, "train"), context_of(2))
    assert answer.has_error()
    assert answer.error.reason.startswith("number 2: ")
    assert "cannot be read" in answer.error.reason


class Runtime:
    """Flower's runtime, as far as a grid sees it: every message is answered at once, or fails."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.held: dict[str, Message] = {}
        self.most = 0

    def get_node_ids(self) -> list[int]:
        return [9, 7]

    def push_messages(self, messages: list[Message]) -> list[str]:
        ids = []
        for message in messages:
            ids.append(f"flower-{id(message)}")
            message.metadata.__dict__["_message_id"] = ids[-1]
            self.held[ids[-1]] = message
        self.most = max(self.most, len(self.held))
        return ids

    def pull_messages(self, message_ids: tuple[str, ...]) -> list[Message]:
        content = RecordDict({"metrics": MetricRecord({"num-examples": 1.0})})
        body = Error(ErrorCode.CLIENT_APP_CRASHED, "out of memory") if self.fails else content
        return [Message(body, reply_to=self.held.pop(i)) for i in message_ids]


def test_the_runtime_gets_a_few_messages_at_a_time(small: City) -> None:
    runtime = Runtime()
    grid = VirtualGrid(runtime, window=4)
    ids = grid.push_messages([request(small.study, "train") for _ in range(11)])
    taken: list[str] = []
    while len(taken) < len(ids):
        taken += grid.take(ids)
    assert sorted(taken) == sorted(ids)
    assert runtime.most == 4
    assert list(grid.get_node_ids()) == [7, 9]


def test_a_failed_department_ends_the_simulation(small: City) -> None:
    grid = VirtualGrid(Runtime(fails=True), window=4)
    ids = grid.push_messages([request(small.study, "train")])
    with pytest.raises(RunFailedError, match="out of memory"):
        grid.take(ids)


def test_without_ray_the_command_says_what_to_install(
    city: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        simulation.importlib.util, "find_spec", lambda name: None if name == "ray" else find(name)
    )
    given = ["--declaration", "visits.yaml", "--study", "study.yaml", "--nodes", "100"]
    done = CliRunner().invoke(simulation.cli, [*given, "--output", "json"])
    assert done.exit_code == 4
    assert json.loads(done.stdout)["error"]["hint"] == (
        "Install the extra: pip install 'datalabbet[simulation]'"
    )


def test_wrong_options_end_with_our_exit_code() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demo.simulation", "--nodes", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4
    assert done.stderr.startswith("Error: ")


@pytest.mark.timeout(300)
def test_a_simulation_runs_on_ray(city: Path) -> None:
    pytest.importorskip("ray", reason="the extra `simulation` (Ray) is not installed")
    given = ("--declaration", city / "visits.yaml", "--study", city / "study.yaml")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "demo.simulation", *map(str, given)),
            *("--nodes", "20", "--rounds", "2", "--seed", "3", "--output", "json"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["nodes"], found["rounds"], found["residents"]) == (20, 2, 4169)
    assert 0 < found["epsilon"] <= 2
    assert found["auc"]["low"] < found["auc"]["value"] < found["auc"]["high"]
    assert found["auc"]["value"] > 0.5
