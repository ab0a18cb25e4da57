"""Spells of assistance with measures that help: a world with known effects."""

import linked_tables as linked
import numpy as np
from linked_studies import TEXT

from models.governance.linked import LinkedStudy
from models.governance.questions import Hazard

MONTHS, CALENDAR, WINDOW = 24, 60, 8
EFFECTS = (0.65, 0.30, 0.0)
BASE = np.repeat([-1.1, -1.6, -2.2, -2.75], [3, 3, 6, 12])


def study(bands: tuple[int, ...] = (6, 12)) -> LinkedStudy:
    soc = [
        linked.whole("begun", 0, CALENDAR - 1),
        linked.whole("lasted", 1, MONTHS),
        linked.category("left", "no", "yes"),
        linked.category("hinder", "no", "yes"),
    ]
    variables = [linked.variable("social", column) for column in soc]
    variables.append(linked.variable("labour", linked.whole("entry", 0, CALENDAR + MONTHS - 1)))
    question = Hazard(
        kind="hazard",
        name="leaving",
        title=TEXT,
        start="begun",
        duration="lasted",
        event="left",
        entry="entry",
        strata=("hinder",),
        bands=bands,
        window=WINDOW,
    )
    return linked.study(variables, question)


def spells(seed: int, residents: int = 6000) -> dict[str, np.ndarray]:
    """Give spells in which a measure helps, and comes to those who stay."""
    generator = np.random.default_rng(seed)
    begun = generator.integers(0, CALENDAR, residents)
    hinder = generator.random(residents) < 0.3
    lag = np.where(
        generator.random(residents) < 0.6, generator.geometric(0.1, residents) - 1, 10**6
    )
    lasted, left = np.zeros(residents, np.int64), np.zeros(residents, np.int64)
    there = np.ones(residents, np.bool_)
    for month in range(1, MONTHS + 1):
        helped = (month > lag) & (month <= lag + WINDOW)
        effect = np.choose(np.digitize(lag + 1, [6.5, 12.5]), EFFECTS) * helped
        chance = 1 / (1 + np.exp(-(BASE[month - 1] - 0.7 * hinder + effect)))
        gone = there & (generator.random(residents) < chance)
        lasted[there], left[gone] = month, 1
        there &= ~gone
    entry = np.where(lag < lasted, begun + lag, -1)
    return {
        "begun": begun,
        "lasted": lasted - 1,
        "left": left,
        "hinder": hinder.astype(np.int64),
        "entry": entry,
    }
