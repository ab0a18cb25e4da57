"""A federation whose nodes sum: real gates, ledgers, records and keys behind real streams."""

from typing import Any

import coordinators
from coordinators import Behaviour, Coordinator
from flwr.app import Context, Error, Message
from flwr.clientapp import ClientApp
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as WireMessage
from summers import Node as Party
from summers import table

from node.flower.work import RunWork
from node.gate.policy import Policy

Asked = tuple[str, int, int]
"""A message's type, its step (0: it has none) and its attempt."""


class Member(Party):
    """A party that takes part with as few as two departments."""

    def start(self) -> None:
        self.department.gate = self.department.gated(policy=Policy(minimum_summed=2))
        super().start()


class Node(coordinators.Node):
    """A department's node, or the witness's: what it answers is made by the node's own parts."""

    def __init__(
        self, coordinator: Coordinator, name: str, run_id: int, behaviour: Behaviour
    ) -> None:
        super().__init__(coordinator, name, run_id, behaviour)
        self.asked: list[Asked] = []
        self.errors: list[Exception] = []
        self.member = member(coordinator, name, run_id)
        self._begin()

    def _begin(self) -> None:
        study = self.coordinator.study
        witness = study.summed.witness == self.department
        self._work = RunWork(
            study=study,
            run_id=self.run_id,
            node_id=1,
            steps=self.member.witness if witness else self.member.sums,
            failed=self.errors.append,
        )

    def restart(self) -> None:
        """Die, and come back with the same disk: without keys and without memory."""
        self.kill()
        self.member.restart()
        self._begin()
        self.start()

    def kill(self) -> None:
        """Go away; the program lives on."""
        super().kill()
        self._call = None

    def close(self) -> None:
        """Go away for good."""
        self.kill()
        self.member.close()

    def _app(self) -> ClientApp:
        return ClientApp()

    def _answer(self, app: ClientApp, context: Context, data: bytes) -> bytes:
        del app, context
        message = message_from_proto(WireMessage.FromString(data))
        config = message.content.get("config") or {}
        kind = message.metadata.message_type
        step, attempt = int(config.get("step", 0)), int(config.get("attempt", 0))
        self.asked.append((kind, step, attempt))
        self.behaviour.before(kind, step)
        if self.behaviour.fault is not None:
            reply = Message(Error(2, self.behaviour.fault.value), reply_to=message)
        else:
            answer = self._work.answer(data)
            reply = message_from_proto(WireMessage.FromString(answer))
        return message_to_proto(self.behaviour.spoil(reply)).SerializeToString()

    def attempts(self, kind: str, step: int = 0) -> list[int]:
        """Give the attempts at a step, in the order in which they were asked."""
        return [attempt for name, at, attempt in self.asked if (name, at) == (kind, step)]


def member(coordinator: Coordinator, name: str, run_id: int) -> Member:
    """Give a party of the study, who has approved it, with a folder of its own."""
    study, folder = coordinator.study, coordinator.folder / f"{name}-{run_id}"
    folder.mkdir(exist_ok=True)
    data = table(folder, name) if name in study.departments else None
    made = Member(folder, name, study, data, run=run_id)
    made.department.approve(study)
    return made


class Federation:
    """A coordinator, a run with secure sums, and its parties."""

    def __init__(self, coordinator: Coordinator) -> None:
        self.coordinator = coordinator
        self.nodes: dict[str, Node] = {}
        self.run_id = coordinator.start()

    def join(self, name: str, **behaviour: Any) -> Node:
        """Add the node of a party, not yet started."""
        node = Node(self.coordinator, name, self.run_id, Behaviour(**behaviour))
        self.nodes[name] = node
        return node

    def everybody(self, *, but: tuple[str, ...] = ()) -> dict[str, Node]:
        """Start the node of every party that has none."""
        for name in self.coordinator.study.parties:
            if name not in but and name not in self.nodes:
                self.join(name).start()
        return self.nodes

    def close(self) -> None:
        """End every node, then the coordinator."""
        for node in self.nodes.values():
            node.close()
        self.coordinator.close()
