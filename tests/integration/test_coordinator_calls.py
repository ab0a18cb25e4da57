"""Who may call what: every RPC and every role over real mutual TLS, on both databases."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import grpc
import pytest
from city import ANALYST, CENTRAL, SECONDS, Applicant, City, city, department
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from coordinator.fleet.authority import Authority
from coordinator.store import fleet as rows
from coordinator.store.database import writing
from models.errors import NotAllowedError, UnauthenticatedError
from models.governance.principal import Principal
from models.governance.views import IssuedCertificate
from models.randomness import SystemEntropy
from protos import codec, status
from protos.fleet.v1 import catalogue_pb2, data_plane_pb2, enrolment_pb2, fleet_pb2
from protos.fleet.v1.catalogue_pb2_grpc import CatalogueServiceStub
from protos.fleet.v1.enrolment_pb2_grpc import EnrolmentServiceStub
from protos.fleet.v1.fleet_pb2_grpc import FleetServiceStub
from protos.ledger.v1 import ledger_pb2
from protos.releases.v1 import releases_pb2
from protos.runs.v1 import runs_pb2
from protos.studies.v1 import studies_pb2

SCHOOL = department("school")
EVERYBODY = frozenset({"department", "central", "analyst"})
PEOPLE = frozenset({"central", "analyst"})
ALLOWED = {
    "EnrolmentService/Enrol": EVERYBODY,  # and strangers
    "EnrolmentService/Renew": EVERYBODY,
    "FleetService/Attend": frozenset({"department"}),
    "FleetService/ListMembers": PEOPLE,
    "CatalogueService/PublishDatasets": frozenset({"department"}),
    "CatalogueService/ListDatasets": EVERYBODY,
    "DataPlaneService/Exchange": frozenset({"department"}),
    "StudiesService/ProposeStudy": frozenset({"central"}),
    "StudiesService/GetStudy": EVERYBODY,
    "StudiesService/ListStudies": EVERYBODY,
    "StudiesService/SubmitApproval": frozenset({"department"}),
    "RunsService/StartRun": frozenset({"central"}),
    "RunsService/GetRun": PEOPLE,
    "RunsService/ListRuns": PEOPLE,
    "RunsService/WatchRun": PEOPLE,
    "RunsService/StopRun": frozenset({"central"}),
    "LedgerService/ReportHead": frozenset({"department"}),
    "LedgerService/ListReceived": PEOPLE,
    "ReleasesService/ListReleases": PEOPLE,
    "ReleasesService/GetRelease": PEOPLE,
    "ReleasesService/DownloadFile": PEOPLE,
}
METHODS = {
    f"{service.name}/{method.name}": method
    for module in (
        catalogue_pb2,
        data_plane_pb2,
        enrolment_pb2,
        fleet_pb2,
        ledger_pb2,
        releases_pb2,
        runs_pb2,
        studies_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
REFUSED = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}


@dataclass
class Town:
    city: City
    members: dict[str, Applicant]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def town(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Town]:
    url = ""
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres_server")
        server.run("create database calls")
        url = server.url("calls")
    with city(tmp_path_factory.mktemp("town"), url=url) as made:
        members = {who.role.value: made.enrol(who) for who in (SCHOOL, CENTRAL, ANALYST)}
        yield Town(city=made, members=members)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[City]:
    with city(tmp_path) as made:
        yield made


def call(channel: grpc.Channel, method: MethodDescriptor) -> grpc.RpcError | None:
    """Call with an empty request; give the error that it ends with, or None for an answer."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    request = GetMessageClass(method.input_type)
    form = {
        "request_serializer": request.SerializeToString,
        "response_deserializer": GetMessageClass(method.output_type).FromString,
    }
    try:
        if method.client_streaming:
            next(channel.stream_stream(path, **form)(iter(()), timeout=SECONDS), None)
        elif method.server_streaming:
            stream = channel.unary_stream(path, **form)(request(), timeout=SECONDS)
            next(stream, None)
            stream.cancel()
        else:
            channel.unary_unary(path, **form)(request(), timeout=SECONDS)
    except grpc.RpcError as error:
        return error
    return None


def test_every_rpc_is_in_the_table() -> None:
    assert METHODS.keys() == ALLOWED.keys()


@pytest.mark.parametrize("role", sorted(EVERYBODY))
@pytest.mark.parametrize("name", METHODS)
def test_a_role_may_call_what_the_table_says(town: Town, name: str, role: str) -> None:
    with town.city.channel(town.members[role]) as channel:
        error = call(channel, METHODS[name])
    code = error.code() if error is not None else grpc.StatusCode.OK
    if role in ALLOWED[name]:
        assert code not in REFUSED | {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INTERNAL}
    else:
        assert code is grpc.StatusCode.PERMISSION_DENIED
        restored = status.restore(error, doing="calling")
        assert isinstance(restored, NotAllowedError)
        assert role in restored.message


@pytest.mark.parametrize("name", METHODS)
def test_a_stranger_reaches_enrolment_alone(town: Town, name: str) -> None:
    with town.city.stranger() as channel:
        error = call(channel, METHODS[name])
    assert error is not None
    expected = {
        "EnrolmentService/Enrol": grpc.StatusCode.INVALID_ARGUMENT,
        "EnrolmentService/Renew": grpc.StatusCode.UNAUTHENTICATED,
    }
    assert error.code() is expected.get(name, grpc.StatusCode.UNIMPLEMENTED)


def test_reflection_is_off(town: Town) -> None:
    with town.city.channel(town.members["central"]) as channel:
        method = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=bytes,
            response_deserializer=bytes,
        )
        with pytest.raises(grpc.RpcError) as caught:
            next(method(iter([b""]), timeout=SECONDS))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def list_datasets(channel: grpc.Channel) -> catalogue_pb2.ListDatasetsResponse:
    stub = CatalogueServiceStub(channel)
    return stub.ListDatasets(catalogue_pb2.ListDatasetsRequest(), timeout=SECONDS)


def refusal(channel: grpc.Channel) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        list_datasets(channel)
    return caught.value


def test_the_main_port_asks_for_a_certificate(small: City) -> None:
    with small.channel(None) as channel:
        assert refusal(channel).code() is grpc.StatusCode.UNAVAILABLE


def given(
    authority: Authority, who: Principal, *, now: datetime, validity: timedelta, city: City | None
) -> Applicant:
    """Give a certificate of `authority`; with a city, one that its database knows."""
    applicant = Applicant()
    issued = authority.issue(
        who, applicant.key.public_key(), now=now, validity=validity, entropy=SystemEntropy()
    )
    applicant.issued = IssuedCertificate(
        certificate_pem=issued.pem,
        authority_pem=authority.pem,
        principal=who,
        node_id=2,
        expires_at=issued.expires_at,
    )
    if city is not None:
        row = rows.CertificateRow(
            serial=issued.serial,
            principal=who,
            pem=issued.pem,
            issued_at=issued.not_before,
            expires_at=issued.expires_at,
            revoked=False,
        )
        with writing(city.engine) as connection:
            rows.add_certificate(connection, row)
    return applicant


def test_a_foreign_authoritys_certificate_is_refused(small: City, tmp_path: Path) -> None:
    small.enrol(SCHOOL)
    now = small.clock()
    foreign = Authority.create(tmp_path / "foreign", now=now, entropy=SystemEntropy())
    forged = given(foreign, SCHOOL, now=now, validity=timedelta(days=1), city=None)
    with small.channel(forged) as channel:
        assert refusal(channel).code() is grpc.StatusCode.UNAVAILABLE


def test_a_certificate_that_we_do_not_know_is_refused(small: City) -> None:
    """Signed with our key (a stolen backup), or from before the database was restored."""
    small.enrol(SCHOOL)
    life = timedelta(days=1)
    unknown = given(small.authority, SCHOOL, now=small.clock(), validity=life, city=None)
    with small.channel(unknown) as channel:
        error = status.restore(refusal(channel), doing="listing")
    assert isinstance(error, UnauthenticatedError)
    assert error.message == "the certificate was not issued by this coordinator"
    assert "Enrol again" in error.hint


def test_an_expired_certificate_does_not_connect(small: City) -> None:
    small.enrol(SCHOOL)
    life = timedelta(hours=1)
    before = small.clock() - timedelta(days=2)
    expired = given(small.authority, SCHOOL, now=before, validity=life, city=small)
    with small.channel(expired) as channel:
        assert refusal(channel).code() is grpc.StatusCode.UNAVAILABLE


def test_a_certificate_that_expires_on_an_open_connection_is_refused(small: City) -> None:
    member = small.enrol(SCHOOL)
    with small.channel(member) as channel:
        list_datasets(channel)
        notices = FleetServiceStub(channel).Attend(fleet_pb2.AttendRequest(software="0.1.0"))
        next(notices)
        small.clock.moved = timedelta(days=31)
        error = status.restore(refusal(channel), doing="listing")
        assert isinstance(error, UnauthenticatedError)
        assert error.message == "the certificate has expired or is not valid yet"
        with pytest.raises(grpc.RpcError) as caught:
            list(notices)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_certificate_from_the_future_is_refused(small: City) -> None:
    member = small.enrol(SCHOOL)
    small.clock.moved = timedelta(days=-1)
    with small.channel(member) as channel:
        assert refusal(channel).code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_revoked_member_is_refused_at_the_next_call(small: City) -> None:
    member = small.enrol(SCHOOL)
    with small.channel(member) as channel:
        list_datasets(channel)
        small.enrolment().revoke(SCHOOL)
        error = status.restore(refusal(channel), doing="listing")
    assert isinstance(error, UnauthenticatedError)
    assert error.message == "the certificate has been revoked"


def test_a_revoked_nodes_stream_ends_within_seconds(small: City) -> None:
    member = small.enrol(SCHOOL)
    with small.channel(member) as channel:
        notices = FleetServiceStub(channel).Attend(fleet_pb2.AttendRequest(software="0.1.0"))
        next(notices)
        small.enrolment().revoke(SCHOOL)
        start = time.monotonic()
        with pytest.raises(grpc.RpcError) as caught:
            list(notices)
        assert time.monotonic() - start < 4
    error = status.restore(caught.value, doing="attending")
    assert error.message == "the certificate has been revoked"
    assert small.coordinator._presence.connected() == set()


def test_a_renewed_certificate_works_beside_the_older(small: City) -> None:
    member, fresh = small.enrol(SCHOOL), Applicant()
    with small.channel(member) as channel:
        request = codec.write_renew_request(fresh.request_pem())
        answer = EnrolmentServiceStub(channel).Renew(request, timeout=SECONDS)
        fresh.issued = codec.read_certificate(answer.certificate)
        list_datasets(channel)
    assert fresh.issued.node_id == member.issued.node_id
    assert fresh.issued.principal == SCHOOL
    with small.channel(fresh) as channel:
        list_datasets(channel)


def test_a_certificate_without_its_key_is_of_no_use(small: City) -> None:
    member = small.enrol(SCHOOL)
    member.key = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(BaseException) as caught, small.channel(member) as channel:  # noqa: PT011
        list_datasets(channel)
    assert not isinstance(caught.value, AssertionError)


def test_a_member_knows_a_false_coordinator(small: City, tmp_path: Path) -> None:
    foreign = Authority.create(tmp_path / "foreign", now=small.clock(), entropy=SystemEntropy())
    credentials = grpc.ssl_channel_credentials(root_certificates=foreign.pem.encode())
    with (
        grpc.secure_channel(small.at.enrolment, credentials) as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        EnrolmentServiceStub(channel).Enrol(enrolment_pb2.EnrolRequest(), timeout=SECONDS)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
