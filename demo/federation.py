"""A whole federation on one machine: each part a process of its own, over mutual TLS on loopback.

Everything is done by the commands that people use; this module only types them.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self

from coordinator.client.api import Datalabbet
from demo.warm import WarmNode
from models.errors import DeadlineError, RunFailedError

_START_SECONDS = 60
_STOP_SECONDS = 10
_CALL_SECONDS = 300


@dataclass(slots=True)
class Federation:
    """A coordinator and one node per department, under one folder.

    Attributes:
        root: holds `coordinator/`, `nodes/<department>/`, `people/<name>/` and `logs/`.
        departments: the nodes; their `datasets/` must be there before `enrol`.
        witnesses: further nodes, without records.
        settings: further environment variables of the coordinator.
        warm: fork the nodes from one process that has imported their libraries.
        mode: of the nodes: `demo` where the residents are those of the demo city.
    """

    root: Path
    departments: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)
    warm: bool = False
    mode: Literal["production", "demo"] = "production"
    witnesses: tuple[str, ...] = ()
    running: dict[str, subprocess.Popen[bytes] | WarmNode] = field(default_factory=dict)
    _ports: tuple[int, int] = (0, 0)

    def __enter__(self) -> Self:
        """Give the federation itself; leaving stops what it started."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop every process."""
        self.stop()

    @property
    def nodes(self) -> tuple[str, ...]:
        """Give the names of all nodes."""
        return (*self.departments, *self.witnesses)

    def home(self, department: str) -> Path:
        """Give the home of a department's node."""
        return self.root / "nodes" / department

    def profile(self, person: str) -> Path:
        """Give the profile folder of a person."""
        return self.root / "people" / person

    def log(self, name: str) -> Path:
        """Give the log file of a process."""
        return self.root / "logs" / f"{name}.log"

    def start_coordinator(self) -> None:
        """Make the coordinator's home if it is not there, and serve."""
        self.log("").parent.mkdir(parents=True, exist_ok=True)
        home = self.root / "coordinator"
        if not (home / "coordinator.toml").exists():
            self._ports = _free_ports()
            main, enrolment = (f"127.0.0.1:{port}" for port in self._ports)
            self.coordinator("init", "--listen", main, "--enrol-listen", enrolment)
        command = self._coordinator("run")
        process = self._start("coordinator", command, environment=self.settings)
        _wait_for_port(self._ports[0], process, log=self.log("coordinator"))

    def enrol(self, people: Mapping[str, str]) -> None:
        """Enrol every department's node, and people: name to role (`central` or `analyst`)."""
        main, enrolment = self._ports

        def node(department: str) -> None:
            token = self.coordinator("enrol-token", department)["token"]
            self.node(department, "init", "--mode", self.mode)
            where = ("--coordinator", f"127.0.0.1:{main}", "--enrol-port", str(enrolment))
            self.node(department, "enrol", "--token-file", "-", *where, stdin=token)

        def person(name: str) -> None:
            token = self.coordinator("user-token", name, "--role", people[name])["token"]
            where = (
                "--coordinator",
                f"127.0.0.1:{main}",
                "--enrol-address",
                f"127.0.0.1:{enrolment}",
            )
            self.client(name, "enrol", "--token-file", "-", *where, stdin=token)

        together([*((node, name) for name in self.nodes), *((person, name) for name in people)])

    def start_node(self, department: str) -> None:
        """Start the node of a department, or of a witness."""
        program = "witness" if department in self.witnesses else "run"
        if self.warm:
            node = WarmNode(self.home(department), self.log(department), program=program)
            self.running[department] = node
            return
        command = [*_python("node"), "--home", str(self.home(department)), program]
        self._start(department, command, environment={"OMP_NUM_THREADS": "1"})

    def start_nodes(self, client: Datalabbet) -> None:
        """Start every node, and wait until the coordinator has seen each."""
        for department in self.nodes:
            self.start_node(department)
        end = time.monotonic() + _START_SECONDS
        missing = set(self.nodes)
        while missing:
            connected = {m.principal.name for m in client.members() if m.connected}
            missing -= connected
            for department in missing:
                _check_alive(self.running[department], log=self.log(department))
            if time.monotonic() > end:
                raise DeadlineError(
                    f"the nodes of {', '.join(sorted(missing))} did not connect",
                    hint=f"See their logs in {self.log('').parent}.",
                )
            time.sleep(0.1)

    def coordinator(self, *arguments: str) -> Any:
        """Give what `datalabbet-coordinator ... --output json` prints."""
        return _call([*self._coordinator(*arguments), "--output", "json"])

    def node(self, department: str, *arguments: str, stdin: str = "") -> Any:
        """Give what `datalabbet-node ... --output json` prints."""
        command = [*_python("node"), "--home", str(self.home(department)), *arguments]
        return _call([*command, "--output", "json"], stdin=stdin)

    def client(self, person: str, *arguments: str, stdin: str = "") -> Any:
        """Give what `datalabbet ... --output json` prints for a person."""
        command = [*_python("coordinator.client"), *arguments]
        return _call(
            [*command, "--profile", str(self.profile(person)), "--output", "json"], stdin=stdin
        )

    def kill(self, name: str) -> None:
        """Kill a process (SIGKILL) and wait until it is gone."""
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def stop(self) -> None:
        """End every process: politely, then not."""
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        end = time.monotonic() + _STOP_SECONDS
        for process in self.running.values():
            try:
                process.wait(timeout=max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running.clear()

    def _coordinator(self, *arguments: str) -> list[str]:
        return [*_python("coordinator"), "--home", str(self.root / "coordinator"), *arguments]

    def _start(
        self, name: str, command: Sequence[str], *, environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        with self.log(name).open("ab") as log:
            process = _spawn(command, log=log, environment=environment)
        self.running[name] = process
        return process


def together(tasks: Iterable[tuple[Any, str]]) -> None:
    """Do `function(argument)` for each pair, a few at a time; the first error is raised."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        for done in [pool.submit(function, argument) for function, argument in tasks]:
            done.result()


def _python(package: str) -> list[str]:
    return [sys.executable, "-m", package]


def _spawn(
    command: Sequence[str], *, log: IO[bytes], environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own programs
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env={**os.environ, **environment},  # noqa: TID251 - children get the caller's environment
    )


def _call(command: Sequence[str], *, stdin: str = "") -> Any:
    done = subprocess.run(  # noqa: S603 - our own programs
        command, input=stdin, capture_output=True, text=True, check=False, timeout=_CALL_SECONDS
    )
    if done.returncode != 0:
        words = " ".join(command[2:])
        raise RunFailedError(f"`{words}` failed ({done.returncode}): {done.stderr.strip()}")
    return json.loads(done.stdout)


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


def _check_alive(process: subprocess.Popen[bytes] | WarmNode, *, log: Path) -> None:
    if process.poll() is not None:
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
        raise RunFailedError(f"a process ended at once; {log} says: {' / '.join(last)}")


def _wait_for_port(port: int, process: subprocess.Popen[bytes], *, log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        _check_alive(process, log=log)
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise DeadlineError(f"nothing listens on port {port}", hint=f"See {log}.")
