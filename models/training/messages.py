"""The steps of a training as secure sums: what each is called, bound to, and costs.

The sums of a run, in order: `histogram` (where the plan has one), `train/1` to `train/T`, and
`evaluate` (where residents were held out). Under masks, rounds of federated averaging have the
same names (`models.training.averaged`). Node, witness and coordinator derive all of this
themselves from the approved study; nothing here is taken from a message.
"""

import hashlib
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from models import documents
from models.errors import ProtocolViolationError
from models.families import network
from models.governance.cost import PrivacyCost
from models.governance.study import Study
from models.privacy.plan import plan as local_plan
from models.privacy.shared_noise import SharedNoise
from models.secagg.contexts import Context
from models.secagg.rings import SumPlan
from models.training import averaged, steps
from models.training.plan import TrainingPlan
from models.training.studies import training_plan

HISTOGRAM, EVALUATE = "histogram", "evaluate"
Arrays = Mapping[str, npt.NDArray[np.generic]]


def train(number: int) -> str:
    """Give the name of the step of that number, from 1."""
    return f"train/{number}"


def part(plan: TrainingPlan, step: str) -> SharedNoise:
    """Give the integers and noise of a step's sum.

    Raises:
        ProtocolViolationError: the plan has no such step.
    """
    found = plan.sums.get(step)
    if found is None:
        raise ProtocolViolationError("the training has no such step")
    return found


def cost(plan: TrainingPlan, step: str) -> PrivacyCost:
    """Give what one attempt at a step costs a resident, all departments together.

    Raises:
        ProtocolViolationError: the plan has no such step.
    """
    part(plan, step)
    if step == HISTOGRAM:
        return PrivacyCost(events=(plan.histogram_event(),))
    if step == EVALUATE:
        return PrivacyCost(events=(plan.evaluation_event(),))
    return PrivacyCost(events=(plan.step_event(),))


def context(
    study: Study, *, run: int, step: str, attempt: int, cohort: str, arrays: Arrays
) -> Context:
    """Give what one attempt at a step is bound to.

    Args:
        study: as approved at whoever asks.
        run: which run of the study.
        step: which sum.
        attempt: which try at it, from 1.
        cohort: `Cohort.digest()` as agreed by whoever asks.
        arrays: what the values are computed with, exactly as it was received or sent.

    Raises:
        ProtocolViolationError: the study's training has no such step.
    """
    digest, privacy = _digests(study)
    return Context(
        study=digest,
        run=run,
        step=step,
        attempt=attempt,
        cohort=cohort,
        model=model_digest(arrays),
        privacy=privacy,
        code=study.code,
        plan=_sum(study, step),
    )


def sums(study: Study) -> dict[str, SumPlan]:
    """Give the shape of each sum of a run, in order."""
    if study.masked:
        numbers = range(1, study.averaging.rounds + 1)
        names = [train(number) for number in numbers]
        return {name: _sum(study, name) for name in (*names, *_scored(study))}
    return {name: _sum(study, name) for name in training_plan(study).sums}


def forms(study: Study) -> steps.Forms:
    """Give the form of the arrays that a step `train/n` asks a department with."""
    return model_forms(study) if study.masked else steps.forms(training_plan(study))


def model_forms(study: Study) -> steps.Forms:
    """Give the form of the study's model."""
    spec = network.NetworkSpec.of(study)
    return {name: ("float32", shape) for name, shape in network.shapes(spec).items()}


@lru_cache(maxsize=64)
def _digests(study: Study) -> tuple[str, str]:
    """Give the hashes of the study and of its plan, once: every step of a run has them."""
    if study.masked:
        privacy = documents.digest(documents.write(local_plan(study)), domain="privacy-plan")
    else:
        plan = documents.write(training_plan(study))
        privacy = documents.digest(plan, domain="training-plan")
    return study.digest(), privacy


def _sum(study: Study, step: str) -> SumPlan:
    if not study.masked:
        plan = training_plan(study)
        return plan.sum_plan(part(plan, step))
    if step in _scored(study):
        return averaged.scores_sum(study)
    number = step.removeprefix(train(0).removesuffix("0"))
    if not number.isdecimal() or not 1 <= int(number) <= study.averaging.rounds:
        raise ProtocolViolationError("the training has no such step")
    return averaged.update_sum(study)


def _scored(study: Study) -> tuple[str, ...]:
    return (EVALUATE,) if study.privacy.holdout.value else ()


def model_digest(arrays: Arrays) -> str:
    """Give the SHA-256 (64 hex digits) over names, types, shapes and bytes, in order of name."""
    digest = hashlib.sha256(b"datalabbet/request/v1\x00")
    for name in sorted(arrays):
        array = arrays[name]
        head = f"{name}\x00{array.dtype.str}\x00{array.shape}\x00".encode()
        digest.update(len(head).to_bytes(4, "big") + head)
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
