"""What every ClientApp of a run with agreed keys answers: its key, and whom it agreed with."""

from collections.abc import Mapping
from typing import Protocol

from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from models import documents
from models.secagg.agreement import Joined, Offer, Offers
from node.flower.records import ARRAYS, document, octets
from protos.sums import JOIN, OFFER


class Joiner(Protocol):
    """A member's keys in a run."""

    def offer(self) -> Offer:
        """Give the member's signed key."""
        ...

    def join(self, offers: Offers) -> Joined:
        """Agree with those who offered."""
        ...


def joining_app(member: Joiner) -> ClientApp:
    """Give a ClientApp that answers about keys; the caller adds what else it answers."""
    app = ClientApp()

    @app.query(action(OFFER))
    def offer(message: Message, context: Context) -> Message:
        del context
        return reply(message, {"offer": octets(documents.write(member.offer()))})

    @app.query(action(JOIN))
    def join(message: Message, context: Context) -> Message:
        del context
        joined = member.join(document(message.content, Offers, name="offers"))
        return reply(message, {"cohort": octets(documents.write(joined))})

    return app


def action(kind: str) -> str:
    """Give the part of a message's type that a ClientApp registers a handler for."""
    return kind.partition(".")[2]


def reply(message: Message, arrays: Mapping[str, Array]) -> Message:
    """Give the answer to a message: these arrays, and nothing beside them."""
    return Message(RecordDict({ARRAYS: ArrayRecord({**arrays})}), reply_to=message)
