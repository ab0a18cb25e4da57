"""A coordinator and the real nodes of a linked study: gates, ledgers, files behind real streams."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import coordinators
from coordinators import Behaviour, Coordinator
from flwr.app import Context, Error, Message
from flwr.clientapp import ClientApp
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as WireMessage
from linked_nodes import LinkedTown, Party, People

from node.flower.work import RunWork


class Node(coordinators.Node):
    """A party's node: what it answers is made by the node's own parts."""

    def __init__(
        self, coordinator: Coordinator, party: Party, run_id: int, behaviour: Behaviour
    ) -> None:
        super().__init__(coordinator, party.name, run_id, behaviour)
        self.party = party
        self.asked: list[tuple[str, int]] = []
        self.errors: list[Exception] = []
        self._begin()

    def _begin(self) -> None:
        self._work = RunWork(
            study=self.party.study,
            run_id=self.run_id,
            node_id=1,
            steps=self.party.part(run=self.run_id),
            failed=self.errors.append,
        )

    def restart(self) -> None:
        """Die, and come back with the same disk: without keys and without memory."""
        self.kill()
        self._work.close()
        self.party.restart()
        self._begin()
        self.start()

    def kill(self) -> None:
        """Go away; the program lives on."""
        super().kill()
        self._call = None

    def close(self) -> None:
        """Go away for good."""
        self.kill()
        self._work.close()

    def _app(self) -> ClientApp:
        return ClientApp()

    def _answer(self, app: ClientApp, context: Context, data: bytes) -> bytes:
        del app, context
        assert len(data) <= self._work.limit
        message = message_from_proto(WireMessage.FromString(data))
        kind = message.metadata.message_type
        chunk = int((message.content.get("config") or {}).get("chunk", 0))
        self.asked.append((kind, chunk))
        self.behaviour.before(kind, chunk)
        if self.behaviour.fault is not None:
            reply = Message(Error(2, self.behaviour.fault.value), reply_to=message)
        else:
            answer = self._work.answer(data)
            assert len(answer) <= self._work.limit
            reply = message_from_proto(WireMessage.FromString(answer))
        return message_to_proto(self.behaviour.spoil(reply)).SerializeToString()


class LinkedFederation:
    """A coordinator, runs of a linked study, and its parties."""

    def __init__(
        self,
        coordinator: Coordinator,
        *,
        people: People | None = None,
        public: bool = False,
        spoil: Callable[[Path], None] = lambda folder: None,
    ) -> None:
        self.coordinator = coordinator
        self.study = coordinator.study
        folder = coordinator.folder / "parties"
        self.town = LinkedTown(folder, self.study, people=people, public=public, spoil=spoil)
        self.nodes: dict[str, Node] = {}
        self.run_id = coordinator.start()

    def join(self, name: str, **behaviour: Any) -> Node:
        """Start the node of a party."""
        party = self.town.parties[name]
        self.nodes[name] = Node(self.coordinator, party, self.run_id, Behaviour(**behaviour))
        self.nodes[name].start()
        return self.nodes[name]

    def everybody(self) -> None:
        """Start the nodes of all parties that have none."""
        for name in self.study.parties:
            if name not in self.nodes:
                self.join(name)

    def again(self) -> None:
        """Start the study's next run with all parties."""
        for node in self.nodes.values():
            node.close()
        self.nodes = {}
        self.run_id = self.coordinator.start()
        self.everybody()

    @property
    def charges(self) -> dict[str, int]:
        """Give how often each department charged the study."""
        return {name: self.town.parties[name].charges for name in self.study.departments}

    def close(self) -> None:
        """End every node, then the coordinator."""
        for node in self.nodes.values():
            node.close()
        self.coordinator.close()
        self.town.close()
