"""Shares of zero: what hides a server's part before it is sent to another.

Each two servers have a seed: k01, k12, k20. The streams F of the seeds give

    server 0: F(k01) - F(k20)      server 1: F(k12) - F(k01)      server 2: F(k20) - F(k12)

which add up to zero. The coordinator draws k01 and k20; k12 comes from the secret of servers 1
and 2, and the coordinator lacks it.

Formal guarantee: what a server sends to another with its share of zero added is, to any single one
of the others, independent of what it hides: there is one stream in it that the receiver lacks.
"""

from dataclasses import dataclass, field

from models.errors import ProtocolViolationError
from models.randomness import Entropy
from models.replicated import sealing
from models.replicated.seeds import Seed, derive, keystream
from models.secagg.masks import Mask
from models.secagg.rings import Ring

CROSSED, OPENED = "zero", "open"
"""Labels of the streams: over derived columns, and over what is opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The seeds that one server has with the other two.

    Attributes:
        after: with the next server (0 with 1, 1 with 2, 2 with 0).
        before: with the one before.
        turned: key of what server 2 sends to server 1 through the coordinator; theirs only.
    """

    after: Seed = field(repr=False)
    before: Seed = field(repr=False)
    turned: bytes | None = field(default=None, repr=False)

    @classmethod
    def drawn(cls, entropy: Entropy) -> "Pairs":
        """Give the coordinator's two: `after` goes to server 1, `before` to server 2."""
        return cls(after=Seed.fresh(entropy), before=Seed.fresh(entropy))

    @classmethod
    def at_member(
        cls,
        index: int,
        *,
        given: Seed,
        secret: bytes,
        names: tuple[str, str],
        study: str,
        run: int,
    ) -> "Pairs":
        """Give those of server 1 or 2.

        Args:
            index: 1 or 2.
            given: by the coordinator (`Begin.pair`).
            secret: that servers 1 and 2 share by key agreement.
            names: of servers 1 and 2.
            study: digest of the approved study, in hex.
            run: number of the run.

        Raises:
            ProtocolViolationError: the index is neither 1 nor 2.
        """
        if index not in {1, 2}:
            raise ProtocolViolationError(f"there is no server {index} beside the coordinator")
        bound = (*(name.encode() for name in names), bytes.fromhex(study), run.to_bytes(8, "big"))
        common = Seed(derive(secret, b"pair", *bound))
        one, two = names
        turned = sealing.box_key(
            secret, sender=two, to=one, study=study, run=run, purpose=sealing.TURNED
        )
        after, before = (common, given) if index == 1 else (given, common)
        return cls(after=after, before=before, turned=turned)

    def share(self, *, chunk: int, ring: Ring) -> tuple[Mask, Mask]:
        """Give this server's share of zero for a chunk's derived columns."""
        return (
            keystream(self.after, label=CROSSED, chunk=chunk, ring=ring),
            keystream(self.before, label=CROSSED, chunk=chunk, ring=ring, subtracted=True),
        )

    def opening(self, index: int, *, ring: Ring) -> tuple[Mask, ...]:
        """Give what servers 1 and 2 put over what they open, so that the coordinator sees the sum.

        The coordinator's own part travels nowhere and needs none.
        """
        if index == 0:
            return ()
        seed = self.after if index == 1 else self.before
        return (keystream(seed, label=OPENED, chunk=0, ring=ring, subtracted=index != 1),)
