"""CatalogueService: which datasets exist, as their stewards declare them."""

import logging
from collections.abc import Callable
from datetime import datetime

import grpc
from sqlalchemy import Engine

from coordinator.rpc.callers import Callers, guard
from coordinator.rpc.limits import LIST_BYTES
from coordinator.store import database
from coordinator.store import fleet as rows
from models.errors import UsageError
from models.governance.principal import Role
from protos import codec
from protos.fleet.v1 import catalogue_pb2, catalogue_pb2_grpc

_log = logging.getLogger(__name__)


class CatalogueServicer(catalogue_pb2_grpc.CatalogueServiceServicer):
    """Departments publish, every member reads."""

    def __init__(self, *, engine: Engine, callers: Callers, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._callers = callers
        self._clock = clock

    @guard
    def PublishDatasets(  # noqa: N802 - the name in the proto
        self, request: catalogue_pb2.PublishDatasetsRequest, context: grpc.ServicerContext
    ) -> catalogue_pb2.PublishDatasetsResponse:
        """Replace everything that the caller's department declares."""
        who = self._callers.require(context, Role.DEPARTMENT)
        declarations = codec.read_declarations(request)
        with database.writing(self._engine) as connection:
            rows.replace_datasets(connection, who, declarations, now=self._clock())
        _log.info("%s declares %d datasets", who.uri, len(declarations))
        return catalogue_pb2.PublishDatasetsResponse()

    @guard
    def ListDatasets(  # noqa: N802 - the name in the proto
        self, request: catalogue_pb2.ListDatasetsRequest, context: grpc.ServicerContext
    ) -> catalogue_pb2.ListDatasetsResponse:
        """List what all departments declare, or one of them."""
        self._callers.require(context, *Role)
        department = codec.read_list_datasets(request)
        with database.reading(self._engine) as connection:
            found = rows.list_datasets(connection, department)
        answer = catalogue_pb2.ListDatasetsResponse(
            datasets=[codec.write_catalogue_entry(entry) for entry in found]
        )
        if answer.ByteSize() > LIST_BYTES and not department:
            raise UsageError(
                "the catalogue is too large for one answer",
                hint="Ask for one department at a time.",
            )
        return answer
