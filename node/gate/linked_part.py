"""A node's part in one run of a linked study: as a department, as a server, or as both."""

from dataclasses import dataclass
from typing import Protocol

from models.errors import RefusedError
from models.governance.linked import LinkedStudy
from models.replicated.messages import Begin, Begun, Erased, Mix, Mixes, Seeds, Spine
from models.secagg.agreement import Joined, Offer, Offers
from node.gate.gate import Gate
from node.gate.joining import Joining


class Holding(Protocol):
    """Does a department's part (`node.gate.linked.Linked`)."""

    def mix(self) -> Mix:
        """Give the part of the common secret, sealed for the other departments."""
        ...

    def spine(self, mixes: Mixes) -> Spine:
        """Give the length of the spine and its digest."""
        ...

    def seeds(self) -> Seeds:
        """Charge, and give the seeds of the shares."""
        ...

    def share(self, chunk: int) -> bytes:
        """Give a chunk's body."""
        ...

    def totals(self) -> bytes:
        """Give the totals' body."""
        ...

    def close(self) -> None:
        """Forget records and keys."""
        ...


class Serving(Protocol):
    """Does a server's part (`node.gate.server.Computing`)."""

    @property
    def index(self) -> int:
        """Give which server it is: 1 or 2."""
        ...

    def begin(self, begin: Begin) -> Begun:
        """Take the seeds."""
        ...

    def fold(self, chunk: int, bodies: dict[str, bytes]) -> bytes | None:
        """Take a chunk in; give what goes to the server before."""
        ...

    def cross(self, chunk: int, turned: bytes) -> None:
        """Take what the server after has sent."""
        ...

    def open(self, bodies: dict[str, bytes]) -> bytes:
        """Give its part of the tables."""
        ...

    def erase(self) -> Erased:
        """Forget the shares, and say so."""
        ...

    def close(self) -> None:
        """Forget the shares."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedPart:
    """What a node does in a run.

    Attributes:
        study: that is run.
        joining: its keys, for all it does there.
        holding: its part as a department, if it is one of the study's.
        serving: its part as a server, if the study names it.
    """

    study: LinkedStudy
    joining: Joining
    holding: Holding | None
    serving: Serving | None

    def offer(self) -> Offer:
        """Give the signed key for the run; see `Joining.offer`."""
        return self.joining.offer()

    def join(self, offers: Offers) -> Joined:
        """Agree with those who offered; see `Joining.join`."""
        return self.joining.join(offers)

    def close(self) -> None:
        """Forget keys, records and shares."""
        if self.holding is not None:
            self.holding.close()
        if self.serving is not None:
            self.serving.close()
        self.joining.leave()


def permit(gate: Gate, study: LinkedStudy, *, study_hash: str) -> None:
    """Let something be done in a run, or raise.

    Raises:
        RefusedError: as `Gate.open`, or the approved study is not the one at work.
    """
    if gate.open(study_hash) != study:
        raise RefusedError("the study at work is not the approved one")
