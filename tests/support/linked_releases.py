"""Releases of a linked study for tests, made from tables that are written down here."""

from datetime import UTC, datetime

import linked_studies
import numpy as np

from coordinator.release import linked_bundle
from coordinator.release.bundle import ReleaseBundle
from models import documents
from models.governance.linked import LinkedStudy
from models.governance.questions import Comparison, Table
from models.linkage import plan as plans
from models.linkage.estimates.figures import Answer, Figure, Point, Series, Wald
from models.linkage.tables import NoisyTable, Opened, Total
from models.quantities import NoiseVariance

MADE = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
GRADES = np.array([[100.0, 900.0], [250.0, 250.0], [60.0, 940.0]])
"""Residents by assistance (no, yes, no record) and eligible (no, yes), without noise."""

DROWNED = Figure(
    kind="log-odds",
    name="eligible = yes | begun late",
    value=0.25,
    low=-1.5,
    high=2.0,
    noise=1.7,
    drowned=True,
    note="A note of its own.",
)
UNKNOWN = Figure(
    kind="log-odds",
    name="eligible = yes | never begun",
    value=None,
    low=None,
    high=None,
    noise=None,
    drowned=True,
    note="Too few.",
)
CURVE = Series(
    kind="survival",
    name="begun by month 6",
    points=tuple(
        Point(at=float(month), value=0.9**month, low=0.8 * 0.9**month, high=0.9**month)
        for month in range(25)
    ),
)
ANSWER = Answer(
    question="eligibility",
    analysis="leaving by month",
    figures=(DROWNED, UNKNOWN),
    series=(CURVE,),
    tests=(Wald(name="begun early, begun late", statistic=44.0, degrees=2, p=1e-8),),
    notes=("A note of all.",),
)
"""With all that an answer may have."""


def study(**changes: object) -> LinkedStudy:
    """Give the study of the releases: eligible pupils by long-term assistance, compared."""
    compared = Comparison(
        kind="compare", outcome="eligible", by="assistance", as_first=("assistance",)
    )
    asked = Table(
        kind="table",
        name="eligibility",
        title=linked_studies.TEXT,
        of=("eligible", "assistance"),
        analyses=(compared,),
    )
    base = linked_studies.school_study(**changes)
    mapping = {name: getattr(base, name) for name in base.__dataclass_fields__}
    return documents.read(LinkedStudy, mapping | {"questions": (asked,)}, what="the study")


def opened(asked: LinkedStudy, counts: np.ndarray = GRADES) -> Opened:
    """Give tables with these residents and the variance of the study's noise, but without it."""
    plan = plans.plan(asked)
    (target,) = plan.layout.targets
    table = NoisyTable(
        question=target.question,
        table=target.table,
        axes=target.axes,
        counts=counts if target.axes[0].variable == "assistance" else counts.T,
        variance=plan.noise.variance,
    )
    rest = tuple(
        Total(department=name, unlinked=12.5, protected=-1.25, variance=NoiseVariance(4.0))
        for name in asked.departments
    )
    return Opened(tables=(table,), totals=rest)


def made(
    asked: LinkedStudy, run: int, *, counts: np.ndarray = GRADES, at: datetime = MADE
) -> ReleaseBundle:
    """Give a release of the study by that run."""
    return linked_bundle.build(
        study=asked,
        run_id=run,
        opened=opened(asked, counts),
        residents=900,
        erased=dict.fromkeys(("coordinator", "auditor"), 1),
        finished=1,
        created_at=at,
    )
