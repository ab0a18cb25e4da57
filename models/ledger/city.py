"""The city view: what all departments together charged the resident in the worst case.

That resident is in every department and in every population of it. So

- a charge with noise of its own (and what was charged by mistake twice) counts in each ledger in
  which it stands: the departments of a study compose as its attempts do;
- a secure sum, which stands in the ledger of each department that answered, counts once: its
  event counts all departments of a resident already (`models.privacy.accounting.epsilon`, whose
  proof this is). It is the same sum if study, run, step and attempt are; should the ledgers
  disagree about what it cost, everything that any of them says counts. A sum whose event counts
  fewer departments than answered it is taken to count those: the study's word that no resident
  is in so many is not taken for the worst case;
- who trains and who evaluates is the same in all departments (`models.evaluation.holdout`): of
  the two parts of a study the worse counts, as in one ledger (`models.ledger.spending`).
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from models.governance.cost import JointGaussianEvent, PrivacyCost
from models.ledger.account import Account, Counts
from models.ledger.book import TOTAL, year
from models.ledger.entries import ChargeEntry, Part
from models.privacy.counts import counted, counts
from models.quantities import Delta

Slot = tuple[str, str, str, int]
"""Study, run, step and attempt: what there is one secure sum of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CityBalance:
    """What the resident in the worst case has paid in the city, all charges of a kind together.

    Attributes:
        what: `total`, or a calendar year (UTC), or the hash of a study.
        departments: those in whose ledgers something of it stands.
        charges: attempts with noise of a department's own, in all ledgers.
        sums: attempts at secure sums, each counted once.
        epsilon: their ε, composed; None: no bound.
    """

    what: str
    departments: tuple[str, ...]
    charges: int
    sums: int
    epsilon: float | None


@dataclass(slots=True)
class _View:
    """Charges that add up: those of all time, or of a year."""

    local: list[tuple[str, ChargeEntry, PrivacyCost]] = field(default_factory=list)
    joint: dict[Slot, dict[str, Counts]] = field(default_factory=dict)

    def add(self, department: str, charge: ChargeEntry) -> None:
        events = charge.cost.events
        joint = tuple(event for event in events if isinstance(event, JointGaussianEvent))
        local = tuple(event for event in events if not isinstance(event, JointGaussianEvent))
        if local:
            self.local.append((department, charge, PrivacyCost(events=local)))
        if joint:
            slot = (charge.study, charge.run, charge.step, charge.attempt)
            found = self.joint.setdefault(slot, {}).setdefault(department, Counter())
            found.update(counts(PrivacyCost(events=joint)))

    def account(self) -> Account:
        found = Account()
        for _, charge, cost in self.local:
            found.add(charge.study, charge.part, cost)
        for (study, _, step, _), ledgers in self.joint.items():
            found.add(study, Part.of(step), _once(ledgers))
        return found

    def balance(self, what: str, account: Account, *, delta: Delta) -> CityBalance:
        """Give the balance of an account, which is that of the view or of one of its studies."""
        from models.ledger.spending import epsilon  # noqa: PLC0415 - opens the accountant's libraries

        local = [
            (name, charge) for name, charge, _ in self.local if charge.study in account.studies
        ]
        joint = [names for slot, names in self.joint.items() if slot[0] in account.studies]
        spent = epsilon(account, delta=delta)
        return CityBalance(
            what=what,
            departments=tuple(sorted({name for name, _ in local}.union(*joint))),
            charges=len(local),
            sums=len(joint),
            epsilon=spent if math.isfinite(spent) else None,
        )


def balances(
    ledgers: Mapping[str, Sequence[ChargeEntry]], *, delta: Delta
) -> tuple[CityBalance, ...]:
    """Give what was charged in all, per year and per study, by departments with whole ledgers.

    Formal guarantee: an upper bound, as `models.ledger.spending.epsilon`, for every resident who
    is in no ledger but these.

    Raises:
        AccountingError: an event is of an unknown class, or `delta` is too small.
    """
    views: dict[str, _View] = {TOTAL: _View()}
    for department, charges in sorted(ledgers.items()):
        for charge in charges:
            if charge.population is not None:
                views[TOTAL].add(department, charge)
                views.setdefault(year(charge), _View()).add(department, charge)
    order = sorted(views, key=lambda what: (what != TOTAL, what))
    found = [views[what].balance(what, views[what].account(), delta=delta) for what in order]
    account = views[TOTAL].account()
    found += [
        views[TOTAL].balance(study, account.only(study), delta=delta)
        for study in sorted(account.studies)
    ]
    return tuple(found)


def _once(ledgers: Mapping[str, Counts]) -> PrivacyCost:
    """Give the cost of one secure sum, from what each ledger says that it was."""
    found: Counts = Counter()
    for tally in ledgers.values():
        raised: Counts = Counter()
        for event, count in tally.items():
            if isinstance(event, JointGaussianEvent):
                departments = max(event.departments, len(ledgers))
                raised[replace(event, departments=departments)] += count
        found |= raised
    return counted(found)
