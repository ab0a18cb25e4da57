"""The noise of what is opened: three shares of it, and two where one server leaves its own out."""

import math

import numpy as np
import pytest
from fits import CLEARLY_WRONG, PLAUSIBLE, fits_variance
from linked_city import Committee, noise_of
from linked_studies import integer, linked_study, own, table

from models.linkage.plan import CARRIERS, SERVERS, plan

STUDY = linked_study(
    [
        (own("one", "school"), integer("one", 0, 99)),
        (own("two", "social"), integer("two", 0, 199)),
    ],
    [table("t", "one", "two")],
)
CELLS = 20_000


@pytest.fixture(scope="module")
def opened() -> np.ndarray:
    """Give all cells over residents of whom no department has a record: the noise alone."""
    nobody = {
        name: np.zeros((50, width), dtype=np.uint8)
        for name, width in (("school", 100), ("social", 200))
    }
    committee = Committee.of(STUDY, nobody)
    committee.fold()
    return committee.opened()[:CELLS]


def test_the_opened_cells_carry_three_shares_of_noise(opened: np.ndarray) -> None:
    scale = plan(STUDY).noise.scale
    assert fits_variance(opened, math.sqrt(SERVERS) * scale) > PLAUSIBLE
    for wrong in (2 / 3, 3 / 2):
        assert fits_variance(opened, math.sqrt(SERVERS) * scale * wrong) < CLEARLY_WRONG


def test_the_stated_variance_is_that_of_the_cells(opened: np.ndarray) -> None:
    noise = plan(STUDY).noise
    counts = opened / 2**noise.bits
    assert fits_variance(counts, math.sqrt(noise.variance.value)) > PLAUSIBLE


@pytest.mark.parametrize("absent", range(SERVERS))
def test_a_server_that_leaves_its_share_out_or_knows_it_leaves_the_noise_of_two(
    opened: np.ndarray, absent: int
) -> None:
    scale = plan(STUDY).noise.scale
    rest = opened - noise_of(STUDY, absent)[:CELLS]
    assert fits_variance(rest, math.sqrt(CARRIERS) * scale) > PLAUSIBLE
    for wrong in (2 / 3, 3 / 2):
        assert fits_variance(rest, math.sqrt(CARRIERS) * scale * wrong) < CLEARLY_WRONG


def test_cells_and_servers_have_noise_of_their_own(opened: np.ndarray) -> None:
    shares = [noise_of(STUDY, index)[:CELLS] for index in range(SERVERS)]
    for one, other in ((shares[0], shares[1]), (shares[1], shares[2]), (opened[:-1], opened[1:])):
        assert abs(np.corrcoef(one, other)[0, 1]) < 4.5 / math.sqrt(CELLS)
