"""A client that does nothing, or one round of the node's own training.

With a study in the run configuration it trains on the dataset that the node configuration names,
by the same `Workbench` as a node of ours; without, what remains of a round is the framework.
"""

import tempfile
from pathlib import Path

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Give back what came, trained if there is a study."""
    arrays = message.content["arrays"]
    study = str(context.run_config["study"])
    if study:
        arrays = _trained(arrays, study, str(context.node_config["declaration"]))
    metrics = MetricRecord({"num-examples": 1.0})
    content = RecordDict({"arrays": arrays, "metrics": metrics})
    return Message(content=content, reply_to=message)


def _trained(arrays: ArrayRecord, study_file: str, declaration: str) -> ArrayRecord:
    from flwr.app import Array

    from models.governance.study import Study
    from models.privacy.plan import plan
    from models.randomness import SystemEntropy
    from node import datasets
    from node.work.workbench import Workbench
    from protos import codec

    study = codec.read_json(Study, Path(study_file).read_bytes(), what="the study")
    parameters = {name: array.numpy() for name, array in arrays.items()}
    with (
        tempfile.TemporaryDirectory() as scratch,
        Workbench(
            study=study,
            dataset=datasets.load(Path(declaration)),
            plan=plan(study),
            entropy=SystemEntropy(),
            scratch=Path(scratch),
        ) as bench,
    ):
        release = bench.train(parameters=parameters, round_number=1, weight=None)
    return ArrayRecord({name: Array(release.values[name]) for name in parameters})
