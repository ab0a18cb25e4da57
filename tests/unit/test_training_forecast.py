"""Trials on invented residents: what is invented, what it costs to protect it, and the words."""

import numpy as np
import pytest
import studies
import trainings
from scripted import ScriptedEntropy
from sklearn.metrics import roc_auc_score

from models.errors import UsageError
from models.families import additive
from models.families.additive import Block
from models.families.encoding import Encoder
from models.families.network import NetworkSpec
from models.governance.roster import Mode
from models.quantities import Delta, Epsilon, Share
from models.randomness import SystemEntropy
from models.training import forecast as forecasts
from models.training import invented, steps, words
from models.training import plan as plans
from models.training.forecast import Forecast, Trial
from models.training.invented import Assumptions
from models.training.studies import training_plan
from models.training.words import Verdict

ENCODER = Encoder.of((studies.AGE, studies.INCOME, studies.AREA), bins=10)


def invent(rows: int = 4000, *, classes: int = 2, seed: bytes = b"seed", **assumed: float):
    return invented.invent(
        ENCODER, classes=classes, rows=rows, assumed=Assumptions(**assumed), seed=seed
    )


def study(residents: int, epsilon: float, **changes):
    privacy = {"epsilon": Epsilon(epsilon), **changes.pop("privacy", {})}
    return studies.summed_study(
        secure_sum={"residents": residents, **changes.pop("secure_sum", {})},
        privacy=privacy,
        **changes,
    )


def found(residents: int, epsilon: float, *, entropy=None, repetitions: int = 3) -> Forecast:
    return forecasts.forecast(
        study(residents, epsilon),
        assumed=Assumptions(),
        repetitions=repetitions,
        seed=b"public",
        entropy=entropy or SystemEntropy(),
    )


# --- what is invented ------------------------------------------------------------------------


@pytest.mark.parametrize(("signal", "share"), [(0.6, 0.5), (0.8, 0.3), (0.95, 0.02)])
def test_the_outcome_is_as_common_and_as_foretold_as_assumed(signal: float, share: float) -> None:
    made = invent(20_000, signal=signal, share=share)
    assert invented.expected_auc(made.chances, made.chances) == pytest.approx(signal, abs=1e-3)
    assert made.chances[:, 1].mean() == pytest.approx(share, abs=1e-6)
    assert made.outcomes.mean() == pytest.approx(share, abs=0.015)
    drawn = roc_auc_score(made.outcomes, made.chances[:, 1])
    assert drawn == pytest.approx(signal, abs=0.02)


def test_several_outcomes_are_foretold_as_assumed() -> None:
    made = invent(classes=3, signal=0.75)
    assert invented.expected_auc(made.chances, made.chances) == pytest.approx(0.75, abs=1e-3)
    assert made.chances.sum(axis=1) == pytest.approx(1.0)
    assert set(np.unique(made.outcomes)) == {0, 1, 2}


def test_the_same_seed_gives_the_same_residents_and_another_others() -> None:
    one, same, other = invent(), invent(), invent(seed=b"other")
    assert np.array_equal(one.inputs, same.inputs)
    assert np.array_equal(one.outcomes, same.outcomes)
    assert not np.array_equal(one.inputs, other.inputs)


def test_what_is_invented_keeps_the_declared_form() -> None:
    made = invent()
    additive.codes(made.inputs, columns=3)  # one level per row and column, or an error
    missing = [name.endswith("=missing") for name in ENCODER.names]
    assert sum(missing) == 2
    assert made.inputs[:, missing].mean(axis=0) == pytest.approx([0.1, 0.1], abs=0.02)


def test_the_expected_auc_is_that_over_all_pairs() -> None:
    generator = np.random.default_rng(0)
    scores = generator.integers(0, 9, size=60) / 10  # many are equal
    chance = generator.random(60)
    right = total = 0.0
    for i in range(60):
        for j in range(60):
            weight = chance[i] * (1 - chance[j])
            total += weight
            right += weight * (1.0 if scores[i] > scores[j] else 0.5 * (scores[i] == scores[j]))
    two = [np.column_stack([1 - values, values]) for values in (scores, chance)]
    assert invented.expected_auc(*two) == pytest.approx(right / total, rel=1e-12)


@pytest.mark.parametrize(
    "assumed", [{"signal": 0.5}, {"signal": 1.0}, {"share": 0.0}, {"share": 1.0}], ids=str
)
def test_a_truth_that_cannot_be_is_refused(assumed: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Assumptions(**assumed)


# --- the trials ------------------------------------------------------------------------------


def test_few_residents_and_a_small_epsilon_are_mostly_noise_and_many_are_not() -> None:
    few = found(300, 0.2, entropy=ScriptedEntropy("few"))
    many = found(6000, 3.0, entropy=ScriptedEntropy("many"))
    assert words.verdict(few) is Verdict.MOSTLY_NOISE
    assert few.margin is None
    assert words.verdict(many) is Verdict.HARDLY
    assert many.margin is not None
    assert 0 < many.margin < 0.08
    assert few.protected < few.open - 0.05
    assert many.protected == pytest.approx(many.open, abs=0.005)
    assert many.open == pytest.approx(many.signal, abs=0.02)


def test_the_data_follows_from_the_seed_and_the_noise_is_always_fresh() -> None:
    one, two = (found(1000, 1.0, repetitions=2) for _ in range(2))
    assert [trial.open for trial in one.trials] == [trial.open for trial in two.trials]
    assert [trial.protected for trial in one.trials] != [trial.protected for trial in two.trials]
    scripted = [found(1000, 1.0, repetitions=2, entropy=ScriptedEntropy(7)) for _ in range(2)]
    assert scripted[0] == scripted[1]


def test_a_resident_who_stands_for_several_counts_like_so_many() -> None:
    plan = training_plan(study(600, 1.0))
    made = invent(200)
    codes = additive.codes(made.inputs, columns=3)
    once = Block.of(plan.terms.shape, codes, outcomes=made.outcomes, owners=np.arange(200))
    thrice = Block.of(
        plan.terms.shape,
        np.tile(codes, 3),
        outcomes=np.tile(made.outcomes, 3),
        owners=np.arange(600),
    )
    asked = {
        name: np.random.default_rng(1).random(shape)
        for name, (_, shape) in steps.forms(plan).items()
    }
    for give in (
        lambda block: steps.histogram(plan, block),
        lambda block: steps.gradient(plan, block, asked, entropy=SystemEntropy()),
    ):  # two roundings, of one unit of a million each
        assert np.abs(give(thrice) - 3 * give(once)).max() <= 2
    assert found(10_001, 0.5, repetitions=2).copies == 2


@pytest.mark.parametrize("rate", [0.5, 1.0])
def test_a_network_is_tried_on_the_same_residents(rate: float) -> None:
    spec = NetworkSpec(inputs=ENCODER.width, hidden=(8,), classes=2)
    small = {"shape": spec, "residents": 800, "epsilon": 0.5, "sampling": rate}
    plan = plans.make(trainings.terms(**small))
    made = invent(3000)
    people = forecasts._data(plan, made.part(0, 800))
    entropy = ScriptedEntropy("network")
    trained = [
        forecasts._train(plan, people, copies=1, entropy=entropy, noisy=noisy)
        for noisy in (True, False)
    ]
    noisy, open_ = (forecasts._judge(each, made.part(800, 3000)) for each in trained)
    assert 0.4 < noisy < open_ - 0.03
    assert 0.7 < open_ < 0.81
    told = forecasts.noise(plan)
    assert told.level is None
    assert words.noise_in_words(told).en.count("residents") == 1


def test_the_noise_told_is_the_noise_added() -> None:
    plan = training_plan(study(1000, 1.0))
    told = forecasts.noise(plan)
    assert told.steps == plan.recipe.steps
    zero = {name: np.zeros(part.length, dtype=np.int64) for name, part in plan.sums.items()}
    bounds = {
        "histogram": (told.level, plan.histogram_bound.value),
        "train/1": (told.step, 1.0),  # in clips: a resident who pulls as hard as it may
        "evaluate": (told.score, plan.evaluation_bound.value),
    }
    for name, (expected, bound) in bounds.items():
        part = plan.sums[name]
        seen = np.concatenate(
            [
                forecasts._total(plan, part, zero[name], entropy=ScriptedEntropy(f"{name}{turn}"))
                for turn in range(200)
            ]
        )
        assert (seen * bound / 2**part.bits).std() == pytest.approx(expected, rel=0.05)


def test_more_departments_that_may_collude_mean_more_noise() -> None:
    least, most = (
        forecasts.noise(training_plan(study(1000, 1.0, secure_sum={"colluders": number})))
        for number in (0, 2)
    )
    assert most.step == pytest.approx(least.step * 3**0.5, rel=0.01)


def test_without_held_out_residents_nothing_is_measured() -> None:
    plan = training_plan(study(1000, 1.0, privacy={"holdout": Share(0.0)}))
    assert forecasts.noise(plan).score is None


def test_one_repetition_is_refused_and_so_is_federated_averaging() -> None:
    with pytest.raises(UsageError, match="two repetitions"):
        found(1000, 1.0, repetitions=1)
    with pytest.raises(UsageError, match="not trained with secure sums"):
        forecasts.forecast(
            studies.study(),
            assumed=Assumptions(),
            repetitions=2,
            seed=b"x",
            entropy=SystemEntropy(),
        )


# --- the words -------------------------------------------------------------------------------


def made(protected: float, *, spread: float = 0.0, open_: float = 0.8) -> Forecast:
    trials = tuple(
        Trial(protected=protected + sign * spread, open=open_, released=None) for sign in (-1, 0, 1)
    )
    return Forecast(residents=1000, copies=1, signal=0.8, trials=trials)


@pytest.mark.parametrize(
    ("forecast", "expected"),
    [
        (made(0.80), Verdict.HARDLY),
        (made(0.81), Verdict.HARDLY),
        (made(0.78), Verdict.LITTLE),
        (made(0.75), Verdict.NOTICEABLE),
        (made(0.68), Verdict.MUCH),
        (made(0.60), Verdict.MOSTLY_NOISE),
        (made(0.45), Verdict.MOSTLY_NOISE),
        (made(0.70, spread=0.11), Verdict.MOSTLY_NOISE),  # it might as well be a guess
        (made(0.70, spread=0.05), Verdict.MUCH),
        (made(0.50, open_=0.50), Verdict.MOSTLY_NOISE),  # there is nothing to find
    ],
)
def test_the_verdict_is_a_rule(forecast: Forecast, expected: Verdict) -> None:
    assert words.verdict(forecast) is expected
    assert (words.remedy(forecast) is None) == (expected in {Verdict.HARDLY, Verdict.LITTLE})


def test_the_bad_news_is_said_in_both_languages() -> None:
    told = words.headline(made(0.55), epsilon=Epsilon(0.5), departments=3)
    assert told.en == "1 000 residents in 3 departments, epsilon 0.5: the result is mostly noise."
    assert told.sv == (
        "1 000 invånare i 3 förvaltningar, epsilon 0,5: resultatet är till största delen brus."
    )
    assert "ranks about 55 right" in words.ranking(made(0.55)).en
    assert "without protection 80" in words.ranking(made(0.55)).en
    assert "noise hides it" in words.measured(made(0.55)).en


def test_a_promise_that_promises_nothing_says_so() -> None:
    assert "promises nothing" in words.promise(Epsilon(3.0), Delta(1e-6)).en
    assert "promises nothing" not in words.promise(Epsilon(1.0), Delta(1e-6)).en


def test_each_protection_says_where_it_ends() -> None:
    witness = {"mode": Mode.WITNESS, "witness": "auditor"}
    both = {"mode": Mode.BOTH, "witness": "auditor"}
    told = [
        words.protects(studies.study()).en,
        words.protects(study(1000, 1.0)).en,
        words.protects(study(1000, 1.0, secure_sum=witness)).en,
        words.protects(study(1000, 1.0, secure_sum=both)).en,
    ]
    assert "all of its noise itself" in told[0]
    assert "Only all other departments together with the coordinator" in told[1]
    assert "The witness together with the coordinator" in told[2]
    assert "Only the witness, all other departments and the coordinator" in told[3]
    assert "up to 1 of the departments" in told[1]
    assert "colluders" not in words.protects(study(1000, 1.0, secure_sum={"colluders": 0})).en


def test_all_words_keep_the_limits_of_a_line() -> None:
    told = [words.protects(study(1000, 1.0)), words.caveat(Assumptions(), made(0.7))]
    for text in told:
        assert 0 < len(text.sv) < 2000
        assert 0 < len(text.en) < 2000
