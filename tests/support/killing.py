"""Processes to kill: forked, in milliseconds, from one that has imported everything.

A `Nursery` is a process of its own that holds no state of anybody: it has only imported the
programs, and forks children of them. They are real processes, which end by a real SIGKILL; what
is saved is the second of imports that each start would take.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

PROGRAMS = {"node": "node.cli", "coordinator": "coordinator.cli"} | {
    "coordinator.client": "coordinator.client.cli"
}
"""By the name after `python -m`, the module whose `main` the program is."""

IMPORTED = (
    *("node.cli", "node.service", "node.runs", "node.work.sum_bench", "node.app"),
    *("coordinator.cli", "coordinator.app", "coordinator.operate", "coordinator.client.cli"),
    *("coordinator.client.api", "coordinator.flower.engine", "coordinator.rounds.driver"),
    *("models.training.leaving", "models.ledger.spending", "models.ledger.verification"),
    *("hostile", "killed", "planes", "pandas", "pyarrow"),
)


class Child:
    """A child of the nursery, with the few calls of `subprocess.Popen` that are used of it."""

    def __init__(self, nursery: "Nursery", pid: int) -> None:
        self.pid = pid
        self._nursery = nursery
        self._code: int | None = None

    def poll(self) -> int | None:
        """Give the exit code (negative: the signal that ended it), or None while it runs."""
        if self._code is None:
            self._code = self._nursery.asked(poll=self.pid)
        return self._code

    def send_signal(self, number: int) -> None:
        """Send a signal; to a child that has ended, nothing."""
        if self.poll() is None:
            os.kill(self.pid, number)  # it is not reaped but by `poll`, so the id is its own

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float = 60.0) -> int:
        """Give the exit code once it has ended."""
        end = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(cmd=str(self.pid), timeout=timeout)
            time.sleep(0.002)
        return code


class Nursery:
    """The process that forks; it and all of its children end with `close`."""

    def __init__(self) -> None:
        here = [path for path in sys.path if path]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("DATALABBET_")}
        environment |= {"PYTHONPATH": os.pathsep.join(here), "OMP_NUM_THREADS": "1"}
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-c", "import killing; killing.serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )

    def asked(self, **order: Any) -> Any:
        """Have an order done; give the answer."""
        with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def start(
        self,
        call: str,
        *arguments: str,
        log: Path,
        stdin: Path | None = None,
        errors: Path | None = None,
        environment: Mapping[str, str] | None = None,
        ready: bool = False,
    ) -> Child:
        """Fork a child that calls `module:function` with the arguments.

        Args:
            call: or the name of a program, which then has the arguments.
            log: where it writes to.
            stdin: what it reads from.
            errors: where its errors go, if not into the log.
            environment: what it has in addition.
            ready: return when the child has called `ready`.
        """
        given = str(stdin or os.devnull)
        order = {"call": call, "arguments": arguments, "log": str(log), "stdin": given}
        order |= {"errors": str(errors or log), "ready": ready}
        order |= {"environment": dict(environment or {})}
        return Child(self, self.asked(**order))

    def close(self) -> None:
        """End it and its children."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


# --- in the nursery ---

_READY = "KILLING_READY"


def serve() -> None:
    """Do what is asked on stdin, until it ends."""
    for name in IMPORTED:
        importlib.import_module(name)
    children: dict[int, int | None] = {}
    for line in sys.stdin:
        order = json.loads(line)
        if "poll" in order:
            found = _polled(children, order["poll"])
        else:
            found = _forked(order)
            children[found] = None
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
    for pid, code in children.items():
        if code is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _polled(children: dict[int, int | None], pid: int) -> int | None:
    if children[pid] is None:
        found, status = os.waitpid(pid, os.WNOHANG)
        children[pid] = os.waitstatus_to_exitcode(status) if found else None
    return children[pid]


def _forked(order: Mapping[str, Any]) -> int:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _live(order, writing)
    os.close(writing)
    if order["ready"]:
        os.read(reading, 1)  # it is ready, or dead
    os.close(reading)
    return pid


def _live(order: Mapping[str, Any], writing: int) -> NoReturn:
    """Be the child."""
    os.dup2(os.open(order["stdin"], os.O_RDONLY), 0)
    for number, name in ((1, "log"), (2, "errors")):
        os.dup2(os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
    os.environ.update(order["environment"], **{_READY: str(writing)})
    code: object = 1
    try:
        _call(order["call"], order["arguments"])
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - the child's last line
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _call(call: str, arguments: Sequence[str]) -> None:
    if call in PROGRAMS:
        sys.argv = [call, *arguments]
        importlib.import_module(PROGRAMS[call]).main()
        return
    module, _, name = call.partition(":")
    getattr(importlib.import_module(module), name)(*arguments)


def ready() -> None:
    """Tell whoever waits that the child has begun."""
    os.write(int(os.environ[_READY]), b"1")


def die_after(lines: int, files: Sequence[str]) -> None:
    """Have this process kill itself when it has come to that many lines of these modules."""
    left = lines

    def count(frame: Any, event: str, _: Any) -> Any:
        nonlocal left
        if event == "line":
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return count

    def enter(frame: Any, event: str, _: Any) -> Any:
        return count if frame.f_code.co_filename.endswith(tuple(files)) else None

    sys.settrace(enter)
