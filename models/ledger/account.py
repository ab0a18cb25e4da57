"""What the residents of one population were charged: events counted per study."""

from collections import Counter
from dataclasses import dataclass, field

from models.governance.cost import Event, PrivacyCost
from models.ledger.entries import Part
from models.privacy.counts import counted, counts

Counts = Counter[Event]
StudyCosts = tuple[PrivacyCost, ...]
"""The cost of each part of a study that was charged: a resident pays one of them."""


@dataclass(slots=True)
class Account:
    """Charges on one population; studies stand in the order in which they were last charged."""

    studies: dict[str, dict[Part, Counts]] = field(default_factory=dict)
    charges: dict[str, int] = field(default_factory=dict)

    def add(self, study: str, part: Part, cost: PrivacyCost, *, times: int = 1) -> None:
        """Count a cost so many times."""
        parts = self.studies.pop(study, {})
        tally = Counter(parts.get(part, Counter()))
        for event, count in counts(cost).items():
            tally[event] += count * times
        # Put back at the end: what the others add up to is then known from before (`spending`).
        self.studies[study] = {**parts, part: tally}
        self.charges[study] = self.charges.get(study, 0) + times

    def plus(self, study: str, part: Part, cost: PrivacyCost, *, times: int = 1) -> "Account":
        """Give the account with a cost more; this one stays as it is."""
        found = Account(studies=dict(self.studies), charges=dict(self.charges))
        found.add(study, part, cost, times=times)
        return found

    def within(self, other: "Account") -> bool:
        """Tell whether every event of every study is there as often in the other account."""
        for study, parts in self.studies.items():
            others = other.studies.get(study, {})
            for part, tally in parts.items():
                known = others.get(part)
                if known is None or any(count > known[event] for event, count in tally.items()):
                    return False
        return True

    def costs(self) -> tuple[StudyCosts, ...]:
        """Give what each study cost, in order."""
        return tuple(
            tuple(counted(parts[part]) for part in Part if part in parts)
            for parts in self.studies.values()
        )

    def only(self, study: str) -> "Account":
        """Give the account of one study."""
        return Account(studies={study: self.studies[study]}, charges={study: self.charges[study]})
