"""Channels to the coordinator: enrolling a person, renewing, and calling with a deadline."""

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import grpc
from cryptography import x509

from coordinator.client import profile as profiles
from coordinator.client.profile import KeyRequest, Profile
from models.errors import (
    ConfigurationError,
    ConnectionFailedError,
    DatalabbetError,
    ProtocolViolationError,
    UnauthenticatedError,
    UsageError,
)
from models.governance.principal import Role
from models.governance.token import EnrolmentToken
from models.governance.views import EnrolmentRequest, IssuedCertificate
from protos import codec, status
from protos.fleet.v1.enrolment_pb2_grpc import EnrolmentServiceStub

A = TypeVar("A")

DEADLINE = 30.0
"""Seconds that one call may take."""

_OPTIONS = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.initial_reconnect_backoff_ms", 250),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.enable_retries", 0),  # what may be retried is decided here, call by call
)
_PAUSES = (0.3, 1.0)  # seconds before the second and the third try


def call(method: Callable[..., A], request: object, *, doing: str, seconds: float = DEADLINE) -> A:
    """Give a unary call's answer.

    Raises:
        DatalabbetError: what the coordinator said, or why it could not be reached.
    """
    try:
        return method(request, timeout=seconds)
    except grpc.RpcError as error:
        raise status.restore(error, doing=doing) from None


def call_again(method: Callable[..., A], request: object, *, doing: str) -> A:
    """Give the answer to a call that is safe to repeat; tries again while there is no way."""
    for pause in _PAUSES:
        try:
            return call(method, request, doing=doing)
        except ConnectionFailedError as error:
            if not transient(error):
                raise
        time.sleep(pause)
    return call(method, request, doing=doing)


def open_channel(profile: Profile) -> grpc.Channel:
    """Give a mutual-TLS channel to the profile's coordinator."""
    credentials = grpc.ssl_channel_credentials(
        root_certificates=profile.authority_pem,
        private_key=profile.identity_pem,
        certificate_chain=_certificate_only(profile),
    )
    return grpc.secure_channel(profile.coordinator, credentials, options=_OPTIONS)


def enrol(*, folder: Path, token: EnrolmentToken, coordinator: str, enrol_address: str) -> Profile:
    """Exchange a token for a certificate, and give the new profile in `folder`.

    Raises:
        UsageError: the folder holds a profile already.
        UnauthenticatedError: the token is wrong, used or expired.
    """
    if profiles.exists(folder):
        raise UsageError(
            f"{folder} is enrolled already",
            hint="Choose another folder with --profile, or delete that one first.",
        )
    profiles.address(coordinator)
    target = profiles.address(enrol_address).coordinator
    fresh = profiles.make_request()
    request = codec.write_enrol_request(
        EnrolmentRequest(
            request_id=str(uuid.uuid4()),
            token=token.secret,
            certificate_request_pem=fresh.request_pem,
            identity_public_key=b"",
        )
    )
    authority = token.authority_pem.encode()
    credentials = grpc.ssl_channel_credentials(root_certificates=authority)
    with grpc.secure_channel(target, credentials, options=_OPTIONS) as channel:
        stub = EnrolmentServiceStub(channel)  # type: ignore[no-untyped-call]
        answer = call_again(stub.Enrol, request, doing="enrolling")
    issued = codec.read_certificate(answer.certificate)
    _check(issued, fresh, authority_pem=token.authority_pem)
    return profiles.save(
        folder,
        coordinator=coordinator,
        authority_pem=token.authority_pem,
        identity_pem=_joined(fresh, issued),
    )


def renewed(profile: Profile, channel: grpc.Channel, *, now: datetime) -> Profile:
    """Give the profile with a fresh certificate if its own is in the last third of its life.

    A coordinator that cannot be reached now is asked the next time.

    Raises:
        UnauthenticatedError: the certificate has expired.
    """
    if not profile.due(now):
        return profile
    fresh = profiles.make_request()
    request = codec.write_renew_request(fresh.request_pem)
    stub = EnrolmentServiceStub(channel)  # type: ignore[no-untyped-call]
    try:
        answer = call(stub.Renew, request, doing="renewing")
    except UnauthenticatedError:
        raise
    except ConnectionFailedError:
        return profile
    issued = codec.read_certificate(answer.certificate)
    _check(issued, fresh, authority_pem=profile.authority_pem.decode())
    return profiles.replace_identity(profile, _joined(fresh, issued))


@contextlib.contextmanager
def restoring(doing: str) -> Iterator[None]:
    """Turn what a broken stream raises into our errors."""
    try:
        yield
    except grpc.RpcError as error:
        raise status.restore(error, doing=doing) from None


def transient(error: DatalabbetError) -> bool:
    """Tell whether the same call may succeed a little later."""
    return type(error) is ConnectionFailedError


def _check(issued: IssuedCertificate, fresh: KeyRequest, *, authority_pem: str) -> None:
    if issued.principal.role is Role.DEPARTMENT:
        raise ProtocolViolationError("the coordinator sent a department's certificate to a person")
    if issued.authority_pem.strip() != authority_pem.strip():
        raise ProtocolViolationError("the coordinator named another authority than the token")
    try:
        certificate = x509.load_pem_x509_certificate(issued.certificate_pem.encode())
        request = x509.load_pem_x509_csr(fresh.request_pem.encode())
        certificate.verify_directly_issued_by(
            x509.load_pem_x509_certificate(authority_pem.encode())
        )
    except Exception:  # noqa: BLE001 - cryptography raises several kinds for a bad certificate
        raise ProtocolViolationError("the coordinator sent a bad certificate") from None
    if certificate.public_key() != request.public_key():
        raise ProtocolViolationError("the coordinator sent a certificate for another key")


def _joined(fresh: KeyRequest, issued: IssuedCertificate) -> bytes:
    return fresh.key_pem + issued.certificate_pem.encode()


def _certificate_only(profile: Profile) -> bytes:
    start = profile.identity_pem.find(b"-----BEGIN CERTIFICATE-----")
    if start < 0:
        raise ConfigurationError(
            f"{profile.folder} holds no certificate",
            hint="Ask the central team for a token and run `datalabbet enrol`.",
        )
    return profile.identity_pem[start:]
