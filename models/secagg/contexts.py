"""What a masked message is bound to, and the durable memory of what was answered.

A context is everything that must be the same at all members for their masks to cancel. It is
used once: two messages under the same masks would give away the difference of their values. So
whoever answers first writes the entry down durably, through its implementation of
`UsedContexts`, and only that gives the `Receipt` without which no message is made.
"""

import abc
import enum
from dataclasses import dataclass
from typing import Annotated, Final, NoReturn, final

from pydantic import Field

from models import documents
from models.errors import ContextUsedError, RefusedError
from models.governance.step import Hex64
from models.schema import STRICT, Slug
from models.secagg.agreement import Agreement
from models.secagg.rings import SumPlan
from models.secagg.signing import Run

StepName = Annotated[str, Field(pattern=r"^[a-z][a-z-]{0,31}(/(0|[1-9][0-9]{0,8})){0,3}$")]
"""One secure sum of a run, such as `train/3/17`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One attempt at one step, and all that its members must agree on.

    Each member fills in what it holds itself: a hash that was copied from the coordinator's
    message binds nothing.

    Attributes:
        step, attempt: which sum of the run, and which try at it, from 1.
        cohort: `Cohort.digest()` of the run.
        model: hash of the model that the values were computed with.
        privacy: hash of the study's privacy parameters (ε, δ, clip, sampling, accounting).
        code: digest of the code that computes the values.
        plan: ring, length, bound and noise of the sum.
    """

    __pydantic_config__ = STRICT

    study: Hex64
    run: Run
    step: StepName
    attempt: Annotated[int, Field(strict=True, ge=1, le=1000)]
    cohort: Hex64
    model: Hex64
    privacy: Hex64
    code: Hex64
    plan: SumPlan

    def digest(self) -> str:
        """Give the hash that goes into every mask: 64 hex digits over the canonical document."""
        return documents.digest(documents.write(self), domain="secure-sum-context")


class Purpose(enum.StrEnum):
    """What an entry allows: a node's one message, or the witness's sum for one set.

    `message`: with values that are charged together with the entry. `released`: with a release
    that was charged and stored before.
    """

    MESSAGE = "message"
    RELEASED = "released"
    SET = "set"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is kept of one answer, for ever. `slot` is its key; a second entry is refused.

    `members` are those of the cohort, or of the set whose masks the witness sums.
    """

    __pydantic_config__ = STRICT

    purpose: Purpose
    study: Hex64
    run: Run
    step: StepName
    attempt: int
    context: Hex64
    members: tuple[Slug, ...]

    @property
    def slot(self) -> tuple[Purpose, str, int, str, int]:
        """Give what there may be one entry for, whatever the context's other parts are."""
        return self.purpose, self.study, self.run, self.step, self.attempt


_MINT: Final = object()


@final
class Receipt:
    """The proof that an entry was written down before; good for one message."""

    __slots__ = ("_entry", "_unspent")

    def __init__(self, entry: Entry, mint: object) -> None:
        """Refuse everybody but `UsedContexts.use`."""
        if mint is not _MINT:
            raise RefusedError("a receipt is given by UsedContexts alone")
        self._entry = entry
        self._unspent = [entry]

    def spend(self, entry: Entry) -> None:
        """Use the receipt up.

        Raises:
            RefusedError: it is for another entry.
            ContextUsedError: it was spent.
        """
        if entry != self._entry:
            raise RefusedError("the receipt is for another context")
        try:
            self._unspent.pop()  # atomic: of two threads one gets it
        except IndexError:
            raise ContextUsedError("the receipt has been used") from None

    def __reduce__(self) -> NoReturn:
        """Refuse copies: each would be good for a message of its own."""
        raise RefusedError("a receipt cannot be copied")


class UsedContexts(abc.ABC):
    """The port to a member's durable memory; one per member, kept over restarts and runs.

    An implementation provides `insert`, and nothing else. It may do more in the same
    transaction, such as charging the ledger.
    """

    @abc.abstractmethod
    def insert(self, entry: Entry) -> Entry | None:
        """Write `entry` unless its slot has one; give the one that the slot had, or None.

        Must be atomic between threads and processes. What it writes must have reached the disk
        when it returns, and must never be removed or restored to an older state.

        Raises:
            StorageError: it could not be written.
        """

    @final
    def use(self, entry: Entry) -> Receipt:
        """Write the entry down and give the receipt for its one message.

        The witness may ask again for the very set it gave: the answer is the same.

        Raises:
            ContextUsedError: the slot was used.
            StorageError: it could not be written.
        """
        before = self.insert(entry)
        if before is None or (before == entry and entry.purpose is Purpose.SET):
            return Receipt(entry, _MINT)
        if entry.purpose is Purpose.SET:
            raise ContextUsedError("the witness has given its sum for another set or context")
        raise ContextUsedError("this attempt at the step has been answered; ask for a new one")


def entry(purpose: Purpose, context: Context, members: tuple[str, ...]) -> Entry:
    """Give the entry to write down for a context."""
    return Entry(
        purpose=purpose,
        study=context.study,
        run=context.run,
        step=context.step,
        attempt=context.attempt,
        context=context.digest(),
        members=members,
    )


def check(context: Context, agreement: Agreement) -> None:
    """Refuse a context that is not of the agreed run, or that its roster does not allow.

    Raises:
        RefusedError: another study, run or cohort, or more attempts than the roster allows.
        SumMayWrapError: the plan's sum may not fit.
    """
    cohort = agreement.cohort
    if (context.study, context.run) != (cohort.study, cohort.run):
        raise RefusedError("the step is of another study or run")
    if context.cohort != cohort.digest():
        raise RefusedError("the step asks for another cohort than the run's")
    if not 1 <= context.attempt <= agreement.roster.attempts:
        raise RefusedError(
            f"attempt {context.attempt} is not among the {agreement.roster.attempts} allowed"
        )
    context.plan.check(len(cohort.members))
