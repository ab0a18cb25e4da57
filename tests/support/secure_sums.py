"""A federation for tests of the secure sum: keys from a seed, memory in a dictionary."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from scripted import ScriptedEntropy

from models.governance.roster import Member, Mode, Roster
from models.privacy.sampler import discrete_gaussian
from models.secagg import agreement, coordinator, node, witness
from models.secagg.agreement import Agreement, Cohort, EphemeralKey, Offer
from models.secagg.contexts import Context, Entry, UsedContexts
from models.secagg.coordinator import Collection, NewAttempt, Total
from models.secagg.node import Masked
from models.secagg.rings import Ring, SumPlan

STUDY = "5e" * 32
RUN = 2**62 + 1
WITNESS = "revision"


class MemoryContexts(UsedContexts):
    """Keeps entries in a dictionary; a restarted member is one that is given the same again."""

    def __init__(self) -> None:
        self.entries: dict[object, Entry] = {}

    def insert(self, entry: Entry) -> Entry | None:
        before = self.entries.get(entry.slot)
        self.entries.setdefault(entry.slot, entry)
        return before


def identity(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(ScriptedEntropy(f"identity {name}").token(32))


def member(name: str, key: Ed25519PrivateKey | None = None) -> Member:
    public = (key or identity(name)).public_key()
    return Member(name=name, identity=public.public_bytes(Encoding.Raw, PublicFormat.Raw).hex())


def department_names(count: int) -> list[str]:
    return [f"dep-{number:03}" for number in range(count)]


def roster(names: Iterable[str], mode: Mode = Mode.PAIRWISE, **terms: int) -> Roster:
    return Roster(
        members=tuple(member(name) for name in sorted(names)),
        mode=mode,
        witness=member(WITNESS) if mode.witnessed else None,
        **terms,
    )


def ephemeral(name: str, *, run: int = RUN) -> EphemeralKey:
    return EphemeralKey.fresh(ScriptedEntropy(f"ephemeral {name} {run}"))


def offer(
    rules: Roster, name: str, *, study: str = STUDY, run: int = RUN, key: EphemeralKey | None = None
) -> Offer:
    return agreement.offer(
        rules,
        study=study,
        run=run,
        member=name,
        ephemeral=key or ephemeral(name),
        identity=identity(name),
    )


def agree(
    rules: Roster, offers: Iterable[Offer], me: str, *, minimum: int = 2, run: int = RUN
) -> Agreement:
    return agreement.agree(
        rules,
        list(offers),
        study=STUDY,
        run=run,
        minimum=minimum,
        me=me,
        ephemeral=ephemeral(me),
    )


def plan(length: int = 5, *, ring: Ring = Ring.BITS_64, largest: int = 1000) -> SumPlan:
    return SumPlan(ring=ring, length=length, largest=largest, scale=4)


@dataclass
class City:
    """A cohort that has agreed on keys."""

    roster: Roster
    agreements: dict[str, Agreement]
    used: dict[str, MemoryContexts] = field(default_factory=dict)

    @classmethod
    def of(cls, names: Iterable[str], mode: Mode = Mode.PAIRWISE, **terms: int) -> "City":
        rules = roster(names, mode, **terms)
        everyone = [each.name for each in rules.members] + ([WITNESS] if mode.witnessed else [])
        offers = [offer(rules, name) for name in everyone]
        agreements = {name: agree(rules, offers, name) for name in everyone}
        return cls(rules, agreements, {name: MemoryContexts() for name in everyone})

    @property
    def cohort(self) -> Cohort:
        return next(iter(self.agreements.values())).cohort

    @property
    def names(self) -> tuple[str, ...]:
        return self.cohort.names

    def context(self, shape: SumPlan | None = None, **changes: object) -> Context:
        made = Context(
            study=STUDY,
            run=RUN,
            step="train/1/1",
            attempt=1,
            cohort=self.cohort.digest(),
            model="0d" * 32,
            privacy="9a" * 32,
            code="c0" * 32,
            plan=shape or plan(),
        )
        return replace(made, **changes)

    def message(self, name: str, context: Context, units: np.ndarray, seed: object = 0) -> Masked:
        ready = node.prepare(self.agreements[name], context)
        receipt = self.used[name].use(ready.entry)
        entropy = ScriptedEntropy(f"noise {name} {context.digest()} {seed}")
        return node.masked(ready, units, receipt=receipt, entropy=entropy)

    def collection(self, context: Context, messages: Iterable[Masked]) -> Collection:
        state = coordinator.start(self.roster, self.cohort, context)
        for message in messages:
            state = coordinator.received(state, message, sender=message.member)
        return state

    def witness_sum(self, request: witness.SetRequest) -> witness.MaskSum:
        ready = witness.prepare(self.agreements[WITNESS], request)
        receipt = self.used[WITNESS].use(ready.entry)
        return witness.answer(ready, receipt=receipt, identity=identity(WITNESS))

    def total(self, context: Context, messages: Iterable[Masked]) -> Total | NewAttempt:
        state = self.collection(context, messages)
        if not self.roster.mode.witnessed:
            return coordinator.total(state)
        request = coordinator.request(state)
        if isinstance(request, NewAttempt):
            return request
        return coordinator.total(state, self.witness_sum(request))


def noise(name: str, context: Context, seed: object = 0) -> np.ndarray:
    """The noise that `City.message` draws, from the same script."""
    entropy = ScriptedEntropy(f"noise {name} {context.digest()} {seed}")
    return discrete_gaussian(scale=context.plan.scale, size=context.plan.length, entropy=entropy)
