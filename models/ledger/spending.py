"""What charges on one population add up to for a resident: all studies composed, from above.

A study charges two kinds of residents, those it trains on and those it evaluates on, and nobody
is both (`models.privacy.plan`); but who is which is drawn anew in each study. So a resident may
be where each study costs most, and studies are composed as follows:

1. for each study, the privacy loss distribution of each part (`accounting.distribution`), as a
   curve of δ over ε, larger of add and remove;
2. the larger of the parts' curves at each point of a grid, joined from above (connect the dots:
   Doroshenko, Ghazi, Kamath, Kumar, Manurangsi 2022). The larger of such curves is again the
   curve of a pair of distributions that dominates all of them (Zhu, Dong, Wang 2022);
3. the studies' distributions composed (dominating pairs compose, also adaptively), ε read off at
   a δ that is 1e-10 smaller than asked for, which covers the floating-point error of the
   transforms, and rounded up.
"""

import math
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from dp_accounting.pld import pld_pmf
from dp_accounting.pld import privacy_loss_distribution as pld

from models.errors import AccountingError
from models.governance.cost import NonPrivateEvent
from models.ledger.account import Account, StudyCosts
from models.ledger.book import TOTAL, Book
from models.ledger.entries import Balance
from models.ledger.limits import SMALLEST_DELTA
from models.privacy import accounting
from models.quantities import Delta

_DEEPEST = 50
"""How many studies are composed on top of what is known (each is a call inside a call)."""

_GRID = 2.0**-8
_MARGIN = 1e-10
_TAIL = 1e-12
"""The δ beyond which a study's curve ends: the loss may be infinite with that probability."""

_STEEPEST = 400.0
"""A study whose ε at `_TAIL` is larger counts as unbounded."""


def epsilon(account: Account, *, delta: Delta) -> float:
    """Give the ε at `delta` of one resident, over all studies of the account, rounded up.

    Formal guarantee: an upper bound under adaptive composition, for add or remove of all of the
    resident's rows. Gives infinity if something was charged that has no bound.

    Raises:
        AccountingError: an event is of an unknown class, or `delta` is below `SMALLEST_DELTA`.
    """
    if delta.value < SMALLEST_DELTA:
        raise AccountingError(
            f"δ = {delta.value:g} is smaller than what can be accounted for",
            hint=f"choose δ of at least {SMALLEST_DELTA:g}",
        )
    costs = account.costs()
    if not costs:
        return 0.0
    if _unbounded(costs):
        return math.inf
    for first in range(_DEEPEST, len(costs), _DEEPEST):
        _composed(costs[:first])  # known then, so that the next one need not go deeper
    total = _composed(costs)
    if total is None:
        return math.inf
    return accounting.read_off(total, delta=Delta(delta.value - _MARGIN))


def balances(book: Book, *, delta: Delta) -> tuple[Balance, ...]:
    """Give what each population paid: in all, per year, and per study. Raises as `epsilon`."""
    found = []
    for (population, what), account in sorted(book.accounts.items()):
        parts = [(what, account)]
        if what == TOTAL:
            parts += [(study, account.only(study)) for study in sorted(account.studies)]
        for name, one in parts:
            spent = epsilon(one, delta=delta)
            found.append(
                Balance(
                    population=population,
                    what=name,
                    charges=sum(one.charges.values()),
                    epsilon=spent if math.isfinite(spent) else None,
                )
            )
    return tuple(found)


def _unbounded(costs: Iterable[StudyCosts]) -> bool:
    return any(
        isinstance(event, NonPrivateEvent)
        for parts in costs
        for part in parts
        for event in part.events
    )


@lru_cache(maxsize=64)
def _composed(costs: tuple[StudyCosts, ...]) -> pld.PrivacyLossDistribution | None:
    """Compose the studies; all but the last are usually known from the call before."""
    *others, last = costs
    own = _worst(last)
    if own is None or not others:
        return own
    before = _composed(tuple(others))
    return None if before is None else before.compose(own)


@lru_cache(maxsize=256)
def _worst(parts: StudyCosts) -> pld.PrivacyLossDistribution | None:
    """Give a distribution that is at least as bad as each part's; None: not bounded."""
    found = [accounting.distribution(part) for part in parts]
    top = max(one.get_epsilon_for_delta(_TAIL) for one in found)
    if not top <= _STEEPEST:
        return None
    points = max(1, math.ceil(top / _GRID))
    losses = np.arange(points + 1) * _GRID
    above = np.max([one.get_delta_for_epsilon(losses) for one in found], axis=0).clip(0.0, 1.0)
    # At a negative ε the curve of "remove" is that of "add" at its positive, mirrored, and the
    # larger of the two is taken at both: one distribution then stands for both directions.
    mirrored = losses[:0:-1]
    below = -np.expm1(-mirrored) + np.exp(-mirrored) * above[:0:-1]
    curve = np.concatenate([below.clip(0.0, 1.0), above])
    pmf = pld_pmf.create_pmf_pessimistic_connect_dots_fixed_gap(
        _GRID, -points, points, np.minimum.accumulate(curve)
    )
    return pld.PrivacyLossDistribution(pmf)
