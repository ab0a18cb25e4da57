"""Reading the coordinator's chain of what it received, whole and checked."""

from dataclasses import dataclass

from coordinator.client.connection import call_again
from models.errors import ProtocolViolationError, RefusedError
from models.ledger.received import Entry, Mark, Received, mark_of
from protos import codec
from protos.ledger.v1.ledger_pb2 import ListReceivedRequest
from protos.ledger.v1.ledger_pb2_grpc import LedgerServiceStub


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Everything that the coordinator received, in order."""

    received: tuple[Received, ...]
    mark: Mark

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Give the entries."""
        return tuple(item.entry for item in self.received)

    def check_continues(self, earlier: Mark) -> None:
        """Refuse a chain that does not begin with the one of an earlier mark.

        Raises:
            RefusedError: something in it was changed, left out, or moved since.
        """
        if mark_of(self.received[: earlier.size]) != earlier:
            raise RefusedError(
                f"the coordinator's chain does not begin with the {earlier.size} entries that it "
                "had earlier: it was changed, or an older database was put back",
                hint="Keep both files. What the departments exported is not touched by this.",
            )


def read(stub: LedgerServiceStub) -> Chain:
    """Give the whole chain.

    Raises:
        ProtocolViolationError: the entries are not what the coordinator says the chain is.
    """
    found: list[Received] = []
    while True:
        request = ListReceivedRequest(first=len(found))
        answer = call_again(stub.ListReceived, request, doing="reading what was received")
        page = codec.read_received(answer)
        found += page.entries
        if not page.entries or len(found) >= page.mark.size:
            break
    numbered = all(item.entry.number == place for place, item in enumerate(found))
    if not numbered or mark_of(found) != page.mark:
        raise ProtocolViolationError(
            "the entries of the coordinator's chain are not those that its root is over",
            hint="Something in the coordinator's database was changed. Keep a copy of it.",
        )
    return Chain(received=tuple(found), mark=page.mark)
