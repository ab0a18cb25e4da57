"""The federation's certificate authority: its key, the server's certificate, members' certificates.

    authority.key   EC P-256, PKCS #8 PEM, mode 0600: whoever has it can be anyone. Back it up.
    authority.pem   the self-signed root, ten years; members pin it.
    server.key      the coordinator's TLS key, mode 0600; made anew with each server certificate.
    server.pem      the coordinator's certificate; reissued here when it is old or names change.

Members' keys are never here: they send certificate requests. A certificate's only meaning is
the member's name in its subject alternative name (a SPIFFE id), for TLS clients alone.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from coordinator.fleet import certificates
from models.errors import ConfigurationError
from models.governance.principal import Principal
from models.randomness import Entropy

_ROOT_LIFE = timedelta(days=3653)
_SERVER_LIFE = timedelta(days=90)
_SERVER_RENEWAL = timedelta(days=30)
_SKEW = timedelta(minutes=5)  # members' clocks may be behind ours
_RESTORE = "Restore the coordinator's home from its backup, or start a new federation with init."


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerIdentity:
    """The coordinator's TLS key and certificate chain, PEM."""

    key_pem: bytes = field(repr=False)
    chain_pem: bytes
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A member's certificate: PEM, serial number in hex, and its validity."""

    pem: str
    serial: str
    not_before: datetime
    expires_at: datetime


class Authority:
    """The loaded authority. It holds the signing key: keep it inside the coordinator."""

    def __init__(
        self, *, folder: Path, key: ec.EllipticCurvePrivateKey, root: x509.Certificate
    ) -> None:
        self._folder = folder
        self._key = key
        self._root = root

    @classmethod
    def create(cls, folder: Path, *, now: datetime, entropy: Entropy) -> "Authority":
        """Make a new authority in `folder`, which must not hold one.

        Raises:
            ConfigurationError: there is one already, or the folder cannot be written.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Datalabbet authority")])
        usage = certificates.usage(digital_signature=False, key_cert_sign=True, crl_sign=True)
        root = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(certificates.serial(entropy))
            .not_valid_before(now - _SKEW)
            .not_valid_after(now + _ROOT_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .sign(key, hashes.SHA256())
        )
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_new(folder / "authority.key", certificates.private(key), mode=0o600)
            _write_new(folder / "authority.pem", certificates.public(root), mode=0o644)
        except FileExistsError:
            raise ConfigurationError(
                f"{folder} holds an authority already", hint="Each home is initialised once."
            ) from None
        except OSError as error:
            raise ConfigurationError(f"{folder} cannot be written: {error.strerror}") from None
        return cls(folder=folder, key=key, root=root)

    @classmethod
    def load(cls, folder: Path) -> "Authority":
        """Give the authority kept in `folder`.

        Raises:
            ConfigurationError: it is not there, is damaged, or its key is readable by others.
        """
        path = folder / "authority.key"
        try:
            if path.stat().st_mode & 0o077:
                raise ConfigurationError(
                    f"{path} can be read by others than its owner", hint=f"Run: chmod 600 {path}"
                )
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
            root = x509.load_pem_x509_certificate((folder / "authority.pem").read_bytes())
        except FileNotFoundError:
            raise ConfigurationError(
                f"{folder} holds no authority", hint="Run: datalabbet-coordinator init"
            ) from None
        except OSError as error:
            raise ConfigurationError(f"{folder} cannot be read: {error.strerror}") from None
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ConfigurationError(f"the files of {folder} are damaged", hint=_RESTORE) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != root.public_key():
            raise ConfigurationError(
                f"{path} is not the key of authority.pem beside it", hint=_RESTORE
            )
        return cls(folder=folder, key=key, root=root)

    @property
    def pem(self) -> str:
        """Give the root certificate, which members pin."""
        return certificates.public(self._root).decode()

    @property
    def expires_at(self) -> datetime:
        """Give when the root certificate, and with it every other, stops being valid."""
        return self._root.not_valid_after_utc

    def issue(
        self,
        who: Principal,
        key: ec.EllipticCurvePublicKey,
        *,
        now: datetime,
        validity: timedelta,
        entropy: Entropy,
    ) -> Issued:
        """Give a member's certificate for TLS clients; it never outlives the root."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, who.name)])
        name = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(who.uri)])
        certificate = self._sign(
            subject,
            name,
            key,
            purpose=ExtendedKeyUsageOID.CLIENT_AUTH,
            now=now,
            validity=validity,
            entropy=entropy,
        )
        return Issued(
            pem=certificates.public(certificate).decode(),
            serial=f"{certificate.serial_number:x}",
            not_before=certificate.not_valid_before_utc,
            expires_at=certificate.not_valid_after_utc,
        )

    def server_identity(
        self, names: Sequence[str], *, now: datetime, entropy: Entropy
    ) -> ServerIdentity:
        """Give the coordinator's own certificate, reissued if it is old or for other names.

        `names` are the DNS names and IP addresses by which members reach the coordinator.

        Raises:
            ConfigurationError: a name is neither, or the folder cannot be written.
        """
        wanted = x509.SubjectAlternativeName([certificates.general_name(name) for name in names])
        key_path, pem_path = self._folder / "server.key", self._folder / "server.pem"
        try:
            current = self._usable(key_path, pem_path, wanted, now=now)
            if current is not None:
                return current
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = self._sign(
                x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Datalabbet coordinator")]),
                wanted,
                key.public_key(),
                purpose=ExtendedKeyUsageOID.SERVER_AUTH,
                now=now,
                validity=_SERVER_LIFE,
                entropy=entropy,
            )
            _replace(key_path, certificates.private(key), mode=0o600)
            _replace(pem_path, certificates.public(certificate), mode=0o644)
        except OSError as error:
            raise ConfigurationError(
                f"{self._folder} cannot be written: {error.strerror}",
                hint="Check the folder's owner and the space on its disk.",
            ) from None
        return self._server(certificates.private(key), certificate)

    def _usable(
        self, key_path: Path, pem_path: Path, wanted: x509.SubjectAlternativeName, *, now: datetime
    ) -> ServerIdentity | None:
        if not key_path.exists() or not pem_path.exists():
            return None
        try:
            key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
            certificate = x509.load_pem_x509_certificate(pem_path.read_bytes())
            certificate.verify_directly_issued_by(self._root)
            found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            return None  # half-written, or another authority's: make a new one
        fresh = certificate.not_valid_after_utc - now > _SERVER_RENEWAL
        # The two files are replaced one after the other; a crash between them leaves a pair that
        # does not match.
        matches = key.public_key() == certificate.public_key()
        if found.value != wanted or not fresh or not matches:
            return None
        return self._server(key_path.read_bytes(), certificate)

    def _server(self, key_pem: bytes, certificate: x509.Certificate) -> ServerIdentity:
        return ServerIdentity(
            key_pem=key_pem,
            chain_pem=certificates.public(certificate) + certificates.public(self._root),
            expires_at=certificate.not_valid_after_utc,
        )

    def _sign(
        self,
        subject: x509.Name,
        name: x509.SubjectAlternativeName,
        key: ec.EllipticCurvePublicKey,
        *,
        purpose: x509.ObjectIdentifier,
        now: datetime,
        validity: timedelta,
        entropy: Entropy,
    ) -> x509.Certificate:
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._root.subject)
            .public_key(key)
            .serial_number(certificates.serial(entropy))
            .not_valid_before(now - _SKEW)
            .not_valid_after(min(now + validity, self._root.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(certificates.usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(name, critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _write_new(path: Path, content: bytes, *, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _replace(path: Path, content: bytes, *, mode: int) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    _write_new(fresh, content, mode=mode)
    fresh.replace(path)
