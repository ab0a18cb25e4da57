"""Errors on the wire: our errors as google.rpc.Status, and back.

The status carries the stable code (`ErrorInfo.reason`), the hint, and field violations.
"""

from typing import NoReturn

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from models import errors

_CODES: dict[type[errors.DatalabbetError], int] = {
    errors.InvalidDocumentError: code_pb2.INVALID_ARGUMENT,
    errors.NotFoundError: code_pb2.NOT_FOUND,
    errors.UsageError: code_pb2.INVALID_ARGUMENT,
    errors.UnauthenticatedError: code_pb2.UNAUTHENTICATED,
    errors.NotAllowedError: code_pb2.PERMISSION_DENIED,
    errors.AlreadyExistsError: code_pb2.ALREADY_EXISTS,
    errors.BudgetExhaustedError: code_pb2.RESOURCE_EXHAUSTED,
    errors.ContextUsedError: code_pb2.FAILED_PRECONDITION,
    errors.NotJoinedError: code_pb2.FAILED_PRECONDITION,
    errors.RefusedError: code_pb2.FAILED_PRECONDITION,
    errors.ProtocolViolationError: code_pb2.INVALID_ARGUMENT,
    errors.DeadlineError: code_pb2.DEADLINE_EXCEEDED,
    errors.ConnectionFailedError: code_pb2.UNAVAILABLE,
    errors.StorageError: code_pb2.UNAVAILABLE,
}
_CLASSES = {
    kind.code: kind
    for kind in (
        errors.UsageError,
        errors.NotFoundError,
        errors.ConfigurationError,
        errors.ConnectionFailedError,
        errors.UnauthenticatedError,
        errors.NotAllowedError,
        errors.DeadlineError,
        errors.RefusedError,
        errors.AlreadyExistsError,
        errors.BudgetExhaustedError,
        errors.ContextUsedError,
        errors.NotJoinedError,
        errors.RunFailedError,
        errors.ProtocolViolationError,
        errors.StorageError,
        errors.AccountingError,
        errors.DataContractError,
    )
}
_DOMAIN = "datalabbet"


def abort(
    context: grpc.ServicerContext, error: errors.DatalabbetError, *, code: int | None = None
) -> NoReturn:
    """End the call with `error`; `code` (google.rpc.Code) overrides the class's own."""
    number = code if code is not None else _CODES.get(type(error), code_pb2.INTERNAL)
    details: list[any_pb2.Any] = []
    info = error_details_pb2.ErrorInfo(
        reason=error.code, domain=_DOMAIN, metadata={"hint": error.hint}
    )
    details.append(_pack(info))
    if isinstance(error, errors.InvalidDocumentError):
        bad = error_details_pb2.BadRequest()
        for problem in error.problems:
            bad.field_violations.add(field=problem.field, description=problem.problem)
        details.append(_pack(bad))
    status = status_pb2.Status(code=number, message=error.message, details=details)
    context.abort_with_status(rpc_status.to_status(status))
    raise AssertionError("abort_with_status raises")  # pragma: no cover


def restore(error: grpc.RpcError, *, doing: str) -> errors.DatalabbetError:
    """Give the error that a failed call means to the caller; `doing` says what was tried."""
    status = rpc_status.from_call(error)
    if status is not None:
        restored = _from_details(status)
        if restored is not None:
            return restored
    code = error.code()
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return errors.DeadlineError(
            f"{doing}: the coordinator did not answer in time", hint="Try again."
        )
    if code in {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}:
        return errors.ConnectionFailedError(f"{doing}: {error.details()}")
    if code is grpc.StatusCode.UNAVAILABLE:
        return errors.ConnectionFailedError(
            f"{doing}: the coordinator cannot be reached",
            hint="Check the address, the network and that both certificates are valid.",
        )
    if code in {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED}:
        return errors.ConnectionFailedError(
            f"{doing}: the coordinator is busy or ended the call", hint="Try again."
        )
    return errors.DatalabbetError(f"{doing}: the coordinator failed ({code.name})")


def _pack(message: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def _from_details(status: status_pb2.Status) -> errors.DatalabbetError | None:
    info = error_details_pb2.ErrorInfo()
    bad = error_details_pb2.BadRequest()
    for detail in status.details:
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
        elif detail.Is(bad.DESCRIPTOR):
            detail.Unpack(bad)
    if info.domain != _DOMAIN:
        return None
    hint = info.metadata.get("hint", "")
    if info.reason == errors.InvalidDocumentError.code:
        problems = tuple(
            errors.FieldProblem(field=item.field, problem=item.description)
            for item in bad.field_violations
        )
        what = status.message.partition(" is not valid:")[0]
        return errors.InvalidDocumentError(what, problems, hint=hint)
    return _CLASSES.get(info.reason, errors.DatalabbetError)(status.message, hint=hint)
