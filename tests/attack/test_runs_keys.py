"""A coordinator that attacks keys and cohorts of real nodes, over the messages of the wire.

Each attack is carried out twice: against the nodes as they are, where it fails and costs nothing;
and with the one defence that stops it switched off here, where it gives the attacker a
department's own value under nothing but that department's share of the noise.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hostile import ATTACKER, LAX, OTHERS, VICTIM, Answer, Hostile, Town, own_offer, own_pairs
from nodes import RUN
from studies import KEYS, summed_study

from models.governance.answers import Fault
from models.governance.roster import Member, Mode
from models.governance.study import Study
from models.secagg import signing
from models.secagg.agreement import Keyed, Offer
from models.training.messages import HISTOGRAM
from node.gate.policy import Policy

STUDY = summed_study()
WITNESSED = {"mode": Mode.WITNESS, "witness": "auditor"}


@pytest.fixture
def attacker(tmp_path: Path) -> Iterator[Hostile]:
    town = Town(tmp_path, STUDY)
    yield Hostile(town)
    town.close()


def nothing(attacker: Hostile) -> bool:
    """Tell whether no department charged anything or opened a record."""
    return not any(node.charges or node.opened for node in attacker.town.nodes.values())


def hidden(attacker: Hostile, answer: Answer | Fault, offers: list[Offer]) -> bool:
    """Tell whether the victim's histogram stays hidden from whoever knows the others' keys."""
    if isinstance(answer, Fault):
        return True
    public = next(o.statement.key for o in offers if o.statement.member == VICTIM)
    found = attacker.opened(HISTOGRAM, answer, own_pairs(public, OTHERS))
    return not attacker.learns(HISTOGRAM, found, attacker.value(VICTIM, HISTOGRAM))


def test_an_honest_coordinator_reads_the_sum_and_no_message(attacker: Hostile) -> None:
    attacker.agree()
    answers = attacker.asked(STUDY.departments, HISTOGRAM)
    total = sum(attacker.value(name, HISTOGRAM) for name in STUDY.departments)
    assert attacker.learns(HISTOGRAM, attacker.added(HISTOGRAM, answers.values()), total)
    assert hidden(attacker, answers[VICTIM], attacker.offers())
    alone = attacker.added(HISTOGRAM, [answers[VICTIM]])
    assert not attacker.learns(HISTOGRAM, alone, attacker.value(VICTIM, HISTOGRAM))


# --- substituted keys ---


def substituted(attacker: Hostile, signer: str) -> list[Offer]:
    """The victim's own offer, and the attacker's keys in the names of the others."""
    keys = {"the coordinator": ATTACKER, "the victim": KEYS[VICTIM], "care": KEYS["care"]}
    made = [own_offer(attacker.study, name, signer=keys[signer]) for name in OTHERS]
    return [*attacker.offers(VICTIM), *made]


def take_part(attacker: Hostile, offers: list[Offer]) -> Answer | Fault:
    """Have the victim join, and ask it for the histogram."""
    attacker.join(VICTIM, offers)
    return attacker.ask(VICTIM, HISTOGRAM)


@pytest.mark.parametrize("signer", ["the coordinator", "the victim", "care"])
def test_substituted_keys(attacker: Hostile, signer: str) -> None:
    """`care` alone may collude: its signature is good for its own key only."""
    offers = substituted(attacker, signer)
    assert attacker.join(VICTIM, offers) is Fault.REFUSED
    assert attacker.ask(VICTIM, HISTOGRAM) is Fault.NOT_JOINED
    assert nothing(attacker)


def test_without_signatures_substituted_keys_open_a_message(
    attacker: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing, "verify", lambda *_, **__: None)
    offers = substituted(attacker, "the coordinator")
    assert not hidden(attacker, take_part(attacker, offers), offers)


def test_offers_of_another_run(attacker: Hostile) -> None:
    """Signed by the members themselves, whose keys of that run the attacker has got hold of."""
    old = [own_offer(STUDY, n, signer=KEYS[n], run=RUN - 1) for n in OTHERS]
    assert attacker.join(VICTIM, [*attacker.offers(VICTIM), *old]) is Fault.REFUSED
    assert nothing(attacker)


def test_without_the_run_in_them_they_open_a_message(
    attacker: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [own_offer(STUDY, n, signer=KEYS[n], run=RUN - 1) for n in OTHERS]
    offers = [*attacker.offers(VICTIM), *old]

    def unbound(roster: object, offer: Offer, **_: object) -> Keyed:
        return Keyed(name=offer.statement.member, key=offer.statement.key)

    monkeypatch.setattr("models.secagg.agreement._keyed", unbound)
    assert not hidden(attacker, take_part(attacker, offers), offers)


# --- sybils ---


def test_members_that_the_study_does_not_have(attacker: Hostile) -> None:
    sybils = [own_offer(STUDY, f"sybil-{number}") for number in range(2)]
    assert attacker.join(VICTIM, [*attacker.offers(VICTIM), *sybils]) is Fault.REFUSED
    assert nothing(attacker)


def sybil(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"sybil " + name.encode()).digest())


def raw_key(name: str) -> str:
    return sybil(name).public_key().public_bytes_raw().hex()


def sybils_of(study: Study) -> Study:
    """The coordinator's proposal: the others' identity keys are its own (n-1)."""
    members = tuple(
        member if member.name == VICTIM else Member(name=member.name, identity=raw_key(member.name))
        for member in study.signed_roster.members
    )
    return replace(study, roster=replace(study.signed_roster, members=members))


PINNED = Policy(peers={name: KEYS[name].public_key().public_bytes_raw().hex() for name in OTHERS})


def test_sybils_in_the_roster_against_compared_keys(tmp_path: Path) -> None:
    """The attacker has all the others: with keys that people compared, it has none."""
    study = sybils_of(STUDY)
    attacker = Hostile(Town(tmp_path, study, policy=PINNED))
    gate = attacker.town[VICTIM].department.gate
    assert len([text for text in gate.objections(study) if "another identity key" in text]) == 2
    assert attacker.offer(VICTIM) is Fault.REFUSED  # even though its steward said yes
    assert nothing(attacker)
    attacker.town.close()


def test_sybils_that_take_the_places_of_members_known_from_an_earlier_study(
    tmp_path: Path,
) -> None:
    """Without pins too: keys of a study approved before must not change unnoticed."""
    attacker = Hostile(Town(tmp_path, STUDY))
    gate = attacker.town[VICTIM].department.gate
    later = sybils_of(replace(STUDY, study="pupils-again"))
    assert any("than a study approved here before" in text for text in gate.objections(later))
    attacker.town.close()


def test_sybils_whose_keys_nobody_compared_open_a_message(tmp_path: Path) -> None:
    study = sybils_of(STUDY)
    attacker = Hostile(Town(tmp_path, study))
    offers = attacker.offers(VICTIM) + [
        own_offer(study, name, signer=sybil(name)) for name in OTHERS
    ]
    assert not hidden(attacker, take_part(attacker, offers), offers)
    attacker.town.close()


# --- small cohorts ---


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Hostile]:
    """Three departments with a witness, in a study that goes on with two."""
    town = Town(tmp_path, summed_study(secure_sum=WITNESSED, minimum_cohort=2))
    yield Hostile(town)
    town.close()


def test_a_cohort_under_the_nodes_own_minimum(small: Hostile) -> None:
    """Its steward approved the study all the same: the node's own rule stands."""
    assert small.offer(VICTIM) is Fault.REFUSED
    assert small.ask(VICTIM, HISTOGRAM) is Fault.NOT_JOINED
    assert nothing(small)


def test_a_cohort_under_the_minimum_of_the_study(attacker: Hostile) -> None:
    offers = attacker.offers(VICTIM, "care")
    assert attacker.join(VICTIM, offers) is Fault.REFUSED
    assert nothing(attacker)


def test_without_the_minimum_one_colluder_is_enough(small: Hostile) -> None:
    """The attacker has `care`: what `care` sends is known to it, noise and all."""
    for node in small.town.nodes.values():
        node.policy = LAX
        node.again()
    pair = (VICTIM, "care")
    small.agree(*pair, "auditor")
    answers = small.asked(pair, HISTOGRAM)
    pads = small.masks(small.context(HISTOGRAM), pair)
    found = small.less(HISTOGRAM, answers.values(), pads) - small.value("care", HISTOGRAM)
    assert small.learns(HISTOGRAM, found, small.value(VICTIM, HISTOGRAM))
