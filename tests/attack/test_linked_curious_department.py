"""A department with the whole register tries to find out whose client one resident is.

It knows which row is whose, and every record but the one that it looks for. What it has besides is
what it receives in a run, and the release.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from linked_city import columns, run_in_process
from linked_nodes import LinkedTown, People, keyed, shortened
from linked_studies import OPEN, school_study
from scripted import ScriptedEntropy

from models import documents
from models.linkage.plan import plan

PLANTED = 7
"""The row of the resident who may be a client of social services."""

ROWS, TRIALS = 20, 300


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with shortened(monkeypatch):
        yield


def received(folder: Path, *, client: bool) -> list[bytes]:
    """Give all that the school's node is sent in a run; the same entropy, one record apart."""
    study = keyed(school_study())
    people = People.invented(study)
    planted = people.ids[PLANTED]
    people.codes["assistance"].pop(planted, None)
    if client:
        people.codes["assistance"][planted] = 1
    town = LinkedTown(folder, study, people=people)
    offers = [documents.write(part.offer()) for part in town.parts.values()]
    town.agree()
    mixes = documents.write(town.mixes()["school"])
    town.close()
    return [*offers, mixes]


def test_what_it_is_sent_is_the_same_whether_or_not(tmp_path: Path) -> None:
    assert received(tmp_path / "yes", client=True) == received(tmp_path / "no", client=False)


def guessed(*, noise: bool) -> float:
    """Give how often it is right, by the release and all other records."""
    study = school_study() if noise else school_study(privacy=replace(OPEN, unit="household"))
    unit, right = 1 << plan(study).noise.bits, 0
    generator = np.random.default_rng(5)
    for trial in range(TRIALS):
        client = bool(generator.integers(2))
        tables = {}
        for guess in (True, False):
            codes = {"eligible": [1] * ROWS, "assistance": [2] * ROWS}
            codes["assistance"][PLANTED] = 1 if guess else 2
            tables[guess] = columns(study, codes)
        entropies = [ScriptedEntropy(f"{trial} {index}") for index in range(3)]
        found = run_in_process(study, tables[client], entropies)[:6] / unit
        expected = {guess: np.zeros(6) for guess in tables}
        for guess, table in expected.items():
            table[3 + 2] = ROWS - guess  # eligible, no record
            table[3 + 1] = guess  # eligible, assistance
        distance = {guess: np.sum((found - table) ** 2) for guess, table in expected.items()}
        right += (distance[True] < distance[False]) == client
    return right / TRIALS


def test_the_release_tells_it_no_more_than_epsilon_allows() -> None:
    # At ε 1 the best guess is right in at most 73 of 100 cases (1 / (1 + e^-ε)), and δ.
    assert guessed(noise=True) < 0.731
    assert guessed(noise=False) == 1.0
