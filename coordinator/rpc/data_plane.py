"""The servicer of DataPlaneService: one stream per node and run, on which Flower's messages go.

Each open stream holds one thread of the server for its whole life (it writes), and one of its
own (it reads). Who the node is comes from its certificate, which run from the call's metadata.
"""

import logging
import threading
from collections.abc import Iterator

import grpc

from coordinator.flower.grid import Ending, Line, StreamGrid
from coordinator.rounds.driver import RunService
from coordinator.rpc.callers import Callers, Context, guard_stream
from models.errors import ProtocolViolationError, RefusedError
from models.governance.principal import Role
from protos import codec, status
from protos.fleet.v1 import data_plane_pb2, data_plane_pb2_grpc

RUN_KEY = "datalabbet-run"
"""The call's metadata that names the run, in decimal."""

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 5.0
_LONGEST_ID = 19


class DataPlaneServicer(data_plane_pb2_grpc.DataPlaneServiceServicer):
    """Joins the streams of nodes to the grids of runs."""

    def __init__(self, *, runs: RunService, callers: Callers) -> None:
        self._runs = runs
        self._callers = callers

    @guard_stream
    def Exchange(  # noqa: N802 - named in data_plane.proto
        self, request: Iterator[data_plane_pb2.ExchangeRequest], context: Context
    ) -> Iterator[data_plane_pb2.ExchangeResponse]:
        """Carry the messages of one run to and from one node."""
        department = self._callers.hold(context, Role.DEPARTMENT).name
        grid = self._runs.grid(_run_id(context))
        line = grid.attach(department)
        try:
            if not context.add_callback(lambda: line.end(Ending.LOST)):
                return  # the call has ended already
            threading.Thread(
                target=_read, args=(grid, department, line, request), daemon=True
            ).start()
            yield from _write(line)
            _say_why(line, context)
        finally:
            grid.detach(department, line)


def _write(line: Line) -> Iterator[data_plane_pb2.ExchangeResponse]:
    while line.ending is None:
        letter = line.take(seconds=_LOOK_SECONDS)
        if letter is not None:
            for frame in codec.split(letter.message_id, letter.data):
                yield data_plane_pb2.ExchangeResponse(frame=frame)


def _read(
    grid: StreamGrid,
    department: str,
    line: Line,
    requests: Iterator[data_plane_pb2.ExchangeRequest],
) -> None:
    """Take the node's answers until the stream ends; whatever happens, the line ends too."""
    ending = Ending.LOST
    try:
        for message_id, data in codec.join((r.frame for r in requests), limit=grid.limit):
            grid.accept(department, message_id, data)
    except ProtocolViolationError as error:
        _log.warning("ended the stream of %s: %s", department, error.message)
        ending = Ending.GARBLED
    except grpc.RpcError:
        _log.info("the stream of %s was lost", department)
    except Exception:  # noqa: BLE001 - the outermost place of the thread
        _log.exception("the stream of %s could not be read", department)
    finally:
        line.end(ending)


def _say_why(line: Line, context: Context) -> None:
    """End the call with what the node should know; a run that is over ends it as OK."""
    if line.ending is Ending.REPLACED:
        error = RefusedError(Ending.REPLACED.value)
        status.abort(context, error, code=grpc.StatusCode.ABORTED.value[0])
    if line.ending is Ending.GARBLED:
        status.abort(context, ProtocolViolationError(Ending.GARBLED.value))


def _run_id(context: Context) -> int:
    """Give the run that the call's metadata names.

    Raises:
        ProtocolViolationError: it names none.
    """
    named = [value for key, value in context.invocation_metadata() if key == RUN_KEY]
    if len(named) != 1 or not isinstance(named[0], str):
        raise ProtocolViolationError("the call must name one run in its metadata")
    text = named[0]
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_ID):
        raise ProtocolViolationError("the run in the call's metadata must be a decimal number")
    return int(text)
