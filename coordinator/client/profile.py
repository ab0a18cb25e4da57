"""A person's profile: a folder with the coordinator's address, a key and its certificate.

The key is made here and never leaves the folder. Key and certificate share one file, so that
a renewal replaces both at once or neither.
"""

import json
import os
import tempfile
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import Field

from models import documents
from models.errors import ConfigurationError, InvalidDocumentError, UnauthenticatedError
from models.governance import principal
from models.governance.principal import Principal
from models.schema import STRICT

SETTINGS, IDENTITY, AUTHORITY = "profile.json", "identity.pem", "authority.pem"
_ENROL = "Ask the central team for a token and run `datalabbet enrol`."

Address = Annotated[str, Field(pattern=r"^[A-Za-z0-9.\[\]:_-]+:[0-9]{1,5}$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSettings:
    """The content of `profile.json`."""

    __pydantic_config__ = STRICT

    coordinator: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest:
    """A fresh private key and the certificate request made with it (both PEM)."""

    key_pem: bytes = field(repr=False)
    request_pem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """An enrolled profile, as read from its folder."""

    folder: Path
    coordinator: str
    authority_pem: bytes = field(repr=False)
    identity_pem: bytes = field(repr=False)

    @property
    def certificate(self) -> x509.Certificate:
        """Give the certificate.

        Raises:
            ConfigurationError: the file does not hold one.
        """
        try:
            return x509.load_pem_x509_certificate(self.identity_pem)
        except ValueError:
            raise ConfigurationError(
                f"{self.folder / IDENTITY} does not hold a certificate", hint=_ENROL
            ) from None

    @property
    def principal(self) -> Principal:
        """Give who the certificate says that this is."""
        names = self.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        uris = names.value.get_values_for_type(x509.UniformResourceIdentifier)
        return principal.parse(uris[0] if uris else "")

    def due(self, now: datetime) -> bool:
        """Tell whether two thirds of the certificate's life are over: time to renew it.

        Raises:
            UnauthenticatedError: all of it is over.
        """
        start, end = self.certificate.not_valid_before_utc, self.certificate.not_valid_after_utc
        if now >= end:
            raise UnauthenticatedError("the profile's certificate has expired", hint=_ENROL)
        return now >= start + (end - start) * 2 / 3


def exists(folder: Path) -> bool:
    """Tell whether the folder holds an enrolled profile."""
    return (folder / SETTINGS).is_file() and (folder / IDENTITY).is_file()


def load(folder: Path) -> Profile:
    """Give the profile in a folder.

    Raises:
        ConfigurationError: there is none, or it cannot be read.
    """
    if not exists(folder):
        raise ConfigurationError(f"{folder} is not an enrolled profile", hint=_ENROL)
    try:
        text = (folder / SETTINGS).read_text(encoding="utf-8")
        settings = documents.read(ProfileSettings, json.loads(text), what=str(folder / SETTINGS))
        return Profile(
            folder=folder,
            coordinator=settings.coordinator,
            authority_pem=(folder / AUTHORITY).read_bytes(),
            identity_pem=(folder / IDENTITY).read_bytes(),
        )
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be read ({error.strerror})") from None
    except (ValueError, InvalidDocumentError):
        raise ConfigurationError(f"{folder / SETTINGS} is damaged", hint=_ENROL) from None


def save(folder: Path, *, coordinator: str, authority_pem: str, identity_pem: bytes) -> Profile:
    """Write a profile; `profile.json` last, so that a half-written one does not exist.

    Raises:
        ConfigurationError: the folder cannot be written, or the address is none.
    """
    settings = address(coordinator)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(folder / AUTHORITY, authority_pem.encode(), mode=0o644)
        write_atomically(folder / IDENTITY, identity_pem, mode=0o600)
        write_atomically(folder / SETTINGS, documents.write(settings), mode=0o600)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written ({error.strerror})") from None
    return load(folder)


def address(text: str) -> ProfileSettings:
    """Give the settings for a coordinator at `host:port`.

    Raises:
        ConfigurationError: the text is not of that form.
    """
    try:
        return documents.read(ProfileSettings, {"coordinator": text}, what="the address")
    except InvalidDocumentError:
        raise ConfigurationError(
            "the coordinator's address must have the form HOST:PORT",
            hint="The central team tells both addresses with the token.",
        ) from None


def replace_identity(profile: Profile, identity_pem: bytes) -> Profile:
    """Put a renewed key and certificate in the old one's place."""
    write_atomically(profile.folder / IDENTITY, identity_pem, mode=0o600)
    return load(profile.folder)


def make_request() -> KeyRequest:
    """Give a fresh P-256 key and a certificate request. The identity comes from the token."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder(subject_name=x509.Name([]))
    signed = request.sign(key, hashes.SHA256())
    return KeyRequest(
        key_pem=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        request_pem=signed.public_bytes(serialization.Encoding.PEM).decode(),
    )


def write_atomically(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file so that it holds the old content or the new, also after a power cut."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:  # an interrupt too: half a file must not stay
        Path(name).unlink(missing_ok=True)
        raise
