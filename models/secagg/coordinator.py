"""The coordinator's part of a step: check what arrives, add it up, read the sum.

    state = start(roster, cohort, context)
    state = received(state, message, sender=name)    for every message
    found = total(state)                             pairwise
    found = total(state, mask_sum)                   witness, both: with the answer to `request`

`total` and `request` give a `NewAttempt` where a member is missing that cannot be done without:
the step must be asked again under the next attempt, with fresh noise and a new charge. Nothing
here protects anybody from the coordinator; the checks keep mistakes and strangers out of the sum.
"""

from dataclasses import dataclass, field, replace

from models.errors import ProtocolViolationError, RefusedError
from models.governance.roster import Roster
from models.privacy.sampler import Integers
from models.secagg import witness
from models.secagg.agreement import Cohort
from models.secagg.contexts import Context
from models.secagg.node import Masked
from models.secagg.rings import Words
from models.secagg.witness import MaskSum, SetRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """What has arrived in one attempt: who answered, and the sum of their masked messages."""

    roster: Roster
    cohort: Cohort
    context: Context
    digest: str
    answered: frozenset[str] = frozenset()
    words: Words = field(repr=False, compare=False)

    @property
    def missing(self) -> tuple[str, ...]:
        """Give the departments that have not answered, in order."""
        return tuple(name for name in self.cohort.names if name not in self.answered)


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """The sum, with its noise, over `members`. `values`: int64, one per coordinate."""

    members: tuple[str, ...]
    values: Integers = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAttempt:
    """The attempt failed: `missing` did not answer. `left`: how many more may be asked for."""

    missing: tuple[str, ...]
    left: int


def start(roster: Roster, cohort: Cohort, context: Context) -> Collection:
    """Begin an attempt.

    Raises:
        RefusedError: the context is not for this cohort.
        SumMayWrapError: the sum may not fit into the ring.
    """
    if cohort.roster != roster.digest() or context.cohort != cohort.digest():
        raise RefusedError("the step asks for another cohort than the run's")
    context.plan.check(len(cohort.members))
    return Collection(
        roster=roster,
        cohort=cohort,
        context=context,
        digest=context.digest(),
        words=context.plan.ring.zeros(context.plan.length),
    )


def received(state: Collection, message: Masked, *, sender: str) -> Collection:
    """Add a message that came over the connection of `sender`.

    Raises:
        ProtocolViolationError: it is in another's name, of no member of the cohort, for another
            context, of another length, or the member's second one. `state` is unchanged.
    """
    if message.member != sender:
        raise ProtocolViolationError(f"{sender} sent a message in another's name")
    if sender not in state.cohort.names:
        raise ProtocolViolationError(f"{sender} is not in the cohort")
    if message.context != state.digest:
        raise ProtocolViolationError(f"the message of {sender} is for another context")
    if sender in state.answered:
        raise ProtocolViolationError(f"{sender} has answered already")
    plan = state.context.plan
    words = state.words + plan.ring.read(message.payload, length=plan.length)
    return replace(state, answered=state.answered | {sender}, words=words)


def request(state: Collection) -> SetRequest | NewAttempt:
    """Give the question to the witness: the masks of those who have answered so far.

    Go on with this very state: a message that comes later is not in the set.

    Raises:
        RefusedError: the roster has no witness.
    """
    if not state.roster.mode.witnessed:
        raise RefusedError("the roster has no witness to ask")
    enough = len(state.answered) >= state.roster.minimum
    if not enough or (state.roster.mode.pairs and state.missing):
        return _again(state)
    return SetRequest(context=state.context, members=tuple(sorted(state.answered)))


def total(state: Collection, mask_sum: MaskSum | None = None) -> Total | NewAttempt:
    """Give the sum.

    Raises:
        RefusedError: the witness's answer is missing, not signed by it, or not asked for.
        ProtocolViolationError: the witness answered for another set or context, or too briefly.
    """
    if state.roster.mode.pairs and state.missing:
        return _again(state)
    if state.roster.mode.witnessed != (mask_sum is not None):
        raise RefusedError("the witness's sum of masks belongs to the modes witness and both")
    words = state.words
    if mask_sum is not None:
        words = words - _masks(state, mask_sum)
    values = state.context.plan.ring.decode(words)
    return Total(members=tuple(sorted(state.answered)), values=values)


def _masks(state: Collection, mask_sum: MaskSum) -> Words:
    statement = witness.verify(state.roster, mask_sum.signed)
    expected = (state.digest, tuple(sorted(state.answered)))
    if (statement.context, statement.members) != expected:
        raise ProtocolViolationError("the witness answered for another set or context")
    plan = state.context.plan
    return plan.ring.read(mask_sum.payload, length=plan.length)


def _again(state: Collection) -> NewAttempt:
    left = max(0, state.roster.attempts - state.context.attempt)
    return NewAttempt(missing=state.missing, left=left)
