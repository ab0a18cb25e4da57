"""Seconds per round on Flower's own SuperLink and SuperNodes, as shipped."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

APP = Path(__file__).parent / "superlink_app"
BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def processes(commands: list[list[str]], environment: dict[str, str]) -> Iterator[None]:
    """Keep the commands running, and end them with everything they started."""
    started = [
        subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for command in commands
    ]
    try:
        yield
    finally:
        for process in started:
            try:
                os.killpg(process.pid, 9)
            except ProcessLookupError:
                continue
            process.wait()


def seconds_per_round(
    folder: Path, *, rounds: int, declarations: Sequence[Path] = (), study: Path | None = None
) -> list[float]:
    """Give the seconds of each round after the first.

    Without a study the three nodes do nothing; with one, each trains on its declaration's data.
    """
    home = folder / "flwr"
    home.mkdir()
    port = free_port()
    address = f"127.0.0.1:{port}"
    (home / "config.toml").write_text(
        '[superlink]\ndefault = "bench"\n'
        f'[superlink.bench]\naddress = "{address}"\ninsecure = true\n'
    )
    environment = os.environ | {
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "OMP_NUM_THREADS": "1",
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }
    link = [str(BIN / "flower-superlink"), "--insecure", "--port", str(port)]
    link.append("--disable-runtime-dependency-installation")
    node = [str(BIN / "flower-supernode"), "--insecure", "--superlink", address]
    nodes = [
        [*node, "--port", str(free_port()), *_node_config(declaration)]
        for declaration in declarations or (None, None, None)
    ]
    report = folder / "rounds.json"
    values = f'rounds={rounds} report="{report}" study="{study or ""}" nodes={len(nodes)}'
    with processes([link, *nodes], environment):
        wait_for(lambda: _listens(port), seconds=60)
        command = [str(BIN / "flwr"), "run", str(APP), "-c", values]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
        wait_for(report.exists, seconds=60 + 40 * rounds)
    seconds: list[float] = json.loads(report.read_text())
    return seconds


def wait_for(condition: Callable[[], bool], *, seconds: float) -> None:
    """Return when the condition holds; fail after so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("it did not happen in time")
        time.sleep(0.2)


def _node_config(declaration: Path | None) -> list[str]:
    return [] if declaration is None else ["--node-config", f'declaration="{declaration}"']


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
