"""What a step of a secure sum takes, with masks and noise.

    python -m tests.bench.secure_sum

Three nodes and the coordinator, each a process of its own, over mutual TLS on loopback: from one
step's checkpoint to the next, by the times in the coordinator's chain; and its parts, by a
stopwatch in the same processes (`tests.bench.timed`). Each node has ten residents: what is measured
is the sum, not the gradients. Then, in this process, one node's CPU of a long sum over ten.
"""

import itertools
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import numpy as np
import secure_sums
from rich.console import Console
from rich.table import Table

from coordinator.client import progress
from coordinator.client.api import Datalabbet
from demo.federation import Federation, together
from demo.showcase import wait_for_catalogue
from models.governance.roster import Mode
from models.governance.states import ended
from models.ledger.received import AnswerEntry
from models.privacy import sampler
from models.randomness import SystemEntropy
from models.secagg import masks, node
from models.secagg.rings import Ring, SumPlan

NAMES = ("labour", "school", "care")
RESIDENTS = 10
WORDS = {"sv": "-", "en": "-"}
LONG = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Size:
    """A model whose gradient has about that many numbers."""

    name: str
    goal: float
    columns: int
    model: dict[str, Any]


SIZES = (
    Size(name="8 kB", goal=5.0, columns=10, model={"family": "logistic", "bins": 100}),
    Size(name="0.8 MB", goal=40.0, columns=2, model={"family": "mlp", "bins": 50, "hidden": [980]}),
)


@dataclass
class Timed(Federation):
    """A federation whose programs have a stopwatch."""

    times: Path = field(default_factory=Path)

    def _coordinator(self, *arguments: str) -> list[str]:
        command = super()._coordinator(*arguments)
        return self._timed(command, "coordinator") if arguments[-1] == "run" else command

    def _start(self, name: str, command: Sequence[str], **rest: Any) -> Any:
        return super()._start(name, self._timed(command, "node"), **rest)

    def _timed(self, command: Sequence[str], program: str) -> list[str]:
        python, _, module, *arguments = command
        if module.startswith("tests."):
            return list(command)
        return [python, "-m", "tests.bench.timed", str(self.times / program), program, *arguments]


def deliver(folder: Path, name: str, size: Size) -> None:
    """Write one department's dataset: numbers without meaning."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = [f"c{number}" for number in range(size.columns)]
    generator = np.random.default_rng(sum(name.encode()))
    lines = [",".join(["resident", *columns, "outcome"])]
    for number in range(RESIDENTS):
        values = [f"{value:.3f}" for value in generator.random(size.columns)]
        lines.append(",".join([f"{name}-{number}", *values, ("no", "yes")[number % 2]]))
    (folder / "made.csv").write_text("\n".join(lines) + "\n")
    bounds = {"type": "number", "constraints": {"minimum": 0, "maximum": 1}}
    outcome = {"name": "outcome", "type": "string", "constraints": {"enum": ["no", "yes"]}}
    document = {
        "name": "made",
        "title": WORDS,
        "description": WORDS,
        "steward": "Bench",
        "resident_id": "resident",
        "secrecy": "None: made up",
        "source": {"kind": "csv", "path": "made.csv"},
        "schema": {
            "fields": [
                *({"name": column, "meaning": WORDS, **bounds} for column in columns),
                {"meaning": WORDS, **outcome},
            ]
        },
    }
    (folder / "made.yaml").write_text(json.dumps(document))  # which is YAML too


def study(size: Size) -> str:
    """Give the study file."""
    document = {
        "study": "made",
        "title": WORDS,
        "purpose": WORDS,
        "legal_basis": {"article_6": "e", "provision": "None needed: made up"},
        "contact": "bench@datalabbet.example",
        "departments": list(NAMES),
        "dataset": "made",
        "variables": [f"c{number}" for number in range(size.columns)],
        "outcome": "outcome",
        "model": size.model,
        "secure_sum": {"residents": 20_000},  # a long training
        "privacy": {
            "protection": "secure-sum",
            "epsilon": 1.0,
            "delta": 1e-5,
            "departments_per_resident": 1,
            "holdout": 0,
        },
        "minimum_cohort": len(NAMES),
        "retention_days": 365,
    }
    return json.dumps(document)


def steps(root: Path, size: Size) -> tuple[list[float], dict[str, float]]:
    """Give the milliseconds of every step but the first few, and the median of each part."""
    times = root / "times"
    times.mkdir()
    for name in NAMES:
        deliver(root / "nodes" / name / "datasets", name, size)
    with Timed(root=root, departments=NAMES, mode="demo", times=times) as city:
        city.start_coordinator()
        city.enrol({"central": "central"})
        with Datalabbet.connect(city.profile("central")) as client:
            city.start_nodes(client)
            wait_for_catalogue(client, NAMES)
            (root / "made.yaml").write_text(study(size))
            client.propose(root / "made.yaml")
            yes = ("studies", "approve", "made", "--steward", "Bench", "--yes")
            together([(lambda name: city.node(name, *yes), name) for name in NAMES])
            run = client.start_run("made")
            while not ended(client.run(run.run_id).state):
                time.sleep(0.2)  # `watch` would be told of every step, on the same two cores
            progress.check(client.run(run.run_id))
            found = between(client)
    spent: dict[str, list[float]] = defaultdict(list)
    for file in times.glob("*.json"):
        for part, values in json.loads(file.read_text()).items():
            spent[part] += values
    return found, {part: statistics.median(values) for part, values in spent.items()}


def between(client: Datalabbet) -> list[float]:
    """Give the milliseconds from one step's checkpoint to the next."""
    moments: dict[str, datetime] = {}
    for entry in client.received().entries:
        if isinstance(entry, AnswerEntry) and entry.step.startswith("train/"):
            moments[entry.step] = entry.at.astimezone(UTC)
    every = sorted(moments.values())[5:]
    return [1000 * (b - a).total_seconds() for a, b in itertools.pairwise(every)]


def cpu(mode: Mode) -> dict[str, float]:
    """Give the milliseconds of CPU of one of ten nodes in a sum of a million numbers, by part."""
    city = secure_sums.City.of(secure_sums.department_names(10), mode)
    shape = SumPlan(ring=Ring.BITS_64, length=LONG, largest=2**40, scale=2**20)
    values = np.random.default_rng(0).integers(-(2**30), 2**30, LONG)
    name, entropy = city.names[4], SystemEntropy()
    spent: dict[str, list[float]] = defaultdict(list)
    total = values.copy()
    for attempt in (1, 2, 3):
        context = city.context(shape, attempt=attempt)
        begun = time.process_time()
        ready = node.prepare(city.agreements[name], context)
        receipt = city.used[name].use(ready.entry)
        node.masked(ready, values, receipt=receipt, entropy=entropy)
        spent["the whole message"].append(time.process_time() - begun)
        begun = time.process_time()
        sampler.add_discrete_gaussian(total, scale=shape.scale, entropy=entropy)
        spent["of which noise"].append(time.process_time() - begun)
        words, keys = shape.ring.encode(values), ready.entry.context
        begun = time.process_time()
        masks.apply(words, node.own_masks(ready.agreement, context=keys))
        spent["of which masks"].append(time.process_time() - begun)
    found = {part: 1000 * statistics.median(values) for part, values in spent.items()}
    rest = 2 * found["the whole message"] - sum(found.values())
    return found | {"of which cutting, encoding, writing": rest}


def tables() -> list[Table]:
    """Measure; give the tables."""
    heads = ("step", "10 % below", "median ms", "mean", "90 % below", "goal")
    whole = Table(*heads, title="Three node processes, ms from step to step")
    parts = Table("part", *(size.name for size in SIZES), title="Parts, median ms")
    medians: dict[str, list[str]] = defaultdict(list)
    for size in SIZES:
        with tempfile.TemporaryDirectory() as name:
            found, spent = steps(Path(name), size)
        low, *_, high = statistics.quantiles(found, n=10)
        middle = (statistics.median(found), statistics.mean(found))
        row = [f"{value:.1f}" for value in (low, *middle, high)]
        whole.add_row(size.name, *row, f"{size.goal:g}")
        for part, value in spent.items():
            medians[part].append(f"{value:.2f}")
    for part in sorted(medians, reverse=True):
        parts.add_row(part, *medians[part])
    title = "One of ten nodes, a million numbers, ms of CPU"
    alone = Table("part", "pairwise (goal 60)", "witness (goal 20)", title=title)
    pairs, witnessed = cpu(Mode.PAIRWISE), cpu(Mode.WITNESS)
    for part, value in pairs.items():
        alone.add_row(part, f"{value:.1f}", f"{witnessed[part]:.1f}")
    return [whole, parts, alone]


def main() -> None:
    for table in tables():
        Console(width=100).print(table)


if __name__ == "__main__":
    main()
