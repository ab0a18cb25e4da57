"""What a training with a secure sum is agreed on: public numbers, none of them from records."""

import math
from dataclasses import dataclass

from models.errors import UsageError
from models.families.additive import BINARY, Shape
from models.families.network import NetworkSpec
from models.quantities import Delta, Epsilon, Quantity, SamplingRate, Share
from models.schema import STRICT

_FEWEST = 2


@dataclass(frozen=True, slots=True, order=True)
class GaussianMu(Quantity):
    """The μ of Gaussian differential privacy: what one Gaussian of noise 1/μ costs."""

    @classmethod
    def of(cls, epsilon: Epsilon, delta: Delta) -> "GaussianMu":
        """Give the μ whose exact curve δ(ε) goes through the point (Balle, Wang 2018)."""
        low, high = 0.0, 100.0
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (
                (middle, high) if _delta(epsilon.value, middle) < delta.value else (low, middle)
            )
        return cls(low)


def _delta(loss: float, mu: float) -> float:
    """Give δ = Φ(-ε/μ + μ/2) - e^ε·Φ(-ε/μ - μ/2)."""

    def below(x: float) -> float:
        return math.erfc(-x / math.sqrt(2)) / 2

    return below(-loss / mu + mu / 2) - math.exp(loss) * below(-loss / mu - mu / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What everybody agrees on before a training; `models.training.plan` adds the noise.

    Attributes:
        epsilon, delta: for one resident, all departments together.
        residents: of the whole cohort: a public number, or a noisy one that was paid for.
        shape: of the model: additive on public bins, or a network.
        cohort: departments that take part.
        carriers: noise shares that surely protect a sum (`Roster.carriers(cohort)`).
        departments: the most departments of the cohort that one resident can be in.
        sampling: each department's Poisson rate per step; 1 is the full batch.
        holdout: share of the residents who evaluate instead of training.
        spare: steps that may be asked for a second time; each such attempt is charged.
    """

    __pydantic_config__ = STRICT

    epsilon: Epsilon
    delta: Delta
    residents: int
    shape: Shape | NetworkSpec
    cohort: int
    carriers: int
    departments: int
    sampling: SamplingRate
    holdout: Share
    spare: int

    def __post_init__(self) -> None:
        """Refuse numbers that contradict each other.

        Raises:
            UsageError: with a text that names them.
        """
        if self.cohort < _FEWEST or not 1 <= self.carriers <= self.cohort:
            raise UsageError("a secure sum needs two departments, and carriers among them")
        if self.cohort == _FEWEST and self.carriers != 1:
            raise UsageError("of two departments each must add all of the noise")
        if not 1 <= self.departments <= self.cohort:
            raise UsageError("a resident is in at least one department, at most in the cohort")
        if self.residents < 1 or self.spare < 0:
            raise UsageError("residents must be at least 1, spare steps at least 0")
        if min(_sizes(self.shape)) < 1 or self.shape.classes < BINARY:
            raise UsageError("a model needs an input, two classes, and no empty layer")

    @property
    def training_residents(self) -> float:
        """Give the expected number of residents who train."""
        return self.residents * (1 - self.holdout.value)

    @property
    def draws(self) -> int:
        """Give how often the histogram, and the evaluation, may be asked for."""
        return 1 + min(1, self.spare)


def _sizes(shape: Shape | NetworkSpec) -> tuple[int, ...]:
    if isinstance(shape, NetworkSpec):
        return (shape.inputs, *shape.hidden)
    return (shape.levels, shape.columns)
