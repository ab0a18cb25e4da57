"""A run of a linked study behind real streams: the mathematics of every party, without its gate.

The coordinator is the real one. Each party answers with `models.replicated`, as its node does after
all rules are kept, and remembers what it answered; tests spoil answers on their way.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import coordinators
import numpy as np
from coordinators import Behaviour, Coordinator
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import Array, ArrayRecord, Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as WireMessage
from scripted import ScriptedEntropy

from models import documents
from models.governance.linked import LinkedStudy
from models.linkage.plan import plan
from models.replicated import mixing, sealing
from models.replicated.holder import Columns, Holder
from models.replicated.messages import Begin, Begun, Erased, From, Mix, Mixes, Spine
from models.replicated.seeds import Seed, octets_of
from models.replicated.server import Server
from models.replicated.sharing import Held
from models.replicated.zero import Pairs
from models.secagg import agreement
from models.secagg.agreement import EphemeralKey, Joined, Offers
from protos import linked
from protos.codec import read_json
from protos.sums import RAW


def key_of(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def identities(*names: str) -> dict[str, str]:
    return {name: key_of(name).public_key().public_bytes_raw().hex() for name in names}


class Party:
    """One party's part of one run; `register` are the ids of the residents it knows."""

    def __init__(
        self,
        study: LinkedStudy,
        name: str,
        run: int,
        *,
        columns: Columns | None,
        register: tuple[str, ...],
        totals: tuple[int, int] = (0, 0),
    ) -> None:
        self.study, self.name, self.run = study, name, run
        self.columns, self.register, self.numbers = columns, register, totals
        self.entropy = ScriptedEntropy(f"{name} {run}")
        self.key = EphemeralKey.fresh(self.entropy)
        self.part = mixing.part(self.entropy)
        self.holder: Holder | None = None
        self.server: Server | None = None

    # --- boxes ---

    def secret(self, other: str) -> bytes:
        if other == self.name:
            return sealing.own_secret(self.key)
        [pair] = [p for p in self.agreed.pairs if other in {p.low, p.high}]
        return pair.secret

    def box_key(self, purpose: str, *, sender: str, to: str) -> bytes:
        other = to if sender == self.name else sender
        return sealing.box_key(
            self.secret(other),
            sender=sender,
            to=to,
            study=self.study.digest(),
            run=self.run,
            purpose=purpose,
        )

    def box(self, purpose: str, to: str, data: bytes) -> Any:
        return sealing.boxed(self.box_key(purpose, sender=self.name, to=to), data, to=to)

    def unbox(self, purpose: str, found: From) -> bytes:
        key = self.box_key(purpose, sender=found.sender, to=self.name)
        return sealing.unboxed(key, found.box, sender=found.sender)

    # --- answers ---

    def answer(self, kind: str, chunk: int, arrays: Mapping[str, Array]) -> dict[str, Array]:
        return getattr(self, "on_" + kind.partition(".")[2])(chunk, arrays)

    def on_offer(self, chunk: int, arrays: Mapping[str, Array]) -> dict[str, Array]:
        offer = agreement.offer(
            self.study.signed_roster,
            study=self.study.digest(),
            run=self.run,
            member=self.name,
            ephemeral=self.key,
            identity=key_of(self.name),
        )
        return {"offer": octets(documents.write(offer))}

    def on_join(self, chunk: int, arrays: Mapping[str, Array]) -> dict[str, Array]:
        self.agreed = agreement.agree(
            self.study.signed_roster,
            read_json(Offers, arrays["offers"].data, what="offers").offers,
            study=self.study.digest(),
            run=self.run,
            minimum=2,
            me=self.name,
            ephemeral=self.key,
        )
        return {"cohort": octets(documents.write(Joined(cohort=self.agreed.cohort.digest())))}

    def on_mix(self, chunk: int, arrays: Mapping[str, Array]) -> dict[str, Array]:
        others = [name for name in self.study.departments if name != self.name]
        boxes = tuple(self.box(sealing.MIX, name, self.part) for name in others)
        return {"mix": octets(documents.write(Mix(boxes=boxes)))}

    def on_spine(self, chunk: int, arrays: Mapping[str, Array]) -> dict[str, Array]:
        mixes = read_json(Mixes, arrays["mixes"].data, what="mixes")
        parts = {item.sender: self.unbox(sealing.MIX, item) for item in mixes.parts}
        key = mixing.common(
            {**parts, self.name: self.part}, study=self.study.digest(), run=self.run
        )
        self.order = mixing.order(self.register, key)
        digest = mixing.digest("\n".join(sorted(self.register)).encode(), key)
        boxes = tuple(
            self.box(sealing.SPINE, name, digest.encode()) for name in self.study.committee.names
        )
        spine = Spine(residents=len(self.register), digest=digest, boxes=boxes)
        return {"spine": octets(documents.write(spine))}

    def on_seeds(self, chunk: int, arrays: Mapping[str, Array]) -> dict[str, Array]:
        self.holder = Holder(
            self.study,
            run=self.run,
            department=self.name,
            residents=len(self.register),
            entropy=self.entropy,
        )
        keys = {
            name: self.box_key(sealing.SEEDS, sender=self.name, to=name)
            for name in self.study.committee.names
        }
        return {"seeds": octets(documents.write(self.holder.seeds_document(keys)))}

    def on_begin(self, chunk: int, arrays: Mapping[str, Array]) -> dict[str, Array]:
        begin = read_json(Begin, arrays["begin"].data, what="a beginning")
        digests = {self.unbox(sealing.SPINE, item) for item in begin.spines}
        assert len(digests) == 1
        one, two = self.study.committee.names
        index = 1 + (self.name == two)
        residents = len(self.register)
        self.server = Server(
            self.study,
            run=self.run,
            index=index,
            residents=residents,
            held={
                item.sender: Held.in_box(self.unbox(sealing.SEEDS, item), index=index)
                for item in begin.seeds
            },
            pairs=Pairs.at_member(
                index,
                given=Seed(octets_of(begin.pair)),
                secret=self.secret(one if index == 2 else two),
                names=(one, two),
                study=self.study.digest(),
                run=self.run,
            ),
        )
        return {"begun": octets(documents.write(Begun(residents=residents)))}

    def on_share(self, chunk: int, arrays: Mapping[str, Array]) -> dict[str, Array]:
        assert self.holder is not None
        assert self.columns is not None
        placed = self.columns[self.order]
        return {"body": octets(self.holder.body(chunk, placed[self.holder.rows(chunk)]))}

    def on_totals(self, chunk: int, arrays: Mapping[str, Array]) -> dict[str, Array]:
        assert self.holder is not None
        unlinked, protected = self.numbers
        return {"body": octets(self.holder.totals(unlinked=unlinked, protected=protected))}

    def on_fold(self, chunk: int, arrays: Mapping[str, Array]) -> dict[str, Array]:
        assert self.server is not None
        turned = self.server.fold(chunk, bodies(arrays))
        if turned is None:
            return {}
        first = self.name == self.study.committee.names[0]
        return {"turned": elements(self.study, turned) if first else octets(turned)}

    def on_cross(self, chunk: int, arrays: Mapping[str, Array]) -> dict[str, Array]:
        assert self.server is not None
        self.server.cross(chunk, arrays["turned"].data)
        return {}

    def on_open(self, chunk: int, arrays: Mapping[str, Array]) -> dict[str, Array]:
        assert self.server is not None
        return {"sum": elements(self.study, self.server.open(bodies(arrays), self.entropy))}

    def on_erase(self, chunk: int, arrays: Mapping[str, Array]) -> dict[str, Array]:
        assert self.server is not None
        return {"erased": octets(documents.write(Erased(chunks=self.server.erase())))}


def bodies(arrays: Mapping[str, Array]) -> dict[str, bytes]:
    return {name.removeprefix("body."): array.data for name, array in arrays.items()}


def octets(content: bytes) -> Array:
    return Array(dtype="uint8", shape=(len(content),), stype=RAW, data=content)


def elements(study: LinkedStudy, content: bytes) -> Array:
    ring = plan(study).ring
    shape = (len(content) // ring.octets,)
    return Array(dtype=f"uint{ring.value}", shape=shape, stype=RAW, data=content)


class Node(coordinators.Node):
    """A party behind its stream; a question that came before gets the answer it got."""

    def __init__(self, coordinator: Coordinator, party: Party, behaviour: Behaviour) -> None:
        super().__init__(coordinator, party.name, party.run, behaviour)
        self.party = party
        self.asked: list[tuple[str, int]] = []
        self._kept: dict[tuple[str, int], RecordDict] = {}

    def _app(self) -> ClientApp:
        return ClientApp()

    def _answer(self, app: ClientApp, context: Context, data: bytes) -> bytes:
        del app, context
        message = message_from_proto(WireMessage.FromString(data))
        kind = message.metadata.message_type
        chunk = int((message.content.get("config") or {}).get("chunk", 0))
        self.asked.append((kind, chunk))
        self.behaviour.before(kind, chunk)
        if self.behaviour.fault is not None:
            reply = Message(Error(2, self.behaviour.fault.value), reply_to=message)
        else:
            if (kind, chunk) not in self._kept or kind == linked.JOIN:
                found = self.party.answer(kind, chunk, message.content["arrays"])
                self._kept[kind, chunk] = RecordDict({"arrays": ArrayRecord(found)})
            reply = Message(self._kept[kind, chunk], reply_to=message)
        return message_to_proto(self.behaviour.spoil(reply)).SerializeToString()


class Linked:
    """A coordinator, a run of a linked study, and all its parties.

    Args:
        coordinator: with the study.
        columns: of each department, one row per id in `register`.
        register: ids of the residents.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        columns: Mapping[str, Columns],
        *,
        register: tuple[str, ...],
        totals: Mapping[str, tuple[int, int]] | None = None,
    ) -> None:
        self.coordinator, self.columns, self.register = coordinator, columns, register
        self.totals = totals or {}
        self.nodes: dict[str, Node] = {}
        self.run_id = coordinator.start()

    def join(self, name: str, *, without: int = 0, **behaviour: Any) -> Node:
        """Start a party; `without`: so many residents are missing in its register."""
        study, columns = self.coordinator.study, self.columns.get(name)
        many = len(self.register) - without
        party = Party(
            study,
            name,
            self.run_id,
            columns=None if columns is None else columns[:many],
            register=self.register[:many],
            totals=self.totals.get(name, (0, 0)),
        )
        self.nodes[name] = Node(self.coordinator, party, Behaviour(**behaviour))
        self.nodes[name].start()
        return self.nodes[name]

    def everybody(self) -> None:
        """Start all parties that have not been started."""
        for name in self.coordinator.study.parties:
            if name not in self.nodes:
                self.join(name)

    def again(self) -> None:
        """Start the study's next run, with fresh parties."""
        for node in self.nodes.values():
            node.kill()
        self.nodes = {}
        self.run_id = self.coordinator.start()

    def close(self) -> None:
        for node in self.nodes.values():
            node.kill()
        self.coordinator.close()


def ids(many: int) -> tuple[str, ...]:
    return tuple(f"resident-{number:05d}" for number in np.random.default_rng(1).permutation(many))
