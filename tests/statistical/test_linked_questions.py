"""The demo city's joint questions, on one desk: the planted truth is found, and what noise does."""

import dataclasses
import math
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
from linked_clear import codes, counts, draft, released, resolved, spine

from demo import town
from demo.city.numbers import Numbers
from demo.city.settings import Effects, Settings
from demo.city.simulate import simulate
from demo.city.tables.columns import identify
from demo.city.tables.tables import written
from demo.linked.joint import Joint
from demo.linked.questions import ABSENCE, ASSISTANCE, EVERY, WORK
from demo.linked.truth import Line, lines
from demo.town import Town
from models.governance.study import Protection
from models.linkage.estimates.answers import answers

pytestmark = pytest.mark.timeout(600)
RESIDENTS = 150_000
SEEDS = (20250401, 20250402, 20250403)
NORMAL = 1.959964


@lru_cache(maxsize=1)
def made(seed: int, *, planted: bool = True) -> Town:
    if planted:
        return town.build(seed=seed, residents=RESIDENTS)
    nothing = Effects(j1=0, j2=0, j3=0, j4=0, j5=0)
    settings = Settings(seed=seed, residents=RESIDENTS, effects=nothing)
    city = simulate(settings)
    numbers = Numbers(generator=settings.generator("ids"), municipality="A")
    identities = identify(city, numbers)
    return Town(city=city, pnr=pd.Series(identities.pnr), tables=written(city, identities))


def asked(
    joint: Joint, here: Town, *, protection: Protection = Protection.NONE, draws: int = 1
) -> list[tuple[Line, ...]]:
    """What a run would tell beside the truth, once for each draw of the noise."""
    study = resolved(draft(joint, residents=RESIDENTS, protection=protection, epsilon="1"))
    order = spine(here, seed=7)
    cells = counts(study, codes(study, here, order))
    return [
        lines(
            joint.code,
            answers(study, released(study, cells, residents=len(order.ids), seed=draw)),
            here.city,
        )
        for draw in range(draws)
    ]


def away(line: Line) -> float:
    """How many standard deviations an estimate is from the truth."""
    assert line.estimate is not None
    if line.kind == "test":
        return (line.estimate - line.truth) / math.sqrt(2 * line.truth)
    assert line.low is not None
    assert line.high is not None
    return (line.estimate - line.truth) / ((line.high - line.low) / (2 * NORMAL))


@pytest.mark.parametrize("seed", SEEDS)
def test_without_noise_every_answer_is_the_truth(seed: int) -> None:
    here = made(seed)
    found = [line for joint in EVERY for line in asked(joint, here)[0]]
    far = {f"{line.code} {line.what}": away(line) for line in found if not abs(away(line)) <= 3}
    assert far == {}
    crude = {line.code: line.crude for line in found if line.crude is not None}
    assert crude["J2"] < -0.1  # the wrong sign
    assert crude["J4"] < -0.3  # likewise


def test_what_was_not_planted_is_not_found() -> None:
    here = made(SEEDS[0], planted=False)
    found = [line for joint in EVERY for line in asked(joint, here)[0] if line.code[0] == "J"]
    found = [line for line in found if line.truth and "share" not in line.what]
    far = {line.what for line in found if abs(away(line)) > 3}
    assert len(far) >= 5, "the same check tells another truth apart"
    for line in found:
        assert abs(away(dataclasses.replace(line, truth=0.0))) <= 3.5, line.what


def test_at_epsilon_1_the_difference_of_j1_is_near_that_of_the_same_residents() -> None:
    here = made(SEEDS[0])
    study = resolved(draft(ASSISTANCE, residents=RESIDENTS, protection=Protection.SECURE_SUM))
    order = spine(here, seed=7)
    no, yes = counts(study, codes(study, here, order)).reshape(2, 3)
    share = yes / (no + yes)
    # The categories are false, true and `no record`, which counts as false.
    clear = share[1] - (yes[0] + yes[2]) / (no[0] + yes[0] + no[2] + yes[2])
    drawn = asked(ASSISTANCE, here, protection=Protection.SECURE_SUM, draws=200)
    errors = np.array([found[0].estimate - clear for found in drawn])
    assert np.mean(np.abs(errors) <= 0.02) >= 0.85
    assert abs(errors.mean()) <= 4 * errors.std() / math.sqrt(len(errors))


def test_at_epsilon_1_j2_has_the_right_sign_and_the_crude_table_the_wrong_one() -> None:
    drawn = asked(WORK, made(SEEDS[0]), protection=Protection.SECURE_SUM, draws=60)
    early = np.array([found[0].estimate for found in drawn])
    assert np.mean(early > 0) >= 0.95
    assert all(found[0].crude < -0.1 for found in drawn)


def test_at_epsilon_1_the_intervals_of_j3_hold() -> None:
    here = made(SEEDS[0])
    [[clear]] = asked(ABSENCE, here)
    drawn = asked(ABSENCE, here, protection=Protection.SECURE_SUM, draws=100)
    widths = np.array([found[0].high - found[0].low for found in drawn])
    assert np.mean(widths) > 1.4 * (clear.high - clear.low), "noise and fewer pupils are in it"
    held = [found[0].low <= found[0].truth <= found[0].high for found in drawn]
    assert np.mean(held) >= 0.85
