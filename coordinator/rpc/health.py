"""grpc.health.v1.Health: whether the coordinator serves, for probes and for `doctor`."""

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from sqlalchemy import Engine, select

from coordinator.store import database
from models.errors import StorageError

_HEALTHY = health_pb2.HealthCheckResponse.SERVING
_ILL = health_pb2.HealthCheckResponse.NOT_SERVING


class HealthServicer(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # no types published
    """SERVING while the database answers. `Watch` is not offered: it would hold a thread."""

    def __init__(self, *, engine: Engine) -> None:
        self._engine = engine

    def Check(  # noqa: N802 - the name in the proto
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        """Tell whether the coordinator serves. There is one health for all services."""
        if request.service:
            context.abort(grpc.StatusCode.NOT_FOUND, "ask for the service with the empty name")
        try:
            with database.reading(self._engine) as connection:
                connection.execute(select(1))
        except StorageError:
            return health_pb2.HealthCheckResponse(status=_ILL)
        return health_pb2.HealthCheckResponse(status=_HEALTHY)


def probe(address: str, *, authority_pem: str, name: str, seconds: float = 3.0) -> bool:
    """Tell whether a coordinator serves at `address`, presenting a certificate for `name`."""
    credentials = grpc.ssl_channel_credentials(root_certificates=authority_pem.encode())
    options = (("grpc.ssl_target_name_override", name),)
    with grpc.secure_channel(address, credentials, options=options) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=seconds
            )
        except grpc.RpcError:
            return False
    return bool(answer.status == _HEALTHY)
