"""Rounds of FedAvg; writes the seconds of each round after the first."""

import itertools
import json
import time
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

app = ServerApp()


def _start(study_file: str) -> ArrayRecord:
    if not study_file:
        return ArrayRecord({"0": Array(np.zeros(1, dtype=np.float32))})
    from models.families import network
    from models.governance.study import Study
    from protos import codec

    study = codec.read_json(Study, Path(study_file).read_bytes(), what="the study")
    return ArrayRecord({name: Array(array) for name, array in network.initial(study).items()})


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the rounds of the configuration."""
    moments: list[float] = []

    def mark(server_round: int, arrays: ArrayRecord) -> None:
        moments.append(time.perf_counter())

    nodes = int(context.run_config["nodes"])
    strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=nodes, min_available_nodes=nodes)
    strategy.start(
        grid,
        _start(str(context.run_config["study"])),
        num_rounds=int(context.run_config["rounds"]),
        evaluate_fn=mark,
    )
    seconds = [b - a for a, b in itertools.pairwise(moments)][1:]
    Path(str(context.run_config["report"])).write_text(json.dumps(seconds))
