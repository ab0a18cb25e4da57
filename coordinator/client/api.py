"""The SDK: everything the command `datalabbet` can do, from Python.

    with Datalabbet.connect() as city:
        run = city.start_run("pupils-pass")
        for status in city.watch(run.run_id):
            print(status.state, status.rounds_done)
        model = city.classifier(run.run_id)

Every method raises `models.errors.DatalabbetError` with a sentence and a hint.
"""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import grpc

from coordinator.client import config, connection, exports, proposals
from coordinator.client import profile as profiles
from coordinator.client import received as chains
from coordinator.client.connection import call_again, restoring
from models.errors import DatalabbetError, DeadlineError, NotFoundError
from models.governance.any_record import AnyRecord
from models.governance.any_study import AnyDraft, AnyStudy
from models.governance.linked import LinkedStudy
from models.governance.linked_record import LinkedRecord
from models.governance.principal import Principal, Role
from models.governance.record import ReleaseRecord
from models.governance.states import ended
from models.governance.study import Study
from models.governance.views import (
    CatalogueEntry,
    Member,
    ReleaseSummary,
    RunStatus,
    StudyStatus,
)
from protos import codec
from protos.fleet.v1.catalogue_pb2 import ListDatasetsRequest
from protos.fleet.v1.catalogue_pb2_grpc import CatalogueServiceStub
from protos.fleet.v1.fleet_pb2 import ListMembersRequest
from protos.fleet.v1.fleet_pb2_grpc import FleetServiceStub
from protos.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from protos.releases.v1.releases_pb2 import (
    DownloadFileRequest,
    GetReleaseRequest,
    ListReleasesRequest,
)
from protos.releases.v1.releases_pb2_grpc import ReleasesServiceStub
from protos.runs.v1.runs_pb2 import (
    GetRunRequest,
    ListRunsRequest,
    StartRunRequest,
    StopRunRequest,
    WatchRunRequest,
)
from protos.runs.v1.runs_pb2_grpc import RunsServiceStub
from protos.studies.v1.studies_pb2 import GetStudyRequest, ListStudiesRequest
from protos.studies.v1.studies_pb2_grpc import StudiesServiceStub

if TYPE_CHECKING:  # scikit-learn and pandas take a second to import; the command rarely needs them
    from coordinator.client.estimator import ReleasedClassifier
    from coordinator.client.linked_results import LinkedResults

PATIENCE = 60.0
"""Seconds for which `watch` goes on calling a coordinator that does not answer."""


class Datalabbet:
    """A connection to the coordinator, with the rights of the profile's certificate."""

    def __init__(self, channel: grpc.Channel, *, who: Principal) -> None:
        """Use an open channel; `connect` is the usual way."""
        self._channel = channel
        self.who = who
        self._catalogue = CatalogueServiceStub(channel)  # type: ignore[no-untyped-call]
        self._fleet = FleetServiceStub(channel)  # type: ignore[no-untyped-call]
        self._studies = StudiesServiceStub(channel)  # type: ignore[no-untyped-call]
        self._runs = RunsServiceStub(channel)  # type: ignore[no-untyped-call]
        self._releases = ReleasesServiceStub(channel)  # type: ignore[no-untyped-call]
        self._ledger = LedgerServiceStub(channel)  # type: ignore[no-untyped-call]

    @classmethod
    def connect(cls, profile: Path | str | None = None) -> Self:
        """Give the connection of an enrolled profile; the certificate is renewed when due.

        Args:
            profile: the folder; None: `DATALABBET_PROFILE`, else `~/.config/datalabbet`.

        Raises:
            ConfigurationError: the folder holds no profile.
            UnauthenticatedError: its certificate has expired.
        """
        folder = config.profile_folder(None if profile is None else Path(profile))
        held = profiles.load(folder)
        channel = connection.open_channel(held)
        fresh = connection.renewed(held, channel, now=config.now())
        if fresh is not held:
            channel.close()
            channel = connection.open_channel(fresh)
        return cls(channel, who=fresh.principal)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # --- what there is ---------------------------------------------------------------------

    def catalogue(self, department: str = "") -> tuple[CatalogueEntry, ...]:
        """Give the declared datasets, of one department or of all."""
        request = ListDatasetsRequest(department=department)
        answer = call_again(self._catalogue.ListDatasets, request, doing="reading the catalogue")
        return tuple(codec.read_catalogue_entry(item) for item in answer.datasets)

    def members(self) -> tuple[Member, ...]:
        """Give the departments and people, and whether each node is connected."""
        request = ListMembersRequest()
        answer = call_again(self._fleet.ListMembers, request, doing="listing the members")
        return tuple(codec.read_member(item) for item in answer.members)

    def received(self) -> chains.Chain:
        """Give the coordinator's own chain: heads that departments reported, answers it took."""
        return chains.read(self._ledger)

    # --- studies ---------------------------------------------------------------------------

    def studies(self) -> tuple[StudyStatus, ...]:
        """Give the studies, newest first."""
        request = ListStudiesRequest()
        answer = call_again(self._studies.ListStudies, request, doing="listing the studies")
        return tuple(codec.read_study_status(item) for item in answer.studies)

    def study(self, reference: str) -> StudyStatus:
        """Give a study by its id or hash, with its approvals."""
        request = GetStudyRequest(study=reference)
        answer = call_again(self._studies.GetStudy, request, doing="reading the study")
        return codec.read_study_status(answer.study)

    def resolve(self, study: AnyDraft | Path | str) -> AnyStudy:
        """Give the study that a draft or a study file describes, by the present catalogue.

        Raises:
            InvalidDocumentError: every problem, with its field (and line, for a file).
            UsageError: a question of a linked study cannot be asked so.
        """
        if isinstance(study, Study | LinkedStudy):
            return study
        draft = proposals.read_draft(Path(study)) if isinstance(study, Path | str) else study
        return proposals.resolved(draft, catalogue=self.catalogue, identities=self._identities)

    def _identities(self) -> dict[str, str]:
        """Give the identity key (hex) that each department enrolled with."""
        return {
            member.principal.name: member.identity_public_key.hex()
            for member in self.members()
            if member.principal.role is Role.DEPARTMENT and not member.revoked
        }

    def propose(self, study: AnyDraft | Path | str) -> StudyStatus:
        """Register a study (a draft or file is resolved first) and ask for its approvals.

        Proposing the same study again changes nothing.
        """
        request = codec.write_proposal(self.resolve(study))
        answer = call_again(self._studies.ProposeStudy, request, doing="proposing the study")
        return codec.read_study_status(answer.study)

    # --- runs ------------------------------------------------------------------------------

    def start_run(self, study: str, *, request_id: str | None = None) -> RunStatus:
        """Start a run of a study (id or hash). The same `request_id` gives the same run."""
        request = StartRunRequest(request_id=request_id or str(uuid.uuid4()), study=study)
        answer = call_again(self._runs.StartRun, request, doing="starting the run")
        return codec.read_run(answer.run)

    def runs(self, study: str = "") -> tuple[RunStatus, ...]:
        """Give the runs, of one study or of all, newest first."""
        request = ListRunsRequest(study=study)
        answer = call_again(self._runs.ListRuns, request, doing="listing the runs")
        return tuple(codec.read_run(item) for item in answer.runs)

    def run(self, run_id: int) -> RunStatus:
        """Give a run's present state."""
        request = GetRunRequest(run_id=run_id)
        answer = call_again(self._runs.GetRun, request, doing="reading the run")
        return codec.read_run(answer.run)

    def stop(self, run_id: int) -> RunStatus:
        """Stop a run for good. A run that has ended stays as it is."""
        request = StopRunRequest(run_id=run_id)
        answer = call_again(self._runs.StopRun, request, doing="stopping the run")
        return codec.read_run(answer.run)

    def watch(self, run_id: int, *, timeout: float | None = None) -> Iterator[RunStatus]:
        """Give the run's state now and after each change, until it has ended.

        A coordinator that stops answering (a restart) is called again for `PATIENCE` seconds.

        Raises:
            DeadlineError: `timeout` seconds are over; the run itself goes on.
        """
        start = time.monotonic()
        heard: float | None = None
        while True:
            left = None if timeout is None else start + timeout - time.monotonic()
            if left is not None and left <= 0:
                raise DeadlineError(
                    f"run {run_id} has not ended in time",
                    hint="The run goes on; `datalabbet run watch` follows it again.",
                )
            try:
                for status in self._states(run_id, left):
                    heard = time.monotonic()
                    yield status
                    if ended(status.state):
                        return
            except DeadlineError:
                pass  # `left` is over: said above, in our own words
            except DatalabbetError as error:
                lost = heard is None or time.monotonic() - heard > PATIENCE
                if lost or not connection.transient(error):
                    raise
            time.sleep(min(1.0, max(left or 1.0, 0.0)))

    def _states(self, run_id: int, seconds: float | None) -> Iterator[RunStatus]:
        stream = self._runs.WatchRun(WatchRunRequest(run_id=run_id), timeout=seconds)
        with restoring("following the run"):
            for answer in stream:
                yield codec.read_run(answer.run)

    # --- releases --------------------------------------------------------------------------

    def releases(self) -> tuple[ReleaseSummary, ...]:
        """Give the releases in short, newest first."""
        request = ListReleasesRequest()
        answer = call_again(self._releases.ListReleases, request, doing="listing the releases")
        return tuple(codec.read_release_summary(item) for item in answer.releases)

    def release(self, run_id: int) -> AnyRecord:
        """Give the record of a run's release."""
        return self._release(run_id)[1]

    def export(self, run_id: int, folder: Path | str) -> Path:
        """Download a release into a new folder, whole and checked or not at all; give the folder.

        Raises:
            UsageError: the folder exists and is not empty.
            ProtocolViolationError: a file is not the one that the record names.
        """
        summary, record = self._release(run_id)
        return exports.write(
            Path(folder), summary=summary, record=record, download=self._parts(run_id)
        )

    def classifier(self, run_id: int) -> "ReleasedClassifier":
        """Give the released model, ready to predict, without writing files."""
        from coordinator.client.estimator import ReleasedClassifier  # noqa: PLC0415 - as above

        _, record = self._release(run_id)
        entry = record.file(exports.MODEL)
        if entry is None or not isinstance(record, ReleaseRecord):
            raise NotFoundError(f"the release of run {run_id} has no model")
        content = exports.collect(entry, self._parts(run_id)(entry.name))
        return ReleasedClassifier.from_parts(record, content)

    def results(self, run_id: int) -> "LinkedResults":
        """Give the answers and tables of a linked study's run, without writing files.

        Raises:
            NotFoundError: the release is that of a model.
        """
        from coordinator.client.linked_results import LinkedResults  # noqa: PLC0415 - as above

        _, record = self._release(run_id)
        if not isinstance(record, LinkedRecord):
            raise NotFoundError(
                f"the release of run {run_id} is a model, which answers no questions",
                hint="`datalabbet releases show` shows it.",
            )

        parts = self._parts(run_id)
        return LinkedResults.of(record, lambda entry: exports.collect(entry, parts(entry.name)))

    def _release(self, run_id: int) -> tuple[ReleaseSummary, AnyRecord]:
        request = GetReleaseRequest(run_id=run_id)
        answer = call_again(self._releases.GetRelease, request, doing="reading the release")
        summary = codec.read_release_summary(answer.summary)
        record = codec.read_record(answer.record.json, what="the release record")
        exports.check(summary, record, run_id=run_id)
        return summary, record

    def _parts(self, run_id: int) -> exports.Download:
        def download(name: str) -> Iterator[bytes]:
            request = DownloadFileRequest(run_id=run_id, name=name)
            with restoring(f"downloading {name}"):
                for answer in self._releases.DownloadFile(request, timeout=connection.DEADLINE):
                    yield bytes(answer.data)

        return download
