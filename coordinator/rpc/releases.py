"""The servicer of ReleasesService: reading what finished runs released."""

from collections.abc import Iterator

from sqlalchemy import Engine

from coordinator.rpc.callers import Callers, Context, guard, guard_stream
from coordinator.rpc.limits import within
from coordinator.store import releases as rows
from models.governance.principal import Role
from protos import codec
from protos.common.v1.common_pb2 import Document
from protos.releases.v1 import releases_pb2, releases_pb2_grpc

_READERS = (Role.CENTRAL, Role.ANALYST)


class ReleasesServicer(releases_pb2_grpc.ReleasesServiceServicer):
    """The central team and analysts read releases; departments keep what they approved."""

    def __init__(self, *, engine: Engine, callers: Callers) -> None:
        self._engine = engine
        self._callers = callers

    @guard
    def ListReleases(  # noqa: N802 - named in releases.proto
        self, request: releases_pb2.ListReleasesRequest, context: Context
    ) -> releases_pb2.ListReleasesResponse:
        """List the releases, newest first: as many as fit into one message."""
        self._callers.require(context, *_READERS)
        codec.read_empty(request)
        found = (codec.write_release_summary(item) for item in rows.summaries(self._engine))
        return releases_pb2.ListReleasesResponse(releases=within(found))

    @guard
    def GetRelease(  # noqa: N802 - named in releases.proto
        self, request: releases_pb2.GetReleaseRequest, context: Context
    ) -> releases_pb2.GetReleaseResponse:
        """Give a release in short, and its record."""
        self._callers.require(context, *_READERS)
        summary, record = rows.get(self._engine, codec.read_run_id(request))
        return releases_pb2.GetReleaseResponse(
            summary=codec.write_release_summary(summary),
            record=Document(json=record.canonical()),
        )

    @guard_stream
    def DownloadFile(  # noqa: N802 - named in releases.proto
        self, request: releases_pb2.DownloadFileRequest, context: Context
    ) -> Iterator[releases_pb2.DownloadFileResponse]:
        """Send a file in parts."""
        self._callers.hold(context, *_READERS)
        run_id, name = codec.read_download_request(request)
        content = rows.content(self._engine, run_id, name)
        for start in range(0, len(content), codec.PART):
            yield releases_pb2.DownloadFileResponse(data=content[start : start + codec.PART])
