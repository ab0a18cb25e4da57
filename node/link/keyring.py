"""The node's keys and certificate on disk, mode 0600 in a folder of mode 0700.

    identity.key     the Ed25519 key that signs the steward's decisions; made once
    node.pem         the TLS key and its certificate, in one file, so that a renewal replaces both
    authority.pem    the federation's authority, pinned at enrolment
    membership.json  the coordinator's address and this node's number on the data plane
    enrolment.json   an enrolment under way (or the last one): its request id and key

Keys are made here and never leave the folder.
"""

import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from models import documents
from models.errors import ConfigurationError, InvalidDocumentError
from models.schema import STRICT
from node.config import Address
from node.link import certificates
from node.link.certificates import Certificate

IDENTITY, NODE, AUTHORITY = "identity.key", "node.pem", "authority.pem"
MEMBERSHIP, ENROLMENT = "membership.json", "enrolment.json"
_ENROL = "Enrol again with a fresh token from the central team."


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Where the coordinator is, and the node's number."""

    __pydantic_config__ = STRICT

    coordinator: Address
    node_id: Annotated[int, Field(strict=True, ge=2, lt=2**63)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """An enrolment under way: what must be the same when it is tried again."""

    __pydantic_config__ = STRICT

    request_id: str
    token_digest: str
    key_pem: str = field(repr=False)
    done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a connection needs: the key, the certificate, and who the coordinator is."""

    key_pem: bytes = field(repr=False)
    certificate: Certificate
    membership: Membership

    @property
    def department(self) -> str:
        """Give the department that the certificate names."""
        return self.certificate.principal.name

    @property
    def matches(self) -> bool:
        """Tell whether the certificate is for the key."""
        key = serialization.load_pem_private_key(self.key_pem, password=None)
        certified = x509.load_pem_x509_certificate(self.certificate.pem.encode()).public_key()
        return key.public_key() == certified


class Keyring:
    """The files of one node's state folder."""

    def __init__(self, folder: Path) -> None:
        """Keep the folder, and make it (mode 0700) if it is not there.

        Raises:
            ConfigurationError: it cannot be made, or others than its owner may enter it.
        """
        self.folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = folder.stat().st_mode
        except OSError as error:
            raise ConfigurationError(f"{folder} cannot be made: {error.strerror}") from None
        if mode & 0o077:
            raise ConfigurationError(
                f"{folder} is open to others than its owner", hint=f"Run: chmod 700 {folder}"
            )

    def identity(self) -> Ed25519PrivateKey:
        """Give the identity key, made now if there is none.

        Raises:
            ConfigurationError: the file is damaged, or others may read it.
        """
        path = self.folder / IDENTITY
        if not path.exists():
            made = Ed25519PrivateKey.generate()
            pem = made.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            self.write(IDENTITY, pem)
        key = _private(path, self._secret(IDENTITY))
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigurationError(f"{path} is not an Ed25519 key", hint=_damaged(IDENTITY))
        return key

    @property
    def enrolled(self) -> bool:
        """Tell whether there is a certificate (which may have expired)."""
        return (self.folder / NODE).is_file()

    def credentials(self) -> Credentials:
        """Give what a connection needs. Whether the certificate has expired is not asked here.

        Raises:
            ConfigurationError: not enrolled, or a file is missing, damaged or open to others.
        """
        if not self.enrolled:
            raise ConfigurationError(
                "this node is not enrolled",
                hint="Ask the central team for a token and run `datalabbet-node enrol`.",
            )
        content = self._secret(NODE)
        key = _private(self.folder / NODE, content)
        start = content.find(b"-----BEGIN CERTIFICATE-----")
        if not isinstance(key, ec.EllipticCurvePrivateKey) or start < 0:
            raise ConfigurationError(f"{self.folder / NODE} is damaged", hint=_ENROL)
        authority = self._read(AUTHORITY).decode(errors="replace")
        found = certificates.read(content[start:].decode(errors="replace"), authority_pem=authority)
        return Credentials(
            key_pem=content[:start],
            certificate=found,
            membership=self._document(Membership, MEMBERSHIP),
        )

    def join(self, issued: Certificate, *, key_pem: bytes, membership: Membership) -> None:
        """Keep a first or renewed certificate; the node is enrolled when `node.pem` is there."""
        self.write(AUTHORITY, issued.authority_pem.encode())
        self.write(MEMBERSHIP, documents.write(membership))
        self.renew(issued, key_pem=key_pem)

    def renew(self, issued: Certificate, *, key_pem: bytes) -> None:
        """Put a fresh key and certificate in the place of the old, both at once."""
        self.write(NODE, key_pem + issued.pem.encode())

    def enrolment(self) -> Enrolment | None:
        """Give the enrolment under way or done last, or None.

        Raises:
            ConfigurationError: the file is damaged, or others may read it.
        """
        if not (self.folder / ENROLMENT).exists():
            return None
        self._secret(ENROLMENT)
        return self._document(Enrolment, ENROLMENT)

    def note(self, enrolment: Enrolment) -> None:
        """Keep the enrolment for a retry."""
        self.write(ENROLMENT, documents.write(enrolment))

    def write(self, name: str, content: bytes) -> None:
        """Write a file (mode 0600) so that it holds the old content or the new, also after a crash.

        Raises:
            ConfigurationError: it cannot be written.
        """
        path = self.folder / name
        try:
            handle, fresh = tempfile.mkstemp(dir=self.folder, prefix=f".{name}.")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                Path(fresh).replace(path)
            except BaseException:  # an interrupt too: half a key must not stay
                Path(fresh).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None

    def _read(self, name: str) -> bytes:
        path = self.folder / name
        try:
            return path.read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"{path} cannot be read: {error.strerror}", hint=_damaged(name)
            ) from None

    def _secret(self, name: str) -> bytes:
        path = self.folder / name
        content = self._read(name)
        if path.stat().st_mode & 0o077:
            raise ConfigurationError(
                f"{path} can be read by others than its owner", hint=f"Run: chmod 600 {path}"
            )
        return content

    def _document(self, kind: type[documents.T], name: str) -> documents.T:
        try:
            return documents.read(kind, json.loads(self._read(name)), what=name)
        except (ValueError, InvalidDocumentError):
            raise ConfigurationError(
                f"{self.folder / name} is damaged", hint=_damaged(name)
            ) from None


def _private(path: Path, pem: bytes) -> object:
    try:
        return serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigurationError(f"{path} is damaged", hint=_damaged(path.name)) from None


def _damaged(name: str) -> str:
    if name == IDENTITY:
        return "Restore it from the backup: a new identity needs a new enrolment and new approvals."
    return _ENROL
