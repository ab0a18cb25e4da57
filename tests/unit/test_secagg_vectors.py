"""Our code and the slow oracle both give the published vectors."""

import json

import numpy as np
import pytest
import secure_sum_oracle as oracle
import secure_sum_vectors as vectors
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from secure_sums import MemoryContexts

from models import documents
from models.errors import ProtocolViolationError
from models.governance.roster import Roster
from models.secagg import agreement, coordinator, masks, node, witness
from models.secagg.agreement import Agreement, Cohort, EphemeralKey, Offer, Pair
from models.secagg.contexts import Context
from models.secagg.masks import Mask
from models.secagg.node import Masked
from models.secagg.rings import Ring, SumMayWrapError, SumPlan

STEPS = ("step-pairwise", "step-witness", "step-both")


def published(name: str):
    return json.loads((vectors.FOLDER / f"{name}.json").read_text(encoding="ascii"))


@pytest.mark.parametrize("name", ["encoding", "agreement", "masks", *STEPS])
def test_the_oracle_gives_the_published_files(name: str) -> None:
    committed = (vectors.FOLDER / f"{name}.json").read_text(encoding="ascii")
    assert committed == vectors.render(vectors.every()[name])


def test_no_other_file_is_published() -> None:
    found = {path.stem for path in vectors.FOLDER.glob("*.json")}
    assert found == set(vectors.every())


def test_the_oracle_stands_on_published_vectors() -> None:
    # RFC 5869, A.3; RFC 7748, 6.1; AES-256 of the zero block under the zero key (NIST CAVP).
    okm = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
    assert oracle.hkdf(b"\x0b" * 22, b"").hex() == okm
    found = vectors.shared("amf", "skola-fritid").hex()
    assert found == "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    assert oracle.keystream(bytes(32), 16).hex() == "dc95c078a2408989ad48a21492842087"


@pytest.mark.parametrize("case", published("encoding")["cases"], ids=lambda c: c["octets"])
def test_encoding(case) -> None:
    ring = Ring(case["bits"])
    words = ring.encode(np.array([int(case["value"])], dtype=np.int64))
    assert ring.write(words).hex() == case["octets"]
    back = ring.decode(ring.read(bytes.fromhex(case["octets"]), length=1))
    assert back.tolist() == [int(case["value"])]


@pytest.mark.parametrize("case", published("encoding")["bounds"], ids=lambda c: c["spread"])
def test_bounds(case) -> None:
    fields = {name: case[name] for name in ("ring", "length", "largest", "scale")}
    plan = documents.read(SumPlan, fields, what="plan")
    assert plan.spread(case["nodes"]) == int(case["spread"])
    assert fits(plan, case["nodes"]) is case["fits"]


def fits(plan: SumPlan, nodes: int) -> bool:
    try:
        plan.check(nodes)
    except SumMayWrapError:
        return False
    return True


def test_secrets_of_pairs() -> None:
    found = published("agreement")
    keys = {
        name: EphemeralKey(bytes.fromhex(k["secret"])) for name, k in found["ephemeral"].items()
    }
    for name, key in keys.items():
        assert key.public == found["ephemeral"][name]["public"]
    for pair in found["pairs"]:
        one, other = keys[pair["one"]], keys[pair["other"]]
        assert one.shared(other.public).hex() == other.shared(one.public).hex() == pair["secret"]


@pytest.mark.parametrize(
    "public",
    [
        *published("agreement")["refused_low_order"],
        *published("agreement")["refused_second_spelling"],
    ],
)
def test_keys_that_are_refused(public: str) -> None:
    key = EphemeralKey(vectors.EPHEMERAL["amf"])
    with pytest.raises(ProtocolViolationError, match=r"low order|canonical"):
        key.shared(public)


@pytest.mark.parametrize("case", published("masks")["cases"], ids=lambda c: c["key"][:8])
def test_masks(case) -> None:
    pair = Pair(case["low"], case["high"], bytes.fromhex(case["secret"]))
    key = masks.key(pair, context=case["context"])
    assert key.hex() == case["key"]
    ring, length = Ring(case["bits"]), len(case["elements"])
    words = ring.zeros(length)
    masks.apply(words, [Mask(key)])
    assert ring.write(words).hex() == case["mask"]
    assert [str(word) for word in words.tolist()] == case["elements"]
    masks.apply(words, [Mask(key, subtracted=True)])
    assert not words.any()


class Step:
    """One published step, read with our own documents."""

    def __init__(self, name: str) -> None:
        self.found = published(name)
        self.roster = documents.read(Roster, self.found["roster"], what="roster")
        self.offers = [documents.read(Offer, o, what="offer") for o in self.found["offers"]]
        self.context = documents.read(Context, self.found["context"], what="context")
        self.run = int(self.found["cohort"]["run"])

    def agree(self, name: str) -> Agreement:
        return agreement.agree(
            self.roster,
            self.offers,
            study=vectors.STUDY,
            run=self.run,
            minimum=2,
            me=name,
            ephemeral=EphemeralKey(bytes.fromhex(self.found["ephemeral_secrets"][name])),
        )

    def identity(self, name: str) -> Ed25519PrivateKey:
        secret = bytes.fromhex(self.found["identity_secrets"][name])
        return Ed25519PrivateKey.from_private_bytes(secret)


@pytest.fixture(params=STEPS)
def step(request: pytest.FixtureRequest) -> Step:
    return Step(request.param)


def test_documents_of_a_step(step: Step) -> None:
    assert step.roster.digest() == step.found["roster_digest"]
    cohort = step.agree("amf").cohort
    assert cohort == documents.read(Cohort, step.found["cohort"], what="cohort")
    assert cohort.digest() == step.found["cohort_digest"]
    assert step.context.digest() == step.found["context_digest"]
    for each in step.offers:
        name = each.statement.member
        made = agreement.offer(
            step.roster,
            study=vectors.STUDY,
            run=step.run,
            member=name,
            ephemeral=EphemeralKey(bytes.fromhex(step.found["ephemeral_secrets"][name])),
            identity=step.identity(name),
        )
        assert made == each


def test_messages_and_sum_of_a_step(step: Step) -> None:
    ring = step.context.plan.ring
    cohort = step.agree("amf").cohort
    state = coordinator.start(step.roster, cohort, step.context)
    for each in step.found["nodes"]:
        ready = node.prepare(step.agree(each["member"]), step.context)
        words = ring.encode(np.array(each["units"]) + np.array(each["noise"]))
        masks.apply(words, node.own_masks(ready.agreement, context=ready.entry.context))
        assert ring.write(words).hex() == each["payload"]
        payload = bytes.fromhex(each["payload"])
        message = Masked(member=each["member"], context=ready.entry.context, payload=payload)
        state = coordinator.received(state, message, sender=each["member"])
    found = coordinator.total(state, summed(step, state) if "witness" in step.found else None)
    assert isinstance(found, coordinator.Total)
    assert found.values.tolist() == step.found["sum"]


def summed(step: Step, state: coordinator.Collection) -> witness.MaskSum:
    request = coordinator.request(state)
    assert isinstance(request, witness.SetRequest)
    ready = witness.prepare(step.agree(vectors.WITNESS), request)
    receipt = MemoryContexts().use(ready.entry)
    made = witness.answer(ready, receipt=receipt, identity=step.identity(vectors.WITNESS))
    signed = {key: step.found["witness"][key] for key in ("statement", "signature")}
    assert made.signed == documents.read(witness.SignedSet, signed, what="set")
    assert made.payload.hex() == step.found["witness"]["payload"]
    return made
