"""The plan of a training: sampler, clip, noise, steps, sums and events, which cannot disagree.

A plan is made from its terms (`make`) or read from a document; either way it refuses to exist
when what it says would not keep the terms. What it costs is computed from the very integers that
the nodes add, what a node clips to is its clip, and who is in a step is drawn by its rate: there
is no second place for any of them.

Formal guarantee: for one resident in up to `terms.departments` departments, everything that
is seen under the plan (the histogram and one sum per step, of which no more than the spare
attempts are asked for again) is (ε, δ)-differentially private under add or remove of all rows of
the resident, with the ε and δ of the terms, as long as `terms.carriers` of the noise shares are
unknown to whoever looks. A resident trains or evaluates, never both, in all departments alike
(`models.evaluation.holdout`), so each part is calibrated to the whole ε.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from models.errors import AccountingError, BudgetExhaustedError, UsageError
from models.evaluation import histograms
from models.families.additive import Shape
from models.families.network import NetworkSpec
from models.governance.cost import JointGaussianEvent, PrivacyCost
from models.privacy import sampler, shared_noise
from models.privacy.sampler import Integers
from models.privacy.shared_noise import LogGap, SharedNoise
from models.quantities import ClipNorm, Delta, NoiseMultiplier, NoiseVariance, SamplingRate
from models.randomness import Entropy
from models.schema import STRICT
from models.secagg.rings import Ring, SumPlan
from models.training import search
from models.training.recipe import HISTOGRAM_SHARE, Recipe
from models.training.terms import GaussianMu, Terms

_MARGIN = 1e-6
"""Plans stay this part below ε, so that no machine's rounding finds them above it."""

_NO_HISTOGRAM = "the training of a network has no histogram"
_ALWAYS = SamplingRate(1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """All that protects the residents in one training.

    Attributes:
        terms: what was agreed.
        recipe: steps, clip and step size.
        histogram: integers and noise of the one histogram of levels and outcomes; None for a
            network, which needs none.
        gradient: the same for the sum of each step.
        evaluation: the same for the histogram of scores; None without held-out residents.
    """

    __pydantic_config__ = STRICT

    terms: Terms
    recipe: Recipe
    histogram: SharedNoise | None
    gradient: SharedNoise
    evaluation: SharedNoise | None

    def __post_init__(self) -> None:
        """Refuse parts that do not belong together, a sum that may wrap, and too little noise.

        Raises:
            UsageError: the parts are of different trainings.
            SumMayWrapError: a sum may leave the ring.
            BudgetExhaustedError: the plan costs more than the ε of its terms.
        """
        parts = [(self.gradient, self.terms.shape.weights)]
        if (self.histogram is None) != isinstance(self.terms.shape, NetworkSpec):
            raise UsageError("a histogram belongs to an additive model, and only there")
        if self.histogram is not None:
            parts += [(self.histogram, _additive(self.terms).counts)]
        if (self.evaluation is None) != (self.terms.holdout.value == 0):
            raise UsageError("an evaluation belongs to a plan with held-out residents, and only so")
        if self.evaluation is not None:
            parts += [(self.evaluation, evaluation_length(self.terms.shape.classes))]
        for part, length in parts:
            if (part.length, part.carriers) != (length, self.terms.carriers):
                raise UsageError("the sums of the plan are not those of its model and cohort")
            self.sum_plan(part).check(self.terms.cohort)
        if self.recipe.steps < 1 or not 0 < self.recipe.rate < math.inf:
            raise UsageError("a plan needs a step and a step size")
        for found in (self.training_epsilon(), self.evaluation_epsilon()):
            if found > self.terms.epsilon.value:
                raise BudgetExhaustedError(
                    f"the plan would cost ε {found:.4g}, above the {self.terms.epsilon.value:g} "
                    "of its terms"
                )

    @property
    def sums(self) -> dict[str, SharedNoise]:
        """Give the secure sums in their order, by step: histogram, `train/1`, ..., `evaluate`."""
        found = {} if self.histogram is None else {"histogram": self.histogram}
        found |= {f"train/{step}": self.gradient for step in range(1, self.recipe.steps + 1)}
        if self.evaluation is not None:
            found["evaluate"] = self.evaluation
        return found

    def sum_plan(self, part: SharedNoise) -> SumPlan:
        """Give the public shape of the secure sum of one of the plan's parts.

        A node's own value is at most one clip per resident of the cohort.
        """
        largest = self.terms.residents << part.bits
        return SumPlan(ring=Ring.BITS_64, length=part.length, largest=largest, scale=part.scale)

    @property
    def histogram_bound(self) -> ClipNorm:
        """Give the norm of what a resident adds to the histogram of levels and outcomes."""
        return ClipNorm(math.sqrt(_additive(self.terms).columns + 1))

    @property
    def evaluation_bound(self) -> ClipNorm:
        """Give the norm of what a resident adds to the histogram of scores."""
        return histograms.sensitivity(self.terms.shape.classes)

    @property
    def batch(self) -> float:
        """Give the expected number of residents in a step: the public divisor of its sum."""
        return self.terms.training_residents * self.terms.sampling.value

    def variance(
        self, part: SharedNoise, bound: ClipNorm, *, answered: int | None = None
    ) -> NoiseVariance:
        """Give the variance of a coordinate of a sum when so many nodes answered; None: all."""
        unit = math.ldexp(bound.value, -part.bits)
        nodes = self.terms.cohort if answered is None else answered
        return NoiseVariance(nodes * (part.scale * unit) ** 2)

    def sample(self, population: int, *, entropy: Entropy) -> Integers:
        """Draw who of a node's residents is in a step: rising indices."""
        return sampler.poisson_sample(
            population=population, rate=self.terms.sampling, entropy=entropy
        )

    def histogram_event(self) -> JointGaussianEvent:
        """Give what the histogram of levels and outcomes costs, asked for once.

        Raises:
            UsageError: the plan has none.
        """
        if self.histogram is None:
            raise UsageError(_NO_HISTOGRAM)
        return _event(self.terms, self.histogram.noise, sampling=_ALWAYS, count=1)

    def step_event(self) -> JointGaussianEvent:
        """Give what one step costs, asked for once."""
        return _event(self.terms, self.gradient.noise, sampling=self.terms.sampling, count=1)

    def evaluation_event(self) -> JointGaussianEvent:
        """Give what the histogram of scores costs, asked for once.

        Raises:
            UsageError: nobody is held out under this plan.
        """
        if self.evaluation is None:
            raise UsageError("nobody is held out for evaluation under this plan")
        return _event(self.terms, self.evaluation.noise, sampling=_ALWAYS, count=1)

    def training_events(self) -> tuple[JointGaussianEvent, ...]:
        """Give all that a training resident may be charged, spare attempts included."""
        first = None if self.histogram is None else self.histogram.noise
        return _training(self.terms, self.recipe, first, self.gradient.noise)

    def evaluation_events(self) -> tuple[JointGaussianEvent, ...]:
        """Give all that a held-out resident may be charged."""
        if self.evaluation is None:
            return ()
        noise = self.evaluation.noise
        return (_event(self.terms, noise, sampling=_ALWAYS, count=self.terms.draws),)

    def training_epsilon(self) -> float:
        """Give the ε of a training resident at the terms' δ, rounded up."""
        gap = 0.0 if self.histogram is None else self.histogram.log_gap(self.terms.draws).value
        gap += self.gradient.log_gap(self.recipe.steps + self.terms.spare).value
        return _epsilon(self.training_events(), self.terms.delta, LogGap(gap))

    def evaluation_epsilon(self) -> float:
        """Give the ε of a held-out resident at the terms' δ, rounded up; 0 without any."""
        if self.evaluation is None:
            return 0.0
        gap = self.evaluation.log_gap(self.terms.draws)
        return _epsilon(self.evaluation_events(), self.terms.delta, gap)


def evaluation_length(classes: int) -> int:
    """Give how many integers the histogram of scores has."""
    return math.prod(histograms.shape(classes))


@lru_cache(maxsize=64)
def make(terms: Terms) -> TrainingPlan:
    """Give the plan with the least noise, to four digits, that keeps the terms.

    Pure: no data, no randomness. A histogram has 5 % of μ²; the steps have what is left.

    Raises:
        UsageError: no reasonable noise keeps so small an ε.
        SumMayWrapError: the sums would not fit into 64 bits.
        AccountingError: δ is smaller than what can be accounted for.
    """
    recipe = Recipe.of(terms)
    mu = GaussianMu.of(terms.epsilon, terms.delta).value
    whole = terms.departments * math.sqrt(terms.draws) / mu
    histogram = None
    if isinstance(terms.shape, Shape):
        noise = NoiseMultiplier(whole / math.sqrt(HISTOGRAM_SHARE))
        histogram = _shared(noise, terms, terms.shape.counts)

    def cost(noise: NoiseMultiplier) -> tuple[JointGaussianEvent, ...]:
        return _training(terms, recipe, None if histogram is None else histogram.noise, noise)

    steps = recipe.steps + terms.spare
    spread = mu / (terms.departments * terms.sampling.value * math.sqrt(steps))
    sampled = terms.sampling.value < 1  # then about what one contribution needs, in the limit
    start = 1 / math.sqrt(math.log1p(spread**2)) if sampled else 1 / spread
    step = _least(cost, terms, start=start)
    evaluation = None
    if terms.holdout.value > 0:
        noise = _least(
            lambda noise: (_event(terms, noise, sampling=_ALWAYS, count=terms.draws),),
            terms,
            start=whole,
        )
        evaluation = _shared(noise, terms, evaluation_length(terms.shape.classes))
    return TrainingPlan(
        terms=terms,
        recipe=recipe,
        histogram=histogram,
        gradient=_shared(step, terms, terms.shape.weights),
        evaluation=evaluation,
    )


def _training(
    terms: Terms, recipe: Recipe, histogram: NoiseMultiplier | None, step: NoiseMultiplier
) -> tuple[JointGaussianEvent, ...]:
    steps = _event(terms, step, sampling=terms.sampling, count=recipe.steps + terms.spare)
    if histogram is None:
        return (steps,)
    return (_event(terms, histogram, sampling=_ALWAYS, count=terms.draws), steps)


def _additive(terms: Terms) -> Shape:
    if not isinstance(terms.shape, Shape):
        raise UsageError(_NO_HISTOGRAM)
    return terms.shape


def _event(
    terms: Terms, noise: NoiseMultiplier, *, sampling: SamplingRate, count: int
) -> JointGaussianEvent:
    return JointGaussianEvent(
        sampling=sampling, noise=noise, departments=terms.departments, count=count
    )


def _shared(noise: NoiseMultiplier, terms: Terms, length: int) -> SharedNoise:
    try:
        return SharedNoise.of(noise, length=length, carriers=terms.carriers)
    except AccountingError:
        raise UsageError(
            "no reasonable amount of noise keeps this ε",
            hint="raise ε, or lower the departments that one resident can be in",
        ) from None


def _least(
    cost: Callable[[NoiseMultiplier], tuple[JointGaussianEvent, ...]], terms: Terms, *, start: float
) -> NoiseMultiplier:
    """Give the least noise of four digits whose cost keeps ε, searching from `start`."""

    def excess(noise: NoiseMultiplier) -> float:
        found = _epsilon(cost(noise), terms.delta, LogGap(0.0))
        return math.log(found / (terms.epsilon.value * (1 - _MARGIN)))

    return search.least(excess, start=start)


@lru_cache(maxsize=256)
def _epsilon(events: tuple[JointGaussianEvent, ...], delta: Delta, gap: LogGap) -> float:
    return shared_noise.epsilon(PrivacyCost(events=events), delta=delta, gap=gap)
