"""`CellFit`: logistic regression on the noisy cells of a table (see `scoring`)."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg, stats

from models.governance.questions import CellFit
from models.linkage.estimates import terms as columns
from models.linkage.estimates.figures import Answer, Figure, Kind, Spread, Wald, normal, unknown
from models.linkage.estimates.levels import counted, levels, merged
from models.linkage.estimates.scores import Score, ScoreTerm
from models.linkage.estimates.scoring import UNCLEAR, LogisticFit, solve
from models.linkage.estimates.terms import Design, Term
from models.linkage.tables import Counts, NoisyTable
from models.quantities import NoiseVariance

NOT_DETERMINED = "the counts do not determine it"
HIDDEN = "noise hides how many residents these are; they were left out"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Covariances:
    """What residents (sampling) and noise do to the weights of a fit: (terms, terms) each."""

    sampling: Counts
    noise: Counts

    def spread(self, place: int) -> Spread:
        """Give the variances of one weight."""
        return Spread(
            sampling=max(float(self.sampling[place, place]), 0.0),
            noise=NoiseVariance(max(float(self.noise[place, place]), 0.0)),
        )


def fit_cells(asked: CellFit, table: NoisyTable) -> Answer:
    """Give the regression that was asked of a table.

    Residents whose outcome is `missing` or `no record` are left out, and those without a number
    for a linear term. For each column: `log-odds` adjusted for all others, and `crude log-odds`
    from a fit with its term alone. The noise is part of every interval and of the test.
    """
    made = [_term(asked, table, name) for name in asked.terms]
    pairs = [(asked.terms.index(one), asked.terms.index(other)) for one, other in asked.products]
    whole = columns.design(made, products=pairs)
    fit, spread = _fitted(asked, table, made, whole)
    figures = weighed("log-odds", whole.names, matrix=whole.matrix, fit=fit, spread=spread)
    if len(made) > 1 or pairs:
        for term in made:
            alone = columns.design([term])
            crude, its = _fitted(asked, table, [term], alone)
            figures += weighed(
                "crude log-odds", alone.names, matrix=alone.matrix, fit=crude, spread=its
            )
    tested = whole.places({asked.terms.index(name) for name in asked.test})
    found = wald(", ".join(asked.test), tested, fit, spread) if tested else None
    return Answer(
        question=table.question,
        analysis=f"logistic regression of {asked.outcome} on {', '.join(asked.terms)}",
        figures=tuple(figures),
        tests=() if found is None else (found,),
        scores=(_score(asked, whole, fit),),
        notes=() if fit.clear else (UNCLEAR,),
    )


def _term(asked: CellFit, table: NoisyTable, name: str) -> Term:
    axis, first = table.axes[table.axis(name)], name in asked.as_first
    if name not in asked.linear:
        return columns.indicators(axis, levels(axis, as_first=first))
    centre = asked.centres[asked.linear.index(name)] if asked.centres else 0.0
    return columns.linear(axis, counted(axis, as_first=first), centre=centre)


def _fitted(
    asked: CellFit, table: NoisyTable, made: list[Term], design: Design
) -> tuple[LogisticFit, Covariances]:
    """Fit a design to the table, added up over all variables but its terms."""
    axis = table.axes[table.axis(asked.outcome)]
    outcome = counted(axis, as_first=asked.outcome in asked.as_first)
    chosen = [(term.axis.variable, term.levels) for term in made]
    cells = merged(table, [(asked.outcome, outcome), *chosen])
    counts, variances = (item.reshape(2, -1) for item in (cells.counts, cells.variances))
    fit = solve(design.matrix, counts[1], counts.sum(axis=0), variances=variances.sum(axis=0))
    return fit, _covariances(fit, design.matrix, counts, variances)


def _covariances(
    fit: LogisticFit, matrix: Counts, counts: Counts, variances: Counts
) -> Covariances:
    """Give what a resident, or the noise, in each cell does to the weights.

    One more in a cell moves the score by x (1 - p) with the outcome and by -x p without.
    """
    moves = np.stack([fit.chances**2, (1 - fit.chances) ** 2]) * fit.counted
    sampled, disturbed = (moves * counts).sum(axis=0), (moves * variances).sum(axis=0)
    return Covariances(
        sampling=fit.covariance((matrix * sampled[:, None]).T @ matrix),
        noise=fit.covariance((matrix * disturbed[:, None]).T @ matrix),
    )


def weighed(
    kind: Kind,
    names: tuple[str, ...],
    *,
    matrix: Counts,
    fit: LogisticFit,
    spread: Covariances,
) -> list[Figure]:
    """Give a figure for each weight but the intercept, which is the first.

    What noise may hide is judged from the lowest to the highest value of the column.
    """
    note = "" if fit.clear else UNCLEAR
    ranges = np.ptp(matrix, axis=0)
    noisy = fit.noisy
    made = []
    for at, name in enumerate(names[1:], start=1):
        if not fit.determined[at]:
            text = HIDDEN if noisy else NOT_DETERMINED
            made.append(unknown(kind, name, noisy=noisy, note=text))
            continue
        value, its = float(fit.weights[at]), spread.spread(at)
        figure = normal(kind, name, value=value, spread=its, scale=1 / float(ranges[at]), note=note)
        hidden = figure.drowned or (noisy and not fit.clear)
        made.append(replace(figure, drowned=hidden))
    return made


def wald(name: str, places: list[int], fit: LogisticFit, spread: Covariances) -> Wald | None:
    """Test whether all these weights are zero; None: the counts determine none of them."""
    known = [place for place in places if fit.determined[place]]
    if not known:
        return None
    both = (spread.sampling + spread.noise)[np.ix_(known, known)]
    weights = fit.weights[known]
    # Sampling variances are estimated from noisy counts: what is not positive is not known.
    statistic = max(float(weights @ linalg.pinvh(both) @ weights), 0.0)
    return Wald(
        name=name,
        statistic=statistic,
        degrees=len(known),
        p=float(stats.chi2.sf(statistic, len(known))),
    )


def _score(asked: CellFit, design: Design, fit: LogisticFit) -> Score:
    return Score(
        kind="logistic",
        outcome=asked.outcome,
        intercept=float(fit.weights[0]),
        terms=tuple(
            ScoreTerm(name=name, parts=parts, weight=float(weight))
            for name, parts, weight in zip(
                design.names[1:], design.parts[1:], fit.weights[1:], strict=True
            )
        ),
    )
