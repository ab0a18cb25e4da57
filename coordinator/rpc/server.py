"""The two gRPC servers of the coordinator.

The main port asks for a certificate of our authority before anything else (mutual TLS), and
carries every service. The enrolment port asks for none, since who comes there has none yet; it
carries `Enrol` and health alone, with a few threads of its own: strangers can neither reach
another call nor use up the members' threads.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import grpc
from grpc_health.v1 import health_pb2_grpc

from coordinator.fleet.authority import ServerIdentity
from coordinator.rpc.callers import Callers
from coordinator.rpc.catalogue import CatalogueServicer
from coordinator.rpc.data_plane import DataPlaneServicer
from coordinator.rpc.enrolment import EnrolmentServicer
from coordinator.rpc.fleet import FleetServicer
from coordinator.rpc.health import HealthServicer
from coordinator.rpc.ledger import LedgerServicer
from coordinator.rpc.limits import OPTIONS
from coordinator.rpc.releases import ReleasesServicer
from coordinator.rpc.runs import RunsServicer
from coordinator.rpc.studies import StudiesServicer
from models.errors import ConfigurationError, DatalabbetError
from protos.fleet.v1.catalogue_pb2_grpc import add_CatalogueServiceServicer_to_server
from protos.fleet.v1.data_plane_pb2_grpc import add_DataPlaneServiceServicer_to_server
from protos.fleet.v1.enrolment_pb2_grpc import add_EnrolmentServiceServicer_to_server
from protos.fleet.v1.fleet_pb2_grpc import add_FleetServiceServicer_to_server
from protos.ledger.v1.ledger_pb2_grpc import add_LedgerServiceServicer_to_server
from protos.releases.v1.releases_pb2_grpc import add_ReleasesServiceServicer_to_server
from protos.runs.v1.runs_pb2_grpc import add_RunsServiceServicer_to_server
from protos.studies.v1.studies_pb2_grpc import add_StudiesServiceServicer_to_server

_log = logging.getLogger(__name__)
_ENROLMENT_THREADS = 8
_SWEEP_SECONDS = 1.0

S = TypeVar("S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything that is served."""

    enrolment: EnrolmentServicer
    fleet: FleetServicer
    catalogue: CatalogueServicer
    studies: StudiesServicer
    runs: RunsServicer
    data_plane: DataPlaneServicer
    releases: ReleasesServicer
    ledger: LedgerServicer
    health: HealthServicer


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the coordinator listens (`host:port`), the ports being the real ones."""

    main: str
    enrolment: str


class Servers:
    """Both servers, and the thread that ends the streams of members who lost their standing.

    Args:
        services: what to serve.
        callers: what to sweep.
        identity: gives the server's certificate; asked again at every handshake.
        authority_pem: whom the members' certificates must be from.
        threads: of the main server. Every open stream holds one for its whole life, and a call
            beyond them is refused at once (RESOURCE_EXHAUSTED) rather than left hanging.
    """

    def __init__(
        self,
        *,
        services: Services,
        callers: Callers,
        identity: Callable[[], ServerIdentity],
        authority_pem: str,
        threads: int,
    ) -> None:
        self._callers = callers
        self._identity = identity
        self._authority = authority_pem.encode()
        self._main = _server("call", threads)
        self._enrolment = _server("enrol", _ENROLMENT_THREADS)
        self._stopping = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep, name="sweep", daemon=True)
        _serve(services, self._main)
        for server in (self._main, self._enrolment):
            add_EnrolmentServiceServicer_to_server(services.enrolment, server)  # type: ignore[no-untyped-call]
            health_pb2_grpc.add_HealthServicer_to_server(services.health, server)

    def listen(self, *, main: str, enrolment: str) -> Addresses:
        """Take two addresses (`host:port`; port 0 takes a free one). Nothing is served yet.

        Raises:
            ConfigurationError: an address cannot be listened at.
        """
        return Addresses(
            main=_listen(self._main, main, self._credentials(members_only=True)),
            enrolment=_listen(self._enrolment, enrolment, self._credentials(members_only=False)),
        )

    def start(self) -> None:
        """Serve."""
        self._main.start()
        self._enrolment.start()
        self._sweeper.start()

    def stop(self, *, grace: float) -> None:
        """Take no new calls, give those that go on `grace` seconds, then end them."""
        self._stopping.set()
        ended = [server.stop(grace) for server in (self._enrolment, self._main)]
        for event in ended:
            event.wait()
        if self._sweeper.is_alive():
            self._sweeper.join()

    def _credentials(self, *, members_only: bool) -> grpc.ServerCredentials:
        current = self._identity()
        given = [current]

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            try:
                fresh = self._identity()
            except DatalabbetError as error:  # the old one still works for a while
                _log.error("the server's certificate could not be renewed: %s", error.message)
                return None
            if fresh == given[0]:
                return None
            given[0] = fresh
            return self._configuration(fresh, members_only=members_only)

        return grpc.dynamic_ssl_server_credentials(
            self._configuration(current, members_only=members_only),
            fetch,  # type: ignore[arg-type]  # None means unchanged; the types lack it
            require_client_authentication=members_only,
        )

    def _configuration(
        self, identity: ServerIdentity, *, members_only: bool
    ) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration(
            [(identity.key_pem, identity.chain_pem)],
            root_certificates=self._authority if members_only else None,
        )

    def _sweep(self) -> None:
        while not self._stopping.wait(_SWEEP_SECONDS):
            try:
                self._callers.sweep()
            except Exception:  # noqa: BLE001 - the thread must live: it ends what was revoked
                _log.exception("sweeping failed")


def _server(name: str, threads: int) -> grpc.Server:
    return grpc.server(
        ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name),
        options=OPTIONS,
        maximum_concurrent_rpcs=threads,
    )


def _serve(services: Services, server: grpc.Server) -> None:
    add_FleetServiceServicer_to_server(services.fleet, server)  # type: ignore[no-untyped-call]
    add_CatalogueServiceServicer_to_server(services.catalogue, server)  # type: ignore[no-untyped-call]
    add_StudiesServiceServicer_to_server(services.studies, server)  # type: ignore[no-untyped-call]
    add_RunsServiceServicer_to_server(services.runs, server)  # type: ignore[no-untyped-call]
    add_DataPlaneServiceServicer_to_server(services.data_plane, server)  # type: ignore[no-untyped-call]
    add_ReleasesServiceServicer_to_server(services.releases, server)  # type: ignore[no-untyped-call]
    add_LedgerServiceServicer_to_server(services.ledger, server)  # type: ignore[no-untyped-call]


def _listen(server: grpc.Server, address: str, credentials: grpc.ServerCredentials) -> str:
    host = address.rpartition(":")[0]
    try:
        port = server.add_secure_port(address, credentials)
    except RuntimeError:
        port = 0
    if port == 0:
        raise ConfigurationError(
            f"{address} cannot be listened at",
            hint="Another program may use the port, or the host is not one of this machine.",
        )
    return f"{host}:{port}"
