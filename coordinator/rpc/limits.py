"""What one message may hold, and how gRPC keeps connections."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from google.protobuf.message import Message

M = TypeVar("M", bound=Message)

MESSAGE_BYTES = 4 << 20
"""The largest message that the coordinator receives: gRPC's own default, said aloud. Whatever
may be larger (models, files) goes in parts of 1 MiB."""

LIST_BYTES = 24 << 20
"""The most that a list puts into one answer; members' clients accept 32 MiB and more."""

OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    # A cut link is noticed after 20 + 10 s, at this end too, also while nothing is sent.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # Clients ping as often; gRPC's default would punish more than one ping in five minutes.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    # Two coordinators on one port would share the calls between them: refuse the second.
    ("grpc.so_reuseport", 0),
)


def within(messages: Iterable[M], *, limit: int = LIST_BYTES) -> Iterator[M]:
    """Give messages from the front of the list for as long as they fit into `limit` together."""
    size = 0
    for message in messages:
        size += message.ByteSize() + 8  # with its own tag and length
        if size > limit:
            return
        yield message
