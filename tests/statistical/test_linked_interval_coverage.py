"""Nominal 95 % intervals of linked figures hold the truth in 92 to 98 % of simulated releases.

Each release draws residents from a fixed population and adds noise to the tables. If the tables say
that their noise is two thirds, or three halves, of what it is, the check fails: it is able to.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import linked_pupils
import linked_spells
import linked_tables as linked
import numpy as np
import pytest
from linked_studies import TEXT

from models.governance.linked import LinkedStudy
from models.governance.questions import Relations
from models.linkage.estimates.answers import answers
from models.linkage.estimates.figures import Figure

Rows = dict[str, np.ndarray]
CUTS = (-1.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A study, a population, and figures of which coverage is asked; `scale`: of the noise."""

    study: Callable[[], LinkedStudy]
    population: Callable[[], Rows]
    residents: int
    scale: float
    kinds: tuple[str, ...]
    only: str = ""


def relations() -> LinkedStudy:
    names = ("a", "b", "c")
    departments = ("school", "care", "social")
    variables = [
        linked.variable(department, linked.number(name, -3, *CUTS, 3))
        for department, name in zip(departments, names, strict=True)
    ]
    variables.append(linked.variable("school", linked.category("passed", "no", "yes")))
    question = Relations(kind="relations", name="all", title=TEXT, of=names, outcome="passed")
    return linked.study(variables, question)


def everybody() -> Rows:
    generator = np.random.default_rng(1)
    numbers = generator.normal(size=(200_000, 3))
    numbers[:, 1] = 0.5 * numbers[:, 0] + 0.87 * numbers[:, 1]
    passed = generator.random(200_000) < 1 / (1 + np.exp(-numbers[:, 0] + 0.5 * numbers[:, 2]))
    codes = {name: np.searchsorted(CUTS, numbers[:, at]) for at, name in enumerate("abc")}
    return codes | {"passed": passed.astype(np.int64)}


WORLDS = {
    "comparisons": World(
        study=lambda: linked_pupils.study(*linked_pupils.COMPARED),
        population=lambda: linked_pupils.pupils(seed=1, residents=200_000),
        residents=6000,
        scale=20.0,
        kinds=("share", "difference", "log-ratio", "mean difference"),
    ),
    "regression on cells": World(
        study=lambda: linked_pupils.study(linked_pupils.FITTED),
        population=lambda: linked_pupils.pupils(seed=1, residents=200_000),
        residents=12_000,
        scale=14.0,
        kinds=("log-odds",),
    ),
    "hazard": World(
        study=linked_spells.study,
        population=lambda: linked_spells.spells(seed=1, residents=100_000),
        residents=20_000,
        scale=4.0,
        kinds=("log-odds",),
        only="measure begun in months 1 to 6",
    ),
    "relations": World(
        study=relations,
        population=everybody,
        residents=10_000,
        scale=60.0,
        kinds=("mean", "slope"),
    ),
}


@cache
def population(name: str) -> Rows:
    return WORLDS[name].population()


def figures(name: str, opened: linked.Opened) -> list[Figure]:
    world = WORLDS[name]
    return [
        figure
        for answer in answers(world.study(), opened)
        if "additive" not in answer.analysis
        for figure in answer.figures
        if figure.kind in world.kinds and world.only in figure.name
    ]


def coverage(name: str, *, said: float = 1.0, repetitions: int = 300) -> dict[str, float]:
    """Give, per figure, how often the interval held the truth."""
    world, whole = WORLDS[name], population(name)
    study, generator = world.study(), np.random.default_rng(7)
    truth = [figure.value for figure in figures(name, linked.clear(study, whole))]
    size = len(next(iter(whole.values())))
    held: dict[str, int] = {}
    for _ in range(repetitions):
        chosen = generator.integers(0, size, world.residents)
        clear = linked.clear(study, {key: codes[chosen] for key, codes in whole.items()})
        release = linked.noisy(clear, world.scale**2, generator, said=(said * world.scale) ** 2)
        for figure, true in zip(figures(name, release), truth, strict=True):
            key = f"{figure.kind}: {figure.name}"
            inside = figure.low is None or figure.low <= true <= figure.high
            held[key] = held.get(key, 0) + inside
    return {key: count / repetitions for key, count in held.items()}


@pytest.mark.parametrize("name", WORLDS)
def test_intervals_hold_the_truth_as_often_as_they_say(name: str) -> None:
    for figure, share in coverage(name).items():
        assert 0.92 <= share <= 0.98, (figure, share)


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("said", [2 / 3, 3 / 2])
def test_another_noise_than_was_said_is_found(name: str, said: float) -> None:
    shares = list(coverage(name, said=said, repetitions=200).values())
    assert not 0.92 <= float(np.mean(shares)) <= 0.98
