"""Who may take part in secure sums, and on which terms: the document that approvals pin.

A roster is agreed outside the system (its identity keys are compared by people) and is part of
what a department approves. The coordinator only carries it: whoever is not in it does not exist
for a node.
"""

import enum
from dataclasses import dataclass
from typing import Annotated

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import Field

from models import documents
from models.errors import RefusedError
from models.governance.step import Hex64
from models.schema import STRICT, Slug

_PAIR = 2


class Mode(enum.StrEnum):
    """Whose masks cover a message.

    `pairwise`: every pair of nodes; a missing node costs a new attempt. `witness`: each node and
    the witness, who gives the sum of the masks for the set that answered. `both`: all of them; a
    missing node costs a new attempt.
    """

    PAIRWISE = "pairwise"
    WITNESS = "witness"
    BOTH = "both"

    @property
    def pairs(self) -> bool:
        """Tell whether the nodes mask in pairs, so that all must answer."""
        return self is not Mode.WITNESS

    @property
    def witnessed(self) -> bool:
        """Tell whether there is a witness."""
        return self is not Mode.PAIRWISE


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A department (or the witness) and its raw Ed25519 identity key, in hex."""

    __pydantic_config__ = STRICT

    name: Slug
    identity: Hex64

    @property
    def key(self) -> Ed25519PublicKey:
        """Give the key that verifies what this member signed."""
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.identity))


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """The members, in the order of their names, and the terms of every step.

    Attributes:
        minimum: the fewest departments whose values may be summed. The witness is none of them.
        attempts: how often a step may be tried; each attempt is charged.
        colluders: members that may pool what they know with the coordinator while the noise of
            the others alone keeps the privacy that was promised.
    """

    __pydantic_config__ = STRICT

    members: Annotated[tuple[Member, ...], Field(min_length=2, max_length=1000)]
    mode: Mode = Mode.PAIRWISE
    witness: Member | None = None
    minimum: Annotated[int, Field(strict=True, ge=2, le=1000)] = 3
    attempts: Annotated[int, Field(strict=True, ge=1, le=1000)] = 3
    colluders: Annotated[int, Field(strict=True, ge=0, le=998)] = 1

    def __post_init__(self) -> None:
        """Refuse doubles, another order, and terms that cannot be kept."""
        names = [member.name for member in self.members]
        if names != sorted(set(names)):
            raise ValueError("members must be in the order of their names, each once")
        if (self.witness is not None) != self.mode.witnessed:
            raise ValueError("a witness belongs to the modes witness and both, which need one")
        everyone = (*self.members, *([self.witness] if self.witness else []))
        if len({member.identity for member in everyone}) != len(everyone):
            raise ValueError("each member must have an identity key of its own")
        if self.witness is not None and self.witness.name in names:
            raise ValueError("the witness must not be one of the departments")
        if self.minimum > len(self.members):
            raise ValueError("minimum must not exceed the number of members")
        if self.colluders >= self.minimum:
            raise ValueError("colluders must be fewer than minimum")

    def digest(self) -> str:
        """Give the roster's hash: 64 hex digits over the canonical document."""
        return documents.digest(documents.write(self), domain="secure-sum-roster")

    def find(self, name: str) -> Member:
        """Give the member (the witness too) of that name.

        Raises:
            RefusedError: there is none.
        """
        for member in (*self.members, *([self.witness] if self.witness else [])):
            if member.name == name:
                return member
        raise RefusedError("a member that the roster does not name offers a key")

    def carriers(self, cohort: int) -> int:
        """Give how many noise shares surely protect a sum over a cohort of that size.

        Each node's share needs the variance of the whole noise divided by this. In the mode
        `witness` as few as `minimum` may have answered. Of two nodes each adds the whole noise:
        the other one knows, and can subtract, its own.
        """
        answered = cohort if self.mode.pairs else self.minimum
        return 1 if answered == _PAIR else answered - self.colluders
