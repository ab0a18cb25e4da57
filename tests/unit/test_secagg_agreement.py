"""The roster and the keys: who gets in, and what is refused."""

import json
from dataclasses import replace

import pytest
from scripted import ScriptedEntropy
from secure_sums import (
    RUN,
    STUDY,
    WITNESS,
    agree,
    department_names,
    ephemeral,
    identity,
    member,
    offer,
    roster,
)

from models import documents
from models.errors import InvalidDocumentError, RefusedError
from models.governance.roster import Mode, Roster
from models.secagg import agreement, signing
from models.secagg.agreement import EphemeralKey, Offer

NAMES = department_names(4)


def offers(rules: Roster) -> list[Offer]:
    everyone = (*rules.members, *([rules.witness] if rules.witness else []))
    return [offer(rules, each.name) for each in everyone]


def verify(rules: Roster, made: list[Offer], **changes: object) -> agreement.Cohort:
    return agreement.verify(rules, made, **{"study": STUDY, "run": RUN, "minimum": 2} | changes)


@pytest.mark.parametrize("mode", list(Mode))
def test_both_ends_of_a_pair_share_their_secret_and_the_cohort(mode: Mode) -> None:
    rules = roster(NAMES, mode)
    names = [*NAMES, WITNESS] if mode.witnessed else NAMES
    found = {name: agree(rules, offers(rules), name) for name in names}
    assert len({each.cohort.digest() for each in found.values()}) == 1
    seen: dict[tuple[str, str], list[bytes]] = {}
    for each in found.values():
        for pair in each.pairs:
            seen.setdefault((pair.low, pair.high), []).append(pair.secret)
    pairs = 6 * mode.pairs + 4 * mode.witnessed
    assert len(seen) == pairs == len({secrets[0] for secrets in seen.values()})
    assert all(len(secrets) == 2 and len(set(secrets)) == 1 for secrets in seen.values())


def test_the_order_of_offers_does_not_matter() -> None:
    rules = roster(NAMES)
    assert verify(rules, offers(rules)) == verify(rules, offers(rules)[::-1])


def test_part_of_the_roster_may_take_part() -> None:
    rules = roster(NAMES)
    assert verify(rules, offers(rules)[1:]).names == tuple(NAMES[1:])


def test_documents_come_back_from_their_canonical_form() -> None:
    rules = roster(NAMES, Mode.BOTH)
    made = offers(rules)[0]
    mapping = {
        "statement": {
            "roster": rules.digest(),
            "study": STUDY,
            "run": str(RUN),
            "member": NAMES[0],
            "key": ephemeral(NAMES[0]).public,
        },
        "signature": made.signature,
    }
    assert documents.read(Offer, mapping, what="offer") == made
    assert f'"run":"{RUN}"'.encode() in documents.write(made)


@pytest.mark.parametrize("run", ["0", "1", "02", "-2", "2.0", str(2**63), 1, 2.5, True, None])
def test_a_run_is_a_number_in_its_one_spelling(run: object) -> None:
    fields = {"roster": STUDY, "study": STUDY, "run": run, "member": "amf", "key": STUDY}
    with pytest.raises(InvalidDocumentError):
        documents.read(agreement.OfferStatement, fields, what="offer")


def test_an_unknown_member_is_refused() -> None:
    rules = roster(NAMES[:3])
    stranger = offer(roster(NAMES), NAMES[3])
    said = replace(stranger.statement, roster=rules.digest())
    signed = signing.sign(said, identity(NAMES[3]), domain="secure-sum-offer")
    with pytest.raises(RefusedError, match="does not name"):
        verify(rules, [*offers(rules), Offer(statement=said, signature=signed)])


@pytest.mark.parametrize(
    "changes",
    [{"study": "00" * 32}, {"run": RUN + 1}, {"roster": "00" * 32}],
    ids=lambda changes: next(iter(changes)),
)
def test_an_offer_of_another_study_run_or_roster_is_refused(changes: dict[str, object]) -> None:
    rules = roster(NAMES)
    made = offers(rules)
    said = replace(made[0].statement, **changes)
    signed = signing.sign(said, identity(NAMES[0]), domain="secure-sum-offer")
    with pytest.raises(RefusedError, match="another roster, study or run"):
        verify(rules, [Offer(statement=said, signature=signed), *made[1:]])


@pytest.mark.parametrize("field", ["member", "key"])
def test_an_altered_offer_is_refused(field: str) -> None:
    rules = roster(NAMES)
    made = offers(rules)
    value = NAMES[1] if field == "member" else ephemeral(NAMES[1]).public
    said = replace(made[0].statement, **{field: value})
    with pytest.raises(RefusedError, match="pinned identity key"):
        verify(rules, [replace(made[0], statement=said), *made[2:]])


@pytest.mark.parametrize("signature", ["", "AAAA", "A" * 86 + "==", "é" * 88])
def test_a_signature_that_is_none_is_refused(signature: str) -> None:
    rules = roster(NAMES)
    made = offers(rules)
    with pytest.raises(RefusedError, match="pinned identity key"):
        verify(rules, [replace(made[0], signature=signature), *made[1:]])


def test_a_signature_of_another_kind_of_document_is_refused() -> None:
    rules = roster(NAMES)
    made = offers(rules)
    other = signing.sign(made[0].statement, identity(NAMES[0]), domain="approval")
    with pytest.raises(RefusedError, match="pinned identity key"):
        verify(rules, [replace(made[0], signature=other), *made[1:]])


def test_a_member_that_offers_twice_is_refused() -> None:
    rules = roster(NAMES)
    again = offer(rules, NAMES[0], key=EphemeralKey.fresh(ScriptedEntropy("other")))
    for second in (offers(rules)[0], again):
        with pytest.raises(RefusedError, match="more than one key"):
            verify(rules, [*offers(rules), second])


def test_a_member_that_reflects_the_key_of_another_is_refused() -> None:
    rules = roster(NAMES)
    mirror = offer(rules, NAMES[0], key=ephemeral(NAMES[1]))
    with pytest.raises(RefusedError, match="the same key"):
        verify(rules, [mirror, *offers(rules)[1:]])


def test_my_own_key_must_be_the_one_i_offered() -> None:
    rules = roster(NAMES)
    old = offer(rules, NAMES[0], key=EphemeralKey.fresh(ScriptedEntropy("before the restart")))
    with pytest.raises(RefusedError, match="another key"):
        agree(rules, [old, *offers(rules)[1:]], NAMES[0])
    with pytest.raises(RefusedError, match="another key"):
        agree(rules, offers(rules)[1:], NAMES[0])


def test_an_identity_that_is_not_pinned_makes_no_offer() -> None:
    with pytest.raises(RefusedError, match="another identity key"):
        agreement.offer(
            roster(NAMES),
            study=STUDY,
            run=RUN,
            member=NAMES[0],
            ephemeral=ephemeral(NAMES[0]),
            identity=identity(NAMES[1]),
        )


def test_the_minimum_is_the_larger_of_the_roster_s_and_the_node_s_own() -> None:
    rules = roster(NAMES)
    with pytest.raises(RefusedError, match="2 departments; 3 are the minimum"):
        verify(rules, offers(rules)[:2])
    loose = roster(NAMES, minimum=2)
    verify(loose, offers(loose)[:2])
    with pytest.raises(RefusedError, match="2 departments; 3 are the minimum"):
        verify(loose, offers(loose)[:2], minimum=3)


def test_the_witness_is_no_department() -> None:
    rules = roster(NAMES, Mode.WITNESS)
    *departments, witness = offers(rules)
    with pytest.raises(RefusedError, match="2 departments; 3 are the minimum"):
        verify(rules, [*departments[:2], witness])
    with pytest.raises(RefusedError, match="witness has not offered"):
        verify(rules, departments)


def test_secrets_are_not_printed() -> None:
    rules = roster(NAMES)
    found = agree(rules, offers(rules), NAMES[0])
    shown = repr(found) + repr(ephemeral(NAMES[0])) + repr(found.pairs[0])
    for secret in (ephemeral(NAMES[0]).secret, *(pair.secret for pair in found.pairs)):
        assert repr(secret) not in shown
        assert secret.hex() not in shown


def fields_of(rules: Roster) -> dict[str, object]:
    return json.loads(documents.write(rules))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"minimum": 5}, "minimum"),
        ({"minimum": 1}, "greater than or equal to 2"),
        ({"colluders": 3}, "colluders"),
        ({"attempts": 0}, "attempts"),
        ({"mode": "pairwise"}, "witness"),
        ({"witness": None}, "witness"),
        ({"mode": "star"}, "mode"),
    ],
    ids=str,
)
def test_terms_that_cannot_be_kept_are_refused(changes: dict[str, object], match: str) -> None:
    fields = fields_of(roster(NAMES, Mode.WITNESS))
    with pytest.raises(InvalidDocumentError, match=match):
        documents.read(Roster, fields | changes, what="roster")


def test_members_are_listed_once_and_in_order_each_with_a_key_of_its_own() -> None:
    one, two, three = (member(name) for name in NAMES[:3])
    terms = {"minimum": 2}
    for members in ((two, one), (one, one), (one, replace(two, identity=one.identity))):
        with pytest.raises(ValueError, match="each"):
            Roster(members=members, **terms)
    for witness in (one, replace(three, identity=one.identity)):
        with pytest.raises(ValueError, match=r"witness|own"):
            Roster(members=(one, two), witness=witness, mode=Mode.BOTH, **terms)


def test_the_digest_binds_every_term() -> None:
    fields = fields_of(roster(NAMES, Mode.WITNESS))
    changes = [
        {},
        {"minimum": 2},
        {"attempts": 4},
        {"colluders": 2},
        {"mode": "both"},
        {"witness": {"name": "other", "identity": member(WITNESS).identity}},
        {"members": fields["members"][:3]},
    ]
    found = {documents.read(Roster, fields | each, what="roster").digest() for each in changes}
    assert len(found) == len(changes)


@pytest.mark.parametrize(
    ("mode", "terms", "cohort", "carriers"),
    [
        (Mode.PAIRWISE, {}, 4, 3),
        (Mode.BOTH, {}, 3, 2),
        (Mode.WITNESS, {}, 4, 2),  # as few as the minimum may answer
        (Mode.PAIRWISE, {"colluders": 0}, 4, 4),
        (Mode.PAIRWISE, {"minimum": 2, "colluders": 0}, 2, 1),  # each adds all of the noise
        (Mode.PAIRWISE, {"minimum": 2}, 2, 1),
    ],
)
def test_how_many_shares_carry_the_noise(mode, terms, cohort, carriers) -> None:
    assert roster(NAMES, mode, **terms).carriers(cohort) == carriers
