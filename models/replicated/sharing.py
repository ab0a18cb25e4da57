"""Additive shares of ring elements: two keystreams and a body.

    x = s0 + s1 + s2,   s0, s1 = streams of a department's two seeds,   s2 = x - s0 - s1

Streams are labelled `share/<department>` and `totals/<department>`; chunk k of the spine is
stretch k of the stream, row by row, the department's groups side by side (`Layout.owned`). s2
travels as the *body*: little-endian elements, sealed under the department's content key.

Formal guarantee: to whoever lacks one of the three, the other two are independent of x: s0 and s1
are keystreams (`seeds`), and s2 is x behind two of them.
"""

from dataclasses import dataclass, field

import numpy as np

from models.errors import ProtocolViolationError
from models.governance.linked import LinkedStudy
from models.linkage import plan as plans
from models.replicated import sealing, seeds
from models.replicated.messages import Seeds as SeedsDocument
from models.replicated.sealing import ContentKey
from models.replicated.seeds import OCTETS, Seed
from models.secagg import masks
from models.secagg.masks import Mask
from models.secagg.rings import Ring, Words

SHARE, TOTALS = "share", "totals"

_LABEL = b"datalabbet/linked-body/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Some elements of one department, all in one message.

    Attributes:
        kind: `share` for a chunk of the spine, `totals` for the department's two totals.
        department: whose they are.
        chunk: from 1; the totals come as the one after the last.
        ring: of the elements.
        size: how many.
    """

    kind: str
    department: str
    chunk: int
    ring: Ring
    size: int

    @property
    def label(self) -> str:
        """Give what the streams are labelled."""
        return f"{self.kind}/{self.department}"

    def keystream(self, seed: Seed, *, subtracted: bool = False) -> Mask:
        """Give the stream of a seed for these elements."""
        return seeds.keystream(
            seed, label=self.label, chunk=self.chunk, ring=self.ring, subtracted=subtracted
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What every body of a run is bound to.

    Attributes:
        study: digest of the approved study, in hex.
        plan: digest of its noise (`models.linkage.plan.digest`), in hex.
        run: number of the run.
    """

    study: str
    plan: str
    run: int

    @classmethod
    def of(cls, study: LinkedStudy, *, run: int) -> "Bound":
        """Give what the bodies of a run are bound to."""
        return cls(study=study.digest(), plan=plans.digest(study), run=run)

    def data(self, stretch: Stretch) -> bytes:
        """Give the associated data of one body."""
        fixed = bytes.fromhex(self.study) + bytes.fromhex(self.plan)
        numbers = self.run.to_bytes(8, "big") + stretch.chunk.to_bytes(8, "big")
        return _LABEL + fixed + numbers + stretch.label.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What one server holds of a department's shares: of each, what it is computed from.

    Attributes:
        zeroth, first: the seeds of shares 0 and 1.
        content: what share 2 is sealed under.
    """

    zeroth: Seed | None = field(default=None, repr=False)
    first: Seed | None = field(default=None, repr=False)
    content: ContentKey | None = field(default=None, repr=False)

    @classmethod
    def at_coordinator(cls, document: SeedsDocument) -> "Held":
        """Give what the coordinator holds by a department's answer.

        Raises:
            ProtocolViolationError: it holds no seeds.
        """
        return cls(zeroth=Seed.read(document.first), first=Seed.read(document.second))

    @classmethod
    def in_box(cls, octets: bytes, *, index: int) -> "Held":
        """Give what server 1 or 2 holds by the box that a department sent it.

        Raises:
            ProtocolViolationError: the box holds something else.
        """
        seed, content = Seed(octets[:OCTETS]), ContentKey(octets[OCTETS:])
        return cls(
            zeroth=seed if index == 2 else None,  # noqa: PLR2004 - server 2 has shares 2 and 0
            first=seed if index == 1 else None,
            content=content,
        )

    def share(self, index: int, stretch: Stretch, *, body: bytes | None, bound: Bound) -> Words:
        """Give share `index` of a stretch.

        Args:
            index: 0, 1 or 2.
            stretch: of which elements.
            body: share 2 as it travelled, for index 2.
            bound: what the run's bodies are bound to.

        Raises:
            ProtocolViolationError: the body is missing, of another length, or does not open; or
                this server has no seed of the share.
        """
        if index == 2:  # noqa: PLR2004
            return self._opened(stretch, body=body, bound=bound)
        seed = self.first if index else self.zeroth
        if seed is None:
            raise ProtocolViolationError(f"this server holds no seed of share {index}")
        found = stretch.ring.zeros(stretch.size)
        masks.apply(found, [stretch.keystream(seed)])
        return found

    def _opened(self, stretch: Stretch, *, body: bytes | None, bound: Bound) -> Words:
        where = f"chunk {stretch.chunk} of {stretch.department}"
        if body is None or self.content is None:
            raise ProtocolViolationError(f"{where} has not come")
        if len(body) != stretch.size * stretch.ring.octets + sealing.TAG:
            raise ProtocolViolationError(f"{where} has another length than the study's columns")
        key, aad = self.content.octets, bound.data(stretch)
        try:
            found = sealing.open_(key, nonce=stretch.chunk, aad=aad, data=body)
        except ProtocolViolationError:
            raise ProtocolViolationError(
                f"{where} does not open: it was changed on its way, or is of another run or chunk"
            ) from None
        return np.frombuffer(found, dtype=stretch.ring.dtype)


def body(
    values: Words, stretch: Stretch, *, first: tuple[Seed, Seed], content: ContentKey, bound: Bound
) -> bytes:
    """Give share 2 of a department's elements, sealed for servers 1 and 2.

    Args:
        values: the elements; they are changed to share 2.
        stretch: of which elements. Used for these values only.
        first: the seeds of shares 0 and 1.
        content: what it is sealed under.
        bound: what the run's bodies are bound to.
    """
    masks.apply(values, [stretch.keystream(seed, subtracted=True) for seed in first])
    aad = bound.data(stretch)
    return sealing.seal(content.octets, nonce=stretch.chunk, aad=aad, data=values.data.cast("B"))
