"""The certificate authority: what it signs, for whom, and what it refuses."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from scripted import ScriptedEntropy

from coordinator.fleet.authority import Authority, Issued
from coordinator.fleet.certificates import general_name, read_request
from models.errors import ConfigurationError, InvalidDocumentError
from models.governance.principal import Principal, Role

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SCHOOL = Principal(Role.DEPARTMENT, "school")
ENTROPY = ScriptedEntropy("authority")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "authority", now=NOW, entropy=ENTROPY)


def issue(authority: Authority, *, who: Principal = SCHOOL, days: int = 30) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return authority.issue(who, key, now=NOW, validity=timedelta(days=days), entropy=ENTROPY)


def request_pem(key, *, curve_hash=hashes.SHA256) -> str:
    builder = x509.CertificateSigningRequestBuilder(subject_name=x509.Name([]))
    return builder.sign(key, curve_hash()).public_bytes(serialization.Encoding.PEM).decode()


def root(authority: Authority) -> x509.Certificate:
    return x509.load_pem_x509_certificate(authority.pem.encode())


def test_the_key_is_the_owners_alone(authority: Authority, tmp_path: Path) -> None:
    folder = tmp_path / "authority"
    assert stat.S_IMODE((folder / "authority.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    authority.server_identity(["localhost"], now=NOW, entropy=ENTROPY)
    assert stat.S_IMODE((folder / "server.key").stat().st_mode) == 0o600


def test_a_key_that_others_can_read_is_refused(authority: Authority, tmp_path: Path) -> None:
    path = tmp_path / "authority" / "authority.key"
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="read by others") as caught:
        Authority.load(tmp_path / "authority")
    assert "chmod 600" in caught.value.hint


def test_what_was_created_is_loaded(authority: Authority, tmp_path: Path) -> None:
    loaded = Authority.load(tmp_path / "authority")
    assert loaded.pem == authority.pem
    assert root(authority).not_valid_after_utc - NOW > timedelta(days=3600)
    certificate = x509.load_pem_x509_certificate(issue(loaded).pem.encode())
    certificate.verify_directly_issued_by(root(authority))


def test_a_second_authority_is_refused(authority: Authority, tmp_path: Path) -> None:
    before = (tmp_path / "authority" / "authority.key").read_bytes()
    with pytest.raises(ConfigurationError, match="holds an authority already"):
        Authority.create(tmp_path / "authority", now=NOW, entropy=ENTROPY)
    assert (tmp_path / "authority" / "authority.key").read_bytes() == before


@pytest.mark.parametrize("name", ["authority.key", "authority.pem"])
def test_damaged_files_are_refused(authority: Authority, tmp_path: Path, name: str) -> None:
    (tmp_path / "authority" / name).write_bytes(b"-----BEGIN NOTHING-----\n")
    with pytest.raises(ConfigurationError, match="damaged") as caught:
        Authority.load(tmp_path / "authority")
    assert "backup" in caught.value.hint


def test_another_authoritys_key_is_refused(authority: Authority, tmp_path: Path) -> None:
    Authority.create(tmp_path / "other", now=NOW, entropy=ENTROPY)
    key = (tmp_path / "other" / "authority.key").read_bytes()
    (tmp_path / "authority" / "authority.key").write_bytes(key)
    with pytest.raises(ConfigurationError, match="not the key"):
        Authority.load(tmp_path / "authority")


def test_a_home_without_an_authority_says_init(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no authority") as caught:
        Authority.load(tmp_path)
    assert "init" in caught.value.hint


def test_a_members_certificate_names_it_and_serves_clients_alone(authority: Authority) -> None:
    issued = issue(authority)
    certificate = x509.load_pem_x509_certificate(issued.pem.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.UniformResourceIdentifier("spiffe://datalabbet/department/school")]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert issued.serial == f"{certificate.serial_number:x}"
    assert len(issued.serial) <= 40
    assert issued.expires_at == NOW + timedelta(days=30)


def test_a_members_certificate_passes_a_strict_verifier(authority: Authority) -> None:
    certificate = x509.load_pem_x509_certificate(issue(authority).pem.encode())
    builder = PolicyBuilder().store(Store([root(authority)]))
    found = builder.time(NOW).build_client_verifier().verify(certificate, [])
    assert found.chain[-1] == root(authority)
    for moment in (NOW - timedelta(days=1), NOW + timedelta(days=31)):
        with pytest.raises(VerificationError):
            builder.time(moment).build_client_verifier().verify(certificate, [])


def test_certificates_never_outlive_the_root(authority: Authority) -> None:
    assert issue(authority, days=5000).expires_at == root(authority).not_valid_after_utc
    assert authority.expires_at == root(authority).not_valid_after_utc


def test_serial_numbers_differ(authority: Authority) -> None:
    assert len({issue(authority).serial for _ in range(20)}) == 20


def test_the_servers_certificate_carries_its_names(authority: Authority) -> None:
    names = ["localhost", "127.0.0.1", "::1", "coordinator.example.org"]
    identity = authority.server_identity(names, now=NOW, entropy=ENTROPY)
    certificate = x509.load_pem_x509_certificates(identity.chain_pem)[0]
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(found) == [general_name(name) for name in names]
    verifier = PolicyBuilder().store(Store([root(authority)])).time(NOW)
    server = verifier.build_server_verifier(x509.DNSName("coordinator.example.org"))
    server.verify(certificate, [])


def test_the_servers_certificate_is_kept_until_it_is_old_or_names_change(
    authority: Authority,
) -> None:
    def get(names: list[str], days: int) -> bytes:
        now = NOW + timedelta(days=days)
        return authority.server_identity(names, now=now, entropy=ENTROPY).chain_pem

    first = get(["localhost"], 0)
    assert get(["localhost"], 59) == first
    second = get(["localhost"], 61)
    assert second != first
    assert get(["localhost", "127.0.0.1"], 61) != second


@pytest.mark.parametrize("name", ["server.key", "server.pem"])
def test_a_half_written_server_certificate_is_made_anew(
    authority: Authority, tmp_path: Path, name: str
) -> None:
    first = authority.server_identity(["localhost"], now=NOW, entropy=ENTROPY)
    (tmp_path / "authority" / name).write_bytes(b"")
    second = authority.server_identity(["localhost"], now=NOW, entropy=ENTROPY)
    assert second.chain_pem != first.chain_pem
    key = serialization.load_pem_private_key(second.key_pem, password=None)
    assert key.public_key() == x509.load_pem_x509_certificates(second.chain_pem)[0].public_key()


def test_a_key_of_another_certificate_is_noticed(authority: Authority, tmp_path: Path) -> None:
    authority.server_identity(["localhost"], now=NOW, entropy=ENTROPY)
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (tmp_path / "authority" / "server.key").write_bytes(key)
    assert authority.server_identity(["localhost"], now=NOW, entropy=ENTROPY).key_pem != key


@pytest.mark.parametrize("name", ["", "a b", "under_score.example", "-x", "x" * 64, "å.example"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="neither a DNS name"):
        general_name(name)


def test_a_request_gives_its_key() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    assert read_request(request_pem(key)) == key.public_key()


@pytest.mark.parametrize(
    ("pem", "problem"),
    [
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "PKCS"),
        ("", "PKCS"),
        (request_pem(ec.generate_private_key(ec.SECP384R1())), "P-256"),
        (request_pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)), "P-256"),
    ],
    ids=["garbage", "empty", "P-384", "RSA"],
)
def test_other_requests_are_refused(pem: str, problem: str) -> None:
    with pytest.raises(InvalidDocumentError, match=problem) as caught:
        read_request(pem)
    assert caught.value.problems[0].field == "certificate_request_pem"


def test_a_request_with_somebody_elses_key_is_refused() -> None:
    mine, theirs = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    request = x509.load_pem_x509_csr(request_pem(mine).encode())
    forged = request.public_bytes(serialization.Encoding.DER).replace(
        mine.public_key().public_bytes(*form), theirs.public_key().public_bytes(*form)
    )
    pem = x509.load_der_x509_csr(forged).public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(InvalidDocumentError, match="not signed with its own key"):
        read_request(pem)
