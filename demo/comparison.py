"""What the released model found, beside what was planted and what others would have found.

The model is tried on the pupils of another city of the same kind, whom no node has.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from coordinator.client.estimator import ReleasedClassifier
from coordinator.client.frames import columns
from demo.eligibility import OUTCOME
from demo.town import AREAS
from models.families.encoding import Encoder
from models.governance.study import Study

Doubles = npt.NDArray[np.float64]

LONG_ASSISTANCE = "household with long-term assistance"
"""What no school knows: the group in which only joined departments could find the truth."""

_LOW, _HIGH = 5.0, 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The share of a group that becomes eligible: as planted, and as two models say it."""

    planted: float
    released: float
    pooled: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Figures on `test_pupils`; only the released model carries noise.

    Attributes:
        best_auc: of the very probabilities that the outcomes were drawn from.
        shares: by group of pupils.
    """

    test_pupils: int
    released_auc: float
    pooled_auc: float
    best_auc: float
    area_auc: dict[str, float]
    shares: dict[str, Share]


def compare(
    study: Study, *, here: pd.DataFrame, elsewhere: pd.DataFrame, release: Path
) -> Comparison:
    """Give the released model's figures on `elsewhere` and those of models without privacy.

    Args:
        study: the study that gave the release.
        here: the pupils whom the nodes hold (`demo.pupils`).
        elsewhere: the pupils of another city.
        release: the folder of the released model.
    """
    inputs = elsewhere[[column.name for column in study.inputs]]
    released = ReleasedClassifier.from_release(release).predict_proba(inputs)[:, 1]
    pooled = _fitted(study, here, elsewhere)
    truth = elsewhere["probability"].to_numpy()

    def auc(scores: Doubles) -> float:
        return float(roc_auc_score(elsewhere[OUTCOME], scores))

    return Comparison(
        test_pupils=len(elsewhere),
        released_auc=auc(released),
        pooled_auc=auc(pooled),
        best_auc=auc(truth),
        area_auc={
            department: auc(_fitted(study, here[here["omrade"] == area], elsewhere))
            for department, area in AREAS.items()
        },
        shares={
            name: Share(
                planted=float(truth[members].mean()),
                released=float(released[members].mean()),
                pooled=float(pooled[members].mean()),
            )
            for name, members in _groups(elsewhere).items()
        },
    )


def _groups(pupils: pd.DataFrame) -> Mapping[str, npt.NDArray[np.bool_]]:
    failed = pupils["underkand_matematik_ak6"].to_numpy(dtype=np.bool_)
    absent = pupils["absent"].to_numpy()
    groups = {
        "all pupils": np.ones(len(pupils), dtype=np.bool_),
        f"absent below {_LOW:g} %, passed mathematics": (absent < _LOW) & ~failed,
        f"absent above {_HIGH:g} %": absent > _HIGH,
        "F in mathematics in grade 6": failed,
        LONG_ASSISTANCE: pupils["long_assistance"].to_numpy(dtype=np.bool_),
    }
    return {name: members for name, members in groups.items() if members.any()}


def _fitted(study: Study, train: pd.DataFrame, test: pd.DataFrame) -> Doubles:
    """Give the scores on `test` of an ordinary logistic regression on `train`."""
    model = LogisticRegression(max_iter=1000)
    model.fit(_encode(study, train), train[OUTCOME])
    scores: Doubles = model.predict_proba(_encode(study, test))[:, 1]
    return scores


def _encode(study: Study, rows: pd.DataFrame) -> npt.NDArray[np.float32]:
    """Encode as the nodes do, so that the comparison differs in nothing but the federation."""
    encoder = Encoder.of(study.inputs, bins=study.model.bins)
    return encoder.encode(columns(rows, study.inputs, out_of_bounds="refuse"))
