"""A node's part of a run behind its wire: serialised messages in, serialised answers out."""

from flwr.app import Array, Message, RecordDict
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as WireMessage
from flwr.supercore.task_identity import TaskIdentity
from nodes import RUN

from models.governance.answers import Fault, read
from node.flower.work import RunWork, Work

NODE_ID = 2**62 + 5
MESSAGE_ID = "0123456789abcdef" * 2

# Requests are made here as the coordinator makes them, which reads this identity.
TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1


class Line:
    """The serialised messages of one node in a run."""

    def __init__(self, work: Work) -> None:
        self.failures: list[Exception] = []
        self.work = RunWork(
            study=work.study,
            run_id=RUN,
            node_id=NODE_ID,
            steps=work,
            failed=self.failures.append,
        )

    def say(self, kind: str, content: RecordDict) -> Message:
        wire = message_to_proto(Message(content, NODE_ID, kind))
        wire.metadata.message_id, wire.metadata.run_id = MESSAGE_ID, RUN
        data = bytes(wire.SerializeToString())
        assert len(data) <= self.work.limit
        given = self.work.answer(data)
        assert len(given) <= self.work.limit
        return message_from_proto(WireMessage.FromString(given))

    def arrays(self, kind: str, content: RecordDict) -> dict[str, Array]:
        answer = self.say(kind, content)
        assert answer.has_content(), (answer.error.reason, self.failures)
        assert set(answer.content) == {"arrays"}
        return dict(answer.content["arrays"])

    def fault(self, kind: str, content: RecordDict) -> Fault:
        return read(self.say(kind, content).error.reason)
