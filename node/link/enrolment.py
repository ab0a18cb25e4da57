"""Joining the federation: from a token to a checked certificate, as often as it takes."""

import hashlib
import uuid
from dataclasses import dataclass, replace
from datetime import datetime

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from models.errors import ConfigurationError, ProtocolViolationError, RefusedError
from models.governance.token import EnrolmentToken
from models.governance.views import EnrolmentRequest, IssuedCertificate
from models.randomness import Entropy
from node.link import certificates
from node.link.certificates import Certificate
from node.link.coordinator import Coordinator, connect_to_enrol
from node.link.keyring import Credentials, Enrolment, Keyring, Membership


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the coordinator is: for enrolment, and for everything after it (HOST:PORT)."""

    enrolment: str
    coordinator: str


def enrol(
    keyring: Keyring,
    token: EnrolmentToken,
    *,
    addresses: Addresses,
    now: datetime,
    entropy: Entropy,
) -> Credentials:
    """Give the node's credentials, obtained with the token and kept in the keyring.

    1. The keys are made, and kept with a request id, before anything is sent.
    2. The coordinator is known by the authority in the token before the secret is sent.
    3. The certificate must be signed by that authority, for our key, for a department.
    4. A node that belongs to a department stays with it.

    Safe to repeat: the same token gives the same request id and key, hence the same certificate.

    Raises:
        UnauthenticatedError: the token is wrong, used or expired.
        ConnectionFailedError, DeadlineError: the coordinator cannot be reached; try again.
        ProtocolViolationError: the certificate is not what was asked for.
        RefusedError: the token is for another department than this node's.
    """
    pending = _pending(keyring, token, entropy)
    if pending.done and keyring.enrolled:
        return keyring.credentials()
    key = _key(pending)
    identity = keyring.identity().public_key().public_bytes_raw()
    request = EnrolmentRequest(
        request_id=pending.request_id,
        token=token.secret,
        certificate_request_pem=certificates.request(key),
        identity_public_key=identity,
    )
    coordinator = connect_to_enrol(addresses.enrolment, authority_pem=token.authority_pem)
    try:
        issued = coordinator.enrol(request)
    finally:
        coordinator.close()
    checked = _checked(issued, key=key, authority_pem=token.authority_pem, now=now)
    if keyring.enrolled and keyring.credentials().department != checked.principal.name:
        raise RefusedError(
            f"this node belongs to {keyring.credentials().department}, and the token is for "
            f"{checked.principal.name}",
            hint="Give each department a home of its own (`--home`).",
        )
    membership = Membership(coordinator=addresses.coordinator, node_id=issued.node_id)
    keyring.join(checked, key_pem=certificates.key_pem(key), membership=membership)
    keyring.note(replace(pending, done=True))
    return keyring.credentials()


def renew(keyring: Keyring, coordinator: Coordinator, *, now: datetime) -> Credentials:
    """Give fresh credentials for the same department, kept in the keyring.

    Raises:
        ProtocolViolationError: the certificate is not what was asked for.
    """
    old = keyring.credentials()
    key = certificates.new_key()
    issued = coordinator.renew(certificates.request(key))
    checked = _checked(issued, key=key, authority_pem=old.certificate.authority_pem, now=now)
    if checked.principal != old.certificate.principal:
        raise ProtocolViolationError("the renewed certificate names another department")
    keyring.renew(checked, key_pem=certificates.key_pem(key))
    return keyring.credentials()


def _checked(
    issued: IssuedCertificate,
    *,
    key: ec.EllipticCurvePrivateKey,
    authority_pem: str,
    now: datetime,
) -> Certificate:
    if issued.authority_pem.strip() != authority_pem.strip():
        raise ProtocolViolationError("the coordinator answered with another authority")
    found = certificates.check(
        issued.certificate_pem, key=key.public_key(), authority_pem=authority_pem, now=now
    )
    if found.principal != issued.principal:
        raise ProtocolViolationError("the certificate names another member than the answer says")
    return found


def _pending(keyring: Keyring, token: EnrolmentToken, entropy: Entropy) -> Enrolment:
    """Give the enrolment of this token, begun now if it was not: it is on disk afterwards."""
    digest = hashlib.sha256(b"datalabbet/node/token/v1\x00" + token.secret.encode()).hexdigest()
    known = keyring.enrolment()
    if known is not None and known.token_digest == digest:
        return known
    fresh = Enrolment(
        request_id=str(uuid.UUID(bytes=entropy.token(16), version=4)),
        token_digest=digest,
        key_pem=certificates.key_pem(certificates.new_key()).decode(),
    )
    keyring.note(fresh)
    return fresh


def _key(pending: Enrolment) -> ec.EllipticCurvePrivateKey:
    damaged = ConfigurationError(
        "the key of the enrolment under way is damaged",
        hint="Remove enrolment.json from the state folder and use a fresh token.",
    )
    try:
        key = serialization.load_pem_private_key(pending.key_pem.encode(), password=None)
    except (ValueError, TypeError):
        raise damaged from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise damaged
    return key
