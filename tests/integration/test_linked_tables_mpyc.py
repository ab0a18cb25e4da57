"""Our three servers and three parties of MPyC, somebody else's program, give the same tables."""

import importlib.util
import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from linked_city import in_the_clear, run_in_process
from linked_studies import OPEN, category, integer, linked_study, own, table

from models.linkage.plan import plan

PROGRAM = Path(__file__).parents[1] / "support" / "mpyc_tables.py"
NAMES = ("school", "social", "labour")


def port() -> int:
    """Give the first of some ports that nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.skipif(importlib.util.find_spec("mpyc") is None, reason="MPyC is not installed")
def test_our_servers_and_those_of_mpyc_give_the_same_tables(tmp_path: Path) -> None:
    axes = [integer("age", 0, 3), category("help", *"abcd"), category("work", *"wxyz")]
    study = linked_study(
        [(own(axis.name, name), axis) for name, axis in zip(NAMES, axes, strict=True)],
        [table("ah", "age", "help"), table("hw", "help", "work"), table("aw", "age", "work")],
        privacy=OPEN,
    )
    generator = np.random.default_rng(11)
    known = {
        name: np.eye(5, dtype=np.uint8)[generator.integers(5, size=60)][:, :4] for name in NAMES
    }
    np.save(tmp_path / "rows.npy", np.stack([known[name] for name in NAMES]))
    command = [sys.executable, str(PROGRAM), str(tmp_path / "rows.npy")]
    done = subprocess.run(
        [*command, "-M3", "-B", str(port())],
        check=True,
        capture_output=True,
        text=True,
        timeout=110,
    )
    gram = np.array(json.loads(done.stdout.splitlines()[-1])["counts"])
    ours = run_in_process(study, known)[:48] >> plan(study).noise.bits
    np.testing.assert_array_equal(ours, in_the_clear(study, known))
    blocks = [gram[:4, 4:8], gram[4:8, 8:], gram[:4, 8:]]
    np.testing.assert_array_equal(ours, np.concatenate([block.reshape(-1) for block in blocks]))
