"""Whether a charge keeps the limits on a population, without adding up everything each time."""

from collections.abc import Iterator

from models.errors import BudgetExhaustedError
from models.ledger.account import Account
from models.ledger.book import TOTAL, Book, keys
from models.ledger.entries import ChargeEntry
from models.ledger.limits import Limits
from models.quantities import Epsilon

_AHEAD = (64, 8, 1)
"""How many charges like the present one are tried together, to know the next ones from it."""


def _wider(fits: Account | None, account: Account, charge: ChargeEntry) -> Iterator[Account]:
    """Give accounts that may keep the limit with the charge in them, the widest first.

    What is known to keep it may hold charges ahead of other studies, whose turn comes again.
    """
    for base in (account,) if fits is None else (fits, account):
        for ahead in _AHEAD:
            yield base.plus(charge.study, charge.part, charge.cost, times=ahead)


class Meter:
    """The limits of one node.

    Formal guarantee: a charge passes only if what its population has then paid, in its year and
    in all, is at most the limit, by `models.ledger.spending.epsilon`. What was found to keep the
    limit is remembered: an account with no more of any event in any study keeps it too.
    """

    def __init__(self, limits: Limits) -> None:
        """Keep the limits."""
        self._limits = limits
        self._fits: dict[tuple[str, str], Account] = {}

    def check(self, book: Book, charge: ChargeEntry) -> None:
        """Refuse the charge if it would exceed a limit; `book` is the ledger without it.

        Raises:
            BudgetExhaustedError: which limit, what is spent, and what is left.
            AccountingError: an event is of an unknown class.
        """
        from models.ledger.spending import epsilon  # noqa: PLC0415 - opens the accountant's libraries

        for population, what in keys(charge):
            limit = self.limit(what)
            account = book.account(population, what)
            fits = self._fits.get((population, what))
            after = account.plus(charge.study, charge.part, charge.cost)
            if fits is not None and after.within(fits):
                continue
            for wide in _wider(fits, account, charge):
                if after.within(wide) and epsilon(wide, delta=self._limits.delta) <= limit.value:
                    self._fits[population, what] = wide
                    break
            else:
                self._refuse(population, what, account, after)

    def limit(self, what: str) -> Epsilon:
        """Give the limit of a year, or of `total`."""
        return self._limits.total if what == TOTAL else self._limits.per_year

    def _refuse(self, population: str, what: str, account: Account, after: Account) -> None:
        from models.ledger.spending import epsilon  # noqa: PLC0415 - as above

        delta, limit = self._limits.delta, self.limit(what).value
        spent, then = epsilon(account, delta=delta), epsilon(after, delta=delta)
        name = "in all" if what == TOTAL else f"in {what}"
        raise BudgetExhaustedError(
            f"this node allows ε {limit:g} {name} for its population {population!r} "
            f"(δ {delta.value:g}): ε {spent:.3f} is spent, ε {max(limit - spent, 0):.3f} is left, "
            f"and the step would bring it to ε {then:.3f}",
            hint="`datalabbet-node ledger show` tells on which studies it was spent.",
        )
