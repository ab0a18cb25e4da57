"""How well a linked logistic fit ranks residents it never saw, beside a fit without privacy.

`python -m tests.bench.linked_fit`: 50,000 residents of whom three departments hold seven numbers
each; tables of all pairs with the noise of the study's plan at ε 1; the one-shot fit that follows
from them. The tables are counted in the clear: what the servers open is the same.
"""

import argparse
import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import linked_tables as linked
import numpy as np
import numpy.typing as npt
from linked_studies import TEXT
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from models.governance.linked import LinkedStudy
from models.governance.questions import Relations
from models.linkage.coding import coding
from models.linkage.estimates.answers import answers
from models.linkage.estimates.scores import Score

DEPARTMENTS = ("care", "labour", "school")
EACH = 7
RESIDENTS, HELD_OUT = 50_000, 50_000
CUTS = (-1.0, 0.0, 1.0)
"""Four bins, of public edges: finer ones keep more of a number, and spread it over more noise."""

_OUTER = 2.8
"""So that the middles of the outer bins are near the mean of a normal variable there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class City:
    """Residents in the clear: numbers of shape (residents, columns), and the outcome."""

    numbers: npt.NDArray[np.float64]
    outcome: npt.NDArray[np.int64]

    @staticmethod
    def draw(generator: np.random.Generator, weights: npt.NDArray[np.float64], size: int) -> "City":
        """Draw residents whose numbers have a common part."""
        common = generator.normal(size=(size, 1))
        numbers = 0.3 * common + np.sqrt(1 - 0.09) * generator.normal(size=(size, len(weights)))
        chances = 1 / (1 + np.exp(-(numbers @ weights)))
        return City(numbers=numbers, outcome=(generator.random(size) < chances).astype(np.int64))


def asked(*, cuts: tuple[float, ...], epsilon: float, residents: int) -> LinkedStudy:
    """Give the study: all relations of 21 numbers, and models of the outcome."""
    names = [f"x{place}" for place in range(EACH * len(DEPARTMENTS))]
    path = (-_OUTER, *cuts, _OUTER)
    variables = [
        linked.variable(DEPARTMENTS[place // EACH], linked.number(name, *path))
        for place, name in enumerate(names)
    ]
    outcome = linked.variable(DEPARTMENTS[0], linked.category("outcome", "no", "yes"))
    question = Relations(
        kind="relations", name="fit", title=TEXT, of=tuple(names), outcome="outcome"
    )
    return linked.study([*variables, outcome], question, epsilon=epsilon, residents=residents)


def rows(study: LinkedStudy, city: City) -> dict[str, npt.NDArray[np.int64]]:
    """Give the category of each resident by variable."""
    numbers = {
        f"x{place}": coding(study, f"x{place}").codes(column).astype(np.int64)
        for place, column in enumerate(city.numbers.T)
    }
    return numbers | {"outcome": city.outcome}


def fitted(study: LinkedStudy, opened: linked.Opened) -> Score:
    """Give the one-shot logistic fit."""
    [answer] = [
        item for item in answers(study, opened) if item.analysis.startswith("logistic regression")
    ]
    return answer.scores[0]


def measure(
    *,
    seed: int,
    epsilon: float = 1.0,
    residents: int = RESIDENTS,
    cuts: tuple[float, ...] = CUTS,
) -> dict[str, float]:
    """Give held-out AUC: pooled without privacy, one department alone, linked, linked and exact.

    Fits are applied to the numbers of residents whom they never saw, and once to the bins alone.
    """
    generator = np.random.default_rng(seed)
    weights = generator.normal(size=EACH * len(DEPARTMENTS))
    weights *= 3.2 / np.sqrt(weights @ weights)
    city = City.draw(generator, weights, residents)
    unseen = City.draw(generator, weights, HELD_OUT)
    study = asked(cuts=cuts, epsilon=epsilon, residents=residents)
    exact = linked.clear(study, rows(study, city))
    noise = linked.variance(study)

    def auc(score: npt.NDArray[np.float64]) -> float:
        return float(roc_auc_score(unseen.outcome, score))

    def pooled(columns: slice) -> float:
        fit = LogisticRegression(C=1e6, max_iter=1000).fit(city.numbers[:, columns], city.outcome)
        return auc(fit.decision_function(unseen.numbers[:, columns]))

    own = {f"x{place}": column for place, column in enumerate(unseen.numbers.T)}
    noisy = linked.noisy(exact, noise, generator)
    return {
        "pooled, without privacy": pooled(slice(None)),
        "best single department": max(
            pooled(slice(EACH * place, EACH * place + EACH)) for place in range(len(DEPARTMENTS))
        ),
        "linked, without noise": auc(fitted(study, exact).sums({}, own)),
        "linked": auc(fitted(study, noisy).sums({}, own)),
        "linked, applied to bins": auc(fitted(study, noisy).sums(rows(study, unseen))),
        "standard deviation of the noise in a cell": noise**0.5,
    }


def summary(*, seeds: int, epsilon: float = 1.0, residents: int = RESIDENTS) -> dict[str, float]:
    """Give each figure's mean over some seeds, and how far linked is behind pooled at most."""
    found = [measure(seed=seed, epsilon=epsilon, residents=residents) for seed in range(seeds)]
    means = {name: statistics.mean(item[name] for item in found) for name in found[0]}
    behind = [item["pooled, without privacy"] - item["linked"] for item in found]
    return means | {"linked behind pooled, at most": max(behind)}


def tables() -> tuple[Table, ...]:
    """Give the figures of two seeds as a table (`make bench`)."""
    made = Table(title="A linked fit: AUC on residents it never saw", title_justify="left")
    made.add_column("figure")
    made.add_column("value", justify="right")
    for name, value in summary(seeds=2).items():
        made.add_row(name, f"{value:.4f}")
    return (made,)


def main() -> None:
    """Print the summary as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--epsilon", type=float, default=1.0)
    parser.add_argument("--residents", type=int, default=RESIDENTS)
    chosen = parser.parse_args()
    found = summary(seeds=chosen.seeds, epsilon=chosen.epsilon, residents=chosen.residents)
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
