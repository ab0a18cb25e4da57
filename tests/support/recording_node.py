"""Runs `datalabbet-node`, writing down in the clear every byte that it sends.

Usage: `python recording_node.py RECORD_FILE ARGUMENTS...`. What gRPC encrypts is what the request
serialisers gave it, so that is where the bytes are taken.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

RECORD = Path(sys.argv[1]).open("ab", buffering=0)  # noqa: SIM115 - open as long as the process
KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


class RecordingChannel:
    """A channel whose request serialisers also write to the record."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._channel, name)
        if name not in KINDS:
            return found

        def method(path: str, request_serializer: Callable[[Any], bytes], *rest: Any, **more: Any):
            def record(message: Any) -> bytes:
                data = request_serializer(message)
                RECORD.write(data)
                return data

            return found(path, record, *rest, **more)

        return method


def main() -> None:
    original = grpc.secure_channel
    grpc.secure_channel = lambda *a, **k: RecordingChannel(original(*a, **k))
    from node.cli import main as node

    del sys.argv[0:2]
    sys.argv.insert(0, "datalabbet-node")
    node()


if __name__ == "__main__":
    main()
