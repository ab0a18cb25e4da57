"""The servicer of RunsService: launching, following and stopping runs."""

from collections.abc import Iterator

from coordinator.rounds.driver import RunService
from coordinator.rpc.callers import Callers, Context, guard, guard_stream
from models.governance.principal import Role
from protos import codec
from protos.runs.v1 import runs_pb2, runs_pb2_grpc


class RunsServicer(runs_pb2_grpc.RunsServiceServicer):
    """Checks who calls, parses, and asks the `RunService`."""

    def __init__(self, *, runs: RunService, callers: Callers) -> None:
        self._runs = runs
        self._callers = callers

    @guard
    def StartRun(  # noqa: N802 - named in runs.proto
        self, request: runs_pb2.StartRunRequest, context: Context
    ) -> runs_pb2.StartRunResponse:
        """Start a run of a ready study."""
        self._callers.require(context, Role.CENTRAL)
        request_id, study = codec.read_start_run(request)
        status = self._runs.start(request_id, study)
        return runs_pb2.StartRunResponse(run=codec.write_run(status))

    @guard
    def GetRun(  # noqa: N802 - named in runs.proto
        self, request: runs_pb2.GetRunRequest, context: Context
    ) -> runs_pb2.GetRunResponse:
        """Give a run's state."""
        self._callers.require(context, Role.CENTRAL, Role.ANALYST)
        status = self._runs.get(codec.read_run_id(request))
        return runs_pb2.GetRunResponse(run=codec.write_run(status))

    @guard
    def ListRuns(  # noqa: N802 - named in runs.proto
        self, request: runs_pb2.ListRunsRequest, context: Context
    ) -> runs_pb2.ListRunsResponse:
        """List the runs, newest first."""
        self._callers.require(context, Role.CENTRAL, Role.ANALYST)
        found = self._runs.list(codec.read_list_runs(request))
        return runs_pb2.ListRunsResponse(runs=[codec.write_run(status) for status in found])

    @guard_stream
    def WatchRun(  # noqa: N802 - named in runs.proto
        self, request: runs_pb2.WatchRunRequest, context: Context
    ) -> Iterator[runs_pb2.WatchRunResponse]:
        """Follow a run until it ends."""
        self._callers.hold(context, Role.CENTRAL, Role.ANALYST)
        run_id = codec.read_run_id(request)
        for status in self._runs.watch(run_id, active=context.is_active):
            yield runs_pb2.WatchRunResponse(run=codec.write_run(status))

    @guard
    def StopRun(  # noqa: N802 - named in runs.proto
        self, request: runs_pb2.StopRunRequest, context: Context
    ) -> runs_pb2.StopRunResponse:
        """Stop a run for good."""
        self._callers.require(context, Role.CENTRAL)
        status = self._runs.stop(codec.read_run_id(request))
        return runs_pb2.StopRunResponse(run=codec.write_run(status))
