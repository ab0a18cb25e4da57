"""A coordinator's data plane in this process, under real mutual TLS, and nodes that call it.

The nodes run a real Flower `ClientApp` that computes something simple; like a department's
ledger they remember what they answered, so that a repeated step gets the same answer.
"""

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import (
    Array,
    ArrayRecord,
    Context,
    Error,
    Message,
    MetricRecord,
    RecordDict,
)
from flwr.clientapp import ClientApp
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as WireMessage
from scripted import ScriptedEntropy
from sqlalchemy import Engine

from coordinator.fleet import certificates
from coordinator.fleet.authority import Authority
from coordinator.fleet.presence import Presence
from coordinator.rounds.driver import RunService
from coordinator.rounds.settings import RunSettings
from coordinator.rpc.callers import Callers
from coordinator.rpc.data_plane import RUN_KEY, DataPlaneServicer
from coordinator.rpc.runs import RunsServicer
from coordinator.store import fleet, studies
from coordinator.store.database import migrate, open_database, writing
from models.evaluation import histograms
from models.families import network
from models.governance.answers import Fault
from models.governance.principal import Principal, Role
from models.governance.states import RunState, StudyState, ended
from models.governance.study import Study
from models.governance.views import RunStatus, StudyStatus
from protos.codec import join, split
from protos.fleet.v1 import data_plane_pb2, data_plane_pb2_grpc
from protos.runs.v1 import runs_pb2_grpc

QUICK = RunSettings(
    grace_seconds=0.3, round_timeout_seconds=20.0, retry_seconds=0.2, storage_seconds=0.05
)
CENTRAL = Principal(Role.CENTRAL, "anna")


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Identity:
    """A member's key and certificate."""

    key_pem: bytes
    pem: bytes


class Coordinator:
    """The part of a coordinator that runs need: database, certificates, server, run service."""

    def __init__(
        self, folder: Path, *, study: Study, url: str = "", settings: RunSettings = QUICK
    ) -> None:
        self.folder, self.study, self.settings = folder, study, settings
        self.url = url or f"sqlite:///{folder / 'coordinator.db'}"
        self.entropy = ScriptedEntropy(str(folder))
        self.identities: dict[Principal, Identity] = {}
        self.authority = Authority.create(folder / "authority", now=now(), entropy=self.entropy)
        self.database: Engine = open_database(self.url)
        migrate(self.database)
        self._register()
        self.port = 0
        self.open()

    def _register(self) -> None:
        members = [Principal(Role.DEPARTMENT, name) for name in self.study.parties]
        for number, who in enumerate([*members, CENTRAL], start=2):
            department = who.role is Role.DEPARTMENT
            with writing(self.database) as connection:
                fleet.save_member(
                    connection,
                    who,
                    identity_key=b"k" * 32 if department else b"",
                    node_id=2**62 + number if department else 0,
                    now=now(),
                )
            self.certify(who)
        status = StudyStatus(
            study=self.study,
            study_hash=self.study.digest(),
            state=StudyState.PROPOSED,
            approvals=(),
            proposed_at=now(),
            proposed_by=CENTRAL,
        )
        with writing(self.database) as connection:
            studies.add(connection, status)
            studies.save_state(connection, self.study.digest(), StudyState.READY)

    def certify(self, who: Principal) -> None:
        """Give a member a certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        issued = self.authority.issue(
            who, key.public_key(), now=now(), validity=timedelta(days=1), entropy=self.entropy
        )
        with writing(self.database) as connection:
            fleet.add_certificate(
                connection,
                fleet.CertificateRow(
                    serial=issued.serial,
                    principal=who,
                    pem=issued.pem,
                    issued_at=issued.not_before,
                    expires_at=issued.expires_at,
                    revoked=False,
                ),
            )
        self.identities[who] = Identity(key_pem=certificates.private(key), pem=issued.pem.encode())

    def open(self) -> None:
        """Start the service and the server, on the same port as before."""
        self.presence = Presence()
        self.callers = Callers(engine=self.database, clock=now)
        self.runs = RunService(
            database=self.database,
            presence=self.presence,
            settings=self.settings,
            clock=now,
            entropy=ScriptedEntropy(uuid.uuid4().hex),
        )
        server = grpc.server(
            futures.ThreadPoolExecutor(max_workers=24), options=[("grpc.so_reuseport", 0)]
        )
        data_plane_pb2_grpc.add_DataPlaneServiceServicer_to_server(
            DataPlaneServicer(runs=self.runs, callers=self.callers), server
        )
        runs_pb2_grpc.add_RunsServiceServicer_to_server(
            RunsServicer(runs=self.runs, callers=self.callers), server
        )
        identity = self.authority.server_identity(["localhost"], now=now(), entropy=self.entropy)
        credentials = grpc.ssl_server_credentials(
            [(identity.key_pem, identity.chain_pem)],
            root_certificates=self.authority.pem.encode(),
            require_client_auth=True,
        )
        self.port = server.add_secure_port(f"localhost:{self.port}", credentials)
        self.runs.resume_all()
        server.start()
        self.server = server

    def crash(self) -> None:
        """Go down as after a kill: runs keep the state that the database has."""
        self.runs.close()
        self.server.stop(grace=0).wait()

    def close(self) -> None:
        """End everything."""
        self.crash()
        self.database.dispose()

    def channel(self, who: Principal) -> grpc.Channel:
        """Give a channel with the member's certificate."""
        identity = self.identities[who]
        credentials = grpc.ssl_channel_credentials(
            root_certificates=self.authority.pem.encode(),
            private_key=identity.key_pem,
            certificate_chain=identity.pem,
        )
        return grpc.secure_channel(f"localhost:{self.port}", credentials)

    def start(self) -> int:
        """Start a run of the study and give its id."""
        return self.runs.start(str(uuid.uuid4()), self.study.digest()).run_id

    def wait(
        self, run_id: int, wanted: Callable[[RunStatus], bool], *, seconds: float = 30.0
    ) -> RunStatus:
        """Give the first status that is `wanted`; fail after some time."""
        end = now() + timedelta(seconds=seconds)
        status = self.runs.get(run_id)
        while now() < end:
            status = self.runs.get(run_id)
            if wanted(status):
                return status
            threading.Event().wait(0.01)
        raise AssertionError(f"the run is {status}")

    def wait_end(self, run_id: int, *, seconds: float = 30.0) -> RunStatus:
        """Give the run's last status."""
        return self.wait(run_id, lambda status: ended(status.state), seconds=seconds)

    def wait_state(self, run_id: int, state: RunState) -> RunStatus:
        """Give the first status in that state."""
        return self.wait(run_id, lambda status: status.state is state)


Work = Callable[[dict[str, np.ndarray], int], dict[str, np.ndarray]]


def plus(amount: float) -> Work:
    """Give a training that adds `amount` to every parameter."""
    return lambda parameters, _: {name: a + np.float32(amount) for name, a in parameters.items()}


@dataclass
class Behaviour:
    """What a node does, changed by tests while it runs."""

    work: Work = field(default_factory=lambda: plus(1.0))
    weight: float = 1.0
    fault: Fault | None = None
    before: Callable[[str, int], None] = lambda kind, number: None
    spoil: Callable[[Message], Message] = lambda reply: reply
    garble: Callable[[bytes], bytes] = lambda data: data
    evaluated: Mapping[str, np.ndarray] | None = None


class Node:
    """A department's node: one outbound stream, dialled again when it is lost."""

    def __init__(
        self, coordinator: Coordinator, department: str, run_id: int, behaviour: Behaviour
    ) -> None:
        self.coordinator, self.department, self.run_id = coordinator, department, run_id
        self.behaviour = behaviour
        self.computed: list[tuple[str, int]] = []
        self.received: list[tuple[str, int]] = []
        self.codes: list[grpc.StatusCode] = []
        self._remembered: dict[tuple[str, int], RecordDict] = {}
        self._stop = threading.Event()
        self._call: Any = None
        self._thread: threading.Thread | None = None

    def start(self) -> "Node":
        """Dial, and go on dialling."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._dial, daemon=True)
        self._thread.start()
        return self

    def kill(self) -> None:
        """Go away at once, in the middle of whatever it is."""
        self._stop.set()
        if self._call is not None:
            self._call.cancel()
        if self._thread is not None:
            self._thread.join(10)

    def _dial(self) -> None:
        while not self._stop.is_set():
            who = Principal(Role.DEPARTMENT, self.department)
            with self.coordinator.channel(who) as channel:
                try:
                    self._exchange(channel)
                except grpc.RpcError as error:
                    self.codes.append(error.code())
            self._stop.wait(0.05)

    def _exchange(self, channel: grpc.Channel) -> None:
        outbox: SimpleQueue[Any] = SimpleQueue()
        stub = data_plane_pb2_grpc.DataPlaneServiceStub(channel)
        metadata = ((RUN_KEY, str(self.run_id)),)
        self._call = stub.Exchange(iter(outbox.get, None), metadata=metadata)
        app, context = self._app(), Context(self.run_id, 1, {}, RecordDict(), {})
        try:
            for message_id, data in join((r.frame for r in self._call), limit=1 << 30):
                reply = self.behaviour.garble(self._answer(app, context, data))
                for frame in split(message_id, reply):
                    outbox.put(data_plane_pb2.ExchangeRequest(frame=frame))
            self.codes.append(grpc.StatusCode.OK)
        finally:
            outbox.put(None)

    def _answer(self, app: ClientApp, context: Context, data: bytes) -> bytes:
        message = message_from_proto(WireMessage.FromString(data))
        kind = message.metadata.message_type
        number = int(message.content["config"]["server-round"])
        self.received.append((kind, number))
        self.behaviour.before(kind, number)
        if self.behaviour.fault is not None:
            reply = Message(Error(2, self.behaviour.fault.value), reply_to=message)
        else:
            if (kind, number) not in self._remembered:
                self._remembered[kind, number] = app(message, context).content
                self.computed.append((kind, number))
            reply = Message(self._remembered[kind, number], reply_to=message)
        return message_to_proto(self.behaviour.spoil(reply)).SerializeToString()

    def _app(self) -> ClientApp:
        app = ClientApp()

        @app.train()
        def train(message: Message, context: Context) -> Message:
            config = message.content["config"]
            assert config["attempt"] == 1
            parameters = {n: a.numpy() for n, a in message.content["arrays"].items()}
            assert all(a.dtype == np.float32 for a in parameters.values())
            arrays = self.behaviour.work(parameters, int(config["server-round"]))
            return self._reply(message, arrays, self.behaviour.weight)

        @app.evaluate()
        def evaluate(message: Message, context: Context) -> Message:
            shape = histograms.shape(network.classes(self.coordinator.study))
            ramp = np.linspace(0.5, 9.5, shape[-1])
            arrays = {"histogram": np.stack([ramp[::-1], ramp])[None] * np.ones(shape)}
            return self._reply(message, self.behaviour.evaluated or arrays, 1.0)

        return app

    def _reply(self, message: Message, arrays: Mapping[str, np.ndarray], weight: float) -> Message:
        content = RecordDict(
            {
                "arrays": ArrayRecord({name: Array(value) for name, value in arrays.items()}),
                "metrics": MetricRecord({"num-examples": weight}),
            }
        )
        return Message(content, reply_to=message)


class Federation:
    """A coordinator, a run, and nodes that are killed at the end."""

    def __init__(self, coordinator: Coordinator) -> None:
        self.coordinator = coordinator
        self.nodes: list[Node] = []

    def join(self, department: str, run_id: int, **behaviour: Any) -> Node:
        """Add a node of a department and start it."""
        node = Node(self.coordinator, department, run_id, Behaviour(**behaviour)).start()
        self.nodes.append(node)
        return node

    def close(self) -> None:
        """End every node, then the coordinator."""
        for node in self.nodes:
            node.kill()
        self.coordinator.close()


def federation(folder: Path, *, study: Study, **options: Any) -> Iterator[Federation]:
    """Give a federation and end it; for fixtures."""
    made = Federation(Coordinator(folder, study=study, **options))
    try:
        yield made
    finally:
        made.close()
