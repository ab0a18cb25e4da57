"""`make bench`: the figures that the documentation quotes, measured in one run.

Ratios are between things measured in the same run on the same machine. Nothing here is a test.
With the folder of UCI Adult (`make bench ADULT=DIR`) it also trains on it, twice for each ε; the
five runs that the documentation quotes are `python -m tests.bench.adult_runs --data DIR`.
"""

import argparse
import json
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import residents
import torch
import visits
import yaml
from rich.console import Console
from rich.table import Table

from coordinator.client.api import Datalabbet
from demo.federation import Federation, together
from models import documents
from models.governance.resolution import resolve
from models.governance.states import RunState
from models.governance.study import Study, StudyDraft
from node import datasets
from node.datasets import Dataset
from protos.installed import code_digest
from tests.bench import adult_runs, linked_fit, linked_tables, opacus_step, secure_sum, superlink

NODES = residents.DEPARTMENTS[:3]
ROUNDS = 50
MEMORY = "training step, plain Opacus, tensors in memory"
LOADER = "training step, plain Opacus, its loader"


def empty_rounds(study: Study, folder: Path) -> float:
    """Give seconds per round over our streams (mutual TLS), with clients that do nothing."""
    import coordinators

    quiet = replace(
        study,
        departments=NODES,
        training=replace(study.training, rounds=ROUNDS),
        privacy=replace(study.privacy, holdout=type(study.privacy.holdout)(0.0)),
    )
    city = coordinators.Coordinator(folder, study=quiet)
    run = city.start()
    behaviour = coordinators.Behaviour(work=lambda parameters, _: parameters)
    nodes = [coordinators.Node(city, name, run, behaviour).start() for name in NODES]
    try:
        city.wait(run, lambda status: status.rounds_done >= 1)
        start, first = time.perf_counter(), city.runs.get(run).rounds_done
        city.wait_end(run, seconds=120)
        return (time.perf_counter() - start) / (ROUNDS - first)
    finally:
        for node in nodes:
            node.kill()
        city.close()


def training_rounds(folder: Path) -> tuple[float, float]:
    """Give seconds per training round, and from `run start` to the first charge at a node.

    The demo's study on three nodes as processes.
    """
    text = visits.study(epsilon="2").replace("- health-care\n", "")
    with Federation(root=folder, departments=NODES) as city:
        city.start_coordinator()
        city.enrol({"central": "central"})
        with Datalabbet.connect(city.profile("central")) as client:
            city.start_nodes(client)
            superlink.wait_for(lambda: len(client.catalogue()) == len(NODES), seconds=60)
            (folder / "study.yaml").write_text(text)
            client.propose(folder / "study.yaml")
            yes = ("studies", "approve", visits.STUDY, "--steward", "Bench", "--yes")
            together([(lambda name: city.node(name, *yes), name) for name in NODES])
            started = datetime.now(UTC)
            run = client.start_run(visits.STUDY)
            moments = [
                (time.perf_counter(), status.rounds_done)
                for status in client.watch(run.run_id)
                if status.state is RunState.TRAINING and status.rounds_done
            ]
        first = min(_first_charge(city.home(name)) for name in NODES)
    (begin, low), (end, high) = moments[0], moments[-1]
    return (end - begin) / (high - low), (first - started).total_seconds()


def _first_charge(home: Path) -> datetime:
    with sqlite3.connect(f"file:{home / 'state' / 'node.db'}?mode=ro", uri=True) as database:
        (text,) = database.execute("SELECT min(charged_at) FROM charges").fetchone()
    return datetime.fromisoformat(text)


def resolved(loaded: Mapping[str, Dataset]) -> Study:
    """Give the demo's study for three departments."""
    mapping = yaml.safe_load(visits.study(epsilon="2")) | {"departments": list(NODES)}
    draft = documents.read(StudyDraft, mapping, what="the study")
    declared = {name: item.declaration for name, item in loaded.items()}
    return resolve(draft, declared, code=code_digest())


def measure() -> dict[str, float]:
    """Give every figure by name, in seconds; ratios have none."""
    torch.set_num_threads(1)
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        data = residents.load()
        visits.write_departments(data, root / "ours" / "nodes")
        declarations = [
            root / "ours" / "nodes" / node / "datasets" / "visits.yaml" for node in NODES
        ]
        loaded = {node: datasets.load(path) for node, path in zip(NODES, declarations, strict=True)}
        study = resolved(loaded)
        study_file = root / "study.json"
        study_file.write_bytes(study.canonical())
        for folder in ("empty", "stock", "stock-training", "scratch"):
            (root / folder).mkdir()
        found["empty round"] = empty_rounds(study, root / "empty")
        round_seconds, first_work = training_rounds(root / "ours")
        found["training round"] = round_seconds
        found["run start to first client work"] = first_work
        stock = superlink.seconds_per_round(root / "stock", rounds=5)
        found["empty round, SuperLink and SuperNode as shipped"] = statistics.median(stock)
        trained = superlink.seconds_per_round(
            root / "stock-training", rounds=4, declarations=declarations, study=study_file
        )
        found["training round, SuperLink and SuperNode as shipped"] = statistics.median(trained)
        dataset = loaded[NODES[0]]
        found["training step, our node"] = opacus_step.ours(
            study, dataset, root / "scratch", rounds=50
        )
        for figure, loader in ((MEMORY, False), (LOADER, True)):
            found[figure] = opacus_step.plain_opacus(study, dataset, rounds=50, loader=loader)
    return found


def ratios(found: Mapping[str, float]) -> dict[str, float]:
    """Give what is compared with what."""
    ours = found["training step, our node"]
    shipped = ", SuperLink and SuperNode as shipped"
    return {
        "empty round: shipped / ours": found["empty round" + shipped] / found["empty round"],
        "training round: shipped / ours": found["training round" + shipped]
        / found["training round"],
        "training step: our node / plain Opacus, tensors in memory": ours / found[MEMORY],
        "training step: our node / plain Opacus, its loader": ours / found[LOADER],
    }


def main() -> None:
    """Measure, print and write `bench.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--adult", type=Path, help="folder with the published files of UCI Adult")
    data = parser.parse_args().adult
    console = Console(width=110)
    for part in (*secure_sum.tables(), *linked_tables.tables(), *linked_fit.tables()):
        console.print(part)
    if data is None:
        console.print("Not trained on UCI Adult: give its folder, make bench ADULT=DIR")
    else:
        console.print(adult_runs.measure(data, seeds=2)[0])
    found = measure()
    compared = ratios(found)
    table = Table(title="Three nodes, one machine", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, seconds in found.items():
        table.add_row(name, f"{seconds * 1000:,.1f} ms")
    for name, ratio in compared.items():
        table.add_row(name, f"{ratio:,.2f}")
    console.print(table)
    machine = {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }
    record = {"machine": machine, "seconds": found, "ratios": compared}
    Path("bench.json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
