"""What we use of Flower that it may change: fails first when flwr does."""

import inspect
import subprocess
import sys
from pathlib import Path

import flwr
import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.common.constant import ErrorCode
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as WireMessage
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAdam, FedAvg, FedProx
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from coordinator.flower import replies
from coordinator.flower.wire import pack

ROOT = Path(__file__).resolve().parents[2]


def request(node_id: int = 7) -> Message:
    arrays = ArrayRecord({"0.weight": Array(np.arange(6, dtype=np.float32).reshape(2, 3))})
    content = RecordDict({"arrays": arrays, "config": ConfigRecord({"server-round": 1})})
    return Message(content, node_id, "train")


def test_the_version_is_the_one_that_was_measured() -> None:
    assert flwr.__version__.startswith("1.41.")


def test_a_grid_is_what_we_implement() -> None:
    assert Grid.__abstractmethods__ == {
        "create_message",
        "get_node_ids",
        "pull_messages",
        "push_messages",
        "run",
        "send_and_receive",
        "set_run",
    }


def test_the_task_identity_has_three_attributes_set_to_one_constant() -> None:
    assert (TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id) == (1, 1, 1)


def test_a_run_can_be_made_from_its_id() -> None:
    assert Run.create_empty(5).run_id == 5


def test_messages_survive_their_serialisation_bit_for_bit() -> None:
    metrics = MetricRecord({"num-examples": 2.0})
    reply = Message(RecordDict({"metrics": metrics}), reply_to=request())
    fault = Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, "refused"), reply_to=request())
    for message in (request(), reply, fault):
        data = message_to_proto(message).SerializeToString(deterministic=True)
        again = message_to_proto(message_from_proto(WireMessage.FromString(data)))
        assert again.SerializeToString(deterministic=True) == data


def test_ids_stamped_on_the_wire_come_back_in_the_reply() -> None:
    [letter] = pack([("ab" * 16, request())], run_id=99)
    received = message_from_proto(WireMessage.FromString(letter.data))
    assert received.metadata.message_id == "ab" * 16
    assert received.metadata.run_id == 99
    reply = Message(RecordDict(), reply_to=received)
    assert reply.metadata.reply_to_message_id == "ab" * 16
    assert reply.metadata.src_node_id == 7
    assert reply.metadata.run_id == 99


def test_a_letter_is_the_whole_message() -> None:
    message = request()
    [letter] = pack([("ab" * 16, message)], run_id=99)
    received = WireMessage.FromString(letter.data)
    expected = message_to_proto(message)
    assert received.content == expected.content
    assert received.metadata.message_type == "train"
    assert received.metadata.dst_node_id == 7
    assert received.metadata.ttl == expected.metadata.ttl


def test_letters_of_one_round_share_their_content() -> None:
    one = request(7)
    other = Message(one.content, 8, "train")
    first, second = pack([("a", one), ("b", other)], run_id=99)
    assert first.body is second.body
    assert first.node_id != second.node_id


def test_the_strategies_name_their_records_as_we_read_them() -> None:
    for kind in (FedAvg, FedProx, FedAdam):
        defaults = {
            name: parameter.default
            for name, parameter in inspect.signature(kind.__init__).parameters.items()
        }
        assert defaults["arrayrecord_key"] == replies.ARRAYS
        assert defaults["weighted_by_key"] == replies.WEIGHT
        assert defaults["configrecord_key"] == "config"
        assert defaults["fraction_train"] == defaults["fraction_evaluate"] == 1.0
        assert defaults["min_train_nodes"] == defaults["min_available_nodes"] == 2


def test_flower_calls_nobody_and_logs_nothing() -> None:
    program = (
        "import coordinator.flower.engine, logging, os\n"
        "from flwr.supercore import telemetry\n"
        "from flwr.serverapp.strategy import FedAvg\n"
        "assert telemetry.FLWR_TELEMETRY_ENABLED == '0'\n"
        "assert os.environ['FLWR_DISABLE_UPDATE_CHECK'] == '1'\n"
        "FedAvg(fraction_evaluate=0.0)\n"  # logs a warning
        "logging.getLogger('flwr').error('secret')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=False, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
