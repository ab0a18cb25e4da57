"""Pupils of whom schools and social services know different things: a world with known effects."""

import linked_tables as linked
import numpy as np
from linked_studies import TEXT

from models.governance.linked import LinkedStudy
from models.governance.questions import CellFit, Comparison, Table

ABSENCE = linked.number("absence", 0, 4, 8, 12, 20, 40)
MIDDLES = np.array([2.0, 6.0, 10.0, 16.0, 30.0])
VARIABLES = (
    linked.variable("school", linked.category("passed", "no", "yes")),
    linked.variable("school", ABSENCE),
    linked.variable("social", linked.category("assistance", "no", "yes"), absent=True),
    linked.variable("school", None, name="support", absent=True),
)
COMPARED = (
    Comparison(kind="compare", outcome="passed", by="assistance", as_first=("assistance",)),
    Comparison(kind="compare", outcome="absence", by="support", scale="log-mean"),
    Comparison(kind="compare", outcome="absence", by="support", scale="mean"),
)
FITTED = CellFit(
    kind="logistic",
    outcome="passed",
    terms=("assistance", "absence", "support"),
    linear=("absence",),
    centres=(8.0,),
    products=(("assistance", "absence"),),
    test=("assistance",),
    as_first=("assistance",),
)


def study(*analyses: Comparison | CellFit, epsilon: float = 1.0) -> LinkedStudy:
    question = Table(
        kind="table",
        name="pupils",
        title=TEXT,
        of=("passed", "absence", "support", "assistance"),
        analyses=analyses,
    )
    return linked.study(VARIABLES, question, epsilon=epsilon)


def pupils(seed: int = 1, residents: int = 8000) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    assistance = generator.choice(3, size=residents, p=[0.1, 0.15, 0.75])
    absence = generator.integers(0, 5, residents)
    support = (generator.random(residents) < 0.12).astype(np.int64)
    # Presence is written as the first category, "yes".
    value = (
        1.8
        - 0.05 * (MIDDLES[absence] - 8)
        - (0.8 + 0.06 * (MIDDLES[absence] - 8)) * (assistance == 1)
        + 0.5 * support
    )
    passed = generator.random(residents) < 1 / (1 + np.exp(-value))
    return {
        "assistance": assistance,
        "absence": absence,
        "support": 1 - support,
        "passed": passed.astype(np.int64),
    }
