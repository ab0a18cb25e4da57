"""Seconds of one node's step for a network, by its number of parameters.

    python -m tests.bench.network_step [--residents N]

Full batch, 178 inputs, drawn records. "Several rows" are residents with two rows each, whose
gradients are added up one resident at a time.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import numpy as np
from network_rows import People
from rich.console import Console
from rich.table import Table

from models.families import network
from models.families.network import NetworkSpec
from models.families.network_gradient import gradient, row_width
from models.quantities import ClipNorm

INPUTS = 178
HIDDEN = ((), (6,), (64,), (64, 32), (128, 64), (512,))


def seconds(spec: NetworkSpec, people: People, *, times: int) -> float:
    """Give the median over `times` steps."""
    parameters = network.drawn(spec, seed=bytes(32))
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        chunks = people.everyone(width=row_width(spec))
        gradient(spec, parameters, chunks, bound=ClipNorm(2.0), bits=20)
        found.append(time.perf_counter() - begun)
    return statistics.median(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--residents", type=int, default=32_561)
    parser.add_argument("--several", type=int, default=1000)
    options = parser.parse_args()
    table = Table("hidden", "parameters", "one row", "several rows", title="Seconds per step")
    for hidden in HIDDEN:
        spec = NetworkSpec(inputs=INPUTS, hidden=hidden, classes=2)
        one = People.of(spec, np.ones(options.residents, dtype=np.int64))
        two = People.of(spec, np.full(options.several, 2))
        figures = (seconds(spec, one, times=5), seconds(spec, two, times=3))
        table.add_row(
            " x ".join(map(str, hidden)) or "none",
            f"{spec.weights:,}",
            f"{figures[0]:.3f} ({options.residents:,})",
            f"{figures[1]:.3f} ({options.several:,})",
        )
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
