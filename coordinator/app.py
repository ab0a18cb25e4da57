"""The coordinator, put together: the one place where its parts are made and joined."""

import threading
import time

from coordinator.fleet.authority import Authority, ServerIdentity
from coordinator.fleet.presence import Presence
from coordinator.home import (
    HomeLock,
    Surroundings,
    open_authority,
    open_enrolment,
    open_migrated,
)
from coordinator.rounds.driver import RunService
from coordinator.rounds.settings import RunSettings
from coordinator.rpc.callers import Callers
from coordinator.rpc.catalogue import CatalogueServicer
from coordinator.rpc.data_plane import DataPlaneServicer
from coordinator.rpc.enrolment import EnrolmentServicer
from coordinator.rpc.fleet import FleetServicer
from coordinator.rpc.health import HealthServicer
from coordinator.rpc.ledger import LedgerServicer
from coordinator.rpc.releases import ReleasesServicer
from coordinator.rpc.runs import RunsServicer
from coordinator.rpc.server import Addresses, Servers, Services
from coordinator.rpc.studies import StudiesServicer
from coordinator.studies.service import StudyService

_IDENTITY_SECONDS = 3600.0
_GRACE_SECONDS = 2.0


class Coordinator:
    """A running coordinator. One per home: a second one is refused."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._lock = HomeLock(around.state / "lock")
        self._authority = open_authority(around)
        self._lock.take()
        try:
            self._engine = open_migrated(around)
        except BaseException:  # an interrupt too: the next start must find the home free
            self._lock.release()
            raise
        self._presence = Presence()
        settings = around.settings
        self._runs = RunService(
            database=self._engine,
            presence=self._presence,
            settings=RunSettings(
                grace_seconds=settings.grace_seconds,
                round_timeout_seconds=settings.round_timeout_seconds,
                most_runs=settings.most_runs,
            ),
            clock=around.clock,
            entropy=around.entropy,
        )
        callers = Callers(engine=self._engine, clock=around.clock)
        self._servers = Servers(
            services=self._services(callers),
            callers=callers,
            identity=_ServerCertificate(around, self._authority).get,
            authority_pem=self._authority.pem,
            threads=settings.threads,
        )

    def _services(self, callers: Callers) -> Services:
        around, engine = self._around, self._engine
        enrolment = open_enrolment(around, engine=engine, authority=self._authority)
        studies = StudyService(engine=engine, clock=around.clock)
        return Services(
            enrolment=EnrolmentServicer(enrolment=enrolment, callers=callers),
            fleet=FleetServicer(
                engine=engine, callers=callers, presence=self._presence, clock=around.clock
            ),
            catalogue=CatalogueServicer(engine=engine, callers=callers, clock=around.clock),
            studies=StudiesServicer(studies=studies, callers=callers),
            runs=RunsServicer(runs=self._runs, callers=callers),
            data_plane=DataPlaneServicer(runs=self._runs, callers=callers),
            releases=ReleasesServicer(engine=engine, callers=callers),
            ledger=LedgerServicer(engine=engine, callers=callers, clock=around.clock),
            health=HealthServicer(engine=engine),
        )

    def start(self) -> Addresses:
        """Listen, go on with the runs that have not ended, and serve; give where.

        Raises:
            ConfigurationError: an address cannot be listened at.
            StorageError: the database does not answer.
        """
        settings = self._around.settings
        addresses = self._servers.listen(main=settings.listen, enrolment=settings.enrol_listen)
        self._runs.resume_all()
        self._servers.start()
        return addresses

    def stop(self) -> None:
        """Let everyone go; runs that have not ended go on at the next start."""
        self._presence.close()
        self._runs.close()
        self._servers.stop(grace=_GRACE_SECONDS)
        self._engine.dispose()
        self._lock.release()


class _ServerCertificate:
    """The server's certificate, looked at again every hour: it is renewed while we run."""

    def __init__(self, around: Surroundings, authority: Authority) -> None:
        self._around = around
        self._authority = authority
        self._lock = threading.Lock()
        self._current: ServerIdentity | None = None
        self._looked = 0.0

    def get(self) -> ServerIdentity:
        """Give the certificate to present now."""
        with self._lock:
            now = time.monotonic()
            if self._current is None or now - self._looked > _IDENTITY_SECONDS:
                self._current = self._authority.server_identity(
                    self._around.settings.names,
                    now=self._around.clock(),
                    entropy=self._around.entropy,
                )
                self._looked = now
            return self._current
