"""What a node may say when it does not do a step: one of a few fixed sentences.

The reason of an error travels to the coordinator in the clear, and the text of an exception
can quote a record. So nothing but these sentences ever leaves; the details stay in the
node's own log.
"""

import enum

from models.errors import BudgetExhaustedError, RefusedError


class Fault(enum.StrEnum):
    """Why a step was not done."""

    REFUSED = "refused"
    BUDGET_EXHAUSTED = "budget exhausted"
    FAILED = "failed at the node"

    @classmethod
    def of(cls, error: BaseException) -> "Fault":
        """Give the sentence that stands for `error`; the error's own text is not read."""
        if isinstance(error, BudgetExhaustedError):
            return cls.BUDGET_EXHAUSTED
        return cls.REFUSED if isinstance(error, RefusedError) else cls.FAILED


def read(reason: str) -> Fault:
    """Give the fault that a node's reason names; any other text counts as `FAILED`, unread."""
    try:
        return Fault(reason)
    except ValueError:
        return Fault.FAILED
