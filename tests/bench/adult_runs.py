"""Test AUC on UCI Adult (census income 1994) by ε, of runs on real nodes beside pooled data.

    python -m tests.bench.adult_runs --data DIR [--seeds 5]

DIR holds the published `adult_train.csv.gz` and `adult_test.csv.gz`. A coordinator and four nodes,
each a process of its own, over mutual TLS on loopback; everything is done by the commands that
people use, and the AUC is that of the exported release. Departments by occupation, one row per
resident, δ = 1e-5, protection `secure-sum` with its default terms: masks in pairs, one colluder
tolerated, one spare step. Noise is fresh in every run, and each is a study of its own, for a study
may not be run twice. "Central" is the same mechanism on pooled data, without colluders or spares.

With 2,000 residents it matters most which of them are drawn: every run has others.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from sklearn.metrics import roc_auc_score

from coordinator.client import progress
from coordinator.client.api import Datalabbet
from coordinator.client.estimator import ReleasedClassifier
from demo.federation import Federation, together
from demo.showcase import wait_for_catalogue
from models.families.encoding import AnyColumn
from models.schema import CategoryColumn, NumericColumn
from models.training import plan as plans
from tests.bench import adult_table
from tests.bench.adult_table import DEPARTMENTS, EPSILONS, GOALS, NEAR, SMALL, SMALL_GOAL, Records

NAMES = tuple(sorted(DEPARTMENTS))
OUTCOME = "income"
EVERYBODY = "adult"
WORDS = {"sv": "-", "en": "-"}
FEW = 4  # times as many runs with 2,000 residents as with all


@dataclass(frozen=True, kw_only=True)
class Case:
    """One run: a study, its dataset, and the goal of its row of the table."""

    study: str
    dataset: str
    epsilon: float
    goal: float
    rows: np.ndarray

    @property
    def residents(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, kw_only=True)
class Found:
    """How a run went. `step`: seconds, of the steps after the first."""

    case: Case
    auc: float
    central: float
    seconds: float
    step: float


def cases(rows: int, *, seeds: int) -> Iterator[Case]:
    """Give every run."""
    for epsilon, goal in zip(EPSILONS, GOALS["additive"], strict=True):
        for seed in range(1, seeds + 1):
            name = f"adult-{round(10 * epsilon)}-{seed}"
            yield Case(
                study=name, dataset=EVERYBODY, epsilon=epsilon, goal=goal, rows=np.arange(rows)
            )
    generator = np.random.default_rng(int.from_bytes(adult_table.ENTROPY.token(8), "big"))
    for seed in range(1, FEW * seeds + 1):
        chosen = np.sort(generator.permutation(rows)[:SMALL])
        name = f"few_{seed}"
        yield Case(
            study=name.replace("_", "-"), dataset=name, epsilon=1.0, goal=SMALL_GOAL, rows=chosen
        )


def field(column: AnyColumn) -> dict[str, Any]:
    """Give a column as a declaration file writes it."""
    if isinstance(column, CategoryColumn):
        enum = {"type": "string", "constraints": {"enum": list(column.categories)}}
        missing = {"missing_meaning": WORDS} if column.missing else {}
        return {"name": column.name, "meaning": WORDS} | enum | missing
    assert isinstance(column, NumericColumn)
    found = {
        "name": column.name,
        "type": "integer",
        "meaning": WORDS,
        "constraints": {"minimum": column.minimum, "maximum": column.maximum},
    }
    return found | ({"edges": list(column.edges)} if column.edges else {})


def deliver(folder: Path, name: str, rows: pd.DataFrame, columns: tuple[AnyColumn, ...]) -> None:
    """Write one department's dataset."""
    folder.mkdir(parents=True, exist_ok=True)
    rows.to_csv(folder / f"{name}.csv", index=False)
    outcome = CategoryColumn(name=OUTCOME, meaning=columns[0].meaning, categories=("<=50K", ">50K"))
    document = {
        "name": name,
        "title": WORDS,
        "description": {"sv": "UCI Adult, 1994", "en": "UCI Adult, 1994"},
        "steward": "Bench",
        "resident_id": "resident",
        "secrecy": "None: public data, used to measure",
        "source": {"kind": "csv", "path": f"{name}.csv"},
        "schema": {
            "missingValues": ["?"],
            "fields": [field(column) for column in (*columns, outcome)],
        },
    }
    (folder / f"{name}.yaml").write_text(json.dumps(document))  # which is YAML too


def study(case: Case, columns: tuple[AnyColumn, ...]) -> str:
    """Give the study file."""
    document = {
        "study": case.study,
        "title": WORDS,
        "purpose": {"sv": "Mäta nyttan.", "en": "Measure the usefulness."},
        "legal_basis": {"article_6": "e", "provision": "None needed: public data"},
        "contact": "bench@datalabbet.example",
        "departments": list(NAMES),
        "dataset": case.dataset,
        "variables": [column.name for column in columns],
        "outcome": OUTCOME,
        "model": {"family": "logistic", "bins": 20},
        "secure_sum": {"residents": case.residents},
        "privacy": {
            "protection": "secure-sum",
            "epsilon": case.epsilon,
            "delta": 1e-5,
            "departments_per_resident": 1,
            "holdout": 0,
        },
        "minimum_cohort": len(NAMES),
        "retention_days": 365,
    }
    return json.dumps(document)


class Runs:
    """The federation, and how a case is run on it."""

    def __init__(self, root: Path, data: Path) -> None:
        self.root = root
        self.frames = [pd.read_csv(data / f"adult_{part}.csv.gz") for part in ("train", "test")]
        self.columns = adult_table.declared(pd.concat(self.frames))
        self.train, self.test = adult_table.read(data)

    def deliver(self, every: list[Case]) -> None:
        """Write each department's datasets."""
        frame, where = self.frames[0].copy(), self.train.departments
        frame.insert(0, "resident", [f"resident-{number}" for number in range(len(frame))])
        names = ["resident", *(column.name for column in self.columns), OUTCOME]
        for case in {case.dataset: case for case in every}.values():
            for name in NAMES:
                mine = case.rows[where[case.rows] == name]
                folder = self.root / "nodes" / name / "datasets"
                deliver(folder, case.dataset, frame.loc[mine, names], self.columns)

    def go(self, every: list[Case]) -> Iterator[Found]:
        """Run them one after the other."""
        # Demo mode: node.toml gets limits that so many studies on the same residents stay below.
        with Federation(root=self.root, departments=NAMES, mode="demo") as city:
            city.start_coordinator()
            city.enrol({"central": "central"})
            with Datalabbet.connect(city.profile("central")) as client:
                city.start_nodes(client)
                wait_for_catalogue(client, NAMES)
                self._approved(city, client, every)
                for case in every:
                    yield self._run(client, case)

    def _approved(self, city: Federation, client: Datalabbet, every: list[Case]) -> None:
        for case in every:
            file = self.root / f"{case.study}.yaml"
            file.write_text(study(case, self.columns), encoding="utf-8")
            client.propose(file)

        def approve(name: str) -> None:
            for case in every:
                city.node(name, "studies", "approve", case.study, "--steward", "Bench", "--yes")

        together([(approve, name) for name in NAMES])

    def _run(self, client: Datalabbet, case: Case) -> Found:
        begun = time.monotonic()
        run = client.start_run(case.study)
        seen = [
            (time.monotonic(), status.rounds_done)
            for status in client.watch(run.run_id)
            if status.rounds_done
        ]
        ended = progress.check(client.run(run.run_id))
        seconds = time.monotonic() - begun
        folder = self.root / "releases" / case.study
        client.export(ended.run_id, folder)
        (first, low), (last, high) = seen[0], seen[-1]
        return Found(
            case=case,
            auc=self._auc(folder),
            central=central(self.train, self.test, case),
            seconds=seconds,
            step=(last - first) / max(1, high - low),
        )

    def _auc(self, release: Path) -> float:
        rows = self.frames[1].replace("?", None)
        model = ReleasedClassifier.from_release(release)
        scores = model.predict_proba(rows[[column.name for column in self.columns]])[:, 1]
        return float(roc_auc_score(rows[OUTCOME].str.startswith(">"), scores))


def central(train: Records, test: Records, case: Case) -> float:
    """Give the AUC of the same mechanism on pooled data, with exactly the wanted noise."""
    count = len(NAMES)
    terms = adult_table.terms(
        case.epsilon, residents=case.residents, shape=train.shape, carriers=count
    )
    sums = adult_table.Shares(count)
    plan = plans.make(replace(terms, carriers=count))
    return adult_table.auc(adult_table.train(plan, [train.block(case.rows)], sums), test)


def spread(values: list[float]) -> str:
    """Give mean and standard deviation."""
    return f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}"


def table(every: list[Found]) -> tuple[Table, int]:
    """Give the table, and how many goals were missed."""
    heads = (
        "residents",
        "ε",
        "runs",
        "nodes",
        "central",
        "goal",
        "reached",
        "s a run",
        "ms a step",
    )
    shown, missed = Table(*heads, title="Adult, test AUC, mean ± sd"), 0
    for key in dict.fromkeys((f.case.residents, f.case.epsilon) for f in every):
        mine = [f for f in every if (f.case.residents, f.case.epsilon) == key]
        ours, pooled = [f.auc for f in mine], [f.central for f in mine]
        mean, goal = statistics.mean(ours), mine[0].case.goal
        near = key[0] == SMALL or mean >= statistics.mean(pooled) - NEAR
        missed += not (mean >= goal and near)
        shown.add_row(
            f"{key[0]:,}",
            f"{key[1]:g}",
            str(len(mine)),
            spread(ours),
            spread(pooled),
            f"{goal:.3f}",
            "yes" if mean >= goal and near else "no",
            f"{statistics.median(f.seconds for f in mine):.1f}",
            f"{1000 * statistics.median(f.step for f in mine):.1f}",
        )
    return shown, missed


def measure(data: Path, *, seeds: int) -> tuple[Table, int]:
    """Run everything; give the table, and how many goals were missed."""
    with tempfile.TemporaryDirectory() as name:
        runs = Runs(Path(name), data)
        every = list(cases(len(runs.frames[0]), seeds=seeds))
        runs.deliver(every)
        return table(list(runs.go(every)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    shown, missed = measure(options.data, seeds=options.seeds)
    Console(width=110).print(shown)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
