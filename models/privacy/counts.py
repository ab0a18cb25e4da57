"""Events counted: all that composition needs of a cost, whatever the order they came in."""

from collections import Counter
from dataclasses import replace

from models.governance.cost import Event, JointGaussianEvent, PrivacyCost, SampledGaussianEvent


def counts(cost: PrivacyCost) -> Counter[Event]:
    """Give how often each event occurs; one with a count stands under its form of one step."""
    found: Counter[Event] = Counter()
    for event in cost.events:
        if isinstance(event, SampledGaussianEvent | JointGaussianEvent):
            found[replace(event, count=1)] += event.count
        else:
            found[event] += 1
    return found


def counted(counts: Counter[Event]) -> PrivacyCost:
    """Give the cost of events that were counted (`counts`), in few events."""
    events: list[Event] = []
    for event, count in counts.items():
        if isinstance(event, SampledGaussianEvent | JointGaussianEvent):
            events.append(replace(event, count=count))
        else:
            events.extend([event] * count)
    return PrivacyCost(events=tuple(events))


def merged(cost: PrivacyCost) -> PrivacyCost:
    """Give the same cost in few events: equal ones that have a count are counted together.

    The order is that of first appearance; composition does not depend on it.
    """
    return counted(counts(cost))
