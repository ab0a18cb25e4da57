"""What the released model is compared with: each department alone, and all data pooled."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from coordinator.client.estimator import ReleasedClassifier
from coordinator.client.frames import columns
from demo.residents import DemoData
from models.families.encoding import Encoder
from models.governance.study import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """AUC on `test_residents` that no department has; only the federated model carries noise."""

    test_residents: int
    federated_auc: float
    pooled_auc: float
    local_auc: dict[str, float]


def compare(study: Study, data: DemoData, release: Path) -> Comparison:
    """Give the AUC of the released model and of the ones without privacy, on `data.test`."""
    outcome = data.test[study.outcome] == study.target.categories[-1]

    def alone(rows: pd.DataFrame) -> float:
        model = LogisticRegression(max_iter=1000)
        model.fit(_encode(study, rows), rows[study.outcome] == study.target.categories[-1])
        return float(roc_auc_score(outcome, model.predict_proba(_encode(study, data.test))[:, 1]))

    released = ReleasedClassifier.from_release(release).predict_proba(data.test)[:, 1]
    return Comparison(
        test_residents=int(data.test["resident"].nunique()),
        federated_auc=float(roc_auc_score(outcome, released)),
        pooled_auc=alone(data.pooled()),
        local_auc={name: alone(rows) for name, rows in data.departments.items()},
    )


def _encode(study: Study, rows: pd.DataFrame) -> npt.NDArray[np.float32]:
    """Encode as the nodes do, so that the comparison differs in nothing but the federation."""
    encoder = Encoder.of(study.inputs, bins=study.model.bins)
    return encoder.encode(columns(rows, study.inputs, out_of_bounds="refuse"))
