"""How to descend, from public numbers alone: what measured best on public data.

Tuning on the records would cost privacy; these settings cost none. They depend on the number of
residents times μ, the parameter of Gaussian differential privacy, that is on how far the
residents stand out of the noise. Where a resident may be in m departments, or where the shares of
nodes that might collude make the noise larger than needed, μ counts as that much smaller.

Those of additive models were measured over six data sets, those of networks over Adult alone, with
2,000, 8,000 and 32,561 residents. The clip of additive models was chosen on Adult and on the demo
city: whoever stands out from the model is clipped hardest, so a small clip moves every predicted
probability towards the common outcome; a larger one costs noise (ADR 6 has the figures).
"""

import math
from dataclasses import dataclass

from models.families.network import NetworkSpec
from models.quantities import ClipNorm, NoiseVariance
from models.schema import STRICT
from models.training.terms import GaussianMu, Terms

_FEWEST_STEPS, _MOST_STEPS = 25, 200
_SLOWEST, _FASTEST = 0.05, 0.5

HISTOGRAM_SHARE = 0.05
"""Of μ²: for the one histogram that gives the preconditioner and the intercept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How many steps, which clip, and the first step size (above 1 the descent diverges)."""

    __pydantic_config__ = STRICT

    steps: int
    clip: ClipNorm
    rate: float

    @classmethod
    def of(cls, terms: Terms) -> "Recipe":
        """Give the settings for the terms."""
        mu = GaussianMu.of(terms.epsilon, terms.delta).value / terms.departments
        mu *= math.sqrt(terms.carriers / terms.cohort)
        strength = terms.training_residents * mu
        if isinstance(terms.shape, NetworkSpec):
            return cls._network(strength, hidden=bool(terms.shape.hidden))
        steps = round(50 * math.sqrt(strength / 2000))
        rate = 0.5 * (strength / 8800) ** 0.75
        return cls(
            steps=min(max(steps, _FEWEST_STEPS), _MOST_STEPS),
            clip=ClipNorm(4.0),
            rate=min(max(rate, _SLOWEST), _FASTEST),
        )

    @classmethod
    def _network(cls, strength: float, *, hidden: bool) -> "Recipe":
        """Give the settings for a network and Adam (`models.families.adam`)."""
        weaker = math.sqrt(strength / 2000)
        return cls(
            steps=min(max(round(100 * weaker), 100), _MOST_STEPS),
            clip=ClipNorm(2.0),
            rate=(0.05 if hidden else 0.1) * min(weaker, 1.0),
        )


def floor(residents: float, variance: NoiseVariance) -> float:
    """Give the count below which a level counts as that large in the preconditioner.

    Counts below the standard deviation of their noise are noise: a level that few have would else
    get a scale that is mostly chance, and residents with such levels would be clipped hardest.
    """
    return max(20.0, 200.0 * residents / 32561, math.sqrt(variance.value))
