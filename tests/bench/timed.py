"""One of our programs with a stopwatch round the parts of a secure-sum step.

    python -m tests.bench.timed OUT node|coordinator ARGUMENTS

Runs the program as it is; when it ends, OUT holds the milliseconds of every call, by part. What a
part does inside another one is counted in both. Beside them: the CPU time of the whole process, all
threads, from one step to the next.
"""

import functools
import importlib
import itertools
import json
import os
import runpy
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

PARTS = {
    "node": {
        "node: message to answer": "node.flower.work:RunWork.answer",
        "node: gate": "node.gate.gate:Gate.admit",
        "node: context": "models.training.messages:context",
        "node: ledger (durable charge and context)": "node.ledger.contexts:ChargedContexts.insert",
        "node: units (clipped gradients, summed)": "node.work.sum_bench:SumBench._units",
        "node: noise": "models.privacy.sampler:add_discrete_gaussian",
        "node: masks": "models.secagg.masks:apply",
        "node: check on the way out": "node.gate.gate:Gate.leave",
    },
    "coordinator": {
        "coordinator: context": "models.training.messages:context",
        "coordinator: question": "coordinator.flower.sums:SumMessages.sum",
        "coordinator: waiting for the answers": "coordinator.rounds.asking:Asking.ask",
        "coordinator: reading an answer": "coordinator.flower.grid:unpack",
        "coordinator: adding an answer": "models.secagg.coordinator:received",
        "coordinator: next parameters": "models.training.steps:advanced",
        "coordinator: checkpoint": "coordinator.rounds.keeping:Keeping.advance",
    },
}
STEPS = {"node": "node: message to answer", "coordinator": "coordinator: question"}
"""What every step begins with."""
CLOCK: list[float] = []
SPENT: dict[str, list[float]] = defaultdict(list)


def wrap(part: str, place: str, *, program: str) -> None:
    """Put the stopwatch round a function or method."""
    module, _, path = place.partition(":")
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for each in owners:
        owner = getattr(owner, each)
    inner = getattr(owner, name)

    @functools.wraps(inner)
    def timed(*args: Any, **kwargs: Any) -> Any:
        if part == STEPS[program]:
            CLOCK.append(1000 * time.process_time())
        begun = time.perf_counter()
        try:
            return inner(*args, **kwargs)
        finally:
            SPENT[part].append(1000 * (time.perf_counter() - begun))

    setattr(owner, name, timed)


def note(out: str, program: str, leave: Callable[[int], NoReturn], status: int) -> NoReturn:
    """Write what was found, then end the program at once: nodes end that way."""
    if SPENT:
        SPENT[f"{program}: CPU of the process, a step"] = [
            b - a for a, b in itertools.pairwise(CLOCK[5:])
        ]
        Path(f"{out}.{os.getpid()}.json").write_text(json.dumps(SPENT))
    leave(status)


def main() -> None:
    out, program, *arguments = sys.argv[1:]
    for part, place in PARTS[program].items():
        wrap(part, place, program=program)
    sys.argv = [program, *arguments]
    os._exit = functools.partial(note, out, program, os._exit)
    try:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
