"""A whole coordinator in this process on loopback ports, and members that enrol at it."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import studies
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from scripted import ScriptedEntropy

from coordinator import config, home, operate
from coordinator.app import Coordinator
from coordinator.client import connection, profile
from coordinator.client.api import Datalabbet
from coordinator.home import Surroundings
from coordinator.store import releases, runs
from coordinator.store.database import open_database, writing
from models.governance import token
from models.governance.any_record import AnyRecord
from models.governance.any_study import AnyStudy
from models.governance.approval import Approval, Decision, Statement, sign
from models.governance.principal import Principal, Role
from models.governance.states import RunState
from models.governance.study import Study
from models.governance.views import EnrolmentRequest, RunStatus
from models.schema import Declaration
from protos import codec
from protos.fleet.v1.catalogue_pb2_grpc import CatalogueServiceStub
from protos.fleet.v1.enrolment_pb2_grpc import EnrolmentServiceStub
from protos.studies.v1.studies_pb2_grpc import StudiesServiceStub


class Department:
    """What a node does outside of runs: it declares datasets and decides about studies."""

    def __init__(self, city: "City", name: str) -> None:
        self.city, self.name = city, name
        self.key = Ed25519PrivateKey.generate()
        made = profile.make_request()
        invitation = token.parse(city.invite(Principal(Role.DEPARTMENT, name)))
        request = EnrolmentRequest(
            request_id=str(uuid.uuid4()),
            token=invitation.secret,
            certificate_request_pem=made.request_pem,
            identity_public_key=self.key.public_key().public_bytes_raw(),
        )
        authority = invitation.authority_pem.encode()
        credentials = grpc.ssl_channel_credentials(root_certificates=authority)
        with grpc.secure_channel(city.enrolment, credentials) as channel:
            answer = EnrolmentServiceStub(channel).Enrol(codec.write_enrol_request(request))
        issued = codec.read_certificate(answer.certificate)
        self.credentials = grpc.ssl_channel_credentials(
            root_certificates=authority,
            private_key=made.key_pem,
            certificate_chain=issued.certificate_pem.encode(),
        )

    def declare(self, *declarations: Declaration) -> None:
        """Publish datasets."""
        with grpc.secure_channel(self.city.main, self.credentials) as channel:
            stub = CatalogueServiceStub(channel)
            stub.PublishDatasets(codec.write_declarations(declarations))

    def decide(self, study: AnyStudy, decision: Decision = Decision.APPROVED) -> Approval:
        """Sign and submit a decision."""
        statement = Statement(
            study=study.digest(),
            department=self.name,
            decision=decision,
            steward="Steward",
            reason="",
            decided_at=datetime.now(UTC),
        )
        approval = sign(statement, self.key)
        with grpc.secure_channel(self.city.main, self.credentials) as channel:
            StudiesServiceStub(channel).SubmitApproval(codec.write_approval(approval))
        return approval


class City:
    """A running coordinator."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        chosen = {"listen": "127.0.0.1:0", "enrol_listen": "127.0.0.1:0", "names": ["127.0.0.1"]}
        home.write_settings(folder, chosen)
        self.around = Surroundings(
            home=folder,
            settings=config.load(folder),
            clock=lambda: datetime.now(UTC),
            entropy=ScriptedEntropy(str(folder)),
        )
        home.initialise(self.around)
        self.main = self.enrolment = ""
        self.start()

    def start(self) -> None:
        """Start the coordinator, at the ports it had before."""
        if self.main:
            changes = {"listen": self.main, "enrol_listen": self.enrolment}
            settings = self.around.settings.model_copy(update=changes)
            self.around = Surroundings(
                home=self.folder,
                settings=settings,
                clock=self.around.clock,
                entropy=self.around.entropy,
            )
        self.coordinator = Coordinator(self.around)
        addresses = self.coordinator.start()
        self.main, self.enrolment = addresses.main, addresses.enrolment

    def stop(self) -> None:
        """Stop it."""
        self.coordinator.stop()

    def invite(self, who: Principal) -> str:
        """Give a token."""
        return operate.invite(self.around, who, valid=timedelta(hours=1)).text

    def profile(self, name: str, *, role: Role = Role.CENTRAL) -> Path:
        """Give the enrolled profile of a person."""
        made = connection.enrol(
            folder=self.folder.parent / f"profile-{name}",
            token=token.parse(self.invite(Principal(role, name))),
            coordinator=self.main,
            enrol_address=self.enrolment,
        )
        return made.folder

    def person(self, name: str, *, role: Role = Role.CENTRAL) -> Datalabbet:
        """Give the connection of a newly enrolled person."""
        return Datalabbet.connect(self.profile(name, role=role))

    def ready(self, city: Datalabbet, study: Study | None = None) -> Study:
        """Have a study proposed and approved by departments that declare its dataset."""
        wanted = study or studies.study()
        departments = [Department(self, name) for name in wanted.departments]
        for department in departments:
            department.declare(studies.declaration())
        city.propose(wanted)
        for department in departments:
            department.decide(wanted)
        return wanted

    def put_run(self, study: AnyStudy, run_id: int, state: RunState) -> RunStatus:
        """Put a run into the database as if it had been run."""
        now = datetime.now(UTC)
        status = RunStatus(
            run_id=run_id,
            study=study.study,
            study_hash=study.digest(),
            state=state,
            rounds_done=2,
            rounds_total=study.training.rounds if isinstance(study, Study) else 2,
            message="",
            started_at=now,
            updated_at=now,
            departments=("school", "care"),
        )
        engine = open_database(self.around.settings.database_url(self.folder))
        with writing(engine) as link:
            runs.add(link, status, request_id=str(uuid.uuid4()))
            runs.change(link, status, releases=_releases(study))
        engine.dispose()
        return status

    def put_release(self, record: AnyRecord, files: dict[str, bytes]) -> None:
        """Put a release into the database."""
        engine = open_database(self.around.settings.database_url(self.folder))
        with writing(engine) as connection:
            releases.save(connection, record=record, files=files)
        engine.dispose()


def _releases(study: AnyStudy) -> int:
    return 1 if isinstance(study, Study) else study.privacy.releases


@contextmanager
def running(folder: Path) -> Iterator[City]:
    """Give a running city and stop it."""
    city = City(folder)
    try:
        yield city
    finally:
        city.stop()
