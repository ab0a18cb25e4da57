"""Nodes forked from one process that has imported torch and Opacus already.

Importing them takes longer than everything a node does in the demo. They are processes of their
own all the same, and run the program `datalabbet-node`.
"""

import multiprocessing
import multiprocessing.forkserver
import os
import signal
import subprocess
import sys
from pathlib import Path

_PRELOAD = ["node.cli", "node.service", "node.work.workbench"]


class WarmNode:
    """A node's process, with the few calls of `subprocess.Popen` that a federation uses."""

    def __init__(self, home: Path, log: Path, *, program: str = "run") -> None:
        context = multiprocessing.get_context("forkserver")
        given = (str(home), str(log), program)
        self._process = context.Process(target=_run, args=given, daemon=True)
        self._process.start()

    def poll(self) -> int | None:
        """Give the exit code, or None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal; a process that has ended is left alone."""
        if self._process.is_alive() and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._process.kill()

    def wait(self, timeout: float | None = None) -> int:
        """Give the exit code once it has ended.

        Raises:
            subprocess.TimeoutExpired: it has not.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(cmd="datalabbet-node", timeout=timeout or 0.0)
        return self._process.exitcode


def preload() -> None:
    """Begin the imports; they go on while the caller does other things."""
    os.environ["OMP_NUM_THREADS"] = "1"  # noqa: TID251 - for the nodes: several share few cores
    multiprocessing.get_context("forkserver").set_forkserver_preload(_PRELOAD)
    multiprocessing.forkserver.ensure_running()


def _run(home: str, log: str, program: str) -> None:
    from node.cli import main  # noqa: PLC0415 - in the node's process

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the demo, which then ends us
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(file, stream.fileno())
    sys.argv = ["datalabbet-node", "--home", home, program]
    main()
