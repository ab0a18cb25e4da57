"""StudiesService: the register of studies and the departments' answers."""

import grpc

from coordinator.rpc.callers import Callers, guard
from coordinator.rpc.limits import within
from coordinator.studies.service import StudyService
from models.governance.principal import Role
from protos import codec
from protos.studies.v1 import studies_pb2, studies_pb2_grpc


class StudiesServicer(studies_pb2_grpc.StudiesServiceServicer):
    """The central team proposes, departments decide, every member reads what concerns it."""

    def __init__(self, *, studies: StudyService, callers: Callers) -> None:
        self._studies = studies
        self._callers = callers

    @guard
    def ProposeStudy(  # noqa: N802 - the name in the proto
        self, request: studies_pb2.ProposeStudyRequest, context: grpc.ServicerContext
    ) -> studies_pb2.ProposeStudyResponse:
        """Register a study."""
        who = self._callers.require(context, Role.CENTRAL)
        status = self._studies.propose(codec.read_proposal(request), by=who)
        return studies_pb2.ProposeStudyResponse(study=codec.write_study_status(status))

    @guard
    def GetStudy(  # noqa: N802 - the name in the proto
        self, request: studies_pb2.GetStudyRequest, context: grpc.ServicerContext
    ) -> studies_pb2.GetStudyResponse:
        """Give one study."""
        who = self._callers.require(context, *Role)
        status = self._studies.get(codec.read_study_reference(request), reader=who)
        return studies_pb2.GetStudyResponse(study=codec.write_study_status(status))

    @guard
    def ListStudies(  # noqa: N802 - the name in the proto
        self, request: studies_pb2.ListStudiesRequest, context: grpc.ServicerContext
    ) -> studies_pb2.ListStudiesResponse:
        """List the studies, newest first: as many as fit into one message."""
        who = self._callers.require(context, *Role)
        codec.read_empty(request)
        found = (codec.write_study_status(item) for item in self._studies.newest(reader=who))
        return studies_pb2.ListStudiesResponse(studies=within(found))

    @guard
    def SubmitApproval(  # noqa: N802 - the name in the proto
        self, request: studies_pb2.SubmitApprovalRequest, context: grpc.ServicerContext
    ) -> studies_pb2.SubmitApprovalResponse:
        """Record a department's signed decision."""
        who = self._callers.require(context, Role.DEPARTMENT)
        status = self._studies.decide(codec.read_approval(request), by=who)
        return studies_pb2.SubmitApprovalResponse(study=codec.write_study_status(status))
