"""The coordinator at work over real mutual TLS: enrolment to run, restarts, limits, failures."""

import logging
import socket
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from city import ANALYST, CENTRAL, SECONDS, Applicant, City, city, department
from grpc_health.v1 import health_pb2, health_pb2_grpc
from sqlalchemy import event
from studies import DEPARTMENTS, declaration, study

from coordinator.app import Coordinator
from coordinator.rpc import health, limits
from coordinator.rpc.callers import guard, guard_stream
from coordinator.store.database import reading, writing
from models.errors import (
    AlreadyExistsError,
    ConfigurationError,
    DatalabbetError,
    InvalidDocumentError,
    RefusedError,
    StorageError,
    UnauthenticatedError,
)
from models.governance import token
from models.governance.approval import Decision, Statement, sign
from models.governance.principal import Principal
from models.governance.states import RunState, StudyState
from models.governance.views import Assignment, Notice, StudyStatus
from models.schema import Declaration
from protos import codec, status
from protos.fleet.v1 import catalogue_pb2, fleet_pb2
from protos.fleet.v1.catalogue_pb2_grpc import CatalogueServiceStub
from protos.fleet.v1.enrolment_pb2_grpc import EnrolmentServiceStub
from protos.fleet.v1.fleet_pb2_grpc import FleetServiceStub
from protos.runs.v1 import runs_pb2
from protos.runs.v1.runs_pb2_grpc import RunsServiceStub
from protos.studies.v1 import studies_pb2
from protos.studies.v1.studies_pb2_grpc import StudiesServiceStub

SCHOOL = department("school")
STUDY = study()


@pytest.fixture(params=["sqlite", "postgresql"])
def town(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[City]:
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres")
    with city(tmp_path, url=url) as made:
        yield made


@pytest.fixture
def small(tmp_path: Path) -> Iterator[City]:
    with city(tmp_path) as made:
        yield made


def restored(error: grpc.RpcError) -> DatalabbetError:
    return status.restore(error, doing="calling")


def fails(method, request, *, seconds: float = SECONDS) -> DatalabbetError:
    with pytest.raises(grpc.RpcError) as caught:
        method(request, timeout=seconds)
    return restored(caught.value)


def attend(channel: grpc.Channel):
    return FleetServiceStub(channel).Attend(fleet_pb2.AttendRequest(software="0.1.0"))


def publish(channel: grpc.Channel, *declarations: Declaration) -> None:
    request = codec.write_declarations(declarations)
    CatalogueServiceStub(channel).PublishDatasets(request, timeout=SECONDS)


# --- enrolment -----------------------------------------------------------------------------


def test_wrong_used_and_expired_tokens_are_refused_over_the_wire(town: City) -> None:
    text = town.invite(SCHOOL)
    first, second = Applicant(), Applicant()
    with town.stranger() as channel:
        enrol = EnrolmentServiceStub(channel).Enrol
        wrong = replace(first.request(text), token="x" * 43)
        errors = [fails(enrol, codec.write_enrol_request(wrong))]
        request = codec.write_enrol_request(first.request(text))
        one = enrol(request, timeout=SECONDS)
        assert enrol(request, timeout=SECONDS) == one  # a retry
        errors.append(fails(enrol, codec.write_enrol_request(second.request(text))))
        late = codec.write_enrol_request(second.request(town.invite(SCHOOL)))
        town.clock.moved = timedelta(hours=2)
        errors.append(fails(enrol, late))
    assert {type(error) for error in errors} == {UnauthenticatedError}
    assert [error.message for error in errors] == [
        "the token is not valid",
        "the token has been used",
        "the token has expired",
    ]
    assert all("fresh token" in error.hint for error in errors)


def test_a_bad_request_is_told_by_field(small: City) -> None:
    request = codec.write_enrol_request(Applicant().request(small.invite(SCHOOL)))
    request.identity_public_key = b"short"
    with small.stranger() as channel:
        error = fails(EnrolmentServiceStub(channel).Enrol, request)
    assert isinstance(error, InvalidDocumentError)
    assert [p.field for p in error.problems] == ["identity_public_key"]


def test_no_secret_is_logged(small: City, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    text = small.invite(SCHOOL)
    applicant = Applicant()
    with small.stranger() as channel:
        enrol = EnrolmentServiceStub(channel).Enrol
        enrol(codec.write_enrol_request(applicant.request(text)), timeout=SECONDS)
        fails(enrol, codec.write_enrol_request(Applicant().request(text)))
    assert "enrolled spiffe://datalabbet/department/school" in caplog.text
    assert "the token has been used" in caplog.text
    assert token.parse(text).secret not in caplog.text
    assert "PRIVATE KEY" not in caplog.text


# --- presence ------------------------------------------------------------------------------


def notice(stream) -> Notice:
    return codec.read_notice(next(stream))


def test_a_node_is_told_its_assignments(town: City) -> None:
    member = town.enrol(SCHOOL)
    presence = town.coordinator._presence
    one = Assignment(run_id=7, study_hash="a" * 64)
    with town.channel(member) as channel:
        stream = attend(channel)
        assert notice(stream).assignments == ()
        assert presence.connected() == {"school"}
        start = time.monotonic()
        presence.assign("school", one)
        presence.assign("care", replace(one, run_id=8))
        told = notice(stream)
        assert told.assignments == (one,)
        assert time.monotonic() - start < 1
        assert abs(told.now - town.clock()) < timedelta(seconds=10)
        presence.withdraw(7)
        assert notice(stream).assignments == ()
        assert notice(stream).assignments == ()  # the heartbeat
        assert time.monotonic() - start < 8
        stream.cancel()
        wait_until(lambda: not presence.connected())


def wait_until(done, *, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_newer_stream_replaces_the_older(small: City) -> None:
    member = small.enrol(SCHOOL)
    with small.channel(member) as one, small.channel(member) as two:
        older = attend(one)
        next(older)
        newer = attend(two)
        next(newer)
        with pytest.raises(grpc.RpcError) as caught:
            list(older)
        assert caught.value.code() is grpc.StatusCode.ABORTED
        next(newer)
    wait_until(lambda: not small.coordinator._presence.connected())


def test_a_node_that_is_cut_off_is_gone(small: City) -> None:
    member = small.enrol(SCHOOL)
    channel = small.channel(member)
    stream = attend(channel)
    next(stream)
    assert small.coordinator._presence.connected() == {"school"}
    channel.close()
    wait_until(lambda: not small.coordinator._presence.connected())


def test_members_are_listed(town: City) -> None:
    school, central = town.enrol(SCHOOL), town.enrol(CENTRAL)
    town.enrol(ANALYST)
    town.enrolment().revoke(ANALYST)
    with town.channel(school) as channel, town.channel(central) as mine:
        stream = attend(channel)
        next(stream)
        answer = FleetServiceStub(mine).ListMembers(fleet_pb2.ListMembersRequest(), timeout=SECONDS)
        found = {m.principal: m for m in map(codec.read_member, answer.members)}
    assert found.keys() == {SCHOOL, CENTRAL, ANALYST}
    assert found[SCHOOL].connected
    assert found[SCHOOL].software == "0.1.0"
    assert found[SCHOOL].identity_public_key == school.identity_public_key
    assert found[ANALYST].revoked
    assert not found[CENTRAL].connected


# --- catalogue and studies -----------------------------------------------------------------


def test_the_catalogue_is_what_departments_published_last(town: City) -> None:
    school, care, analyst = (town.enrol(who) for who in (SCHOOL, department("care"), ANALYST))
    with town.channel(school) as one, town.channel(care) as two, town.channel(analyst) as three:
        publish(one, declaration(), declaration(name="teachers"))
        publish(two, declaration())
        listed = entries(three)
        assert [(e.department, e.declaration.name) for e in listed] == [
            ("care", "pupils"),
            ("school", "pupils"),
            ("school", "teachers"),
        ]
        town.clock.moved = timedelta(hours=1)
        publish(one, declaration(), declaration(name="schools"))
        again = entries(three, "school")
        assert [e.declaration.name for e in again] == ["pupils", "schools"]
        assert again[0].published_at == listed[1].published_at  # unchanged
        assert again[1].published_at > listed[2].published_at
        publish(one)
        assert entries(three, "school") == []


def test_lists_published_at_the_same_moment_do_not_mix(town: City) -> None:
    lists = [[declaration(name=f"d{n}"), declaration(name="common")] for n in range(6)]
    with town.channel(town.enrol(SCHOOL)) as channel, ThreadPoolExecutor(max_workers=6) as pool:
        list(pool.map(lambda items: publish(channel, *items), lists))
        names = {e.declaration.name for e in entries(channel)}
    assert names in [{"common", f"d{n}"} for n in range(6)]


def entries(channel: grpc.Channel, name: str = "") -> list:
    request = catalogue_pb2.ListDatasetsRequest(department=name)
    answer = CatalogueServiceStub(channel).ListDatasets(request, timeout=SECONDS)
    return [codec.read_catalogue_entry(item) for item in answer.datasets]


class Team:
    """Three departments that declared the tests' dataset, and a person of the central team."""

    def __init__(self, made: City) -> None:
        self.members = {name: made.enrol(department(name)) for name in DEPARTMENTS}
        self.channels = {name: made.channel(m) for name, m in self.members.items()}
        self.central = made.channel(made.enrol(CENTRAL))
        for channel in self.channels.values():
            publish(channel, declaration())

    def propose(self) -> StudyStatus:
        stub = StudiesServiceStub(self.central)
        answer = stub.ProposeStudy(codec.write_proposal(STUDY), timeout=SECONDS)
        return codec.read_study_status(answer.study)

    def decide(self, name: str, made: City) -> StudyStatus:
        statement = Statement(
            study=STUDY.digest(),
            department=name,
            decision=Decision.APPROVED,
            steward="The steward",
            decided_at=made.clock(),
        )
        request = codec.write_approval(sign(statement, self.members[name].identity))
        stub = StudiesServiceStub(self.channels[name])
        return codec.read_study_status(stub.SubmitApproval(request, timeout=SECONDS).study)

    def close(self) -> None:
        for channel in (*self.channels.values(), self.central):
            channel.close()


def test_a_study_goes_from_proposal_to_a_run_that_waits_and_is_stopped(town: City) -> None:
    team = Team(town)
    studies, runs = StudiesServiceStub(team.central), RunsServiceStub(team.central)
    assert team.propose().state is StudyState.PROPOSED
    start = runs_pb2.StartRunRequest(request_id=str(uuid.uuid4()), study=STUDY.study)
    assert isinstance(fails(runs.StartRun, start), RefusedError)
    for name in DEPARTMENTS:
        last = team.decide(name, town)
    assert last.state is StudyState.READY
    assert len(last.approvals) == 3

    other = replace(STUDY, retention_days=1)
    assert isinstance(fails(studies.ProposeStudy, codec.write_proposal(other)), AlreadyExistsError)
    unknown = replace(STUDY, study="other", departments=(*DEPARTMENTS, "harbour"))
    error = fails(studies.ProposeStudy, codec.write_proposal(unknown))
    assert isinstance(error, InvalidDocumentError)
    assert [p.field for p in error.problems] == ["departments"]

    listed = studies.ListStudies(studies_pb2.ListStudiesRequest(), timeout=SECONDS).studies
    assert [codec.read_study_status(item) for item in listed] == [last]

    run = codec.read_run(runs.StartRun(start, timeout=SECONDS).run)
    assert codec.read_run(runs.StartRun(start, timeout=SECONDS).run).run_id == run.run_id
    assert run.state in {RunState.STARTING, RunState.WAITING}
    stop = runs_pb2.StopRunRequest(run_id=run.run_id)
    assert codec.read_run(runs.StopRun(stop, timeout=SECONDS).run).state is RunState.STOPPED
    team.close()


def test_whoever_watches_and_is_revoked_is_cut_off(small: City) -> None:
    team = Team(small)
    team.propose()
    for name in DEPARTMENTS:
        team.decide(name, small)
    start = runs_pb2.StartRunRequest(request_id=str(uuid.uuid4()), study=STUDY.study)
    run = RunsServiceStub(team.central).StartRun(start, timeout=SECONDS).run
    with small.channel(small.enrol(ANALYST)) as channel:
        watching = RunsServiceStub(channel).WatchRun(runs_pb2.WatchRunRequest(run_id=run.run_id))
        next(watching)
        small.enrolment().revoke(ANALYST)
        began = time.monotonic()
        with pytest.raises(grpc.RpcError) as caught:
            list(watching)
        assert caught.value.code() is grpc.StatusCode.CANCELLED
        assert time.monotonic() - began < 4
        again = runs_pb2.GetRunRequest(run_id=run.run_id)
        error = fails(RunsServiceStub(channel).GetRun, again)
        assert error.message == "the certificate has been revoked"
    team.close()


# --- restarts ------------------------------------------------------------------------------


def test_everything_is_there_after_a_restart(town: City) -> None:
    team = Team(town)
    team.propose()
    for name in DEPARTMENTS:
        before = team.decide(name, town)
    start = runs_pb2.StartRunRequest(request_id=str(uuid.uuid4()), study=STUDY.study)
    run = RunsServiceStub(team.central).StartRun(start, timeout=SECONDS).run
    stream = attend(team.channels["school"])
    assert [a.run_id for a in notice(stream).assignments] == [run.run_id]
    town.close()
    with pytest.raises(grpc.RpcError) as caught:
        list(stream)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    team.close()

    town.open()
    with town.channel(team.members["school"]) as channel:
        again = attend(channel)
        assert [a.run_id for a in notice(again).assignments] == [run.run_id]
        request = studies_pb2.GetStudyRequest(study=STUDY.study)
        answer = StudiesServiceStub(channel).GetStudy(request, timeout=SECONDS)
        assert codec.read_study_status(answer.study) == replace(before, state=StudyState.RUNNING)


def test_one_home_has_one_coordinator(small: City) -> None:
    with pytest.raises(ConfigurationError, match="another coordinator runs in"):
        Coordinator(small.around)
    small.close()
    small.open()


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with city(tmp_path) as made:
            pass
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = made.around.settings.model_copy(update={"listen": address})
        second = Coordinator(replace(made.around, settings=settings))
        try:
            with pytest.raises(ConfigurationError, match="cannot be listened at"):
                second.start()
        finally:
            second.stop()


# --- limits and failures -------------------------------------------------------------------


def test_health_is_told_at_both_ports(small: City) -> None:
    member = small.enrol(ANALYST)
    with small.stranger() as one, small.channel(member) as two:
        for channel in (one, two):
            stub = health_pb2_grpc.HealthStub(channel)
            request = health_pb2.HealthCheckRequest()
            assert stub.Check(request, timeout=SECONDS).status == 1
            with pytest.raises(grpc.RpcError) as caught:
                stub.Check(health_pb2.HealthCheckRequest(service="x"), timeout=SECONDS)
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
            with pytest.raises(grpc.RpcError) as caught:
                next(stub.Watch(request, timeout=SECONDS))
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    pem = small.authority.pem
    assert health.probe(small.at.enrolment, authority_pem=pem, name="localhost")
    assert not health.probe("127.0.0.1:9", authority_pem=pem, name="localhost", seconds=0.3)


def test_health_says_when_the_database_is_gone(
    postgres: str, postgres_server, tmp_path: Path
) -> None:
    with city(tmp_path, url=postgres) as made:
        name = postgres.rpartition("/")[2]
        postgres_server.run(f"alter database {name} with allow_connections false")
        cut = "select pg_terminate_backend(pid) from pg_stat_activity where datname = "
        postgres_server.run(f"{cut}'{name}'")
        with made.stranger() as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
            assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
            request = codec.write_enrol_request(Applicant().request(token_text(made)))
            assert isinstance(fails(EnrolmentServiceStub(channel).Enrol, request), StorageError)
        postgres_server.run(f"alter database {name} with allow_connections true")
        with made.stranger() as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            assert stub.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS).status == 1
        made.enrol(SCHOOL)


def token_text(made: City) -> str:
    content = token.EnrolmentToken(secret="s" * 43, authority_pem=made.authority.pem)
    return token.make(content)


def test_a_deadline_holds_while_the_database_is_busy(small: City) -> None:
    member = small.enrol(SCHOOL)
    with small.channel(member) as channel:
        request = codec.write_declarations([declaration()])
        stub = CatalogueServiceStub(channel)
        with writing(small.engine):
            with pytest.raises(grpc.RpcError) as caught:
                stub.PublishDatasets(request, timeout=0.5)
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        stub.PublishDatasets(request, timeout=SECONDS)
        assert len(entries(channel)) == 1


def test_messages_over_the_limit_are_refused(small: City) -> None:
    member = small.enrol(SCHOOL)
    with small.channel(member) as channel:
        request = catalogue_pb2.PublishDatasetsRequest()
        request.declarations.add(json=b"x" * (limits.MESSAGE_BYTES + 1))
        with pytest.raises(grpc.RpcError) as caught:
            CatalogueServiceStub(channel).PublishDatasets(request, timeout=SECONDS)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert entries(channel) == []


def test_lists_end_where_a_message_is_full() -> None:
    items = [fleet_pb2.AttendRequest(software="x" * 90) for _ in range(10)]
    assert len(list(limits.within(items, limit=350))) == 3
    assert list(limits.within(items)) == items


def test_calls_beyond_the_threads_are_refused_at_once(tmp_path: Path) -> None:
    names = [f"department-{number}" for number in range(4)]
    with city(tmp_path, threads=4) as made:
        members = [made.enrol(department(name)) for name in names]
        channels = [made.channel(member) for member in members]
        streams = [attend(channel) for channel in channels]
        for stream in streams:
            next(stream)
        began = time.monotonic()
        with pytest.raises(grpc.RpcError) as caught:
            entries(channels[0])
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert time.monotonic() - began < 5
        made.enrol(CENTRAL)  # strangers and members do not share threads
        streams[3].cancel()
        wait_until(lambda: len(made.coordinator._presence.connected()) == 3)
        assert entries(channels[0]) == []
        for channel in channels:
            channel.close()


def test_a_full_disk_is_told_and_nothing_is_lost(small: City) -> None:
    member = small.enrol(SCHOOL)
    engine = small.engine
    with small.channel(member) as channel:
        publish(channel, declaration())
        with reading(engine) as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

        def fill(connection, record, proxy) -> None:
            connection.execute(f"PRAGMA max_page_count={pages + 2}").close()

        def empty(connection, record, proxy) -> None:
            connection.execute("PRAGMA max_page_count=1000000").close()

        event.listen(engine, "checkout", fill)
        many = [declaration(name=f"d{number}") for number in range(100)]
        request = codec.write_declarations(many)
        error = fails(CatalogueServiceStub(channel).PublishDatasets, request)
        assert isinstance(error, StorageError)
        assert error.message == "the database has no space left on its disk"
        assert "nothing was changed" in error.hint
        assert [e.declaration.name for e in entries(channel)] == ["pupils"]
        event.remove(engine, "checkout", fill)
        event.listen(engine, "checkout", empty)
        publish(channel, *many)
        assert len(entries(channel)) == 100
    with reading(engine) as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"


class Clumsy:
    """RPCs with mistakes in them."""

    @guard
    def unary(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        if request == b"ours":
            raise RefusedError("no", hint="Ask again.")
        raise RuntimeError("a secret of the program")

    @guard_stream
    def stream(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield b"one"
        raise RuntimeError("a secret of the program")


def test_a_mistake_of_ours_says_nothing_about_itself(caplog: pytest.LogCaptureFixture) -> None:
    clumsy = Clumsy()
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    handlers = {
        "unary": grpc.unary_unary_rpc_method_handler(clumsy.unary),
        "stream": grpc.unary_stream_rpc_method_handler(clumsy.stream),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        errors = []
        for make in (channel.unary_unary("/t/unary"), channel.unary_unary("/t/unary")):
            with pytest.raises(grpc.RpcError) as caught:
                make(b"ours" if not errors else b"", timeout=SECONDS)
            errors.append(caught.value)
        with pytest.raises(grpc.RpcError) as caught:
            list(channel.unary_stream("/t/stream")(b"", timeout=SECONDS))
        errors.append(caught.value)
    server.stop(None).wait()
    assert [e.code() for e in errors] == [
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.INTERNAL,
    ]
    assert isinstance(restored(errors[0]), RefusedError)
    assert restored(errors[0]).hint == "Ask again."
    for error in errors[1:]:
        assert "secret" not in f"{error}"
        assert restored(error).exit_code == 5
    assert "a secret of the program" in caplog.text  # the log is where it belongs


def test_principals_are_not_taken_from_fields(small: City) -> None:
    """A department that signs for another is refused, whatever its message says."""
    team = Team(small)
    team.propose()
    statement = Statement(
        study=STUDY.digest(),
        department="care",
        decision=Decision.APPROVED,
        steward="The steward",
        decided_at=small.clock(),
    )
    request = codec.write_approval(sign(statement, team.members["school"].identity))
    error = fails(StudiesServiceStub(team.channels["school"]).SubmitApproval, request)
    assert error.message == "a department can only send its own decisions"
    error = fails(StudiesServiceStub(team.channels["care"]).SubmitApproval, request)
    assert "not signed with that department's identity key" in error.message
    team.close()


def test_a_principal_prints_its_place() -> None:
    assert Principal(SCHOOL.role, "school").uri == "spiffe://datalabbet/department/school"
