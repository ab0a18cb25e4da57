"""What would leave a party in a study: every kind of message, before any is sent.

The description follows from the study alone, so that a steward can read it before the approval
(`models.training.kinds`: how it is hashed, approved and held against what leaves).
"""

from dataclasses import replace
from functools import lru_cache

from models.evaluation import histograms
from models.families import network
from models.families.network import NetworkSpec
from models.governance.study import Study
from models.privacy import plan as plans
from models.quantities import ClipNorm, SamplingRate
from models.secagg.rings import SumPlan
from models.training import averaged, messages, studies
from models.training.kinds import ALWAYS, DOCUMENT, MOST_OCTETS, Form, Kind, Leaving, Noise
from models.training.messages import EVALUATE, HISTOGRAM
from models.training.plan import TrainingPlan

TRAIN, OFFER, JOIN, MASKS = "train", "offer", "join", "masks"


@lru_cache(maxsize=64)
def describe(study: Study, *, witness: bool = False) -> Leaving:
    """Give what a department (or the witness) of the study would send.

    Raises:
        UsageError: no reasonable noise keeps the study's ε.
    """
    if witness:
        kinds = (*keys(), *_masks(study))
    elif study.masked:
        kinds = (*keys(), *_masked(study))
    elif study.training is not None:
        kinds = _averaging(study)
    else:
        kinds = (*keys(), *_sums(study))
    return Leaving(study=study.digest(), kinds=kinds)


def _averaging(study: Study) -> tuple[Kind, ...]:
    plan, training, settings = plans.plan(study), study.averaging, study.privacy
    spec = NetworkSpec.of(study)
    spent = plan.training is not None
    arrays = [
        Form(name=name, dtype="<f4", shape=shape) for name, shape in network.shapes(spec).items()
    ]
    noise = (
        Noise(
            about="the sum of gradients of one descent step",
            bound=settings.bound,
            multiplier=plan.training,
            sampling=plan.sampling,
            count=plan.steps,
        ),
        Noise(
            about="the number of residents who train, counted in a run's first round",
            bound=ClipNorm(1.0),
            multiplier=plan.count,
        ),
    )
    said = "and one noisy number of residents" if spent else "and the number of residents"
    if training.weights == "equal":
        said = "and a weight, the same for every department, whatever is counted here"
    train = Kind(
        step=TRAIN,
        meaning=f"the parameters of the model after this department's steps, {said}",
        arrays=(*arrays, Form(name="weight", dtype="<f8", shape=())),
        numbers=training.rounds,
        times=plan.attempts if spent else None,
        noise=noise,
    )
    if not settings.holdout.value:
        return (train,)
    bound = histograms.sensitivity(spec.classes)
    about = "the histogram of scores by outcome of the residents set aside"
    evaluate = Kind(
        step=EVALUATE,
        meaning="how many residents set aside have which score and outcome",
        arrays=(Form(name="histogram", dtype="<f8", shape=histograms.shape(spec.classes)),),
        times=plan.draws if spent else None,
        noise=(Noise(about=about, bound=bound, multiplier=plan.evaluation),),
    )
    return (train, evaluate)


def _masked(study: Study) -> tuple[Kind, ...]:
    """Give the kinds of federated averaging, each as integers under masks.

    A release may be masked again for another attempt at its sum, which tells nothing new.
    """
    bits, again = {EVALUATE: averaged.score_bits(study)}, study.summed.attempts
    return tuple(
        replace(
            kind,
            meaning=f"{kind.meaning}, with all of this department's noise; as integers (parameters "
            "times the weight) under masks that only the sum over the departments is without"
            if kind.step == TRAIN
            else f"{kind.meaning}, with all of this department's noise, under the same masks",
            arrays=(_CONTEXT, _elements(summed)),
            times=None if kind.times is None else kind.times * again,
            bits=bits.get(kind.step),
            largest=summed.largest,
            scale=summed.scale,
        )
        for kind in _averaging(study)
        for summed in (_sum_of(study, kind),)
    )


def _sum_of(study: Study, kind: Kind) -> SumPlan:
    return averaged.scores_sum(study) if kind.step == EVALUATE else averaged.update_sum(study)


def keys() -> tuple[Kind, ...]:
    """Give the kinds by which the members of a run agree on keys."""
    return (
        Kind(
            step=OFFER,
            meaning="a fresh public key for the run, signed with this node's identity key",
            arrays=(document("offer"),),
        ),
        Kind(
            step=JOIN,
            meaning="the hash of the members whose keys this node agreed with",
            arrays=(document("cohort"),),
        ),
    )


def _sums(study: Study) -> tuple[Kind, ...]:
    plan = studies.training_plan(study)
    draws, found = plan.terms.draws, []
    if HISTOGRAM in plan.sums:
        found.append(
            _sum(
                plan,
                HISTOGRAM,
                times=draws,
                about="how many residents train, in each level and with each outcome",
                bound=plan.histogram_bound,
            )
        )
    found.append(
        _sum(
            plan,
            messages.train(1),
            numbers=plan.recipe.steps,
            times=plan.recipe.steps + plan.terms.spare,
            about="the sum of gradients of the residents who are in the step",
            bound=plan.recipe.clip,
            sampling=plan.terms.sampling,
        )
    )
    if EVALUATE in plan.sums:
        found.append(
            _sum(
                plan,
                EVALUATE,
                times=draws,
                about="how many residents set aside have which score and outcome",
                bound=plan.evaluation_bound,
            )
        )
    return tuple(found)


def _sum(
    plan: TrainingPlan,
    step: str,
    *,
    times: int,
    about: str,
    bound: ClipNorm,
    numbers: int = 1,
    sampling: SamplingRate = ALWAYS,
) -> Kind:
    part = messages.part(plan, step)
    summed = plan.sum_plan(part)
    return Kind(
        step=step.partition("/")[0],
        meaning=f"{about}, with this department's noise, under masks that only the sum over "
        "the departments is without",
        arrays=(_CONTEXT, _elements(summed)),
        numbers=numbers,
        times=times,
        noise=(Noise(about=about, bound=bound, multiplier=part.noise, sampling=sampling),),
        bits=part.bits,
        largest=summed.largest,
        scale=summed.scale,
    )


def _masks(study: Study) -> tuple[Kind, ...]:
    """Give one kind for each part of the training: their sums have lengths of their own."""
    steps = {name.partition("/")[0]: summed for name, summed in messages.sums(study).items()}
    return tuple(
        Kind(
            step=MASKS,
            meaning=f"for a step of the kind {kind}: the signed list of those who answered, and "
            "the sum of the masks shared with them; no value of anybody",
            arrays=(document("set"), _elements(summed)),
        )
        for kind, summed in steps.items()
    )


def _elements(summed: SumPlan) -> Form:
    return Form(name="sum", dtype=summed.ring.dtype.str, shape=(summed.length,))


def document(name: str) -> Form:
    """Give the form of a document."""
    return Form(name=name, dtype=DOCUMENT, shape=(MOST_OCTETS,))


_CONTEXT = Form(name="context", dtype="|u1", shape=(32,))
"""What the message is bound to: a hash over study, run, step, attempt, members and model."""
