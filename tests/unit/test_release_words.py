"""Privacy in words: the numbers in the sentences are upper bounds."""

import math

import pytest

from models.governance.words import odds, odds_in_words, one_in, round_up
from models.quantities import Delta

DELTA = Delta(1e-5)


@pytest.mark.parametrize(
    ("spent", "expected"), [(0.0, 6), (0.1, 6), (1.0, 14), (1.97, 36), (3.0, 100), (50.0, 100)]
)
def test_the_odds_are_those_of_the_definition_rounded_up(spent: float, expected: int) -> None:
    found = odds(spent, DELTA)
    assert found == expected
    assert found >= min(100, math.exp(spent) * 5 + 100 * DELTA.value)


def test_both_languages_say_the_same_number() -> None:
    text = odds_in_words(1.97, DELTA)
    assert "at most 36 times of 100" in text.en
    assert "högst 36 gånger av 100" in text.sv


@pytest.mark.parametrize(("spent", "text"), [(1.0, "1.00"), (1.001, "1.01"), (1.999, "2.00")])
def test_epsilon_is_rounded_against_ourselves(spent: float, text: str) -> None:
    assert round_up(spent) == text


@pytest.mark.parametrize(
    ("delta", "text"),
    [(1e-5, "1 in 100 000"), (1e-6, "1 in 1 000 000"), (3e-6, "1 in 333 333")],
)
def test_delta_is_said_as_one_in_so_many(delta: float, text: str) -> None:
    assert one_in(Delta(delta)) == text
