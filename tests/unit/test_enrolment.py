"""Tokens, enrolment, renewal and revocation, on both databases."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from city import CENTRAL, Applicant, Clock, department
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from scripted import ScriptedEntropy
from sqlalchemy import Engine, select

from coordinator.fleet.authority import Authority
from coordinator.fleet.enrolment import Enrolment
from coordinator.store import fleet as rows
from coordinator.store.database import migrate, open_database, reading, writing
from coordinator.store.tables import metadata
from models.errors import InvalidDocumentError, NotFoundError, UnauthenticatedError
from models.governance import token
from models.governance.principal import Principal
from models.governance.views import IssuedCertificate

SCHOOL = department("school")
HOUR = timedelta(hours=1)


class Desk:
    """An enrolment desk with its database and clock."""

    def __init__(self, folder: Path, url: str) -> None:
        self.clock = Clock()
        self.engine: Engine = open_database(url)
        migrate(self.engine)
        entropy = ScriptedEntropy(str(folder))
        authority = Authority.create(folder / "authority", now=self.clock(), entropy=entropy)
        self.authority = authority
        self.enrolment = Enrolment(
            engine=self.engine,
            authority=authority,
            entropy=entropy,
            clock=self.clock,
            validity=timedelta(days=30),
        )

    def invite(self, who: Principal = SCHOOL) -> str:
        return self.enrolment.invite(who, valid=HOUR).text

    def renew(self, issued: IssuedCertificate, fresh: Applicant) -> IssuedCertificate:
        row = self.serial(issued.certificate_pem)
        return self.enrolment.renew(SCHOOL, fresh.request_pem(), serial=row.serial)

    def serial(self, pem: str) -> rows.CertificateRow:
        serial = f"{x509.load_pem_x509_certificate(pem.encode()).serial_number:x}"
        with reading(self.engine) as connection:
            found = rows.get_certificate(connection, serial)
        assert found is not None
        return found


@pytest.fixture(params=["sqlite", "postgresql"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    file = f"sqlite:///{tmp_path / 'test.db'}"
    url = file if request.param == "sqlite" else request.getfixturevalue("postgres")
    made = Desk(tmp_path, url)
    yield made
    made.engine.dispose()


def test_a_token_admits_whom_it_names(desk: Desk) -> None:
    text = desk.invite()
    assert token.parse(text).authority_pem == desk.authority.pem
    applicant = Applicant()
    issued = desk.enrolment.enrol(applicant.request(text))
    assert issued.principal == SCHOOL
    assert 2 <= issued.node_id < 2**63
    certificate = x509.load_pem_x509_certificate(issued.certificate_pem.encode())
    assert certificate.public_key() == applicant.key.public_key()
    certificate.verify_directly_issued_by(
        x509.load_pem_x509_certificate(issued.authority_pem.encode())
    )
    with reading(desk.engine) as connection:
        member = rows.get_member(connection, SCHOOL)
    assert member is not None
    assert member.identity_key == applicant.identity_public_key
    assert (member.node_id, member.revoked) == (issued.node_id, False)


def test_the_secret_is_in_no_table(desk: Desk) -> None:
    text = desk.invite()
    desk.enrolment.enrol(Applicant().request(text))
    secret = token.parse(text).secret
    with reading(desk.engine) as connection:
        tables = [list(connection.execute(select(t))) for t in metadata.sorted_tables]
    content = [str(row) for table in tables for row in table]
    assert len(content) >= 3
    assert not any(secret in line for line in content)


def test_a_wrong_token_is_refused(desk: Desk) -> None:
    request = replace(Applicant().request(desk.invite()), token="x" * 43)
    with pytest.raises(UnauthenticatedError, match="the token is not valid"):
        desk.enrolment.enrol(request)


def test_an_expired_token_is_refused(desk: Desk) -> None:
    request = Applicant().request(desk.invite())
    desk.clock.moved = HOUR + timedelta(seconds=1)
    with pytest.raises(UnauthenticatedError, match="the token has expired") as caught:
        desk.enrolment.enrol(request)
    assert "fresh token" in caught.value.hint


def test_a_used_token_is_refused(desk: Desk) -> None:
    text = desk.invite()
    first = desk.enrolment.enrol(Applicant().request(text))
    with pytest.raises(UnauthenticatedError, match="the token has been used"):
        desk.enrolment.enrol(Applicant().request(text))
    assert not desk.serial(first.certificate_pem).revoked


def test_a_retry_gets_the_same_certificate(desk: Desk) -> None:
    applicant = Applicant()
    request = applicant.request(desk.invite())
    first = desk.enrolment.enrol(request)
    # A request signed again differs in its bytes, and is for the same key.
    again = replace(request, certificate_request_pem=applicant.request_pem())
    assert desk.enrolment.enrol(again) == first
    desk.clock.moved = HOUR + timedelta(seconds=1)
    with pytest.raises(UnauthenticatedError, match="expired"):
        desk.enrolment.enrol(request)


@pytest.mark.parametrize("what", ["request id", "key", "identity key"])
def test_a_retry_with_something_else_is_refused(desk: Desk, what: str) -> None:
    applicant = Applicant()
    request = applicant.request(desk.invite())
    desk.enrolment.enrol(request)
    changed = {
        "request id": replace(request, request_id=Applicant().request(desk.invite()).request_id),
        "key": replace(request, certificate_request_pem=Applicant().request_pem()),
        "identity key": replace(
            request,
            identity_public_key=Ed25519PrivateKey.generate().public_key().public_bytes_raw(),
        ),
    }[what]
    with pytest.raises(UnauthenticatedError, match="used"):
        desk.enrolment.enrol(changed)


def test_a_bad_request_does_not_use_the_token_up(desk: Desk) -> None:
    request = Applicant().request(desk.invite())
    bad = Applicant(key=ec.generate_private_key(ec.SECP384R1())).request_pem()
    with pytest.raises(InvalidDocumentError):
        desk.enrolment.enrol(replace(request, certificate_request_pem=bad))
    with pytest.raises(InvalidDocumentError, match="identity_public_key: is required"):
        desk.enrolment.enrol(replace(request, identity_public_key=b""))
    assert desk.enrolment.enrol(request).principal == SCHOOL


def test_a_person_has_no_identity_key_and_no_node(desk: Desk) -> None:
    text = desk.invite(CENTRAL)
    with pytest.raises(InvalidDocumentError, match="is for departments"):
        desk.enrolment.enrol(Applicant().request(text))
    issued = desk.enrolment.enrol(Applicant(identity=None).request(text))
    assert (issued.principal, issued.node_id) == (CENTRAL, 0)


def test_re_enrolment_keeps_the_node_id_and_revokes_the_older_certificate(desk: Desk) -> None:
    first = desk.enrolment.enrol(Applicant().request(desk.invite()))
    replacement = Applicant()
    second = desk.enrolment.enrol(replacement.request(desk.invite()))
    assert second.node_id == first.node_id
    assert desk.serial(first.certificate_pem).revoked
    assert not desk.serial(second.certificate_pem).revoked
    with reading(desk.engine) as connection:
        member = rows.get_member(connection, SCHOOL)
    assert member is not None
    assert member.identity_key == replacement.identity_public_key


def test_departments_have_node_ids_of_their_own(desk: Desk) -> None:
    names = [department(f"department-{number}") for number in range(5)]
    ids = {desk.enrolment.enrol(Applicant().request(desk.invite(n))).node_id for n in names}
    assert len(ids) == 5


def test_renewal_leaves_the_older_certificate_standing(desk: Desk) -> None:
    first = desk.enrolment.enrol(Applicant().request(desk.invite()))
    fresh = Applicant()
    renewed = desk.renew(first, fresh)
    assert (renewed.principal, renewed.node_id) == (SCHOOL, first.node_id)
    assert not desk.serial(first.certificate_pem).revoked
    found = x509.load_pem_x509_certificate(renewed.certificate_pem.encode())
    assert found.public_key() == fresh.key.public_key()


def test_a_replaced_node_cannot_renew(desk: Desk) -> None:
    first = desk.enrolment.enrol(Applicant().request(desk.invite()))
    second = desk.enrolment.enrol(Applicant().request(desk.invite()))
    with pytest.raises(UnauthenticatedError, match="revoked"):
        desk.renew(first, Applicant())
    assert desk.renew(second, Applicant()).node_id == second.node_id


def test_revocation_ends_everything_that_was_given(desk: Desk) -> None:
    request = Applicant().request(desk.invite())
    issued = desk.enrolment.enrol(request)
    waiting = desk.invite()
    desk.enrolment.revoke(SCHOOL)
    desk.enrolment.revoke(SCHOOL)  # safe to repeat
    assert desk.serial(issued.certificate_pem).revoked
    with pytest.raises(UnauthenticatedError, match="revoked"):
        desk.renew(issued, Applicant())
    with pytest.raises(UnauthenticatedError, match="revoked"):
        desk.enrolment.enrol(request)  # a retry
    with pytest.raises(UnauthenticatedError, match="not valid"):
        desk.enrolment.enrol(Applicant().request(waiting))


def test_a_revoked_member_returns_with_a_new_token_only(desk: Desk) -> None:
    first = desk.enrolment.enrol(Applicant().request(desk.invite()))
    desk.enrolment.revoke(SCHOOL)
    second = desk.enrolment.enrol(Applicant().request(desk.invite()))
    assert second.node_id == first.node_id
    with reading(desk.engine) as connection:
        member = rows.get_member(connection, SCHOOL)
    assert member is not None
    assert not member.revoked
    assert desk.serial(first.certificate_pem).revoked


def test_revoking_whom_nobody_knows_says_so(desk: Desk) -> None:
    with pytest.raises(NotFoundError, match="no member department/school"):
        desk.enrolment.revoke(SCHOOL)


def test_members_are_listed_with_their_newest_certificate(desk: Desk) -> None:
    first = desk.enrolment.enrol(Applicant().request(desk.invite()))
    desk.clock.moved = timedelta(days=10)
    renewed = desk.renew(first, Applicant())
    desk.enrolment.enrol(Applicant(identity=None).request(desk.invite(CENTRAL)))
    with writing(desk.engine) as connection:
        rows.save_software(connection, SCHOOL, "0.1.0")
        found = rows.list_members(connection)
    assert [(m.principal, m.software) for m, _ in found] == [(CENTRAL, ""), (SCHOOL, "0.1.0")]
    assert found[1][1] == renewed.expires_at


def test_requests_at_the_same_moment_use_a_token_once(desk: Desk) -> None:
    text = desk.invite()
    requests = [Applicant().request(text) for _ in range(6)]
    with ThreadPoolExecutor(max_workers=6) as pool:
        futures = [pool.submit(desk.enrolment.enrol, request) for request in requests]
    kinds = [type(future.exception()) for future in futures]
    assert sorted(k.__name__ for k in kinds) == ["NoneType"] + ["UnauthenticatedError"] * 5


def test_two_tokens_for_a_new_department_at_the_same_moment(desk: Desk) -> None:
    requests = [Applicant().request(desk.invite()) for _ in range(2)]
    with ThreadPoolExecutor(max_workers=2) as pool:
        issued = list(pool.map(desk.enrolment.enrol, requests))
    assert issued[0].node_id == issued[1].node_id
    standing = [not desk.serial(item.certificate_pem).revoked for item in issued]
    assert sorted(standing) == [False, True]


def test_a_token_that_went_astray_is_withdrawn_before_anybody_enrolled(desk: Desk) -> None:
    text = desk.invite()
    desk.enrolment.revoke(SCHOOL)
    with pytest.raises(UnauthenticatedError, match="not valid"):
        desk.enrolment.enrol(Applicant().request(text))
    with pytest.raises(NotFoundError):
        desk.enrolment.revoke(SCHOOL)  # nobody, and no token any more
