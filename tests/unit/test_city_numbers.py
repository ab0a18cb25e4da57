"""Demo numbers: told from real ones, checkable, and never given twice."""

import numpy as np
import pytest

from demo.city.numbers import Numbers, check_digit
from models.errors import UsageError


def luhn_oracle(text: str) -> int:
    """The check digit as the rule is told to people: digit by digit."""
    total = 0
    for place, letter in enumerate(text):
        product = int(letter) * (2 if place % 2 == 0 else 1)
        total += sum(int(part) for part in str(product))
    return (10 - total % 10) % 10


def numbers(municipality: str = "A", seed: int = 1) -> Numbers:
    return Numbers(generator=np.random.default_rng(seed), municipality=municipality)


def days(count: int) -> np.ndarray:
    draw = np.random.default_rng(7)
    return np.datetime64("1924-01-01") + draw.integers(0, 36_000, count).astype("timedelta64[D]")


def given(source: Numbers, count: int = 3_000) -> tuple[np.ndarray, np.ndarray, list[str]]:
    born = days(count)
    woman = np.random.default_rng(8).random(count) < 0.5
    return born, woman, list(source.persons(born=born, woman=woman))


def test_check_digit_agrees_with_the_rule_told_to_people() -> None:
    # Two numbers of Skatteverket's open list of test numbers, and the rule itself.
    assert check_digit(np.array([19900115239, 18900118980])).tolist() == [
        luhn_oracle("900115239"),
        luhn_oracle("900118980"),
    ]
    drawn = np.random.default_rng(3).integers(10**10, 10**11, 2_000)
    assert check_digit(drawn).tolist() == [luhn_oracle(str(n)[-9:]) for n in drawn]


def test_number_holds_birth_date_sex_and_check_digit() -> None:
    born, woman, made = given(numbers())
    for day, female, text in zip(born, woman, made, strict=True):
        year, month, date = str(day).split("-")
        assert len(text) == 12
        assert text[:8] == f"{year}{int(month) + 80}{date}"
        assert 81 <= int(text[4:6]) <= 92
        assert int(text[10]) % 2 == (0 if female else 1)
        assert text[8:11] != "000"
        assert int(text[11]) == luhn_oracle(text[2:11])


def test_same_generator_gives_the_same_numbers() -> None:
    assert given(numbers())[2] == given(numbers())[2]
    assert given(numbers())[2] != given(numbers(seed=2))[2]


def test_numbers_differ_within_and_between_blocks_and_municipalities() -> None:
    country: list[str] = []
    for municipality, count in (("A", 8_000), ("B", 3_000), ("C", 600)):
        source = numbers(municipality)
        country += given(source, count)[2] + given(source, count)[2]  # two blocks
    assert len(set(country)) == len(country)


@pytest.mark.parametrize(("municipality", "men", "women"), [("A", 400, 399), ("C", 20, 20)])
def test_a_birth_date_gives_each_of_its_numbers_once_and_then_refuses(
    municipality: str, men: int, women: int
) -> None:
    source = numbers(municipality)
    for female, size in ((False, men), (True, women)):
        born = np.full(size, np.datetime64("2008-02-29"))
        made = source.persons(born=born, woman=np.full(size, female))
        assert len({text[8:11] for text in made}) == size
        with pytest.raises(UsageError, match="run out of demo numbers"):
            source.persons(born=born[:1], woman=np.array([female]))


def test_numbers_of_a_date_come_in_no_plain_order() -> None:
    born = np.full(50, np.datetime64("1985-03-07"))
    made = numbers().persons(born=born, woman=np.zeros(50, dtype=bool))
    steps = np.diff([int(text[8:11]) for text in made])
    assert len(set(steps)) > 1 or steps[0] != 2


def test_running_ids_go_on_over_blocks() -> None:
    source = numbers()
    assert list(source.running("B", 2, width=6)) == ["B000001", "B000002"]
    assert list(source.running("H", 1, width=6)) == ["H000001"]
    assert list(source.running("B", 1, width=6)) == ["B000003"]
    assert list(source.running("B", 0, width=6)) == []


def test_ids_by_place_depend_on_the_place_alone() -> None:
    source, other = numbers(), numbers()
    assert list(source.some("I", np.array([0, 4]), of=5, width=3)) == ["I001", "I005"]
    assert list(other.some("I", np.array([4]), of=5, width=3)) == ["I005"]
    # The next block's come after all of this one's, given or not.
    assert list(source.some("I", np.array([0]), of=5, width=3)) == ["I006"]
    assert list(other.running("I", 1, width=3)) == ["I006"]


def test_nobody_needs_no_number() -> None:
    assert list(numbers().persons(born=days(0), woman=np.zeros(0, dtype=bool))) == []
