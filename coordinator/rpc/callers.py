"""Who is calling, and whether they may: decided from the certificate and the database alone.

Every RPC begins with `Callers.require` (or `hold`, for streams). TLS has proved by then that
the caller holds the key of a certificate of our authority; what is left is decided here:

1. there is a certificate (the enrolment port asks for none);
2. it names exactly one member of the federation;
3. it is valid by our clock;
4. we issued it to that member, and neither of them is revoked. This is read from the database
   at each call, since `datalabbet-coordinator revoke` is another process;
5. the member's role may make the call.
"""

import functools
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn, TypeVar

import grpc
from cryptography import x509
from sqlalchemy import Engine

from coordinator.store import database
from coordinator.store import fleet as rows
from models.errors import (
    DatalabbetError,
    NotAllowedError,
    ProtocolViolationError,
    StorageError,
    UnauthenticatedError,
)
from models.governance import principal
from models.governance.principal import Principal, Role
from protos import status

S = TypeVar("S")
Q = TypeVar("Q")
R = TypeVar("R")
Context = grpc.ServicerContext

_log = logging.getLogger(__name__)
_ENROL = "Enrol again with a fresh token from the central team."
_LOOK = "Ask the central team to look into the coordinator's log; nothing is wrong at your end."


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """What a certificate says."""

    principal: Principal
    serial: str
    not_before: datetime
    not_after: datetime


@functools.lru_cache(maxsize=1024)
def read_certificate(pem: bytes) -> Presented:
    """Give what the certificate says about its holder.

    Raises:
        ProtocolViolationError: it does not name exactly one member of the federation.
    """
    certificate = x509.load_pem_x509_certificate(pem)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:
        raise ProtocolViolationError("the certificate does not name one member of the federation")
    return Presented(
        principal=principal.parse(uris[0]),
        serial=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


class Callers:
    """Tells who is calling; ends open streams of members that lose their standing."""

    def __init__(self, *, engine: Engine, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[Context, Presented] = {}

    def caller(self, context: Context) -> Principal:
        """Give the member that is calling.

        Raises:
            UnauthenticatedError: no certificate, a foreign, expired or revoked one.
        """
        presented = self.presented(context)
        self._check(presented)
        return presented.principal

    def require(self, context: Context, *roles: Role) -> Principal:
        """Give the member that is calling, if it has one of `roles`.

        Raises:
            UnauthenticatedError: as `caller`.
            NotAllowedError: it has another role.
        """
        who = self.caller(context)
        if who.role not in roles:
            allowed = " or ".join(role.value for role in roles)
            raise NotAllowedError(
                f"this call is for the role {allowed}, and the certificate says {who.role.value}"
            )
        return who

    def hold(self, context: Context, *roles: Role) -> Principal:
        """Do as `require`, and cancel the call when the member loses its standing meanwhile.

        For streams. A cancelled peer calls again and is then told why it is refused.
        """
        who = self.require(context, *roles)
        with self._lock:
            self._held[context] = self.presented(context)
        if not context.add_callback(lambda: self._release(context)):
            self._release(context)  # the call has ended already
        return who

    def sweep(self) -> None:
        """Cancel every held call whose member lost its standing; to be called every second."""
        with self._lock:
            held = dict(self._held)
        for context, presented in held.items():
            try:
                self._check(presented)
            except UnauthenticatedError as error:
                _log.warning("ended a stream of %s: %s", presented.principal.uri, error.message)
                self._release(context)
                context.cancel()
            except StorageError as error:
                _log.warning("could not check open streams: %s", error.message)
                return

    def _release(self, context: Context) -> None:
        with self._lock:
            self._held.pop(context, None)

    def presented(self, context: Context) -> Presented:
        """Give what the caller's certificate says. Whether it stands is `caller`'s to decide.

        Raises:
            UnauthenticatedError: there is none, or it names no member.
        """
        pem = tuple(context.auth_context().get("x509_pem_cert", ()))
        if not pem:
            raise UnauthenticatedError(
                "this call needs a certificate",
                hint="Enrol first, and call the coordinator's main port.",
            )
        try:
            return read_certificate(bytes(pem[0]))
        except ProtocolViolationError as error:
            raise UnauthenticatedError(error.message, hint=_ENROL) from None

    def _check(self, presented: Presented) -> None:
        if not presented.not_before <= self._clock() <= presented.not_after:
            raise UnauthenticatedError(
                "the certificate has expired or is not valid yet",
                hint=f"Check the clocks of both machines. {_ENROL}",
            )
        with database.reading(self._engine) as connection:
            known = rows.get_certificate(connection, presented.serial)
            member = rows.get_member(connection, presented.principal)
        if known is None or member is None or known.principal != presented.principal:
            raise UnauthenticatedError(
                "the certificate was not issued by this coordinator", hint=_ENROL
            )
        if known.revoked or member.revoked:
            raise UnauthenticatedError("the certificate has been revoked", hint=_ENROL)


def guard(method: Callable[[S, Q, Context], R]) -> Callable[[S, Q, Context], R]:
    """Make a unary RPC end with our errors as status, and say nothing about any other error."""

    @functools.wraps(method)
    def guarded(servicer: S, request: Q, context: Context) -> R:
        try:
            return method(servicer, request, context)
        except Exception as error:  # noqa: BLE001 - the outermost place: everything ends here
            _end(context, error)

    return guarded


def guard_stream(
    method: Callable[[S, Q, Context], Iterator[R]],
) -> Callable[[S, Q, Context], Iterator[R]]:
    """Do the same for an RPC that answers with a stream."""

    @functools.wraps(method)
    def guarded(servicer: S, request: Q, context: Context) -> Iterator[R]:
        try:
            yield from method(servicer, request, context)
        except Exception as error:  # noqa: BLE001 - the outermost place: everything ends here
            _end(context, error)

    return guarded


def _end(context: Context, error: Exception) -> NoReturn:
    if isinstance(error, DatalabbetError):
        _log.info("refused a call: %s %s", error.code, error.message)
        status.abort(context, error)
    if not context.is_active() or (type(error) is Exception and not error.args):
        raise error  # the peer went away; or `abort` has set the status already
    _log.error("an unexpected error in a call", exc_info=error)
    status.abort(context, DatalabbetError("the coordinator failed", hint=_LOOK))
