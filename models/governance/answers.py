"""What a node may say when it does not do a step: one of a few fixed sentences.

The reason of an error travels to the coordinator in the clear, and the text of an exception
can quote a record. So nothing but these sentences ever leaves; the details stay in the
node's own log.
"""

import enum
from types import MappingProxyType

from models.errors import (
    BudgetExhaustedError,
    ContextUsedError,
    NotJoinedError,
    RefusedError,
)


class Fault(enum.StrEnum):
    """Why a step was not done."""

    REFUSED = "refused"
    BUDGET_EXHAUSTED = "budget exhausted"
    FAILED = "failed at the node"
    NOT_JOINED = "has no keys for this run"
    ANSWERED = "has answered this attempt before"

    @classmethod
    def of(cls, error: BaseException) -> "Fault":
        """Give the sentence that stands for `error`; the error's own text is not read."""
        for kind, fault in _KINDS.items():
            if isinstance(error, kind):
                return fault
        return cls.FAILED


_KINDS = MappingProxyType(
    {
        BudgetExhaustedError: Fault.BUDGET_EXHAUSTED,
        ContextUsedError: Fault.ANSWERED,
        NotJoinedError: Fault.NOT_JOINED,
        RefusedError: Fault.REFUSED,  # last: the others are refusals too
    }
)


def read(reason: str) -> Fault:
    """Give the fault that a node's reason names; any other text counts as `FAILED`, unread."""
    try:
        return Fault(reason)
    except ValueError:
        return Fault.FAILED
