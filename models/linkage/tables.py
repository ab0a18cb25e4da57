"""What was opened, as tables with their noise."""

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from models.errors import ProtocolViolationError
from models.governance.linked import LinkedStudy
from models.linkage.coding import Coding
from models.linkage.plan import SERVERS, TOTALS, Plan, plan
from models.privacy.sampler import Integers
from models.quantities import NoiseVariance

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NoisyTable:
    """One table of a release.

    Attributes:
        question: the name of the question it answers.
        table: its own name.
        axes: in order.
        counts: residents in each cell, shape `[axis.width for axis in axes]`; noise makes them
            fractions, and some of them negative.
        variance: of the noise in each cell, independent between cells; 0: none.
    """

    question: str
    table: str
    axes: tuple[Coding, ...]
    counts: Counts = field(repr=False)
    variance: NoiseVariance

    def axis(self, name: str) -> int:
        """Give the place of a variable's axis.

        Raises:
            KeyError: the table has no such variable.
        """
        for place, axis in enumerate(self.axes):
            if axis.variable == name:
                return place
        raise KeyError(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """Two noisy counts of one department, and the variance of their noise.

    Attributes:
        unlinked: residents of its records who are not in the register.
        protected: residents or households with protected identity that were left out.
    """

    department: str
    unlinked: float
    protected: float
    variance: NoiseVariance


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """All that one run opened."""

    tables: tuple[NoisyTable, ...]
    totals: tuple[Total, ...]


def opened(study: LinkedStudy, units: Integers, *, residents: int) -> Opened:
    """Give the tables of the opened vector.

    Args:
        study: that was run.
        units: the sum of the three servers' shares: signed, shape `(plan.noise.length,)`.
        residents: of the spine.

    Raises:
        ProtocolViolationError: the numbers are no counts: a server or department sent garbage.
    """
    agreed = plan(study)
    if units.shape != (agreed.noise.length,):
        raise ProtocolViolationError("the opened vector has another length than the study's")
    _plausible(agreed, units, residents)
    counts = units.astype(np.float64) / (1 << agreed.noise.bits)
    tables, at = [], 0
    for target in agreed.layout.targets:
        shape = [axis.width for axis in target.axes]
        found = counts[at : at + target.cells].reshape(shape)
        at += target.cells
        tables.append(
            NoisyTable(
                question=target.question,
                table=target.table,
                axes=target.axes,
                counts=found,
                variance=agreed.noise.variance,
            )
        )
    rest = counts[at:].reshape(len(study.departments), TOTALS) * 4
    variance = NoiseVariance(agreed.noise.variance.value * 16)
    totals = tuple(
        Total(
            department=name,
            unlinked=float(unlinked),
            protected=float(protected),
            variance=variance,
        )
        for name, (unlinked, protected) in zip(study.departments, rest, strict=True)
    )
    return Opened(tables=tuple(tables), totals=totals)


def _plausible(agreed: Plan, units: Integers, residents: int) -> None:
    """Refuse what cannot be a count with noise: shares that do not fit give such numbers."""
    bits = 61 + (agreed.noise.length - 1).bit_length()
    spread = math.isqrt(SERVERS * agreed.noise.scale**2 * bits * 13863 // 10000) + 1
    cells = agreed.layout.cells
    low, high = int(units.min()), int(units[:cells].max()) if cells else 0
    if low < -spread or high > (residents << agreed.noise.bits) + spread:
        raise ProtocolViolationError(
            "the opened numbers are no counts of residents: a server, or a department, sent "
            "something else than its shares; nothing was released"
        )
