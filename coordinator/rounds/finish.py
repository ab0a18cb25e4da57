"""The end of a run: from histograms to figures, from parameters to a release."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from coordinator.flower.replies import Form
from models.evaluation import histograms, metrics
from models.evaluation.metrics import Metrics
from models.families import network
from models.governance.study import Study
from models.privacy.plan import plan
from models.secagg.coordinator import Total
from models.training import averaged, steps
from models.training.studies import training_plan

HISTOGRAM = "histogram"
Arrays = Mapping[str, npt.NDArray[np.generic]]


def evaluated(study: Study) -> bool:
    """Tell whether the study sets residents aside to evaluate on."""
    return study.privacy.holdout.value > 0


def forms(study: Study) -> dict[str, Form]:
    """Give the arrays that a department's answer to the evaluation holds."""
    shape = histograms.shape(network.classes(study))
    return {HISTOGRAM: Form(dtype="float64", shape=shape)}


def quality(study: Study, answers: Mapping[str, Arrays]) -> Metrics:
    """Give the figures of the model over the departments that answered."""
    classes = network.classes(study)
    total = histograms.combine(
        (answers[department][HISTOGRAM] for department in sorted(answers)), classes=classes
    )
    variance = histograms.noise_variance(
        plan(study).evaluation, classes=classes, departments=len(answers)
    )
    return metrics.evaluate(
        histogram=total,
        noise_variance=variance,
        classes=classes,
        seed=bytes.fromhex(study.digest()),
    )


def summed_quality(study: Study, total: Total) -> Metrics:
    """Give the figures of the model from the secure sum of the departments' histograms."""
    many = len(total.members)
    if study.masked:
        histogram, variance = averaged.evaluated(study, total.values, answered=many)
    else:
        histogram, variance = steps.evaluated(training_plan(study), total.values, answered=many)
    return metrics.evaluate(
        histogram=histogram,
        noise_variance=variance,
        classes=network.classes(study),
        seed=bytes.fromhex(study.digest()),
    )
