"""What all two-way tables of three departments take on shares.

    python -m tests.bench.linked_tables

150,000 residents, 60 one-hot columns (20 variables of three categories) of each department; ε 1.
The departments share in this process; each server folds in a process of its own, where nothing but
its own work is done, so that its CPU and its memory can be read. Beside it the same tables in the
clear, and all tables of 60 columns of 5,000 residents by MPyC, if that is installed.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import numpy as np
import pandas as pd
import torch
from linked_city import Committee, columns, in_the_clear
from linked_studies import TEXT, category, linked_study, own
from rich.console import Console
from rich.table import Table
from scripted import ScriptedEntropy

from models.governance.linked import LinkedPrivacy, LinkedStudy
from models.governance.questions import Relations
from models.governance.study import Protection
from models.linkage.plan import plan
from models.quantities import Delta, Epsilon
from models.replicated import server

RESIDENTS, VARIABLES, LEVELS = 150_000, 20, ("a", "b", "c")
DEPARTMENTS = ("school", "social", "labour")
SAMPLED = 100
MB = 1e6
MPYC_RESIDENTS, MPYC_COLUMNS = 5_000, 20


@dataclass(frozen=True)
class Folded:
    """What one server took: CPU seconds, and bytes of memory before and at most."""

    seconds: float
    before: int
    most: int
    part: bytes


def study() -> LinkedStudy:
    """Give the study that asks for all tables of two of the variables."""
    variables = [
        (own(f"{department}_{place}", department), category(f"{department}_{place}", *LEVELS))
        for department in DEPARTMENTS
        for place in range(VARIABLES)
    ]
    asked = Relations(
        kind="relations", name="all", title=TEXT, of=tuple(item.name for item, _ in variables)
    )
    terms = LinkedPrivacy(protection=Protection.SECURE_SUM, epsilon=Epsilon(1.0), delta=Delta(1e-6))
    return linked_study(variables, [asked], privacy=terms, residents=RESIDENTS)


def records(asked: LinkedStudy) -> Mapping[str, np.ndarray]:
    """Give each variable's category of every resident; a quarter have no record."""
    generator = np.random.default_rng(4)
    return {item.name: generator.integers(-1, len(LEVELS), RESIDENTS) for item in asked.variables}


def shared(city: Committee, folder: Path) -> tuple[float, int]:
    """Let the departments share; give one department's CPU seconds and bytes."""
    seconds, octets = 0.0, 0
    for chunk in range(1, city.chunks + 1):
        begun = time.process_time()
        bodies = city.shared(chunk)
        seconds += time.process_time() - begun
        for name, body in bodies.items():
            (folder / f"{name}.{chunk}").write_bytes(body)
        octets += len(bodies[DEPARTMENTS[0]])
        city.bodies.clear()
    for name, body in city.shared_totals().items():
        (folder / f"{name}.totals").write_bytes(body)
    return seconds / len(DEPARTMENTS), octets


def fold(index: int, folder: Path) -> None:
    """Be server `index`: fold all chunks that lie in the folder, and write what is opened."""
    torch.set_num_threads(1)
    asked = study()
    nobody = {name: np.zeros((RESIDENTS, 0), dtype=np.uint8) for name in DEPARTMENTS}
    one = Committee.of(asked, nobody).servers[index]
    before = _memory("VmRSS")
    seconds = 0.0
    for chunk in range(1, one.chunks + 1):
        bodies = _read(folder, str(chunk)) if index else {}
        begun = time.process_time()
        one.fold(chunk, bodies)
        seconds += time.process_time() - begun
    bodies = _read(folder, "totals") if index else {}
    begun = time.process_time()
    part = one.open(bodies, ScriptedEntropy(f"noise {index}"))
    seconds += time.process_time() - begun
    (folder / f"part.{index}").write_bytes(part)
    taken = {"seconds": seconds, "before": before, "most": _memory("VmHWM")}
    sys.stdout.write(json.dumps(taken) + "\n")


def _read(folder: Path, what: str) -> dict[str, bytes]:
    return {name: (folder / f"{name}.{what}").read_bytes() for name in DEPARTMENTS}


def in_a_process(index: int, folder: Path) -> Folded:
    """Let a process be server `index`."""
    command = [sys.executable, "-m", "tests.bench.linked_tables"]
    done = subprocess.run(
        [*command, "--server", str(index), "--folder", str(folder)],
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return Folded(part=(folder / f"part.{index}").read_bytes(), **found)


def clear(known: Mapping[str, np.ndarray]) -> float:
    """Give the CPU seconds of all of pandas' cross-tabulations, from some of them."""
    frame = pd.DataFrame(
        {name: pd.Categorical.from_codes(row, LEVELS) for name, row in known.items()}
    )
    names, generator = list(known), np.random.default_rng(5)
    begun = time.process_time()
    for _ in range(SAMPLED):
        one, other = generator.choice(len(names), 2, replace=False)
        pd.crosstab(frame[names[one]], frame[names[other]])
    pairs = len(names) * (len(names) - 1) // 2
    return (time.process_time() - begun) * pairs / SAMPLED


def product(asked: LinkedStudy, known: Mapping[str, np.ndarray]) -> float:
    """Give the CPU seconds of the one product that has all tables in it, in the clear."""
    every = np.concatenate(list(columns(asked, known).values()), axis=1).astype(np.float32)
    begun = time.process_time()
    every.T @ every
    return time.process_time() - begun


def mpyc(folder: Path) -> tuple[float, int] | None:
    """Give one of three parties' CPU seconds and bytes sent by MPyC, for fewer residents."""
    if importlib.util.find_spec("mpyc") is None:
        return None
    generator = np.random.default_rng(6)
    rows = generator.random((3, MPYC_RESIDENTS, MPYC_COLUMNS)) < 0.3
    np.save(folder / "rows.npy", rows.astype(np.uint8))
    program = Path(__file__).parents[1] / "support" / "mpyc_tables.py"
    done = subprocess.run(
        [sys.executable, str(program), str(folder / "rows.npy"), "-M3"],
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return found["seconds"], found["bytes"]


def tables() -> list[Table]:
    """Measure; give the tables."""
    torch.set_num_threads(1)
    asked = study()
    known = records(asked)
    city = Committee.of(asked, columns(asked, known))
    title = "All two-way tables, 150,000 residents, 3 departments of 60 columns"
    found = Table("figure", "measured", "goal", title=title)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds, octets = shared(city, folder)
        done = [in_a_process(index, folder) for index in range(3)]
        other = mpyc(folder)
    error = _error(asked, city, done)
    found.add_row("department: CPU", f"{seconds:.2f} s", "")
    found.add_row("department: up", f"{octets / MB:.0f} MB", "150 MB")
    for index, each in enumerate(done):
        found.add_row(f"server {index}: CPU", f"{each.seconds:.2f} s", "5 s")
        grown = f"{(each.most - each.before) / MB:.0f} MB"
        found.add_row(f"server {index}: memory, peak", grown, f"{plan(asked).octets / MB:.0f} MB")
    found.add_row("error of a cell, sd, over the plan's", f"{error:.3f}", "1")
    found.add_row("in the clear: pandas, each table", f"{clear(known):.1f} s", "")
    found.add_row("in the clear: numpy, one product", f"{product(asked, known):.2f} s", "")
    if other is not None:
        size = f"MPyC, {MPYC_RESIDENTS:,} residents, 3 parties of {MPYC_COLUMNS} columns"
        found.add_row(f"{size}: CPU of one", f"{other[0]:.1f} s", "")
        found.add_row(f"{size}: sent by one", f"{other[1] / MB:.1f} MB", "")
    return [found]


def _error(asked: LinkedStudy, city: Committee, done: list[Folded]) -> float:
    """Give the noise found in the opened cells over what the plan states: 1 if all is right."""
    units = server.units(asked, [each.part for each in done])
    wanted = in_the_clear(asked, city.columns)
    found = units[: wanted.size] / 2 ** plan(asked).noise.bits - wanted
    return float(np.sqrt(np.mean(found**2) / plan(asked).noise.variance.value))


def _memory(what: str) -> int:
    """Give the bytes of this process by Linux: `VmRSS` now, `VmHWM` at most so far."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    [line] = [line for line in lines if line.startswith(f"{what}:")]
    return 1024 * int(line.split()[1])


def main() -> None:
    """Measure and print, or be one server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", type=int)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.server is not None:
        fold(given.server, given.folder)
        return
    for table in tables():
        Console(width=100).print(table)


if __name__ == "__main__":
    main()
