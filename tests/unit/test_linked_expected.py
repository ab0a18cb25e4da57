"""Before a budget is spent: about how wide the intervals will be, and what will drown."""

import linked_tables as linked
import numpy as np
import pytest
from linked_pupils import COMPARED, FITTED, pupils, study

from models.errors import UsageError
from models.linkage.estimates.answers import answers
from models.linkage.expected import Expectation, expected

GAP = "passed = yes | assistance = yes against no"


def gap(found: tuple[Expectation, ...]) -> Expectation:
    [item] = [item for item in found if item.name == GAP]
    return item


def test_expected_intervals_are_about_as_wide_as_the_real_ones() -> None:
    own = study(COMPARED[0], epsilon=0.3)
    rows = pupils(residents=8000)
    sizes = {
        "pupils": 8000,
        "assistance=yes": 1200,
        "assistance=no": 800,
        "passed=yes": 6600,
        "support=yes": 960,
    }
    told = gap(expected(own, sizes))
    noisy = linked.noisy(linked.clear(own, rows), linked.variance(own), np.random.default_rng(1))
    [answer] = answers(own, noisy)
    real = next(item for item in answer.figures if item.name == GAP)
    assert told.half_width == pytest.approx((real.high - real.low) / 2, rel=0.25)
    assert told.noise == pytest.approx(real.noise, rel=0.25)
    assert told.cell.value == pytest.approx(linked.variance(own))


def test_fewer_residents_and_a_smaller_epsilon_drown_a_question() -> None:
    many = expected(study(COMPARED[0], epsilon=1.0), {"pupils": 10_000})
    assert not gap(many).drowns
    few = gap(expected(study(COMPARED[0], epsilon=0.1), {"pupils": 300}))
    assert few.drowns
    assert "drown" in few.text


def test_every_analysis_is_planned_for() -> None:
    found = expected(study(*COMPARED, FITTED))
    assert {item.kind for item in found} >= {"difference", "log-ratio", "log-odds"}
    assert all(item.question == "pupils" for item in found)


@pytest.mark.parametrize(
    ("sizes", "said"),
    [({"teachers": 3}, "neither a question nor"), ({"pupils": 10**9}, "not between 0 and")],
)
def test_sizes_of_nothing_are_refused(sizes: dict[str, int], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        expected(study(COMPARED[0]), sizes)
