"""A whole coordinator in this process, put together as in production, with a clock of its own."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr

from coordinator import home
from coordinator.app import Coordinator
from coordinator.config import Settings
from coordinator.fleet.enrolment import Enrolment
from coordinator.home import Surroundings
from models.governance import token
from models.governance.principal import Principal, Role
from models.governance.views import EnrolmentRequest, IssuedCertificate
from models.randomness import SystemEntropy
from protos import codec
from protos.fleet.v1.enrolment_pb2_grpc import EnrolmentServiceStub

SECONDS = 20.0
CENTRAL = Principal(Role.CENTRAL, "anna-berg")
ANALYST = Principal(Role.ANALYST, "olle-ek")


def department(name: str) -> Principal:
    return Principal(Role.DEPARTMENT, name)


class Clock:
    """The real time, moved by what a test says."""

    def __init__(self) -> None:
        self.moved = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.moved


@dataclass
class Applicant:
    """Keys as a node or a person makes them; `issued` once enrolled."""

    key: Any = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    identity: Ed25519PrivateKey | None = field(default_factory=Ed25519PrivateKey.generate)
    issued: IssuedCertificate | None = None

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    @property
    def identity_public_key(self) -> bytes:
        return self.identity.public_key().public_bytes_raw() if self.identity else b""

    def request_pem(self) -> str:
        builder = x509.CertificateSigningRequestBuilder(subject_name=x509.Name([]))
        signed = builder.sign(self.key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode()

    def request(self, text: str, *, request_id: str = "") -> EnrolmentRequest:
        return EnrolmentRequest(
            request_id=request_id or str(uuid.uuid4()),
            token=token.parse(text).secret,
            certificate_request_pem=self.request_pem(),
            identity_public_key=self.identity_public_key,
        )


class City:
    """A coordinator that listens on loopback, and members who enrolled at it."""

    def __init__(self, folder: Path, *, url: str = "", **settings: Any) -> None:
        self.clock = Clock()
        self.around = Surroundings(
            home=folder,
            settings=Settings(
                listen="127.0.0.1:0",
                enrol_listen="127.0.0.1:0",
                database=SecretStr(url),
                **settings,
            ),
            clock=self.clock,
            entropy=SystemEntropy(),
        )
        self.authority = home.initialise(self.around)
        self.open()

    def open(self) -> None:
        self.coordinator = Coordinator(self.around)
        self.at = self.coordinator.start()
        self.engine = self.coordinator._engine

    def close(self) -> None:
        self.coordinator.stop()

    def enrolment(self) -> Enrolment:
        """Give what the operator's commands use, beside the running coordinator."""
        return home.open_enrolment(self.around, engine=self.engine, authority=self.authority)

    def invite(self, who: Principal, *, valid: timedelta = timedelta(hours=1)) -> str:
        return self.enrolment().invite(who, valid=valid).text

    def enrol(self, who: Principal) -> Applicant:
        """Enrol over the wire, as a node or a person does."""
        applicant = Applicant()
        if who.role is not Role.DEPARTMENT:
            applicant.identity = None
        request = codec.write_enrol_request(applicant.request(self.invite(who)))
        with self.stranger() as channel:
            answer = EnrolmentServiceStub(channel).Enrol(request, timeout=SECONDS)
        applicant.issued = codec.read_certificate(answer.certificate)
        return applicant

    def stranger(self) -> grpc.Channel:
        """Give a channel to the enrolment port, without a certificate."""
        credentials = grpc.ssl_channel_credentials(root_certificates=self.authority.pem.encode())
        return grpc.secure_channel(self.at.enrolment, credentials)

    def channel(self, member: Applicant | None, *, options: Any = ()) -> grpc.Channel:
        """Give a channel to the main port with the member's certificate, or with none."""
        credentials = grpc.ssl_channel_credentials(
            root_certificates=self.authority.pem.encode(),
            private_key=member.key_pem if member else None,
            certificate_chain=member.issued.certificate_pem.encode() if member else None,
        )
        return grpc.secure_channel(self.at.main, credentials, options=options)


@contextmanager
def city(folder: Path, **options: Any) -> Iterator[City]:
    made = City(folder, **options)
    try:
        yield made
    finally:
        made.close()
