"""Whole runs over mutual TLS with in-process nodes, and the RPCs around them."""

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from coordinators import CENTRAL, Coordinator, Federation, federation, now, plus
from safetensors.numpy import load
from studies import TEXT, declaration, public_study, study_over

from coordinator.flower.grid import StreamGrid
from coordinator.rounds.settings import RunSettings
from coordinator.rpc.data_plane import RUN_KEY
from coordinator.store import fleet, releases, studies
from coordinator.store.database import reading, writing
from models.errors import NotFoundError, RefusedError, UsageError
from models.governance.principal import Principal, Role
from models.governance.states import RunState, StudyState
from models.governance.study import Protection, Study
from models.governance.views import StudyStatus
from models.schema import CategoryColumn
from protos import codec, status
from protos.fleet.v1 import data_plane_pb2_grpc
from protos.runs.v1 import runs_pb2, runs_pb2_grpc


@pytest.fixture
def city(tmp_path: Path) -> Iterator[Federation]:
    yield from federation(tmp_path, study=public_study(minimum_cohort=3))


@pytest.fixture
def postgres_city(tmp_path: Path, postgres: str) -> Iterator[Federation]:
    yield from federation(tmp_path, study=public_study(minimum_cohort=3), url=postgres)


def model(city: Federation, run_id: int) -> dict[str, np.ndarray]:
    return load(releases.content(city.coordinator.database, run_id, "model.safetensors"))


def study_state(city: Federation) -> StudyState:
    with reading(city.coordinator.database) as connection:
        found = studies.find(connection, city.coordinator.study.digest())
    assert found is not None
    return found.state


def everybody(city: Federation, run_id: int) -> None:
    for department in city.coordinator.study.departments:
        city.join(department, run_id)


@pytest.mark.parametrize("where", ["city", "postgres_city"])
def test_fedavg_gives_the_exact_mean(where: str, request: pytest.FixtureRequest) -> None:
    city: Federation = request.getfixturevalue(where)
    run_id = city.coordinator.start()
    assert study_state(city) is StudyState.RUNNING
    for department, amount, weight in (("school", 1, 1), ("care", 2, 1), ("labour", 6, 2)):
        city.join(department, run_id, work=plus(amount), weight=float(weight))
    ended = city.coordinator.wait_end(run_id)
    assert ended.state is RunState.FINISHED, ended
    assert (ended.rounds_done, ended.message) == (3, "")
    assert ended.departments == ("school", "care", "labour")
    for array in model(city, run_id).values():
        np.testing.assert_array_equal(array, np.float32(3 * (1 + 2 + 12) / 4))
    assert study_state(city) is StudyState.FINISHED
    _, record = releases.get(city.coordinator.database, run_id)
    assert record.evaluated_by == ("care", "labour", "school")
    assert record.quality is not None
    assert not city.coordinator.presence.assigned("school", run_id)


@pytest.mark.parametrize("where", ["city", "postgres_city"])
def test_a_run_survives_its_coordinator(where: str, request: pytest.FixtureRequest) -> None:
    city: Federation = request.getfixturevalue(where)
    run_id = city.coordinator.start()
    everybody(city, run_id)
    city.coordinator.wait(run_id, lambda run: run.rounds_done >= 1)
    city.coordinator.crash()
    city.coordinator.open()
    ended = city.coordinator.wait_end(run_id)
    assert ended.state is RunState.FINISHED
    for array in model(city, run_id).values():
        np.testing.assert_array_equal(array, np.float32(3))


def large_study() -> Study:
    """Give a study whose parameters are 20 MB, in one array of 8 MB and others."""
    levels = tuple(f"level {number}" for number in range(500))
    columns = tuple(
        CategoryColumn(name=f"column_{number}", meaning=TEXT, categories=levels)
        for number in range(4)
    )
    declared = declaration(public=True, columns=(*columns, declaration().columns[3]))
    return study_over(
        declared,
        variables=tuple(column.name for column in columns),
        privacy={"protection": Protection.NONE, "epsilon": None, "delta": None},
        model={"family": "mlp", "hidden": (1024, 1024, 1024, 1024)},
        training={"rounds": 1},
    )


def test_arrays_far_over_grpcs_limit_travel_in_frames(tmp_path: Path) -> None:
    study = large_study()
    city = Federation(Coordinator(tmp_path, study=study))
    try:
        run_id = city.coordinator.start()
        for department, amount in (("school", 1.0), ("care", 2.0), ("labour", 6.0)):
            city.join(department, run_id, work=plus(amount))
        ended = city.coordinator.wait_end(run_id, seconds=100)
        assert ended.state is RunState.FINISHED
        arrays = model(city, run_id)
        assert sum(array.nbytes for array in arrays.values()) > 20e6
        np.testing.assert_allclose(arrays["0.bias"], 3.0, rtol=1e-6)
    finally:
        city.close()


# --- who may attach ---


def dial(
    city: Federation, who: Principal, metadata: tuple[tuple[str, str], ...]
) -> grpc.StatusCode:
    with city.coordinator.channel(who) as channel:
        call = data_plane_pb2_grpc.DataPlaneServiceStub(channel).Exchange(
            iter(()), metadata=metadata, timeout=10
        )
        try:
            for _ in call:
                pass
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    return grpc.StatusCode.OK


def test_only_the_cohort_of_a_run_that_goes_on_may_attach(city: Federation) -> None:
    run_id = city.coordinator.start()
    school = Principal(Role.DEPARTMENT, "school")
    stranger = Principal(Role.DEPARTMENT, "rescue")
    with writing(city.coordinator.database) as connection:
        fleet.save_member(connection, stranger, identity_key=b"k" * 32, node_id=99, now=now())
    city.coordinator.certify(stranger)
    mine = ((RUN_KEY, str(run_id)),)
    assert dial(city, stranger, mine) is grpc.StatusCode.FAILED_PRECONDITION
    assert dial(city, CENTRAL, mine) is grpc.StatusCode.PERMISSION_DENIED
    assert dial(city, school, ((RUN_KEY, "77"),)) is grpc.StatusCode.NOT_FOUND
    for bad in ((), ((RUN_KEY, "x"),), ((RUN_KEY, "9" * 30),), (*mine, *mine), ((RUN_KEY, "-3"),)):
        assert dial(city, school, bad) is grpc.StatusCode.INVALID_ARGUMENT


def test_a_newer_stream_of_a_node_ends_the_older(city: Federation) -> None:
    run_id = city.coordinator.start()
    older = city.join("school", run_id)
    city.coordinator.wait(
        run_id, lambda _: "school" not in city.coordinator.runs.grid(run_id).standing().absent
    )
    older._stop.set()  # it dials no more, but its stream stays open
    city.join("school", run_id)
    older._thread.join(10)
    assert older.codes == [grpc.StatusCode.ABORTED]


def test_a_revoked_node_loses_its_stream(city: Federation) -> None:
    run_id = city.coordinator.start()
    node = city.join("school", run_id)
    city.coordinator.wait(run_id, lambda _: ("train", 1) in node.computed)
    who = Principal(Role.DEPARTMENT, "school")
    with writing(city.coordinator.database) as connection:
        fleet.revoke_member(connection, who, now=now())
    city.coordinator.callers.sweep()
    city.coordinator.wait(
        run_id, lambda _: "school" in city.coordinator.runs.grid(run_id).standing().absent
    )
    city.coordinator.wait(run_id, lambda _: grpc.StatusCode.UNAUTHENTICATED in node.codes)


def test_streams_end_well_when_the_run_does(city: Federation) -> None:
    run_id = city.coordinator.start()
    node = city.join("school", run_id)
    city.coordinator.wait(run_id, lambda _: ("train", 1) in node.computed)
    city.coordinator.runs.stop(run_id)
    city.coordinator.wait(run_id, lambda _: grpc.StatusCode.NOT_FOUND in node.codes)
    assert node.codes[0] is grpc.StatusCode.OK


def test_threads_do_not_pile_up(city: Federation) -> None:
    run_id = city.coordinator.start()
    who = Principal(Role.DEPARTMENT, "school")
    before = threading.active_count()
    for _ in range(30):
        dial(city, who, ((RUN_KEY, str(run_id)),))
    threading.Event().wait(0.5)
    assert threading.active_count() <= before + 24 + 4  # the pool, and gRPC's own


# --- starting, following, stopping ---


def test_the_rpcs_start_follow_and_list_a_run(city: Federation) -> None:
    request_id = str(uuid.uuid4())
    with city.coordinator.channel(CENTRAL) as channel:
        stub = runs_pb2_grpc.RunsServiceStub(channel)
        request = runs_pb2.StartRunRequest(request_id=request_id, study="pupils-pass")
        run = codec.read_run(stub.StartRun(request).run)
        assert (run.state, run.rounds_total, run.study) == (RunState.STARTING, 3, "pupils-pass")
        assert codec.read_run(stub.StartRun(request).run).run_id == run.run_id  # idempotent
        watching = stub.WatchRun(runs_pb2.WatchRunRequest(run_id=run.run_id))
        first = codec.read_run(next(watching).run)
        assert first.run_id == run.run_id
        everybody(city, run.run_id)
        seen = [codec.read_run(message.run) for message in watching]
        assert seen[-1].state is RunState.FINISHED
        assert [item.rounds_done for item in seen] == sorted(item.rounds_done for item in seen)
        listed = stub.ListRuns(runs_pb2.ListRunsRequest(study="pupils-pass")).runs
        assert [item.run_id for item in listed] == [run.run_id]
        assert not stub.ListRuns(runs_pb2.ListRunsRequest(study="other-study")).runs
        again = [*stub.WatchRun(runs_pb2.WatchRunRequest(run_id=run.run_id))]
        assert [codec.read_run(item.run).state for item in again] == [RunState.FINISHED]
        stopped = stub.StopRun(runs_pb2.StopRunRequest(run_id=run.run_id)).run
        assert codec.read_run(stopped).state is RunState.FINISHED  # it had ended


def test_a_department_may_not_start_nor_stop(city: Federation) -> None:
    run_id = city.coordinator.start()
    with city.coordinator.channel(Principal(Role.DEPARTMENT, "school")) as channel:
        stub = runs_pb2_grpc.RunsServiceStub(channel)
        for call, request in (
            (stub.StartRun, runs_pb2.StartRunRequest(request_id=str(uuid.uuid4()), study="a-b")),
            (stub.StopRun, runs_pb2.StopRunRequest(run_id=run_id)),
            (stub.GetRun, runs_pb2.GetRunRequest(run_id=run_id)),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                call(request)
            assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_an_unknown_run_is_not_found(city: Federation) -> None:
    with city.coordinator.channel(CENTRAL) as channel:
        stub = runs_pb2_grpc.RunsServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.GetRun(runs_pb2.GetRunRequest(run_id=77))
        assert isinstance(status.restore(caught.value, doing="asking"), NotFoundError)
        with pytest.raises(grpc.RpcError) as caught:
            next(stub.WatchRun(runs_pb2.WatchRunRequest(run_id=77)))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_stopped_run_frees_its_study(city: Federation) -> None:
    run_id = city.coordinator.start()
    city.join("school", run_id)
    stopped = city.coordinator.runs.stop(run_id)
    assert (stopped.state, stopped.message) == (RunState.STOPPED, "stopped by the central team")
    assert city.coordinator.runs.stop(run_id) == stopped
    assert study_state(city) is StudyState.READY
    again = city.coordinator.start()
    assert again != run_id
    assert [item.run_id for item in city.coordinator.runs.list()] == [again, run_id]


def test_a_study_that_is_not_ready_does_not_start(city: Federation) -> None:
    runs = city.coordinator.runs
    request_id = str(uuid.uuid4())
    run_id = runs.start(request_id, "pupils-pass").run_id
    with pytest.raises(RefusedError, match="running cannot become running"):
        runs.start(str(uuid.uuid4()), "pupils-pass")
    assert runs.start(request_id, city.coordinator.study.digest()).run_id == run_id
    with pytest.raises(NotFoundError):
        runs.start(str(uuid.uuid4()), "no-such-study")


def test_a_request_id_belongs_to_one_study(city: Federation) -> None:
    other = public_study(study="another-one")
    with writing(city.coordinator.database) as connection:
        studies.add(
            connection,
            StudyStatus(
                study=other,
                study_hash=other.digest(),
                state=StudyState.READY,
                approvals=(),
                proposed_at=now(),
                proposed_by=CENTRAL,
            ),
        )
    request_id = str(uuid.uuid4())
    city.coordinator.runs.start(request_id, "pupils-pass")
    with pytest.raises(UsageError):
        city.coordinator.runs.start(request_id, "another-one")


def test_too_many_runs_at_once_are_refused(tmp_path: Path) -> None:
    settings = RunSettings(most_runs=1)
    city = Federation(Coordinator(tmp_path, study=public_study(), settings=settings))
    try:
        city.coordinator.start()
        with pytest.raises(RefusedError):
            city.coordinator.start()
    finally:
        city.close()


def test_a_department_without_a_node_is_named(tmp_path: Path) -> None:
    city = Federation(Coordinator(tmp_path, study=public_study()))
    try:
        with writing(city.coordinator.database) as connection:
            connection.exec_driver_sql("update members set node_id = null where name = 'care'")
        with pytest.raises(RefusedError, match="care has not enrolled a node"):
            city.coordinator.start()
        assert study_state(city) is StudyState.READY
    finally:
        city.close()


def test_the_grid_of_a_run_is_flowers(city: Federation) -> None:
    run_id = city.coordinator.start()
    assert isinstance(city.coordinator.runs.grid(run_id), StreamGrid)
    with pytest.raises(NotFoundError):
        city.coordinator.runs.grid(77)


def test_who_watches_a_run_is_let_go_when_the_coordinator_goes_down(city: Federation) -> None:
    run_id = city.coordinator.start()
    seen: list[object] = []
    watcher = threading.Thread(
        target=lambda: seen.extend(city.coordinator.runs.watch(run_id)), daemon=True
    )
    watcher.start()
    threading.Event().wait(0.1)
    city.coordinator.runs.close()
    watcher.join(10)
    assert not watcher.is_alive()
    assert seen
