"""How members come, stay and go: tokens, enrolment, renewal, revocation.

A token is a 256-bit secret, of which only the SHA-256 is kept; it admits one named member, once,
before it expires. Everything that a request changes happens in one transaction: a token is used
exactly when its certificate was issued.
"""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection, Engine

from coordinator.fleet.authority import Authority, Issued
from coordinator.fleet.certificates import read_request
from coordinator.store import database
from coordinator.store import fleet as rows
from models.errors import (
    FieldProblem,
    InvalidDocumentError,
    NotFoundError,
    UnauthenticatedError,
)
from models.governance import token
from models.governance.principal import Principal, Role
from models.governance.views import EnrolmentRequest, IssuedCertificate
from models.randomness import Entropy

_SECRET_BYTES = 32
_FRESH = "Ask the central team for a fresh token."


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """A token's text, whom it admits and until when. The text is shown once and never kept."""

    text: str
    principal: Principal
    expires_at: datetime


class Enrolment:
    """Admits and dismisses members.

    Formal guarantee: a certificate is issued only to whoever holds an unused, unexpired token
    for that member or presents that member's valid certificate (`renew`'s caller must have
    checked it), and only for a key whose possession the request proves.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        authority: Authority,
        entropy: Entropy,
        clock: Callable[[], datetime],
        validity: timedelta,
    ) -> None:
        self._engine = engine
        self._authority = authority
        self._entropy = entropy
        self._clock = clock
        self._validity = validity

    def invite(self, who: Principal, *, valid: timedelta) -> Invitation:
        """Make a token that admits `who` once within `valid`."""
        now = self._clock()
        secret = base64.urlsafe_b64encode(self._entropy.token(_SECRET_BYTES)).decode().rstrip("=")
        with database.writing(self._engine) as connection:
            rows.add_token(connection, _hash(secret), who, now=now, expires_at=now + valid)
        made = token.EnrolmentToken(secret=secret, authority_pem=self._authority.pem)
        return Invitation(text=token.make(made), principal=who, expires_at=now + valid)

    def enrol(self, request: EnrolmentRequest) -> IssuedCertificate:
        """Exchange a token for a certificate; older certificates of the member are revoked.

        A retry (same request id, keys and token, before the token expires) gets the certificate
        that was issued the first time.

        Raises:
            UnauthenticatedError: the token is wrong, used or expired.
            InvalidDocumentError: the certificate request or the identity key is bad.
        """
        now = self._clock()
        secret_hash = _hash(request.token)
        with database.writing(self._engine) as connection:
            database.alone(connection)
            admitted = rows.get_token(connection, secret_hash)
            if admitted is None:
                raise UnauthenticatedError("the token is not valid", hint=_FRESH)
            if admitted.expires_at <= now:
                raise UnauthenticatedError("the token has expired", hint=_FRESH)
            who = admitted.principal
            _check_identity_key(request, who)
            key = read_request(request.certificate_request_pem)
            keys_hash = _keys_hash(key, request.identity_public_key)
            if admitted.used:
                return self._again(connection, admitted, request.request_id, keys_hash)
            issued = self._authority.issue(
                who, key, now=now, validity=self._validity, entropy=self._entropy
            )
            node_id = self._node_id(connection, who)
            rows.revoke_certificates(connection, who, now=now)
            rows.save_member(
                connection,
                who,
                identity_key=request.identity_public_key,
                node_id=node_id,
                now=now,
            )
            rows.add_certificate(connection, _row(who, issued))
            rows.use_token(
                connection,
                secret_hash,
                request_id=request.request_id,
                request_hash=keys_hash,
                serial=issued.serial,
                now=now,
            )
        return self._answer(who, issued.pem, node_id, issued.expires_at)

    def renew(
        self, who: Principal, certificate_request_pem: str, *, serial: str
    ) -> IssuedCertificate:
        """Give `who`, who presented the valid certificate `serial`, one for a fresh key.

        Raises:
            UnauthenticatedError: that certificate was revoked meanwhile.
            InvalidDocumentError: the certificate request is bad.
        """
        key = read_request(certificate_request_pem)
        with database.writing(self._engine) as connection:
            # Looked at again here: a replaced node must not renew past its replacement.
            database.alone(connection)
            member = rows.get_member(connection, who)
            presented = rows.get_certificate(connection, serial)
            if member is None or member.revoked or presented is None or presented.revoked:
                raise UnauthenticatedError("the certificate has been revoked", hint=_FRESH)
            issued = self._authority.issue(
                who, key, now=self._clock(), validity=self._validity, entropy=self._entropy
            )
            rows.add_certificate(connection, _row(who, issued))
        return self._answer(who, issued.pem, member.node_id, issued.expires_at)

    def revoke(self, who: Principal) -> None:
        """Revoke the member, its certificates and its unused tokens; safe to repeat.

        Raises:
            NotFoundError: there is no such member, and no token admits one.
        """
        with database.writing(self._engine) as connection:
            database.alone(connection)
            known = rows.get_member(connection, who) is not None
            withdrawn = rows.revoke_member(connection, who, now=self._clock())
            if not known and not withdrawn:
                raise NotFoundError(f"there is no member {who.role.value}/{who.name}")

    def _again(
        self, connection: Connection, admitted: rows.TokenRow, request_id: str, keys_hash: str
    ) -> IssuedCertificate:
        same = (admitted.request_id, admitted.request_hash) == (request_id, keys_hash)
        if not same or admitted.serial is None:
            raise UnauthenticatedError("the token has been used", hint=_FRESH)
        issued = rows.get_certificate(connection, admitted.serial)
        member = rows.get_member(connection, admitted.principal)
        if issued is None or member is None or issued.revoked or member.revoked:
            raise UnauthenticatedError("the certificate has been revoked", hint=_FRESH)
        return self._answer(admitted.principal, issued.pem, member.node_id, issued.expires_at)

    def _node_id(self, connection: Connection, who: Principal) -> int:
        if who.role is not Role.DEPARTMENT:
            return 0
        member = rows.get_member(connection, who)
        if member is not None:
            return member.node_id
        # 52 random bits, exact in JSON too: that two departments ever share one is left to the
        # unique constraint.
        return max(2, int.from_bytes(self._entropy.token(8), "big") >> 12)

    def _answer(
        self, who: Principal, pem: str, node_id: int, expires_at: datetime
    ) -> IssuedCertificate:
        return IssuedCertificate(
            certificate_pem=pem,
            authority_pem=self._authority.pem,
            principal=who,
            node_id=node_id,
            expires_at=expires_at,
        )


def _check_identity_key(request: EnrolmentRequest, who: Principal) -> None:
    if (who.role is Role.DEPARTMENT) == bool(request.identity_public_key):
        return
    text = "is required for a department" if who.role is Role.DEPARTMENT else "is for departments"
    problems = (FieldProblem(field="identity_public_key", problem=text),)
    raise InvalidDocumentError("the enrolment request", problems)


def _row(who: Principal, issued: Issued) -> rows.CertificateRow:
    return rows.CertificateRow(
        serial=issued.serial,
        principal=who,
        pem=issued.pem,
        issued_at=issued.not_before,
        expires_at=issued.expires_at,
        revoked=False,
    )


def _hash(secret: str) -> str:
    return hashlib.sha256(b"datalabbet/enrolment-token/v1\x00" + secret.encode()).hexdigest()


def _keys_hash(key: ec.EllipticCurvePublicKey, identity_key: bytes) -> str:
    """Give what a retry must repeat: the same TLS key and the same identity key."""
    spki = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    framed = len(spki).to_bytes(4, "big") + spki + identity_key
    return hashlib.sha256(b"datalabbet/enrolment-keys/v1\x00" + framed).hexdigest()
