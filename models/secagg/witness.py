"""The witness's part of a step: the sum of its masks with the set that answered, for one set.

The witness is a server of its own (the city's auditor or data protection officer), who sees no
value: only who answered. Two sums for two sets in the same attempt would differ by one node's
mask and open its message; so there is one set per attempt, written down before it is answered,
and signed, so that the departments can see which it was.

    ready   = prepare(agreement, request)
    receipt = used.use(ready.entry)                written down durably
    answer  = answer(ready, receipt=receipt, identity=key)

Formal guarantee: for each study, run, step and attempt, over restarts, sums of masks are given for
at most one set and one context, and only for sets of the agreed cohort with at least the
minimum of departments (all of them in the mode `both`).
"""

from dataclasses import dataclass, field
from typing import Annotated

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from models.errors import ProtocolViolationError, RefusedError
from models.governance.roster import Roster
from models.governance.step import Hex64
from models.schema import STRICT, Slug
from models.secagg import contexts, masks, signing
from models.secagg.agreement import Agreement
from models.secagg.contexts import Context, Entry, Purpose, Receipt, StepName
from models.secagg.masks import Mask
from models.secagg.signing import Run, Signature

_DOMAIN = "secure-sum-set"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRequest:
    """The coordinator's question: the sum of the masks of `members`, in order of name."""

    __pydantic_config__ = STRICT

    context: Context
    members: Annotated[tuple[Slug, ...], Field(min_length=1, max_length=1000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetStatement:
    """What the witness signs: for this attempt it gave the sum for this set."""

    __pydantic_config__ = STRICT

    roster: Hex64
    study: Hex64
    run: Run
    step: StepName
    attempt: int
    context: Hex64
    members: Annotated[tuple[Slug, ...], Field(min_length=1, max_length=1000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedSet:
    """A statement with its signature: what departments audit."""

    __pydantic_config__ = STRICT

    statement: SetStatement
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskSum:
    """The witness's answer. `payload`: the summed masks, little-endian; for the coordinator."""

    signed: SignedSet
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReadySet:
    """A set that the witness will answer for, once its entry is written down."""

    agreement: Agreement
    context: Context
    entry: Entry


def prepare(agreement: Agreement, request: SetRequest) -> ReadySet:
    """Give the set, if it is one that the witness may answer for.

    Raises:
        RefusedError: the context is not of the agreed run and cohort, one attempt too many, or
            the set is smaller than the minimum, or (mode `both`) not the whole cohort.
        ProtocolViolationError: the set has members that are not in the cohort, or twice.
        SumMayWrapError: the sum may not fit into the ring.
    """
    witness = agreement.cohort.witness
    if witness is None or witness.name != agreement.me:
        raise RefusedError("only the witness of the run answers for sets")
    contexts.check(request.context, agreement)
    names = agreement.cohort.names
    if list(request.members) != sorted(set(request.members)):
        raise ProtocolViolationError("a set must name its members in order, each once")
    if not set(request.members) <= set(names):
        raise ProtocolViolationError("the set has a member that is not in the cohort")
    least = len(names) if agreement.roster.mode.pairs else agreement.minimum
    if len(request.members) < least:
        raise RefusedError(f"{len(request.members)} departments answered; {least} are needed")
    entry = contexts.entry(Purpose.SET, request.context, request.members)
    return ReadySet(agreement, request.context, entry)


def answer(ready: ReadySet, *, receipt: Receipt, identity: Ed25519PrivateKey) -> MaskSum:
    """Give the sum of the masks with the members of the set, and the signed set.

    Raises:
        ContextUsedError: the receipt was used.
        RefusedError: the receipt is for something else.
    """
    receipt.spend(ready.entry)
    entry, plan = ready.entry, ready.context.plan
    chosen = set(entry.members)
    pads = [
        Mask(masks.key(pair, context=entry.context))
        for pair in ready.agreement.pairs
        if pair.low in chosen or pair.high in chosen
    ]
    words = plan.ring.zeros(plan.length)
    masks.apply(words, pads)
    statement = SetStatement(
        roster=ready.agreement.cohort.roster,
        study=entry.study,
        run=entry.run,
        step=entry.step,
        attempt=entry.attempt,
        context=entry.context,
        members=entry.members,
    )
    signature = signing.sign(statement, identity, domain=_DOMAIN)
    signed = SignedSet(statement=statement, signature=signature)
    return MaskSum(signed=signed, payload=plan.ring.write(words))


def verify(roster: Roster, signed: SignedSet) -> SetStatement:
    """Give what the witness stated, if the roster's witness signed it under this roster.

    Raises:
        RefusedError: it did not.
    """
    statement = signed.statement
    if roster.witness is None or statement.roster != roster.digest():
        raise RefusedError("the set is signed for another roster")
    signing.verify(
        statement, signed.signature, roster.witness.key, domain=_DOMAIN, what="the witness's set"
    )
    return statement
