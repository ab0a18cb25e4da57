"""Parts of certificates: reading requests, names, serial numbers, usages, PEM."""

import ipaddress
import re

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from models.errors import ConfigurationError, FieldProblem, InvalidDocumentError
from models.randomness import Entropy

_HOST = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)


def read_request(pem: str) -> ec.EllipticCurvePublicKey:
    """Give the public key of a certificate request, having checked that its sender holds the key.

    Raises:
        InvalidDocumentError: no PKCS #10 request, a wrong signature, or another key than P-256.
    """
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        key = request.public_key()
        sound = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm, InvalidSignature):
        raise _bad_request("is not a PKCS #10 certificate request") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _bad_request("must be for an EC P-256 key")
    if not sound:
        raise _bad_request("is not signed with its own key")
    return key


def _bad_request(problem: str) -> InvalidDocumentError:
    problems = (FieldProblem(field="certificate_request_pem", problem=problem),)
    return InvalidDocumentError("the certificate request", problems)


def general_name(name: str) -> x509.GeneralName:
    """Give an IP address or DNS name for a subject alternative name.

    Raises:
        ConfigurationError: it is neither.
    """
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        if _HOST.fullmatch(name) is not None:
            return x509.DNSName(name)
    raise ConfigurationError(
        "a name of the coordinator is neither a DNS name nor an IP address",
        hint="Correct `names` in coordinator.toml.",
    )


def serial(entropy: Entropy) -> int:
    """Give a fresh serial number."""
    return 1 + int.from_bytes(entropy.token(19), "big")  # RFC 5280: positive, at most 20 bytes


def usage(
    *, digital_signature: bool, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    """Give a key usage with nothing allowed but what is named."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def private(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Give a private key as PKCS #8 PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def public(certificate: x509.Certificate) -> bytes:
    """Give a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)
