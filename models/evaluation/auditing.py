"""How much privacy was lost at least, as seen from outside: audits of a mechanism's releases.

A proof says that a mechanism loses at most ε; an audit says that a program lost at least so much.
An audit finds mistakes (noise missing, a clip that does not bind) and proves nothing: a lower
bound below ε does not show that ε holds.

One run. Each of m canaries, residents made for the audit, takes part or not by a fair coin of its
own. The auditor sees what was released, guesses the coins of some of them and abstains on the
others. If the mechanism is (ε, δ)-private under add or remove of a canary, then the number W of
right guesses among r is hardly ever larger than that of randomised response: for every v

    P[W >= v] <= P[B >= v] + 2·m·δ·a,   a = max over i of P[v - i <= B < v] / i,

with B ~ Binomial(r, e^ε / (1 + e^ε)) (Steinke, Nasr, Jagielski 2023, main theorem, appendix D).
The guesses may depend on everything released and need not be independent, how many are made must
not depend on the coins.

Noise alone. Where nobody contributes, a sum is its noise, whose variance can be tested: a missing
share is seen there long before it lets anyone guess better than ε allows.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from models.errors import UsageError
from models.quantities import Delta, Epsilon, NoiseVariance
from models.schema import STRICT

Doubles = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_HALVINGS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Guesses:
    """How an audit in one run went.

    Attributes:
        canaries: with a fair coin each.
        made: guesses; on the other canaries the auditor abstained.
        right: guesses that were right.
    """

    __pydantic_config__ = STRICT

    canaries: int
    made: int
    right: int

    def __post_init__(self) -> None:
        """Refuse counts that contradict each other.

        Raises:
            UsageError: with a text that names them.
        """
        if not 0 <= self.right <= self.made <= self.canaries or self.made < 1:
            raise UsageError("right guesses are among the guesses, and those among the canaries")

    @classmethod
    def of(cls, scores: Doubles, coins: Flags, *, made: int) -> "Guesses":
        """Guess the coins of the `made` canaries whose scores are farthest from 0.

        A score above 0 speaks for having taken part, one below 0 against it.

        Raises:
            UsageError: there are not as many scores as coins, or more guesses than those.
        """
        if scores.shape != coins.shape or scores.ndim != 1:
            raise UsageError("an audit needs one score and one coin per canary")
        surest = np.argsort(-np.abs(scores), kind="stable")[:made]
        right = int(((scores[surest] > 0) == coins[surest]).sum())
        return cls(canaries=coins.size, made=made, right=right)

    def chance(self, *, epsilon: Epsilon, delta: Delta) -> float:
        """Give the most that so many right guesses can be worth under (ε, δ): a p-value."""
        return self._chance(epsilon.value, delta)

    def least_epsilon(self, *, delta: Delta, confidence: float = 0.95) -> float:
        """Give the ε that the mechanism loses at least, at δ, with that confidence; 0 if none."""
        low, high = 0.0, Epsilon.maximum
        if self._chance(low, delta) > 1 - confidence:
            return 0.0
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            refuted = self._chance(middle, delta) <= 1 - confidence
            low, high = (middle, high) if refuted else (low, middle)
        return low

    def _chance(self, loss: float, delta: Delta) -> float:
        rate = 1 / (1 + math.exp(-loss))
        below = stats.binom.pmf(np.arange(self.right - 1, -1, -1), self.made, rate).cumsum()
        lucky = float((below / np.arange(1, self.right + 1)).max(initial=0.0))
        found = float(stats.binom.sf(self.right - 1, self.made, rate))
        return min(1.0, found + 2 * self.canaries * delta.value * lucky)


def noise_chance(found: Doubles, *, variance: NoiseVariance) -> float:
    """Give the two-sided p-value that numbers are normal noise with mean 0 and that variance.

    `found`: coordinates of sums to which nobody contributed, in the units of the variance.

    Raises:
        UsageError: there is nothing to test, or no noise was promised.
    """
    if not found.size or variance.value == 0:
        raise UsageError("a test of noise needs numbers, and a variance above 0")
    squares = float(np.square(found).sum()) / variance.value
    below, above = stats.chi2.cdf(squares, found.size), stats.chi2.sf(squares, found.size)
    return min(1.0, 2 * float(min(below, above)))
