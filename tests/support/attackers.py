"""Attackers of trained models, for real: they know the records of all candidates, the plan and
whatever a `victims.Transcript` shows; they do not know who was in."""

import math

import numpy as np
from victims import Cohort, Defence, People, Transcript

from models.evaluation import membership
from models.families import additive
from models.quantities import ClipNorm
from models.randomness import Entropy
from models.training.plan import TrainingPlan


def confidences(people: People, seen: Transcript) -> np.ndarray:
    """Score by the loss under the released model (Yeom et al. 2018)."""
    everybody = people.block(np.ones(people.size, dtype=bool))
    return membership.confidences(additive.scores(everybody, seen.weights), people.outcomes)


def shadows(
    people: People,
    plan: TrainingPlan,
    *,
    models: int,
    defence: Defence,
    entropy: Entropy,
) -> tuple[np.ndarray, np.ndarray]:
    """Train models like the victim's on halves of the candidates; give confidences, who was in.

    Models come in pairs, on a half and on the other half, so that everybody is in just as many.
    """
    found, inside = [], []
    for model in range(models):
        chosen = people.coins(1000 + model // 2) ^ (model % 2 == 1)
        cohort = Cohort(
            blocks=people.departments(chosen, count=plan.terms.cohort),
            entropy=entropy,
            defence=defence,
        )
        found.append(confidences(people, cohort.train(plan)))
        inside.append(chosen)
    return np.array(found), np.array(inside)


def numbers(total: np.ndarray, bound: ClipNorm, bits: int) -> np.ndarray:
    return total * math.ldexp(bound.value, -bits)


def directions(people: People, seen: Transcript) -> np.ndarray:
    """Give P·x of every candidate, along which its contribution lies in each step."""
    scales = seen.asked[0]["scales"]
    assert all((asked["scales"] == scales).all() for asked in seen.asked)
    rows = np.zeros((people.size, people.shape.weights))
    own = with_intercept(people)
    rows[np.arange(people.size), own] = scales[own]
    return rows


def with_intercept(people: People) -> np.ndarray:
    return np.vstack([people.codes, np.full((1, people.size), people.shape.levels)])


def lengths(people: People, seen: Transcript, step: int, *, clip: float) -> np.ndarray:
    """Give how much of its P·x each candidate adds to a step's sum: the formulas are public."""
    weights, scales = seen.asked[step]["weights"][:, 0], seen.asked[step]["scales"]
    own = with_intercept(people)
    wrong = 1 / (1 + np.exp(-weights[own].sum(axis=0))) - people.outcomes
    norms = np.abs(wrong) * np.sqrt((scales[own] ** 2).sum(axis=0))
    return wrong * clip / np.maximum(norms, clip)


def from_sums(people: People, seen: Transcript, *, looks: int, clip: float) -> np.ndarray:
    """Score by how well a candidate's contributions fit the noisy sums of all steps.

    The steps are added up in as many parts as there are `looks`; each is Σ c_j·g_j + noise with
    unknown coins c. What half of everybody would give is taken off, and the rest made white by
    the covariance of coins and noise: the best linear estimate of each coin from that part.
    """
    plan, along, scores = seen.plan, directions(people, seen), np.zeros(people.size)
    variance = plan.variance(plan.gradient, plan.recipe.clip).value
    for part in np.array_split(np.arange(plan.recipe.steps), looks):
        length = sum(lengths(people, seen, step, clip=clip) for step in part)
        total = sum(seen.totals[step] for step in part)
        rows = along * length[:, None]
        covariance = rows.T @ rows / 4 + part.size * variance * np.eye(rows.shape[1])
        surplus = numbers(total, plan.recipe.clip, plan.gradient.bits) - rows.sum(axis=0) / 2
        scores += rows @ np.linalg.solve(covariance, surplus)
    return scores


def likelihood(canaries: People, seen: Transcript, *, clip: float) -> np.ndarray:
    """Score canaries by the likelihood ratio of "in" to "out" of everything in the transcript.

    A canary adds to its own levels a number that follows from what was asked, or it adds nothing.
    The noise is normal; the shares of colluders are known, and were taken off already.
    """
    plan = seen.plan
    unknown = plan.terms.carriers / plan.terms.cohort
    found = numbers(seen.histogram, plan.histogram_bound, plan.histogram.bits)[canaries.codes]
    scores = (found - 0.5).sum(axis=0) / plan.variance(plan.histogram, plan.histogram_bound).value
    variance = plan.variance(plan.gradient, plan.recipe.clip).value
    for step, total in enumerate(seen.totals):
        scales = seen.asked[step]["scales"][canaries.codes]
        adds = scales * lengths(canaries, seen, step, clip=clip)
        found = numbers(total, plan.recipe.clip, plan.gradient.bits)[canaries.codes]
        scores += (adds * (found - adds / 2)).sum(axis=0) / variance
    return scores / unknown


def from_model(canaries: People, seen: Transcript, *, clip: float) -> np.ndarray:
    """Score canaries by their levels' weights in the released model, and by nothing else.

    Of those with the same outcome about half were in: the median is between the two groups.
    """
    del clip
    scores = np.zeros(canaries.size)
    own = seen.weights[canaries.codes, 0].sum(axis=0)
    for outcome, sign in ((0, -1), (1, 1)):
        group = canaries.outcomes == outcome
        scores[group] = sign * (own[group] - np.median(own[group]))
    return scores


def noise_alone(canaries: People, seen: Transcript, coins: np.ndarray) -> np.ndarray:
    """Give what all sums have at the levels of the canaries that were left out, as deviations.

    Whoever made the canaries knows where nobody contributed: the noise of all shares is there.
    """
    plan, empty = seen.plan, canaries.codes[:, ~coins].ravel()
    sums = [(plan.histogram, plan.histogram_bound, seen.histogram)]
    sums += [(plan.gradient, plan.recipe.clip, total) for total in seen.totals]
    return np.concatenate(
        [
            numbers(total, bound, part.bits)[empty] / math.sqrt(plan.variance(part, bound).value)
            for part, bound, total in sums
        ]
    )
