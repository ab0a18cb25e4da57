"""Weighing candidates: Splink against the formula, and the probabilities against all the cases."""

import itertools

import numpy as np
import pytest

from node.vault.scoring import Rates, factors, probabilities, rate

RATES = {"sex": Rates(own=0.98, stranger=0.5), "born": Rates(own=0.9, stranger=0.02)}


def texts(*values):
    return np.array(values, dtype=object)


def by_hand(rates, rows, candidates):
    """Give the product of the ratios that Fellegi and Sunter wrote down, one pair at a time."""
    found = []
    for pair in range(len(next(iter(rows.values())))):
        factor = 1.0
        for name, one in rates.items():
            row, candidate = rows[name][pair], candidates[name][pair]
            if row is not None and candidate is not None:
                same = row == candidate
                own = one.own if same else 1 - one.own
                factor *= own / (one.stranger if same else 1 - one.stranger)
        found.append(factor)
    return found


def test_splink_gives_the_product_of_the_ratios():
    every = list(itertools.product(["a", "b", None], repeat=4))
    rows = {"sex": texts(*(e[0] for e in every)), "born": texts(*(e[1] for e in every))}
    candidates = {"sex": texts(*(e[2] for e in every)), "born": texts(*(e[3] for e in every))}
    found = factors(RATES, rows=rows, candidates=candidates, pairs=len(every))
    assert found == pytest.approx(by_hand(RATES, rows, candidates), rel=1e-9)
    assert len(set(np.round(found, 9))) == 9  # both agree, one, none, or one says nothing


def test_columns_may_have_any_name_and_values_any_text():
    rates = {"unique_id": RATES["sex"], "select": RATES["born"], "": RATES["born"]}
    values = {name: texts("it's; DROP", "Älgsjön") for name in rates}
    found = factors(rates, rows=values, candidates=values, pairs=2)
    assert found == pytest.approx([0.98 / 0.5 * 45 * 45] * 2)


def test_without_columns_or_pairs_nothing_speaks_for_or_against():
    assert factors({}, rows={}, candidates={}, pairs=3).tolist() == [1.0, 1.0, 1.0]
    nothing = {name: texts() for name in RATES}
    assert factors(RATES, rows=nothing, candidates=nothing, pairs=0).tolist() == []


def test_a_counted_share_is_never_0_or_1():
    assert rate(0, 0) == 0.5
    assert 0 < rate(0, 10) < rate(10, 10) < 1


def posterior(meant, chance, ones):
    """Give the probabilities for one number from every case there is: each candidate, or none.

    The others are strangers, of whom `chance` are near on average, each as likely as `1 / factor`
    to look as it does. What every case has in common is left out.
    """
    cases = [meant * (factor / chance) for factor in ones] + [1 - meant]
    return [case / sum(cases) for case in cases[:-1]]


def test_the_probability_of_each_candidate_is_bayes():
    ones = [[40.0], [40.0, 2.0], [], [1.0, 1.0, 1.0]]
    chances = [0.05, 0.05, 0.1, 0.1]
    found = probabilities(
        np.array([*itertools.chain(*ones)]),
        number=np.array([n for n, many in enumerate(ones) for _ in many]),
        chances=chances,
        meant=0.8,
    )
    expected = [p for o, c in zip(ones, chances, strict=True) for p in posterior(0.8, c, o)]
    assert found == pytest.approx(expected)


def test_numbers_drawn_as_the_model_says_are_meant_as_often_as_it_says():
    generator = np.random.default_rng(20250401)
    chance, meant, rates = 0.3, 0.7, Rates(own=0.9, stranger=0.2)
    factors_, number, true = [], [], []
    for one in range(20_000):
        resident = generator.random() < meant
        for own in [True] * resident + [False] * generator.poisson(chance):
            agrees = generator.random() < (rates.own if own else rates.stranger)
            ratio = (rates.own / rates.stranger, (1 - rates.own) / (1 - rates.stranger))
            factors_.append(ratio[0] if agrees else ratio[1])
            number.append(one)
            true.append(own)
    found = probabilities(
        np.array(factors_), number=np.array(number), chances=[chance] * 20_000, meant=meant
    )
    right = np.array(true)
    for low, high in ((0.0, 0.3), (0.3, 0.7), (0.7, 0.95), (0.95, 1.0)):
        chosen = (found >= low) & (found < high)
        assert chosen.sum() > 100
        assert right[chosen].mean() == pytest.approx(found[chosen].mean(), abs=0.02)


def test_two_candidates_alike_have_at_most_one_half():
    found = probabilities(np.array([1e6, 1e6]), number=np.array([0, 0]), chances=[1e-3], meant=0.9)
    assert found[0] == found[1] <= 0.5


def test_the_more_strangers_are_near_the_less_sure_is_a_candidate():
    near, nearer = (
        probabilities(np.array([20.0]), number=np.array([0]), chances=[chance], meant=0.9)[0]
        for chance in (0.01, 0.5)
    )
    assert nearer < near
