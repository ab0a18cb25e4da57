"""The coordinator as the node sees it: calls with deadlines over one outbound connection."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from models.governance.approval import Approval
from models.governance.views import (
    EnrolmentRequest,
    IssuedCertificate,
    Notice,
    StudyStatus,
)
from models.ledger.entries import SignedHead
from models.schema import Declaration
from node.link.keyring import Credentials
from protos import codec, status
from protos.fleet.v1 import (
    catalogue_pb2_grpc,
    data_plane_pb2,
    data_plane_pb2_grpc,
    enrolment_pb2_grpc,
    fleet_pb2,
    fleet_pb2_grpc,
)
from protos.ledger.v1 import ledger_pb2_grpc
from protos.studies.v1 import studies_pb2, studies_pb2_grpc

R_co = TypeVar("R_co", covariant=True)

DEADLINE = 20.0
"""Seconds that a unary call may take."""

_OPTIONS: tuple[tuple[str, int], ...] = (
    # A cut link is noticed within 20 + 10 s, also while nothing is sent.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # gRPC's own reconnection would otherwise wait up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # A list of studies may be long; messages of the data plane come in frames of 1 MiB.
    ("grpc.max_receive_message_length", 32 << 20),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One whole message of the data plane."""

    message_id: str
    data: bytes


class _Call(Protocol[R_co]):
    """An open call whose answers come one by one; it can be ended from another thread."""

    def __iter__(self) -> Iterator[R_co]: ...

    def cancel(self) -> object: ...


class Coordinator:
    """One connection. Every method raises the `DatalabbetError` that a failed call means."""

    def __init__(self, channel: grpc.Channel) -> None:
        """Keep the channel."""
        self._channel = channel
        self._fleet = fleet_pb2_grpc.FleetServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
        self._plane = data_plane_pb2_grpc.DataPlaneServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
        self._catalogue = catalogue_pb2_grpc.CatalogueServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
        self._studies = studies_pb2_grpc.StudiesServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
        self._ledger = ledger_pb2_grpc.LedgerServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
        self._enrolment = enrolment_pb2_grpc.EnrolmentServiceStub(channel)  # type: ignore[no-untyped-call]  # generated

    def healthy(self, *, seconds: float = DEADLINE) -> bool:
        """Tell whether the coordinator says that it serves."""
        stub = health_pb2_grpc.HealthStub(self._channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=seconds)
        except grpc.RpcError as error:
            raise status.restore(error, doing="asking for the coordinator's health") from None
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def enrol(self, request: EnrolmentRequest) -> IssuedCertificate:
        """Exchange a token and a certificate request for a certificate."""
        try:
            answer = self._enrolment.Enrol(codec.write_enrol_request(request), timeout=DEADLINE)
        except grpc.RpcError as error:
            raise status.restore(error, doing="enrolling") from None
        return codec.read_certificate(answer.certificate)

    def renew(self, certificate_request_pem: str) -> IssuedCertificate:
        """Exchange a certificate request for a fresh certificate under the same identity."""
        message = codec.write_renew_request(certificate_request_pem)
        try:
            answer = self._enrolment.Renew(message, timeout=DEADLINE)
        except grpc.RpcError as error:
            raise status.restore(error, doing="renewing the certificate") from None
        return codec.read_certificate(answer.certificate)

    def publish(self, declarations: tuple[Declaration, ...]) -> None:
        """Replace what the catalogue says about this department."""
        message = codec.write_declarations(declarations)
        try:
            self._catalogue.PublishDatasets(message, timeout=DEADLINE)
        except grpc.RpcError as error:
            raise status.restore(error, doing="publishing the datasets") from None

    def report_head(self, signed: SignedHead) -> None:
        """Tell the newest head of this node's ledger; telling it again changes nothing."""
        message = codec.write_reported_head(signed)
        try:
            self._ledger.ReportHead(message, timeout=DEADLINE)
        except grpc.RpcError as error:
            raise status.restore(error, doing="reporting the ledger's head") from None

    def studies(self) -> tuple[StudyStatus, ...]:
        """Give the studies that name this department, newest first."""
        try:
            answer = self._studies.ListStudies(studies_pb2.ListStudiesRequest(), timeout=DEADLINE)
        except grpc.RpcError as error:
            raise status.restore(error, doing="listing the studies") from None
        return tuple(codec.read_study_status(item) for item in answer.studies)

    def study(self, reference: str) -> StudyStatus:
        """Give one study by its id or hash."""
        message = studies_pb2.GetStudyRequest(study=reference)
        try:
            answer = self._studies.GetStudy(message, timeout=DEADLINE)
        except grpc.RpcError as error:
            raise status.restore(error, doing="reading the study") from None
        return codec.read_study_status(answer.study)

    def submit(self, approval: Approval) -> StudyStatus:
        """Submit a signed decision; submitting it again changes nothing."""
        message = codec.write_approval(approval)
        try:
            answer = self._studies.SubmitApproval(message, timeout=DEADLINE)
        except grpc.RpcError as error:
            raise status.restore(error, doing="submitting the decision") from None
        return codec.read_study_status(answer.study)

    def attend(self, software: str) -> "Notices":
        """Take the node's place in the fleet."""
        return Notices(self._fleet.Attend(fleet_pb2.AttendRequest(software=software)))

    def exchange(self, run_id: int, *, outgoing: Iterator[Letter], limit: int) -> "Letters":
        """Open the data plane of one run; the stream ends when `outgoing` ends."""
        requests = (
            data_plane_pb2.ExchangeRequest(frame=frame)
            for letter in outgoing
            for frame in codec.split(letter.message_id, letter.data)
        )
        call = self._plane.Exchange(requests, metadata=(("datalabbet-run", str(run_id)),))
        return Letters(call, limit)

    def close(self) -> None:
        """Close the connection; open calls end."""
        self._channel.close()


class Notices:
    """What the coordinator asks of the node, as it comes."""

    def __init__(self, call: "_Call[fleet_pb2.AttendResponse]") -> None:
        self._call = call

    def __iter__(self) -> Iterator[Notice]:
        """Give each notice; end when the call ends, with the error that it ended with."""
        try:
            for message in self._call:
                yield codec.read_notice(message)
        except grpc.RpcError as error:
            raise status.restore(error, doing="attending") from None

    def cancel(self) -> object:
        """End the call."""
        return self._call.cancel()


class Letters:
    """The messages of one run, as they come."""

    def __init__(self, call: "_Call[data_plane_pb2.ExchangeResponse]", limit: int) -> None:
        self._call = call
        self._limit = limit

    def __iter__(self) -> Iterator[Letter]:
        """Give each whole message; end when the call ends, with the error that it ended with."""
        frames = (message.frame for message in self._call)
        try:
            for message_id, data in codec.join(frames, limit=self._limit):
                yield Letter(message_id=message_id, data=data)
        except grpc.RpcError as error:
            raise status.restore(error, doing="the data plane") from None

    def cancel(self) -> object:
        """End the call."""
        return self._call.cancel()


def connect(credentials: Credentials, *, address: str | None = None) -> Coordinator:
    """Give a connection under mutual TLS. It is made when the first call needs it."""
    channel = grpc.secure_channel(
        address or credentials.membership.coordinator,
        grpc.ssl_channel_credentials(
            root_certificates=credentials.certificate.authority_pem.encode(),
            private_key=credentials.key_pem,
            certificate_chain=credentials.certificate.pem.encode(),
        ),
        options=_OPTIONS,
    )
    return Coordinator(channel)


def connect_to_enrol(address: str, *, authority_pem: str) -> Coordinator:
    """Give a connection to the enrolment port, whose certificate `authority_pem` must have signed.

    The node shows no certificate: it has none yet.
    """
    credentials = grpc.ssl_channel_credentials(root_certificates=authority_pem.encode())
    return Coordinator(grpc.secure_channel(address, credentials, options=_OPTIONS))
