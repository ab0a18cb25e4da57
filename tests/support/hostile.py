"""A malicious coordinator: it says what it likes to real nodes, in the bytes of the wire.

The nodes are those of `summers`: real gates, ledgers and records, behind the node's own Flower
app and adapter (`node.flower.work.RunWork`). The attacker has what a coordinator has: it carries
every message, and sees every answer.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from nodes import RUN
from scripted import ScriptedEntropy
from summers import City, Node, plain, table

from coordinator.flower.wire import pack, unpack
from models import documents
from models.governance import answers
from models.governance.answers import Fault
from models.governance.study import Study
from models.secagg import agreement, masks
from models.secagg.agreement import EphemeralKey, Joined, Offer, Offers, Pair
from models.secagg.contexts import Context
from models.secagg.masks import Mask
from models.secagg.rings import SumPlan
from models.secagg.witness import SetRequest
from models.training import messages, studies
from models.training.messages import EVALUATE, HISTOGRAM
from node.flower.work import RunWork
from node.gate.policy import Policy
from protos import sums
from protos.codec import read_json

VICTIM, OTHERS, AUDITOR = "school", ("care", "labour"), "auditor"
ATTACKER = Ed25519PrivateKey.from_private_bytes(b"a malicious coordinator's key...")
LAX = Policy(minimum_summed=2)
Arrays = Mapping[str, np.ndarray]


@dataclass
class Party(Node):
    """A party of the study with a policy of its own."""

    policy: Policy = field(default_factory=Policy)
    errors: list[Exception] = field(default_factory=list)

    def start(self) -> None:
        self.department.gate = self.department.gated(policy=self.policy)
        super().start()

    def again(self) -> None:
        """Begin another life with what was changed meanwhile; its keys are forgotten."""
        self.sums.close()
        self.start()


class Town(City):
    """The parties of a study; each has approved it."""

    def __init__(self, folder: Path, study: Study, *, policy: Policy | None = None) -> None:
        self.study = study
        self.plan = studies.training_plan(study)
        self.nodes: dict[str, Node] = {}
        for name in study.parties:
            data = table(folder, name) if name in study.departments else None
            node = Party(folder / name, name, study, data, policy=policy or Policy())
            node.department.approve(study)
            self.nodes[name] = node


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the attacker has of a department's answer: what it is bound to, and the elements."""

    context: str
    words: np.ndarray


class Hostile:
    """The coordinator of one run of a town, which keeps to no rule."""

    def __init__(self, town: City) -> None:
        self.town = town
        self.study = town.study

    # --- what it says ---

    def bytes_of(
        self,
        kind: str,
        *,
        config: Mapping[str, object] | None = None,
        arrays: Mapping[str, Array] | None = None,
        run: int = RUN,
    ) -> bytes:
        """Give a message as it travels."""
        content = RecordDict(
            {"config": ConfigRecord({**(config or {})}), "arrays": ArrayRecord({**(arrays or {})})}
        )
        (letter,) = pack([("an id", Message(content, 1, kind))], run_id=run)
        return letter.data

    def send(self, name: str, data: bytes) -> RecordDict | Fault:
        """Send bytes to a party; give what it answers, or why it does not.

        Raises:
            ProtocolViolationError: it does not answer at all.
        """
        node = self.town[name]
        work = RunWork(
            study=node.study,
            run_id=RUN,
            node_id=1,
            steps=node.witness if name == self.study.summed.witness else node.sums,
            failed=node.errors.append,
        )
        reply = unpack(work.answer(data))
        return answers.read(reply.error.reason) if reply.has_error() else reply.content

    def say(self, name: str, kind: str, **content: object) -> RecordDict | Fault:
        """Ask a party something."""
        return self.send(name, self.bytes_of(kind, **content))

    def offer(self, name: str) -> Offer | Fault:
        """Ask for a party's signed key."""
        found = self.say(name, sums.OFFER)
        return found if isinstance(found, Fault) else _document(Offer, found, "offer")

    def offers(self, *names: str) -> list[Offer]:
        """Give what these parties (everybody) offer."""
        found = [self.offer(name) for name in names or self.study.parties]
        assert all(isinstance(offer, Offer) for offer in found), found
        return found

    def join(self, name: str, offers: Iterable[Offer]) -> str | Fault:
        """Ask a party to agree with these; give the digest of what it agreed on."""
        content = raw(documents.write(Offers(offers=tuple(offers))))
        found = self.say(name, sums.JOIN, arrays={"offers": content})
        return found if isinstance(found, Fault) else _document(Joined, found, "cohort").cohort

    def agree(self, *names: str) -> None:
        """Have these parties (everybody) agree with each other."""
        offers = self.offers(*names)
        digests = {self.join(name, offers) for name in names or self.study.parties}
        assert len(digests) == 1, digests
        assert not isinstance(next(iter(digests)), Fault), digests

    def ask(
        self, name: str, step: str, arrays: Arrays | None = None, *, attempt: int = 1
    ) -> Answer | Fault:
        """Ask a department for a step."""
        found = self.send(name, self.question(step, arrays, attempt=attempt))
        if isinstance(found, Fault):
            return found
        context, element = (found["arrays"][key] for key in ("context", "sum"))
        words = np.frombuffer(element.data, dtype=np.dtype(element.dtype).newbyteorder("<"))
        return Answer(context=context.data.hex(), words=words)

    def question(self, step: str, arrays: Arrays | None = None, *, attempt: int = 1) -> bytes:
        """Give the bytes that ask for a step."""
        kinds = {HISTOGRAM: sums.HISTOGRAM, EVALUATE: sums.SCORES}
        config = {"attempt": attempt}
        if step not in kinds:
            config["step"] = int(step.removeprefix("train/"))
        content = {name: Array(array) for name, array in (arrays or {}).items()}
        return self.bytes_of(kinds.get(step, sums.STEP), config=config, arrays=content)

    def asked(
        self, names: Sequence[str], step: str, arrays: Arrays | None = None, *, attempt: int = 1
    ) -> dict[str, Answer]:
        """Ask departments for a step, which all of them answer."""
        found = {name: self.ask(name, step, arrays, attempt=attempt) for name in names}
        assert all(isinstance(answer, Answer) for answer in found.values()), found
        return found

    def masks(self, context: Context, members: Iterable[str]) -> np.ndarray | Fault:
        """Ask the witness for the sum of its masks with a set."""
        request = SetRequest(context=context, members=tuple(sorted(members)))
        arrays = {"request": raw(documents.write(request))}
        found = self.say(AUDITOR, sums.MASKS, arrays=arrays)
        if isinstance(found, Fault):
            return found
        return context.plan.ring.read(found["arrays"]["sum"].data, length=context.plan.length)

    def context(self, step: str, arrays: Arrays | None = None, *, attempt: int = 1) -> Context:
        """Give the context of a step, for the cohort that the victim agreed on."""
        return messages.context(
            self.study,
            run=RUN,
            step=step,
            attempt=attempt,
            cohort=self.town[VICTIM].joining.agreement.cohort.digest(),
            arrays=arrays or {},
        )

    # --- what it reads ---

    def summed(self, step: str) -> SumPlan:
        return self.town.plan.sum_plan(messages.part(self.town.plan, step))

    def added(self, step: str, answered: Iterable[Answer]) -> np.ndarray:
        """Give the sum of answers, whatever they are bound to."""
        plan = self.summed(step)
        total = plan.ring.zeros(plan.length)
        for answer in answered:
            total = total + answer.words
        return plan.ring.decode(total)

    def less(self, step: str, answered: Iterable[Answer], pads: np.ndarray) -> np.ndarray:
        """Give the sum of answers without the witness's masks."""
        ring = self.summed(step).ring
        return ring.decode(ring.encode(self.added(step, answered)) - pads)

    def opened(self, step: str, answer: Answer, known: Iterable[Pair]) -> np.ndarray:
        """Give the victim's message without the masks of the pairs that the attacker knows."""
        words, ring = answer.words.copy(), self.summed(step).ring
        pads = [Mask(masks.key(p, context=answer.context), p.low == VICTIM) for p in known]
        masks.apply(words, pads)
        return ring.decode(words)

    def value(self, name: str, step: str, arrays: Arrays | None = None) -> np.ndarray:
        """Give what a department hides: its own integers, without noise."""
        return plain(self.study, self.town[name].data, step, arrays or {})

    def noise(self, step: str, found: np.ndarray, value: np.ndarray) -> np.ndarray:
        """Give what is left of a finding beside a value, in shares of noise."""
        return (found - value) / messages.part(self.town.plan, step).scale

    def learns(self, step: str, found: np.ndarray, value: np.ndarray) -> bool:
        """Tell whether a finding is a value under a few shares of noise, or garbage."""
        return bool(np.abs(self.noise(step, found, value)).max() < 25)


def raw(content: bytes) -> Array:
    """Give bytes as they are, as an array."""
    return Array(dtype="uint8", shape=(len(content),), stype=sums.RAW, data=content)


def own_key(name: str) -> EphemeralKey:
    """Give the key that the attacker uses in a member's name."""
    return EphemeralKey.fresh(ScriptedEntropy(f"attacker {name}"))


def own_pairs(public: str, names: Iterable[str]) -> list[Pair]:
    """Give the secrets that a victim with this public key shares with the attacker's keys."""
    return [Pair(*sorted((VICTIM, name)), own_key(name).shared(public)) for name in names]


def own_offer(
    study: Study, name: str, *, signer: Ed25519PrivateKey = ATTACKER, run: int = RUN
) -> Offer:
    """Give an offer of the attacker's key in a member's name."""
    said = agreement.OfferStatement(
        roster=study.signed_roster.digest(),
        study=study.digest(),
        run=run,
        member=name,
        key=own_key(name).public,
    )
    signature = agreement.signing.sign(said, signer, domain="secure-sum-offer")
    return Offer(statement=said, signature=signature)


def _document(kind: type, found: RecordDict, name: str) -> object:
    return read_json(kind, found["arrays"][name].data, what=name)
