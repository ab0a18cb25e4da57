"""How the tables of a linked study are protected: how far one unit can move them, and the noise.

Formal guarantee: let D and D' be the records of all departments, with and without everything they
hold about one unit (a resident, or all residents of a household of the register); who is in the
register is public. The vector of all opened cells and totals moves between D and D' by at most
`CountNoise.reach` counts (L2). Proof: a group has at most one 1 in a row, so a row adds at most 1
to one cell of a target. A target is *based* if some axis, of the residents' own records, has no
category for `no record`: then only rows with such a record count. Of matched variables one counts
for a row, and which one differs from row to row; `models.linkage.layout` has them alike in whose
records they are of and in that category, so that each stands for all.

1. Without households: one row. It loses its 1 (moves by 1) if the target is based, and else goes to
   the cell of those without records (√2).
2. Else a department's own records count for at most r = `rows_per_household` residents of a
   household (`node.work.spine`), so a household adds to a based target a vector of counts with sum
   at most r. Taking the household away takes all of it (r). Taking one resident away may change
   which of the household's rows count, and, by what the household has, where: at most r·√2, for
   two such vectors are never further apart.
3. Where a target is not based, every row counts, and those move (√2 each) that some department
   counts, or counts instead: at most r for each of the k departments, and r more.

`bound` says which; all targets together move by at most the root of the sum of squares. Each
department's two totals count a unit once, in one of them, in quarters. The three servers' shares of
the noise are independent, N_Z(0, s²) each; two of them are enough (`CARRIERS`), so that one server
may know, or leave out, its own. The cost of an opened run is that of the Gaussian mechanism with
`noise` (`models.privacy.shared_noise`, steps 2 and 3).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

from models import documents
from models.errors import AccountingError, BudgetExhaustedError, UsageError
from models.governance.cost import JointGaussianEvent, NonPrivateEvent, PrivacyCost
from models.governance.linked import LinkedStudy
from models.governance.study import Protection
from models.linkage.groups import Layout, Target
from models.linkage.layout import layout
from models.privacy import shared_noise
from models.privacy.sampler import LARGEST_SCALE
from models.privacy.shared_noise import LogGap
from models.quantities import ClipNorm, NoiseMultiplier, NoiseVariance, SamplingRate
from models.schema import STRICT
from models.secagg.rings import Ring, SumMayWrapError, SumPlan
from models.training import search
from models.training.terms import GaussianMu

SERVERS, CARRIERS = 3, 2
TOTALS = 2
"""Per department: residents of its records who are not in the register, and units with protected
identity that were left out."""

_FEWEST_BITS, _MOST_BITS = 4, 12
_TOTAL_BITS = 2
"""A total counts in quarters of a count: it is known less well, and costs less."""

_FINE = 64
"""Units of noise (standard deviation of a share) below which the unit is made finer."""

_MARGIN = 1e-6
_WIDENING = 16
_INWARDS = 1 - 2.0**-40
_BODY = 4 << 20
_CROSSED = 16 << 20
_FEWEST_ROWS, _MOST_ROWS = 64, 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class CountNoise:
    """The integers of the opened vector: 2^bits units to a count, each server's share of the noise.

    Attributes:
        bits: 2^bits units stand for one count.
        scale: standard deviation of a server's share, in units; 0: no noise.
        reach: how far one unit can move the vector, in counts (L2).
        length: how many numbers are opened.
    """

    __pydantic_config__ = STRICT

    bits: int
    scale: int
    reach: ClipNorm
    length: int

    @property
    def noise(self) -> NoiseMultiplier:
        """Give the standard deviation that surely remains over the reach; rounded down.

        Raises:
            AccountingError: there is no noise.
        """
        if self.scale == 0:
            raise AccountingError("tables without noise have no noise multiplier")
        left = math.sqrt(CARRIERS * self.scale**2 - _WIDENING)
        return NoiseMultiplier(left / (self.reach.value * (1 << self.bits)) * _INWARDS)

    @property
    def variance(self) -> NoiseVariance:
        """Give the variance of one cell, in counts: all three shares are in it."""
        return NoiseVariance(SERVERS * (self.scale / (1 << self.bits)) ** 2)

    def log_gap(self, openings: int) -> LogGap:
        """Give how far the sums of shares are from one discrete Gaussian, over `openings`."""
        if self.scale == 0:
            return LogGap(0.0)
        each = math.exp(-(math.pi**2) * self.scale**2)
        return LogGap(10 * each * self.length * openings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that a run of a linked study is agreed on, beside the layout.

    Attributes:
        layout: what is computed.
        noise: of every opening.
        ring: that the shares are in.
        rows: residents in a chunk; the last one may be shorter.
        octets: the memory that a server surely needs no more than, in bytes.
    """

    layout: Layout
    noise: CountNoise
    ring: Ring
    rows: int
    octets: int

    def chunks(self, residents: int) -> int:
        """Give how many chunks a spine of that length has."""
        return -(-residents // self.rows)


MOST_OCTETS = 1 << 30
"""What a server may need of memory; a study that needs more is refused."""


@lru_cache(maxsize=64)
def plan(study: LinkedStudy) -> Plan:
    """Give the plan of a study. Pure; searches the least noise that keeps (ε, δ) over its runs.

    Raises:
        UsageError: a question cannot be asked so, no noise keeps so small an ε, or the study
            needs more memory than a server has.
        BudgetExhaustedError: the accountant finds the noise too small.
    """
    made = layout(study)
    length = made.cells + TOTALS * len(study.departments)
    reach = _reach(study, made)
    noise = _noise(study, reach=reach, length=length)
    ring = _ring(study, noise)
    rows = _rows(study, made, ring)
    octets = _octets(study, made, ring, rows)
    if octets > MOST_OCTETS:
        raise UsageError(
            f"the study {study.study} needs {octets >> 20:,} MiB of memory at a server; "
            f"{MOST_OCTETS >> 20:,} are the most",
            hint="Ask for tables of fewer categories, or of fewer departments at once.",
        )
    return Plan(layout=made, noise=noise, ring=ring, rows=rows, octets=octets)


def cost(study: LinkedStudy) -> PrivacyCost:
    """Give what one run costs a unit, all departments together."""
    if study.privacy.protection is Protection.NONE:
        return PrivacyCost(events=(NonPrivateEvent(),))
    return PrivacyCost(events=(_event(plan(study).noise.noise, count=1),))


def budget(study: LinkedStudy) -> PrivacyCost:
    """Give what all runs that the study pays for may cost a unit."""
    if study.privacy.protection is Protection.NONE:
        return PrivacyCost(events=(NonPrivateEvent(),))
    return PrivacyCost(events=(_event(plan(study).noise.noise, count=study.privacy.runs),))


def epsilon(study: LinkedStudy, *, runs: int) -> float | None:
    """Give the ε of so many runs at the study's δ, rounded up; None: no bound.

    Raises:
        AccountingError: see `models.privacy.accounting.epsilon`.
    """
    delta = study.privacy.delta
    if delta is None:
        return None
    noise = plan(study).noise
    spent = PrivacyCost(events=(_event(noise.noise, count=runs),))
    return shared_noise.epsilon(spent, delta=delta, gap=noise.log_gap(runs))


def digest(study: LinkedStudy) -> str:
    """Give the hash of the noise that keys and messages of a run are bound to."""
    return documents.digest(documents.write(plan(study).noise), domain="linked-plan")


def bound(study: LinkedStudy, target: Target) -> ClipNorm:
    """Give how far one unit can move one table, in counts (L2).

    Raises:
        UsageError: nothing bounds it.
    """
    # Of matched variables one counts for a row; they are alike, so the first stands for all.
    own = [study.variable(name) for name in (*target.based, *target.matched[:1])]
    resident = [item for item in own if item.of == "resident"]
    based = not all(item.absent for item in resident)
    if len(resident) < len(own) and not based:
        raise UsageError(
            f"the table {target.table} counts residents by what their household has",
            hint="Add a variable of the residents' own without `absent`: whom it is about.",
        )
    household = study.privacy.unit == "household"
    limited = household or study.linking
    rows = study.privacy.rows_per_household if limited else 1
    if based:
        return ClipNorm(rows * (1.0 if household or not limited else math.sqrt(2)))
    selections = 1 + len({item.department for item in own}) if limited else 1
    return ClipNorm(rows * selections * math.sqrt(2))


def _reach(study: LinkedStudy, made: Layout) -> ClipNorm:
    squares = math.fsum(bound(study, target).value ** 2 for target in made.targets)
    totals = len(study.departments) / 4**_TOTAL_BITS
    return ClipNorm(math.nextafter(math.sqrt(squares + totals), math.inf))


def _event(noise: NoiseMultiplier, *, count: int) -> JointGaussianEvent:
    return JointGaussianEvent(sampling=SamplingRate(1.0), noise=noise, departments=1, count=count)


def _noise(study: LinkedStudy, *, reach: ClipNorm, length: int) -> CountNoise:
    privacy = study.privacy
    if privacy.epsilon is None or privacy.delta is None:
        return CountNoise(bits=_FEWEST_BITS, scale=0, reach=reach, length=length)
    wanted, delta = privacy.epsilon, privacy.delta

    def excess(noise: NoiseMultiplier) -> float:
        spent = PrivacyCost(events=(_event(noise, count=privacy.runs),))
        found = shared_noise.epsilon(spent, delta=delta, gap=LogGap(0.0))
        return math.log(found / (wanted.value * (1 - _MARGIN)))

    start = math.sqrt(privacy.runs) / GaussianMu.of(wanted, delta).value
    made = _units(search.least(excess, start=start), reach=reach, length=length)
    spent = PrivacyCost(events=(_event(made.noise, count=privacy.runs),))
    if shared_noise.epsilon(spent, delta=delta, gap=made.log_gap(privacy.runs)) > wanted.value:
        raise BudgetExhaustedError(f"the tables of {study.study} would cost more than its ε")
    return made


def _units(noise: NoiseMultiplier, *, reach: ClipNorm, length: int) -> CountNoise:
    """Give the integers that surely carry `noise`, in units fine enough for the proof."""
    for bits in range(_FEWEST_BITS, _MOST_BITS + 1):
        wanted = noise.value * reach.value * (1 << bits) / _INWARDS
        scale = math.ceil(math.sqrt((wanted**2 + _WIDENING) / CARRIERS) / _INWARDS)
        if _FINE <= scale <= LARGEST_SCALE:
            return CountNoise(bits=bits, scale=scale, reach=reach, length=length)
    raise UsageError(
        "no reasonable amount of noise keeps this ε",
        hint="Raise ε, or ask fewer questions at once.",
    )


def _ring(study: LinkedStudy, noise: CountNoise) -> Ring:
    for ring in Ring:
        try:
            SumPlan(
                ring=ring,
                length=noise.length,
                largest=study.register.residents << noise.bits,
                scale=max(noise.scale, 1),
            ).check(SERVERS)
        except (SumMayWrapError, ValueError):
            continue
        return ring
    raise UsageError(f"the counts of {study.study} do not fit into 64 bits")


def _rows(study: LinkedStudy, made: Layout, ring: Ring) -> int:
    widest = max(made.columns(department) for department in study.departments)
    rows = _BODY // (widest * ring.octets)
    crossed = sum(item.width for item in made.derived)
    if crossed:
        rows = min(rows, _CROSSED // (crossed * ring.octets))
    return min(max(rows, _FEWEST_ROWS), _MOST_ROWS)


def _octets(study: LinkedStudy, made: Layout, ring: Ring, rows: int) -> int:
    """Give a bound of a server's memory: two shares of a chunk, once more in work, and the sums."""
    columns = sum(made.columns(department) for department in study.departments)
    crossed = sum(item.width for item in made.derived)
    products = max((made.width(t.left) * made.width(t.right or 0) for t in made.targets), default=0)
    held = rows * (columns * 5 + crossed * 6) * ring.octets
    return held + (3 * made.cells + 2 * products) * 8
