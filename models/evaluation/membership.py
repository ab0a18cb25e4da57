"""Membership inference: how well somebody can tell who was in the training.

An attacker scores candidates, higher meaning "was in". What differs is what the attacker knows:

- `confidences`: the released model and the candidate's record. Thresholding them is the attack of
  Yeom, Giacomelli, Fredrikson, Jha (2018): records that were trained on have a smaller loss.
- `online` and `offline`: in addition, models that the attacker trained alike on samples of
  candidates, with (online) or only without the one in question. LiRA, the likelihood ratio attack
  of Carlini, Chien, Nasr, Song, Terzis, Tramèr (2022), with their common variance for few models.

What (ε, δ) allows. Whatever the attacker computes, for every candidate the rate of true alarms is
at most e^ε times that of false ones, plus δ, and the same holds with members and others exchanged
(Kairouz, Oh, Viswanath 2015). A mean over candidates keeps both, so they bound the whole curve:
`largest_auc` is the area under it.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from models.errors import UsageError
from models.quantities import Delta, Epsilon
from models.schema import STRICT

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_LEAST_VARIANCE = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarms:
    """How often an attacker who claims "was in" for some candidates is right and wrong."""

    __pydantic_config__ = STRICT

    right: int
    members: int
    wrong: int
    others: int

    def __post_init__(self) -> None:
        """Refuse counts that contradict each other.

        Raises:
            UsageError: with a text that names them.
        """
        alarms = 0 <= self.right <= self.members and 0 <= self.wrong <= self.others
        if not alarms or min(self.members, self.others) < 1:
            raise UsageError("an attack needs members and others, and alarms among them")

    @classmethod
    def of(cls, scores: Doubles, members: Flags, *, claimed: int) -> "Alarms":
        """Give what comes of claiming the `claimed` highest scores."""
        highest = members[np.argsort(-scores, kind="stable")[:claimed]]
        right, inside = int(highest.sum()), int(members.sum())
        return cls(
            right=right, members=inside, wrong=highest.size - right, others=members.size - inside
        )

    def least_epsilon(self, *, delta: Delta, confidence: float = 0.95) -> float:
        """Give the least ε under which such rates are possible, at δ; 0 if any allows them.

        Both rates have their Clopper-Pearson limit, at half the error each. The candidates count
        as independent trials. They are so over repeated trainings with one candidate each; in one
        training they share its noise, which `models.evaluation.auditing` allows for.
        """
        error = (1 - confidence) / 2
        low = float(stats.beta.ppf(error, self.right, self.members - self.right + 1))
        high = float(stats.beta.ppf(1 - error, self.wrong + 1, self.others - self.wrong))
        if not self.right:
            low = 0.0
        if self.wrong == self.others:
            high = 1.0
        return math.log(max(1.0, (low - delta.value) / high))


def confidences(scores: Doubles, outcomes: Integers) -> Doubles:
    """Give the log-odds that a model gives to the true outcome: falling in the loss.

    `scores`: (rows, outputs) as `models.families.network.logits` gives them.
    """
    if scores.shape[1] == 1:
        return np.where(outcomes == 1, 1.0, -1.0) * scores[:, 0]
    rows = np.arange(len(scores))
    others = scores.copy()
    others[rows, outcomes] = -np.inf
    result: Doubles = scores[rows, outcomes] - special.logsumexp(others, axis=1)
    return result


def online(observed: Doubles, shadows: Doubles, inside: Flags) -> Doubles:
    """Give the log-likelihood ratio "in" to "out" of each candidate's observed confidence.

    Args:
        observed: per candidate, under the attacked model.
        shadows: (models, candidates), under the attacker's own models.
        inside: which of those models were trained with the candidate.

    Raises:
        UsageError: a candidate was in all of the models, or in none.
    """
    outside = ~inside
    if not (inside.any(axis=0) & outside.any(axis=0)).all():
        raise UsageError("each candidate must be in some of the attacker's models, not in all")
    ratio: Doubles = _log_density(observed, shadows, inside) - _log_density(
        observed, shadows, outside
    )
    return ratio


def offline(observed: Doubles, shadows: Doubles, inside: Flags) -> Doubles:
    """Give by how many deviations the confidence exceeds that of models without the candidate.

    Raises:
        UsageError: a candidate was in all of the models.
    """
    if inside.all(axis=0).any():
        raise UsageError("each candidate must be missing in some of the attacker's models")
    mean, deviation = _fitted(shadows, ~inside)
    result: Doubles = (observed - mean) / deviation
    return result


def auc(scores: Doubles, members: Flags) -> float:
    """Give the chance that a member scores above another, ties counting half.

    Raises:
        UsageError: all are members, or nobody is.
    """
    inside = int(members.sum())
    outside = members.size - inside
    if not inside or not outside:
        raise UsageError("an attack needs members and others")
    ranks = float(stats.rankdata(scores)[members].sum())
    return (ranks - inside * (inside + 1) / 2) / (inside * outside)


def largest_auc(*, epsilon: Epsilon, delta: Delta) -> float:
    """Give the area under the best curve that (ε, δ) allows: min(e^ε·x + δ, its mirror, 1)."""
    grow = math.exp(epsilon.value)
    corner = (1 - delta.value) / (1 + grow)  # where the line meets its mirror, at 1 - corner
    under_line = corner * (delta.value + 1 - corner) / 2
    last = 1 - delta.value  # from here on every member is found
    under_mirror = (last - corner) * (2 - corner) / 2
    return under_line + under_mirror + delta.value


def _log_density(observed: Doubles, shadows: Doubles, chosen: Flags) -> Doubles:
    mean, deviation = _fitted(shadows, chosen)
    result: Doubles = -(((observed - mean) / deviation) ** 2) / 2 - math.log(deviation)
    return result


def _fitted(shadows: Doubles, chosen: Flags) -> tuple[Doubles, float]:
    """Give each candidate's mean over the chosen models, and the deviation common to all."""
    counts = chosen.sum(axis=0)
    mean = np.where(chosen, shadows, 0.0).sum(axis=0) / counts
    freedom = max(int((counts - 1).sum()), 1)
    variance = float((np.where(chosen, shadows - mean, 0.0) ** 2).sum()) / freedom
    return mean, math.sqrt(max(variance, _LEAST_VARIANCE))
