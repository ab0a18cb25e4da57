"""EnrolmentService: certificates for departments and people."""

import logging

import grpc

from coordinator.fleet.enrolment import Enrolment
from coordinator.rpc.callers import Callers, guard
from models.governance.principal import Role
from protos import codec
from protos.fleet.v1 import enrolment_pb2, enrolment_pb2_grpc

_log = logging.getLogger(__name__)


class EnrolmentServicer(enrolment_pb2_grpc.EnrolmentServiceServicer):
    """Serves both ports: `Enrol` needs no certificate, `Renew` needs one."""

    def __init__(self, *, enrolment: Enrolment, callers: Callers) -> None:
        self._enrolment = enrolment
        self._callers = callers

    @guard
    def Enrol(  # noqa: N802 - the name in the proto
        self, request: enrolment_pb2.EnrolRequest, context: grpc.ServicerContext
    ) -> enrolment_pb2.EnrolResponse:
        """Exchange a token for a certificate."""
        del context  # the token is what admits
        issued = self._enrolment.enrol(codec.read_enrol_request(request))
        _log.info("enrolled %s until %s", issued.principal.uri, issued.expires_at.isoformat())
        return enrolment_pb2.EnrolResponse(certificate=codec.write_certificate(issued))

    @guard
    def Renew(  # noqa: N802 - the name in the proto
        self, request: enrolment_pb2.RenewRequest, context: grpc.ServicerContext
    ) -> enrolment_pb2.RenewResponse:
        """Give the caller a certificate for a fresh key."""
        who = self._callers.require(context, *Role)
        pem = codec.read_renew_request(request)
        issued = self._enrolment.renew(who, pem, serial=self._callers.presented(context).serial)
        _log.info("renewed %s until %s", issued.principal.uri, issued.expires_at.isoformat())
        return enrolment_pb2.RenewResponse(certificate=codec.write_certificate(issued))
