"""Keys and certificates at the node: made here, kept private, checked before they are used."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from scripted import ScriptedEntropy

from coordinator.fleet.authority import Authority
from models.errors import ConfigurationError, ProtocolViolationError, UnauthenticatedError
from models.governance.principal import Principal, Role
from node.link import certificates
from node.link.certificates import Certificate
from node.link.keyring import Keyring, Membership
from node.link.retry import Backoff

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SCHOOL = Principal(Role.DEPARTMENT, "school")
MEMBERSHIP = Membership(coordinator="localhost:8443", node_id=5)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "ca", now=NOW, entropy=ScriptedEntropy())


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path / "state")


def issue(
    authority: Authority,
    key: ec.EllipticCurvePrivateKey,
    *,
    who: Principal = SCHOOL,
    days: int = 30,
) -> str:
    return authority.issue(
        who,
        key.public_key(),
        now=NOW,
        validity=timedelta(days=days),
        entropy=ScriptedEntropy("serial"),
    ).pem


def check(pem: str, key: ec.EllipticCurvePrivateKey, authority: Authority) -> Certificate:
    return certificates.check(
        pem, key=key.public_key(), authority_pem=authority.pem, now=NOW + timedelta(days=1)
    )


def test_the_identity_is_made_once_and_private(keyring: Keyring) -> None:
    first = keyring.identity().public_key().public_bytes_raw()
    assert Keyring(keyring.folder).identity().public_key().public_bytes_raw() == first
    assert (keyring.folder / "identity.key").stat().st_mode & 0o777 == 0o600
    assert keyring.folder.stat().st_mode & 0o777 == 0o700


def test_what_is_joined_is_there_after_a_restart(keyring: Keyring, authority: Authority) -> None:
    assert not keyring.enrolled
    key = certificates.new_key()
    found = check(issue(authority, key), key, authority)
    keyring.join(found, key_pem=certificates.key_pem(key), membership=MEMBERSHIP)
    held = Keyring(keyring.folder).credentials()
    assert held.department == "school"
    assert held.membership == MEMBERSHIP
    assert held.matches
    assert "PRIVATE" not in repr(held)


def test_two_thirds_of_a_life_are_enough(keyring: Keyring, authority: Authority) -> None:
    key = certificates.new_key()
    found = check(issue(authority, key, days=30), key, authority)
    assert not found.due(NOW + timedelta(days=19))
    assert found.due(NOW + timedelta(days=21))
    assert not found.expired(NOW + timedelta(days=29))
    assert found.expired(NOW + timedelta(days=31))


def test_a_certificate_of_another_authority_is_refused(
    authority: Authority, tmp_path: Path
) -> None:
    other = Authority.create(tmp_path / "other", now=NOW, entropy=ScriptedEntropy())
    key = certificates.new_key()
    with pytest.raises(ProtocolViolationError, match="not signed by the authority"):
        check(issue(other, key), key, authority)


def test_a_certificate_for_another_key_is_refused(authority: Authority) -> None:
    pem = issue(authority, certificates.new_key())
    with pytest.raises(ProtocolViolationError, match="another key"):
        check(pem, certificates.new_key(), authority)


def test_an_expired_certificate_is_refused(authority: Authority) -> None:
    key = certificates.new_key()
    pem = issue(authority, key, days=1)
    with pytest.raises(UnauthenticatedError, match="expired on 2026-03-02"):
        certificates.check(
            pem, key=key.public_key(), authority_pem=authority.pem, now=NOW + timedelta(days=2)
        )


def test_a_persons_certificate_is_not_a_nodes(authority: Authority) -> None:
    key = certificates.new_key()
    pem = issue(authority, key, who=Principal(Role.CENTRAL, "anna"))
    with pytest.raises(ProtocolViolationError, match="does not name a department"):
        check(pem, key, authority)


@pytest.mark.parametrize("pem", ["", "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----"])
def test_garbage_is_not_a_certificate(authority: Authority, pem: str) -> None:
    with pytest.raises(ProtocolViolationError, match="cannot be read"):
        check(pem, certificates.new_key(), authority)


@pytest.mark.parametrize("name", ["identity.key", "node.pem"])
def test_a_key_that_others_can_read_is_refused(
    keyring: Keyring, authority: Authority, name: str
) -> None:
    keyring.identity()
    key = certificates.new_key()
    found = check(issue(authority, key), key, authority)
    keyring.join(found, key_pem=certificates.key_pem(key), membership=MEMBERSHIP)
    (keyring.folder / name).chmod(0o644)
    with pytest.raises(ConfigurationError, match="read by others") as caught:
        (keyring.identity(), keyring.credentials())
    assert "chmod 600" in caught.value.hint


def test_an_open_state_folder_is_refused(keyring: Keyring) -> None:
    keyring.folder.chmod(0o755)
    with pytest.raises(ConfigurationError, match="open to others"):
        Keyring(keyring.folder)


@pytest.mark.parametrize("content", [b"", b"damaged", b"-----BEGIN PRIVATE KEY-----\nAA\n"])
def test_a_damaged_file_is_named(keyring: Keyring, content: bytes) -> None:
    keyring.write("identity.key", content)
    with pytest.raises(ConfigurationError, match=r"identity\.key is damaged"):
        keyring.identity()
    keyring.write("node.pem", content)
    with pytest.raises(ConfigurationError, match=r"node\.pem is damaged"):
        keyring.credentials()


def test_a_file_is_replaced_whole(keyring: Keyring) -> None:
    keyring.write("node.pem", b"one")
    keyring.write("node.pem", b"two")
    assert (keyring.folder / "node.pem").read_bytes() == b"two"
    assert [path.name for path in keyring.folder.iterdir()] == ["node.pem"]


def test_the_back_off_grows_with_jitter_and_begins_anew() -> None:
    backoff = Backoff(entropy=ScriptedEntropy(), first=0.2, longest=5.0)
    waits = [backoff.next() for _ in range(12)]
    for number, wait in enumerate(waits):
        step = min(5.0, 0.2 * 2**number)
        assert step / 2 <= wait <= step
    assert len({round(wait, 6) for wait in waits[-5:]}) == 5
    backoff.reset()
    assert backoff.next() <= 0.2
    other = Backoff(entropy=ScriptedEntropy(1), first=0.2, longest=5.0)
    assert other.next() != waits[0]
