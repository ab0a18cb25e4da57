"""Flower messages to bytes and back: the only module that touches what Flower keeps private.

Private touch points, each held by `tests/unit/test_grid_flower_contract.py`: the functions of
`flwr.common.serde`, the protobuf `flwr.proto.message_pb2.Message`, `TaskIdentity` and `Run`.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from flwr.app import Message, RecordDict
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as WireMessage
from flwr.supercore.task_identity import TaskIdentity
from google.protobuf.message import DecodeError

from models.errors import ProtocolViolationError

_ITEMS = 4
_ARRAYS = 1000
_METRICS = 16
_NAME = 200

# Flower's messages read a process-wide identity. Ours is the same for every run of the process:
# the true run is stamped on the bytes, so that several runs share one coordinator.
TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1

# Several coloured lines per round on stderr, some with texts of peers: not in our logs.
_flower_log = logging.getLogger("flwr")
_flower_log.handlers.clear()
_flower_log.addHandler(logging.NullHandler())
_flower_log.propagate = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message on its way to a node. The letters of one round share one `body`."""

    message_id: str
    node_id: int
    head: bytes
    body: bytes

    @property
    def data(self) -> bytes:
        """Give the bytes on the wire: protobuf merges what is concatenated."""
        return self.head + self.body


def pack(messages: Iterable[tuple[str, Message]], *, run_id: int) -> list[Letter]:
    """Give a letter per (message id, message); content that messages share is serialised once."""
    bodies: dict[int, bytes] = {}
    letters = []
    for message_id, message in messages:
        content = message.content
        if id(content) not in bodies:
            whole = message_to_proto(message)
            bodies[id(content)] = WireMessage(content=whole.content).SerializeToString()
        address = Message(
            RecordDict(),
            message.metadata.dst_node_id,
            message.metadata.message_type,
            ttl=message.metadata.ttl,
            group_id=message.metadata.group_id,
        )
        metadata = message_to_proto(address).metadata
        metadata.message_id, metadata.run_id = message_id, run_id
        letters.append(
            Letter(
                message_id=message_id,
                node_id=message.metadata.dst_node_id,
                head=WireMessage(metadata=metadata).SerializeToString(),
                body=bodies[id(content)],
            )
        )
    return letters


def unpack(data: bytes) -> Message:
    """Give the message in bytes from a node; its values are not checked yet.

    Raises:
        ProtocolViolationError: they are not a Flower message, or one with more records, arrays
            or numbers than any answer of ours has.
    """
    try:
        wire = WireMessage.FromString(data)
        if wire.HasField("content") == wire.HasField("error") or not _small(wire):
            raise ProtocolViolationError("an answer of an unknown form")
        return message_from_proto(wire)
    except (DecodeError, ValueError, TypeError, KeyError):
        raise ProtocolViolationError("an answer that is not a message") from None


def _small(wire: WireMessage) -> bool:
    """Tell whether the content stays within what an answer needs, before Flower unpacks it."""
    items = wire.content.items
    if len(items) > _ITEMS or len({item.key for item in items}) != len(items):
        return False
    for item in items:
        names: list[str] = [item.key]
        match item.WhichOneof("value"):
            case "array_record":
                names += [entry.key for entry in item.array_record.items]
                limit = _ARRAYS
            case "metric_record":
                entries = item.metric_record.items
                names += [entry.key for entry in entries]
                limit = _METRICS
                if any(entry.value.WhichOneof("value") not in _SCALARS for entry in entries):
                    return False
            case _:
                return False
        if len(names) > limit + 1 or any(len(name) > _NAME for name in names):
            return False
        if len(set(names[1:])) != len(names) - 1:
            return False
    return True


_SCALARS = frozenset({"double", "sint64", "uint64"})
