"""When a question is answered, goes on, waits or cannot be answered: the rules as a table."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.rounds.cohort import Going, Impossible, Proceed, Roll, Short, judge
from coordinator.rounds.settings import RunSettings
from models.errors import ConfigurationError

SETTINGS = RunSettings(grace_seconds=10, join_seconds=40, round_timeout_seconds=100)
ALL = ("a", "b", "c", "d")


def roll(**changes: Any) -> Roll:
    base: dict[str, Any] = {
        "cohort": ALL,
        "minimum": 3,
        "answered": (),
        "failed": (),
        "left_out": {},
        "connected": (),
        "absent": {},
        "asked_for": 1.0,
    }
    return Roll(**base | changes)


TABLE = [
    # who                                                       what
    ({"answered": ALL}, Proceed(without="")),
    ({"answered": ("a", "b", "c"), "left_out": {"d": "refused"}}, Proceed(without="")),
    ({}, Going(seconds=99.0, enough=True)),
    ({"absent": {"d": 2.0}}, Going(seconds=1.0, enough=True)),
    ({"absent": {"c": 1.0, "d": 2.0}}, Going(seconds=1.0, enough=False)),
    ({"answered": ("a", "b", "c")}, Going(seconds=99.0, enough=True)),  # d is at work
    ({"answered": ("a", "b", "c"), "absent": {"d": 4.0}}, Going(seconds=1.0, enough=True)),
    (  # d let an earlier question pass in silence: this one does not wait for it
        {"answered": ("a", "b", "c"), "slow": ("d",)},
        Proceed(without="d has not answered since an earlier question"),
    ),
    ({"answered": ("a", "b"), "slow": ("d",)}, Going(seconds=99.0, enough=True)),
    ({"answered": ALL, "slow": ("d",)}, Proceed(without="")),
    (  # but where it is needed, it is
        {"answered": ("a", "b"), "slow": ("c", "d")},
        Short(
            message="waiting: 3 departments are needed and 2 have answered "
            "(c has not answered since an earlier question; "
            "d has not answered since an earlier question)",
            seconds=99.0,
        ),
    ),
    (
        {"answered": ("a", "b", "c"), "absent": {"d": 10.0}},
        Proceed(without="d has no connection"),
    ),
    (  # d is connected: it may still be preparing its records
        {"answered": ("a", "b", "c"), "absent": {"d": 10.0}, "connected": ALL},
        Going(seconds=1.0, enough=True),
    ),
    (
        {"answered": ("a", "b", "c"), "absent": {"d": 39.5}, "connected": ALL},
        Going(seconds=0.5, enough=True),
    ),
    (
        {"answered": ("a", "b", "c"), "absent": {"d": 40.0}, "connected": ALL},
        Proceed(without="d is connected but has not joined the run"),
    ),
    (
        {"answered": ("a", "b", "c"), "failed": ("d",)},
        Proceed(without="d could not do the step"),
    ),
    (
        {"answered": ("a", "b", "c"), "asked_for": 100.0},
        Proceed(without="d has not answered in time"),
    ),
    (
        {"answered": ("a",), "absent": {"c": 30.0, "d": 12.0}},
        Short(
            message="waiting: 3 departments are needed and 1 have answered "
            "(b has not answered yet; c has no connection; d has no connection)",
            seconds=60.0,
        ),
    ),
    (
        {"answered": ("a", "b"), "failed": ("c",), "left_out": {"d": "refused"}},
        Short(
            message="waiting: 3 departments are needed and 2 have answered "
            "(d refused; c could not do the step)",
            seconds=99.0,
        ),
    ),
    (
        {"answered": ("a", "b"), "asked_for": 200.0},
        Short(
            message="waiting: 3 departments are needed and 2 have answered "
            "(c has not answered in time; d has not answered in time)",
            seconds=60.0,
        ),
    ),
    (
        {"left_out": {"c": "refused", "d": "has no privacy budget left"}},
        Impossible(
            message="the study needs 3 departments, and only 2 can still take part "
            "(c refused; d has no privacy budget left)"
        ),
    ),
    (  # the witness is asked alone
        {"cohort": ("w",), "minimum": 1, "absent": {"w": 12.0}},
        Short(message="waiting for w, who has no connection", seconds=60.0),
    ),
    (
        {"cohort": ("w",), "minimum": 1, "left_out": {"w": "refused"}},
        Impossible(message="the run cannot go on without w, who refused"),
    ),
]


@pytest.mark.parametrize(("changes", "verdict"), TABLE)
def test_the_table(changes: dict[str, Any], verdict: object) -> None:
    assert judge(roll(**changes), SETTINGS) == verdict


states = st.sampled_from(["answered", "failed", "left out", "here", "absent", "gone"])


@given(st.lists(states, min_size=2, max_size=6), st.integers(2, 6), st.floats(0, 300))
def test_a_round_never_goes_on_below_the_minimum_nor_waits_above_it(
    said: list[str], minimum: int, asked_for: float
) -> None:
    names = [f"d{number}" for number in range(len(said))]
    of = {state: [n for n, s in zip(names, said, strict=True) if s == state] for state in said}
    verdict = judge(
        roll(
            cohort=tuple(names),
            minimum=minimum,
            answered=of.get("answered", ()),
            failed=of.get("failed", ()),
            left_out=dict.fromkeys(of.get("left out", ()), "refused"),
            absent=dict.fromkeys(of.get("absent", ()), 1.0)
            | dict.fromkeys(of.get("gone", ()), 11.0),
            asked_for=asked_for,
        ),
        SETTINGS,
    )
    answered = said.count("answered")
    able = len(said) - said.count("left out")
    assert isinstance(verdict, Impossible) == (able < minimum)
    if isinstance(verdict, Proceed):
        assert answered >= minimum
    if isinstance(verdict, Short):
        assert answered < minimum
    if isinstance(verdict, Going | Short):
        assert verdict.seconds > 0


@pytest.mark.parametrize(
    "changes",
    [
        {"grace_seconds": 0},
        {"retry_seconds": -1},
        {"round_timeout_seconds": float("nan")},
        {"storage_seconds": float("inf")},
        {"most_runs": 0},
    ],
)
def test_patience_that_is_none_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        RunSettings(**changes)
