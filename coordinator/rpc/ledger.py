"""LedgerService: departments' heads come in, the chain of what was received goes out."""

import logging
from collections.abc import Callable
from datetime import datetime

import grpc
from sqlalchemy import Engine

from coordinator.ledger import chain
from coordinator.rpc.callers import Callers, guard
from coordinator.store import database
from coordinator.store import fleet as rows
from models.errors import RefusedError
from models.governance.principal import Role
from models.ledger.received import Problem
from protos import codec
from protos.ledger.v1 import ledger_pb2, ledger_pb2_grpc

_log = logging.getLogger(__name__)
_SAID = {
    Problem.FEWER: "has fewer entries than the one that was reported before",
    Problem.OTHER: "is over other entries than the one of the same size that was reported before",
}


class LedgerServicer(ledger_pb2_grpc.LedgerServiceServicer):
    """Departments report, the central team and analysts read."""

    def __init__(self, *, engine: Engine, callers: Callers, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._callers = callers
        self._clock = clock

    @guard
    def ReportHead(  # noqa: N802 - the name in the proto
        self, request: ledger_pb2.ReportHeadRequest, context: grpc.ServicerContext
    ) -> ledger_pb2.ReportHeadResponse:
        """Note the newest head of the caller's ledger."""
        who = self._callers.require(context, Role.DEPARTMENT)
        signed = codec.read_reported_head(request)
        with database.writing(self._engine) as connection:
            member = rows.get_member(connection, who)
            assert member is not None  # noqa: S101 - `require` has seen it; members stay
            found = chain.report(
                connection,
                department=who.name,
                public_key=member.identity_key,
                signed=signed,
                at=self._clock(),
                still=context.is_active,
            )
        if found is not None:  # only now: what was noted about it is kept
            _log.warning("%s reported a ledger that %s", who.uri, _SAID[found])
            raise RefusedError(
                f"the ledger's head {_SAID[found]}",
                hint="Was a backup of node.db put back? Charges made after it are lost. Tell the "
                "data protection officer: the coordinator has noted it.",
            )
        return ledger_pb2.ReportHeadResponse()

    @guard
    def ListReceived(  # noqa: N802 - the name in the proto
        self, request: ledger_pb2.ListReceivedRequest, context: grpc.ServicerContext
    ) -> ledger_pb2.ListReceivedResponse:
        """Give a part of the chain."""
        self._callers.require(context, Role.CENTRAL, Role.ANALYST)
        first = codec.read_list_received(request)
        with database.reading(self._engine) as connection:
            found = chain.page(connection, first=first)
        return codec.write_received(found)
