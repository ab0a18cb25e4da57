"""What a certificate must be before the node uses it: pure checks, and certificate requests."""

from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from models.errors import ProtocolViolationError, UnauthenticatedError
from models.governance import principal
from models.governance.principal import Principal, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A checked certificate of a department: whom it names and when it is valid."""

    pem: str
    authority_pem: str = field(repr=False)
    principal: Principal
    not_before: datetime
    not_after: datetime

    def due(self, now: datetime) -> bool:
        """Tell whether two thirds of its life are over: time to renew it."""
        return now >= self.not_before + (self.not_after - self.not_before) * 2 / 3

    def expired(self, now: datetime) -> bool:
        """Tell whether it is not valid any more."""
        return now > self.not_after


def new_key() -> ec.EllipticCurvePrivateKey:
    """Give a fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Give the key as PKCS #8 PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def request(key: ec.EllipticCurvePrivateKey) -> str:
    """Give the certificate request (PEM). It names nobody: the token or certificate does."""
    built = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def check(
    pem: str, *, key: ec.EllipticCurvePublicKey, authority_pem: str, now: datetime
) -> Certificate:
    """Give the certificate if it is ours to use.

    1. It parses, and so does the authority's, which is a certificate authority.
    2. The authority signed it.
    3. It is for our key.
    4. It names exactly one member of the federation, and that is a department.
    5. It has not expired.

    Raises:
        ProtocolViolationError: 1 to 4.
        UnauthenticatedError: 5.
    """
    found = read(pem, authority_pem=authority_pem)
    if x509.load_pem_x509_certificate(pem.encode()).public_key() != key:
        raise ProtocolViolationError("the certificate is for another key than this node's")
    if found.expired(now):
        raise UnauthenticatedError(
            f"the certificate expired on {found.not_after:%Y-%m-%d %H:%M} UTC",
            hint="Enrol again with a fresh token from the central team.",
        )
    return found


def read(pem: str, *, authority_pem: str) -> Certificate:
    """Give the certificate if its authority signed it for a department (1, 2 and 4 of `check`).

    Raises:
        ProtocolViolationError: it is not such a certificate.
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        authority = x509.load_pem_x509_certificate(authority_pem.encode())
        limits = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, x509.ExtensionNotFound):
        raise ProtocolViolationError("the certificate or its authority cannot be read") from None
    except InvalidSignature:
        raise ProtocolViolationError("the certificate is not signed by the authority") from None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if not limits.ca or len(uris) != 1:
        raise ProtocolViolationError("the certificate does not name one member of the federation")
    who = principal.parse(uris[0])
    if who.role is not Role.DEPARTMENT:
        raise ProtocolViolationError("the certificate does not name a department")
    return Certificate(
        pem=pem,
        authority_pem=authority_pem,
        principal=who,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )
