"""A node's part of a step: one message, made once.

    ready   = prepare(agreement, context)          everything that can be refused is refused here
    receipt = used.use(ready.entry)                written down durably, and charged
    message = masked(ready, units, receipt=receipt, entropy=entropy)

The order cannot be another one: `masked` takes the receipt of the very entry, and a receipt is
good for one message. What was sent may be sent again, byte by byte, if the caller kept it.

Formal guarantee: every message carries noise of its own, drawn inside `masked` and known to
nobody, also when the same value is sent again in another attempt. What a step asks of a node does
not depend on its records: values beyond the plan's bound are cut to it, coordinate by coordinate,
which moves no two sums further apart, and nothing else is refused for what the values are.
"""

from dataclasses import dataclass, field

from models.privacy import sampler
from models.privacy.sampler import Integers
from models.randomness import Entropy
from models.secagg import contexts, masks
from models.secagg.agreement import Agreement
from models.secagg.contexts import Context, Entry, Purpose, Receipt
from models.secagg.masks import Mask


@dataclass(frozen=True, slots=True)
class Ready:
    """A step that the node will answer, once its entry is written down."""

    agreement: Agreement
    context: Context
    entry: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked:
    """The one message of a node in a step. `payload`: the ring elements, little-endian."""

    member: str
    context: str
    payload: bytes = field(repr=False)


def prepare(agreement: Agreement, context: Context, *, purpose: Purpose = Purpose.MESSAGE) -> Ready:
    """Give the step, if it is one that this node may answer.

    `purpose`: `released` for what was charged and stored before.

    Raises:
        RefusedError: it is not of the agreed run and cohort, or one attempt too many.
        SumMayWrapError: the sum may not fit into the ring.
    """
    contexts.check(context, agreement)
    entry = contexts.entry(purpose, context, agreement.cohort.names)
    return Ready(agreement, context, entry)


def masked(ready: Ready, units: Integers, *, receipt: Receipt, entropy: Entropy) -> Masked:
    """Give the message: the node's integers, its noise and its masks.

    `units` is the node's own sum in every coordinate (int64, shape `(plan.length,)`).

    Raises:
        AccountingError: `units` has another shape or type.
        ContextUsedError: the receipt was used.
        RefusedError: the receipt is for something else.
    """
    plan = ready.context.plan
    values = plan.cut(units)
    receipt.spend(ready.entry)
    sampler.add_discrete_gaussian(values, scale=plan.scale, entropy=entropy)
    words = plan.ring.encode(values, reuse=True)
    masks.apply(words, own_masks(ready.agreement, context=ready.entry.context))
    return Masked(
        member=ready.agreement.me,
        context=ready.entry.context,
        payload=plan.ring.write(words),
    )


def own_masks(agreement: Agreement, *, context: str) -> list[Mask]:
    """Give the masks that cover this node's message in a context (its digest)."""
    witness = agreement.cohort.witness
    found = []
    for pair in agreement.pairs:
        with_witness = witness is not None and witness.name in {pair.low, pair.high}
        subtracted = not with_witness and pair.high == agreement.me
        found.append(Mask(masks.key(pair, context=context), subtracted))
    return found
