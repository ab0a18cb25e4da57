"""What a department does with its records in a study with secure sums: masked sums alone leave."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from models.errors import AccountingError
from models.evaluation import histograms
from models.families import additive
from models.families.additive import Block, Shape
from models.families.chunks import Carry, Chunk
from models.families.network import classes, probabilities
from models.governance.release import Release
from models.governance.study import Study
from models.privacy.sampler import Integers
from models.randomness import Entropy
from models.secagg import node
from models.secagg.contexts import Receipt
from models.secagg.node import Ready
from models.training import messages, steps
from models.training.messages import EVALUATE, HISTOGRAM, Arrays
from models.training.plan import TrainingPlan
from node.datasets import Dataset
from node.work.prepared import _Prepared


class _Residents:
    """The training residents, read piece by piece from the private file."""

    def __init__(self, prepared: _Prepared) -> None:
        self._prepared = prepared

    @property
    def residents(self) -> int:
        return self._prepared.training.residents

    def chunks(self, chosen: Integers, *, width: int) -> Iterator[Chunk]:
        return self._prepared.chunks(self._prepared.training, chosen=chosen, width=width)


class SumBench:
    """One study's prepared records at one node, for secure sums.

    Formal guarantee: `answer` gives a `Release` whose elements carry this node's share of the
    noise and its masks before they leave this module; together with the shares of the others its
    cost bounds the privacy loss of one resident, all rows in all departments together
    (`models.training.plan`). Training and evaluation use different residents
    (`models.evaluation.holdout`). Whether the cost may be paid was decided before: the receipt
    shows that it was charged.
    """

    def __init__(
        self,
        *,
        study: Study,
        dataset: Dataset,
        plan: TrainingPlan,
        entropy: Entropy,
        scratch: Path,
    ) -> None:
        """Read the records once and keep them encoded in a private file in `scratch`.

        Raises:
            DataContractError, ConfigurationError: see `node.work.prepared`.
        """
        self._study = study
        self._plan = plan
        self._entropy = entropy
        self._prepared = _Prepared(study=study, dataset=dataset, scratch=scratch, entropy=entropy)
        self._training: Block | None = None

    def close(self) -> None:
        """Remove what was prepared. The bench cannot be used afterwards."""
        self._training = None
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

    def answer(self, *, ready: Ready, receipt: Receipt, arrays: Arrays) -> Release:
        """Give `sum`: the elements of the step that `ready` is for, noise and masks added.

        Args:
            ready: which step, and everything its message is bound to.
            receipt: that this attempt is written down and charged.
            arrays: what the step is computed with: of the study's model.

        Raises:
            AccountingError: the step's sum is not the one of the plan.
            ProtocolViolationError: the arrays are not those of the study's model.
            ContextUsedError, RefusedError: the receipt is used, or for something else.
        """
        step, plan = ready.context.step, ready.context.plan
        if plan != self._plan.sum_plan(messages.part(self._plan, step)):
            raise AccountingError("the noise of a step is not that of the plan")
        units = self._units(step, arrays)
        message = node.masked(ready, units, receipt=receipt, entropy=self._entropy)
        words = plan.ring.read(message.payload, length=plan.length)
        return Release(values={"sum": words}, cost=messages.cost(self._plan, step))

    def _units(self, step: str, arrays: Arrays) -> Integers:
        if step == HISTOGRAM:
            return steps.histogram(self._plan, self._block())
        if step == EVALUATE:
            return self._scores(arrays)
        return steps.gradient(self._plan, self._data(), arrays, entropy=self._entropy)

    def _scores(self, arrays: Arrays) -> Integers:
        """Give the held-out residents' scores by outcome; each resident's are rounded alone."""
        parameters = {name: array.astype(np.float32) for name, array in arrays.items()}
        cells = int(np.prod(histograms.shape(classes(self._study))))
        side, carry = self._prepared.holdout, Carry()
        total = np.zeros(cells, dtype=np.int64)
        for chunk in self._prepared.chunks(side, chosen=np.arange(side.residents), width=cells):
            sums = histograms.contributions(probabilities(parameters, chunk.inputs), chunk=chunk)
            whole = carry.whole(sums, complete=chunk.complete).astype(np.float64)
            total += steps.evaluation(self._plan, whole)
        return total

    def _data(self) -> Block | _Residents:
        """Give all training residents, as the model's gradients read them."""
        additively = isinstance(self._plan.terms.shape, Shape)
        return self._block() if additively else _Residents(self._prepared)

    def _block(self) -> Block:
        """Give their rows as codes: in memory, for every step reads all of them."""
        shape, side = self._plan.terms.shape, self._prepared.training
        if not isinstance(shape, Shape):
            raise AccountingError("a network has no histogram of levels")
        if self._training is None:
            codes = [np.empty((shape.columns, 0), dtype=np.int64)]
            outcomes = [np.empty(0, dtype=np.int64)]
            everybody = np.arange(side.residents)
            for chunk in self._prepared.chunks(side, chosen=everybody, width=shape.levels):
                codes.append(additive.codes(chunk.inputs, columns=shape.columns))
                outcomes.append(chunk.outcomes)
            self._training = Block.of(
                shape,
                np.hstack(codes),
                outcomes=np.concatenate(outcomes),
                owners=np.repeat(everybody, np.diff(side.starts)),
            )
        return self._training
