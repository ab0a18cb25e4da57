"""Run every study of a folder that `demo.public_data` wrote, and score what was released.

`python -m demo.trial FOLDER` starts a coordinator and the folder's nodes, has every steward
approve every study, runs them one after the other and predicts `test.csv`, which no node has.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.console import Console
from rich.table import Table
from sklearn.metrics import roc_auc_score

from coordinator.client import progress
from coordinator.client.api import Datalabbet
from coordinator.client.estimator import ReleasedClassifier
from coordinator.client.options import Output
from coordinator.client.output import Form, say
from demo import showcase, warm
from demo.federation import Federation, together
from models.errors import UsageError
from models.governance.record import ReleaseRecord

CENTRAL = "central-team"


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One released model on the rows that no node has.

    Attributes:
        site_accuracy: mean of the departments' own accuracies; None if `test.csv` has no column
            `department`.
    """

    study: str
    epsilon: float | None
    accuracy: float
    site_accuracy: float | None
    auc: float
    seconds: float


def run(folder: Path, *, tell: Callable[[str], None]) -> list[Score]:
    """Give the score of each study in `folder/*.yaml`."""
    studies = sorted(folder.glob("*.yaml"))
    departments = tuple(sorted(p.name for p in (folder / "nodes").glob("*") if p.is_dir()))
    if not studies or not departments:
        raise UsageError(
            f"{folder} holds no studies or no nodes",
            hint="`python -m demo.public_data heart --data DIR --out FOLDER` writes one.",
        )
    warm.preload()
    with Federation(root=folder.resolve(), departments=departments, warm=True) as city:
        tell(f"Starting the coordinator and {len(departments)} nodes")
        city.start_coordinator()
        city.enrol({CENTRAL: "central"})
        with Datalabbet.connect(city.profile(CENTRAL)) as client:
            city.start_nodes(client)
            showcase.wait_for_catalogue(client, departments)
            return [_study(path, city, client, tell=tell) for path in studies]


def _study(
    path: Path, city: Federation, client: Datalabbet, *, tell: Callable[[str], None]
) -> Score:
    name = client.propose(path).study.study
    tell(f"{name}: approving and running")
    yes = ("studies", "approve", name, "--steward", "Steward", "--yes")
    together([(lambda department: city.node(department, *yes), d) for d in city.departments])
    ended = progress.check(progress.follow(client.watch(client.start_run(name).run_id)))
    release = client.export(ended.run_id, city.root / "releases" / name)
    record = client.release(ended.run_id)
    assert isinstance(record, ReleaseRecord)  # noqa: S101 - every study here makes a model
    test = pd.read_csv(city.root / "test.csv", keep_default_na=False)
    model = ReleasedClassifier.from_release(release)
    truth = test[record.study.outcome]
    right = truth == model.predict(test)
    sites = right.groupby(test["department"]).mean() if "department" in test else None
    return Score(
        study=name,
        epsilon=record.protection.epsilon,
        accuracy=float(right.mean()),
        site_accuracy=None if sites is None else float(sites.mean()),
        auc=float(roc_auc_score(truth, model.predict_proba(test)[:, 1])),
        seconds=(ended.updated_at - ended.started_at).total_seconds(),
    )


def main(
    folder: Annotated[Path, typer.Argument(help="What `python -m demo.public_data` wrote.")],
    *,
    output: Output = Form.TABLE,
) -> None:
    """Run every study of the folder and score what was released."""
    scores = run(folder, tell=say)
    if output is Form.JSON:
        sys.stdout.write(json.dumps([asdict(score) for score in scores]) + "\n")
        return
    table = Table("study", "ε", "accuracy", "mean of departments", "AUC", "seconds")
    for score in scores:
        spent = "∞" if score.epsilon is None else f"{score.epsilon:.2f}"
        sites = "" if score.site_accuracy is None else f"{score.site_accuracy:.4f}"
        figures = (f"{score.accuracy:.4f}", sites, f"{score.auc:.4f}", f"{score.seconds:.1f}")
        table.add_row(score.study, spent, *figures)
    Console(width=100).print(table)


if __name__ == "__main__":
    typer.run(main)
