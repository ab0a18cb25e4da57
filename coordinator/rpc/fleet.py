"""FleetService: who is there, and what is asked of them."""

import logging
from collections.abc import Callable, Iterator
from datetime import datetime

import grpc
from google.rpc import code_pb2
from sqlalchemy import Engine

from coordinator.fleet.presence import Attendance, Ending, Presence
from coordinator.rpc.callers import Callers, guard, guard_stream
from coordinator.store import database
from coordinator.store import fleet as rows
from models.errors import ConnectionFailedError, RefusedError
from models.governance.principal import Role
from models.governance.views import Member, Notice
from protos import codec, status
from protos.fleet.v1 import fleet_pb2, fleet_pb2_grpc

_log = logging.getLogger(__name__)
_BEAT_SECONDS = 2.0
_MOST_ASSIGNMENTS = 100  # the limit in fleet.proto


class FleetServicer(fleet_pb2_grpc.FleetServiceServicer):
    """Holds the nodes' places, and lists the members."""

    def __init__(
        self,
        *,
        engine: Engine,
        callers: Callers,
        presence: Presence,
        clock: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._callers = callers
        self._presence = presence
        self._clock = clock

    @guard_stream
    def Attend(  # noqa: N802 - the name in the proto
        self, request: fleet_pb2.AttendRequest, context: grpc.ServicerContext
    ) -> Iterator[fleet_pb2.AttendResponse]:
        """Hold the node's place and tell it its assignments, at least every two seconds."""
        who = self._callers.require(context, Role.DEPARTMENT)
        software = codec.read_attend_request(request)
        with database.writing(self._engine) as connection:
            rows.save_software(connection, who, software)
        place = self._presence.attend(who.name, software)
        _log.info("%s is connected (version %s)", who.uri, software)
        try:
            if context.add_callback(lambda: self._presence.leave(place)):
                yield from self._tell(place, context)
        finally:
            self._presence.leave(place)
            _log.info("%s is gone: %s", who.uri, place.ending)

    def _tell(
        self, place: Attendance, context: grpc.ServicerContext
    ) -> Iterator[fleet_pb2.AttendResponse]:
        while True:
            asked = self._presence.wait(place, timeout=_BEAT_SECONDS)
            if place.ending is Ending.REPLACED:
                status.abort(context, RefusedError(place.ending.value), code=code_pb2.ABORTED)
            if place.ending is Ending.CLOSED:
                raise ConnectionFailedError(place.ending.value, hint="Try again.")
            if place.ending is not None:
                return
            # Another process may have revoked the certificate; it may have expired meanwhile.
            self._callers.require(context, Role.DEPARTMENT)
            notice = Notice(assignments=asked[:_MOST_ASSIGNMENTS], now=self._clock())
            yield codec.write_notice(notice)

    @guard
    def ListMembers(  # noqa: N802 - the name in the proto
        self, request: fleet_pb2.ListMembersRequest, context: grpc.ServicerContext
    ) -> fleet_pb2.ListMembersResponse:
        """List departments and people with their certificates' state."""
        self._callers.require(context, Role.CENTRAL, Role.ANALYST)
        codec.read_empty(request)
        here = self._presence.connected()
        with database.reading(self._engine) as connection:
            found = rows.list_members(connection)
        return fleet_pb2.ListMembersResponse(
            members=[
                codec.write_member(view(row, expires_at, connected=here))
                for row, expires_at in found
            ]
        )


def view(row: rows.MemberRow, expires_at: datetime, *, connected: set[str]) -> Member:
    """Give what is told about a member."""
    department = row.principal.role is Role.DEPARTMENT
    return Member(
        principal=row.principal,
        identity_public_key=row.identity_key,
        connected=department and row.principal.name in connected,
        revoked=row.revoked,
        expires_at=expires_at,
        software=row.software,
    )
