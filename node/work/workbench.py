"""What a department does with its records in a study: train, evaluate, and give releases."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from models.errors import RefusedError, RunFailedError
from models.evaluation import histograms
from models.families.chunks import Carry
from models.families.descent import Descent, Settings
from models.families.network import NetworkSpec, check, probabilities, shapes
from models.governance.release import Release
from models.governance.study import Protection, Study
from models.privacy.mechanisms import BoundedSum, noisy_count
from models.privacy.plan import PrivacyPlan
from models.privacy.sampler import poisson_sample
from models.randomness import Entropy
from node.datasets import Dataset
from node.work.prepared import _Prepared

Floats = npt.NDArray[np.float32]


class Workbench:
    """One study's prepared records at one node.

    Formal guarantee: every method gives a `Release` whose cost bounds the privacy loss of one
    resident, all rows of the resident together. Training and evaluation use different residents
    (`models.evaluation.holdout`). Whether the cost may be paid was decided before: the caller
    charges its ledger first.
    """

    def __init__(
        self,
        *,
        study: Study,
        dataset: Dataset,
        plan: PrivacyPlan,
        entropy: Entropy,
        scratch: Path,
    ) -> None:
        """Read the records once and keep them encoded in a private file in `scratch`.

        Raises:
            RefusedError: a study without protection over data that is not declared public.
            DataContractError, ConfigurationError: see `node.work.prepared`.
        """
        if study.privacy.protection is Protection.NONE and not dataset.declaration.public:
            raise RefusedError(
                f"the dataset {dataset.declaration.name} is not public",
                hint="a study over it needs the protection local-noise",
            )
        self._study = study
        self._plan = plan
        self._entropy = entropy
        self._spec = NetworkSpec.of(study)
        self._width = sum(int(np.prod(shape)) for shape in shapes(self._spec).values())
        self._prepared = _Prepared(study=study, dataset=dataset, scratch=scratch, entropy=entropy)

    def close(self) -> None:
        """Remove what was prepared. The workbench cannot be used afterwards."""
        self._prepared.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def train(
        self, *, parameters: Mapping[str, Floats], round_number: int, weight: float | None
    ) -> Release:
        """Give the parameters after the study's steps from `parameters`, and `weight`.

        Each step sums over a Poisson sample of the training residents: the mean of a resident's
        row gradients, clipped. The sum, with noise, is divided by the expected sample size
        according to `weight`, never by the size the sample has.

        Args:
            parameters: of the study's model.
            round_number: of the round; each one is as the first, it has no effect on the work.
            weight: the noisy number of training residents as it was released in an earlier
                round of the run; None draws and releases it now, at its own cost.

        Raises:
            ProtocolViolationError: the parameters are not those of the study's model.
            RunFailedError: the numbers grew beyond all bounds.
        """
        del round_number
        check(self._spec, parameters)
        cost = self._plan.round_cost(first=weight is None)
        residents = self._count() if weight is None else max(1.0, weight)
        descent = Descent(self._spec, parameters, settings=self._settings(), entropy=self._entropy)
        for _ in range(self._study.averaging.steps):
            self._step(descent, residents)
        updated = descent.parameters()
        if not all(np.isfinite(array).all() for array in updated.values()):
            raise RunFailedError(
                "the training grew beyond all bounds", hint="use a smaller learning_rate"
            )
        return Release(values={**updated, "weight": np.array(residents)}, cost=cost)

    def evaluate(self, *, parameters: Mapping[str, Floats]) -> Release:
        """Give `histogram`: scores by outcome of the held-out residents, with noise.

        Its form is that of `models.evaluation.histograms`.

        Raises:
            ProtocolViolationError: the parameters are not those of the study's model.
        """
        check(self._spec, parameters)
        shape = histograms.shape(self._spec.classes)
        cells = int(np.prod(shape))
        total = BoundedSum(
            width=cells,
            bound=histograms.sensitivity(self._spec.classes),
            noise=self._plan.evaluation,
        )
        side, carry = self._prepared.holdout, Carry()
        for chunk in self._prepared.chunks(side, chosen=np.arange(side.residents), width=cells):
            scores = probabilities(parameters, chunk.inputs)
            sums = histograms.contributions(scores, chunk=chunk)
            total.add(carry.whole(sums, complete=chunk.complete))
        histogram = total.release(self._entropy).reshape(shape)
        return Release(values={"histogram": histogram}, cost=self._plan.evaluation_cost())

    def _step(self, descent: Descent, residents: float) -> None:
        side, rate = self._prepared.training, self._plan.sampling
        chosen = poisson_sample(population=side.residents, rate=rate, entropy=self._entropy)
        chunks = self._prepared.chunks(side, chosen=chosen, width=self._width)
        # Public data: the plain mean over the sample. Else a public number stands for its size.
        expected = len(chosen) if self._plan.training is None else rate.value * residents
        descent.step(chunks, divisor=max(1.0, expected))

    def _count(self) -> float:
        """Give the noisy number of training residents, at least 1 so that it can be a weight."""
        residents = self._prepared.training.residents
        return max(1.0, noisy_count(residents, noise=self._plan.count, entropy=self._entropy))

    def _settings(self) -> Settings:
        return Settings(
            bound=self._study.privacy.bound,
            noise=self._plan.training,
            learning_rate=self._study.averaging.learning_rate,
            proximal=self._study.averaging.proximal,
        )
