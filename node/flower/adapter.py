"""Flower's non-public ends at the node, in one place: bytes of the stream to a Message and back.

Nothing else at the node touches `flwr.common.serde` or Flower's protobuf. The contract test
of this module fails first when Flower changes.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as WireMessage
from google.protobuf.message import DecodeError

from models.errors import ProtocolViolationError, RefusedError
from models.governance.answers import Fault

# Flower logs several coloured lines per message, and reasons of errors; we log for ourselves.
logging.getLogger("flwr").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A ClientApp, and the message types that reach it: all others are refused."""

    app: ClientApp
    accepted: frozenset[str]


def context_of(run_id: int, node_id: int) -> Context:
    """Give the context of one run: empty, since the settings come from the approved study."""
    return Context(
        run_id=run_id, node_id=node_id, node_config={}, state=RecordDict(), run_config={}
    )


def answer(
    served: Served, context: Context, data: bytes, *, failed: Callable[[Exception], None]
) -> bytes:
    """Give the serialised reply of the installed app to a serialised message.

    A step that is not done is answered with a fixed sentence; the error itself goes to
    `failed`, at this node only.

    Raises:
        ProtocolViolationError: the bytes are not a message of this run, so that there is
            nothing to answer.
    """
    message = _parse(data, context.run_id)
    try:
        reply = _handle(served, context, message)
    except Exception as error:  # noqa: BLE001 - whatever it is, its text may quote a record
        failed(error)
        fault = Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, Fault.of(error).value)
        reply = Message(fault, reply_to=message)
    return bytes(message_to_proto(reply).SerializeToString())


def _handle(served: Served, context: Context, message: Message) -> Message:
    if message.metadata.message_type not in served.accepted or not message.has_content():
        raise RefusedError("the message is none that this node answers in this run")
    return served.app(message, context)


def _parse(data: bytes, run_id: int) -> Message:
    try:
        message = message_from_proto(WireMessage.FromString(data))
    except DecodeError:
        raise ProtocolViolationError("a message that is not one of Flower's") from None
    except Exception:  # noqa: BLE001 - protobuf, but no message that Flower would ever make
        raise ProtocolViolationError("a message whose parts cannot be read") from None
    if message.metadata.run_id != run_id:
        raise ProtocolViolationError("a message of another run")
    return message
