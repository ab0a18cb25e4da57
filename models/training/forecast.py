"""What a training would give, before anything is spent: its noise, and a trial on invented data.

The trial runs the mechanism itself (`models.training.steps`: clip, histogram, steps, evaluation)
in this process, with fresh noise of exactly the plan's shares, over residents that nobody is
(`models.training.invented`). The same model trained without noise on the same residents is what
it is compared with. So the difference is the price of the privacy, on data of this form and size;
what the real records hold nobody has looked at.

Three simplifications, none of which touches the noise:

- Every resident is in one department: what a resident in several adds is not invented, though
  the noise is that of the study's own number. The departments' sums are rounded together.
- Above `MOST_INVENTED` residents each one stands for several. Such a data set is one that could
  exist, and the sums over it are exact; but it is less varied than so many residents would be.
- Where steps take samples, those who stand for several are sampled together, so that a step
  varies more than it would.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from statistics import fmean, stdev

import numpy as np
import numpy.typing as npt

from models.errors import UsageError
from models.evaluation import histograms, metrics
from models.evaluation.intervals import Estimate
from models.families import additive, network
from models.families.additive import Block, Shape
from models.families.chunks import Chunk, pieces
from models.families.encoding import Encoder
from models.governance.study import Study
from models.privacy.sampler import Integers, discrete_gaussian
from models.privacy.shared_noise import SharedNoise
from models.quantities import ClipNorm, Epsilon, SamplingRate
from models.randomness import Entropy
from models.training import invented, steps
from models.training import plan as plans
from models.training.invented import Assumptions, Records
from models.training.plan import TrainingPlan
from models.training.studies import training_plan

MOST_INVENTED = 10_000
TESTED = 10_000
"""Rows on which models are compared, by the true chances of their outcomes."""

Parameters = dict[str, npt.NDArray[np.float32]]
_LOOSEST = Epsilon(100.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """The noise of a sum when all departments answer, in residents: its standard deviation.

    Attributes:
        step: of a coordinate of a step's sum, in residents who pull with all they may.
        level: of one count of the histogram of levels and outcomes; None without one.
        score: of one count of the histogram of scores; None without held-out residents.
        steps: how many steps there are.
    """

    step: float
    level: float | None
    score: float | None
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One repetition: the AUC with and without privacy, and what a release would say of it."""

    protected: float
    open: float
    released: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What repeated trials found. `copies`: residents that each invented one stands for.

    Attributes:
        signal: the AUC of whoever knew the truth.
    """

    residents: int
    copies: int
    signal: float
    trials: tuple[Trial, ...]

    @property
    def protected(self) -> float:
        """Give the mean AUC with privacy."""
        return fmean(trial.protected for trial in self.trials)

    @property
    def open(self) -> float:
        """Give the mean AUC without noise."""
        return fmean(trial.open for trial in self.trials)

    @property
    def spread(self) -> float:
        """Give the standard deviation, over the repetitions, of what the privacy costs in AUC."""
        return stdev(trial.open - trial.protected for trial in self.trials)

    @property
    def lost(self) -> float:
        """Give the part of the AUC above chance that the privacy costs; below 0: none."""
        return (self.open - self.protected) / max(self.open - 0.5, 1e-9)

    @property
    def margin(self) -> float | None:
        """Give half the width of the 95 % interval that a release would give; None: withheld.

        Withheld in half of the repetitions counts as withheld.
        """
        said = [trial.released for trial in self.trials if trial.released is not None]
        if 2 * len(said) <= len(self.trials):
            return None
        return fmean((estimate.high - estimate.low) / 2 for estimate in said)


def noise(plan: TrainingPlan) -> Noise:
    """Give the noise of a plan's sums, in residents.

    A resident adds at most 1 to a count of a histogram, and at most the clip to a coordinate of
    a step.
    """
    level = score = None
    if plan.histogram is not None:
        level = _deviation(plan, plan.histogram, plan.histogram_bound)
    if plan.evaluation is not None:
        score = _deviation(plan, plan.evaluation, plan.evaluation_bound)
    clip = plan.recipe.clip
    return Noise(
        step=_deviation(plan, plan.gradient, clip) / clip.value,
        level=level,
        score=score,
        steps=plan.recipe.steps,
    )


def _deviation(plan: TrainingPlan, part: SharedNoise, bound: ClipNorm) -> float:
    return math.sqrt(plan.variance(part, bound).value)


def forecast(
    study: Study,
    *,
    assumed: Assumptions,
    repetitions: int,
    seed: bytes,
    entropy: Entropy,
    tell: Callable[[], None] = lambda: None,
) -> Forecast:
    """Give what the study's training would find on invented data of its form and size.

    Args:
        study: trained with secure sums.
        assumed: of the data.
        repetitions: at least 2; each has data and noise of its own.
        seed: of the data: public, and the same for whoever wants to compare.
        entropy: of the noise and the samples; every call's are fresh.
        tell: called after each repetition.

    Raises:
        UsageError: the study is not trained with secure sums.
    """
    if repetitions < 2:  # noqa: PLR2004 - one alone says nothing about chance
        raise UsageError("a forecast needs at least two repetitions")
    plan = training_plan(study)
    copies = -(-plan.terms.residents // MOST_INVENTED)
    trials = []
    for number in range(repetitions):
        own = seed + number.to_bytes(4, "big")
        trials.append(
            _trial(study, plan, copies=copies, assumed=assumed, seed=own, entropy=entropy)
        )
        tell()
    return Forecast(
        residents=plan.terms.residents,
        copies=copies,
        signal=assumed.signal,
        trials=tuple(trials),
    )


def _trial(
    study: Study,
    plan: TrainingPlan,
    *,
    copies: int,
    assumed: Assumptions,
    seed: bytes,
    entropy: Entropy,
) -> Trial:
    rows = max(2, plan.terms.residents // copies)
    train = min(max(1, round(rows * (1 - plan.terms.holdout.value))), rows)
    encoder = Encoder.of(study.inputs, bins=study.model.bins)
    classes = network.classes(study)
    records = invented.invent(
        encoder, classes=classes, rows=rows + TESTED, assumed=assumed, seed=seed
    )
    people = _data(plan, records.part(0, train))
    test = records.part(rows, rows + TESTED)
    protected = _train(plan, people, copies=copies, entropy=entropy, noisy=True)
    without = _train(_loosest(plan), people, copies=copies, entropy=entropy, noisy=False)
    released = None
    if plan.evaluation is not None and train < rows:
        held = records.part(train, rows)
        released = _released(plan, protected, held, copies=copies, entropy=entropy, seed=seed)
    return Trial(protected=_judge(protected, test), open=_judge(without, test), released=released)


def _judge(parameters: Parameters, test: Records) -> float:
    return invented.expected_auc(network.probabilities(parameters, test.inputs), test.chances)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _People:
    """Invented residents as the training of a network reads them (`steps.Residents`)."""

    records: Records

    @property
    def residents(self) -> int:
        return len(self.records.outcomes)

    def chunks(self, chosen: Integers, *, width: int) -> Iterator[Chunk]:
        for rows, _ in pieces(np.arange(chosen.size), width=width):
            yield _chunk(self.records, chosen[rows])


def _chunk(records: Records, rows: Integers) -> Chunk:
    return Chunk(
        inputs=records.inputs[rows],
        outcomes=records.outcomes[rows],
        owners=np.arange(rows.size),
        shares=np.ones(rows.size),
        complete=True,
    )


def _data(plan: TrainingPlan, records: Records) -> Block | _People:
    """Give the residents as the plan's model reads them."""
    shape = plan.terms.shape
    if not isinstance(shape, Shape):
        return _People(records=records)
    codes = additive.codes(records.inputs, columns=shape.columns)
    owners = np.arange(len(records.outcomes))
    return Block.of(shape, codes, outcomes=records.outcomes, owners=owners)


def _loosest(plan: TrainingPlan) -> TrainingPlan:
    """Give the plan whose steps are those of hardly any noise, over everybody."""
    return plans.make(replace(plan.terms, epsilon=_LOOSEST, sampling=SamplingRate(1.0)))


def _train(
    plan: TrainingPlan, people: Block | _People, *, copies: int, entropy: Entropy, noisy: bool
) -> Parameters:
    def total(part: SharedNoise, units: Integers) -> Integers:
        return _total(plan, part, units * copies, entropy=entropy) if noisy else units * copies

    first = None
    if plan.histogram is not None and isinstance(people, Block):
        first = total(plan.histogram, steps.histogram(plan, people))
    at = steps.start(plan, first)
    while at.step < plan.recipe.steps:
        units = steps.gradient(plan, people, steps.question(plan, at), entropy=entropy)
        at = steps.advanced(plan, at, total(plan.gradient, units))
    return steps.parameters(plan, at)


def _total(plan: TrainingPlan, part: SharedNoise, units: Integers, *, entropy: Entropy) -> Integers:
    """Give the sum with the share of every department."""
    size = plan.terms.cohort * part.length
    shares = discrete_gaussian(scale=part.scale, size=size, entropy=entropy)
    found: Integers = units + shares.reshape(plan.terms.cohort, part.length).sum(axis=0)
    return found


def _released(
    plan: TrainingPlan,
    parameters: Parameters,
    held: Records,
    *,
    copies: int,
    entropy: Entropy,
    seed: bytes,
) -> Estimate | None:
    """Give the AUC as a release would: from the noisy histogram of the held-out residents."""
    chunk = _chunk(held, np.arange(len(held.outcomes)))
    given = histograms.contributions(network.probabilities(parameters, held.inputs), chunk=chunk)
    part = plan.sums["evaluate"]
    units = steps.evaluation(plan, given) * copies
    cells, variance = steps.evaluated(plan, _total(plan, part, units, entropy=entropy))
    classes = held.chances.shape[1]
    return metrics.evaluate(
        histogram=cells, noise_variance=variance, classes=classes, seed=seed
    ).auc
