"""A virtual department: the node's own ClientApp and workbench, without approvals and ledger.

This module is what the workers of a simulation import.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from flwr.app import Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode

from models.errors import DatalabbetError
from models.governance.release import Release
from models.governance.study import Study
from models.privacy.plan import PrivacyPlan
from models.randomness import SystemEntropy
from node.datasets import Dataset
from node.flower.client_app import client_app
from node.gate.steps import WEIGHT, Floats, Values
from node.sources import Source
from node.work.workbench import Workbench

_PARTITION = "partition-id"
"""Flower's name for the number of a virtual node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class City:
    """What the virtual departments of one simulation are made from.

    Attributes:
        study: with every virtual department named in it.
        plan: the noise of the study, computed once.
        dataset: as declared; its records lie in `sources`, one for each department.
        scratch: a private folder.
    """

    study: Study
    plan: PrivacyPlan
    dataset: Dataset
    sources: tuple[Source, ...]
    scratch: Path

    def workbench(self, number: int) -> Workbench:
        """Give the workbench of a department, for one step."""
        return Workbench(
            study=self.study,
            dataset=replace(self.dataset, source=self.sources[number]),
            plan=self.plan,
            entropy=SystemEntropy(),
            scratch=self.scratch,
        )


class VirtualSteps:
    """The steps of one virtual department: the work of `node.gate.steps`, without its rules.

    `state` is Flower's memory of the department: it keeps the weight from round to round.
    """

    def __init__(self, city: City, *, number: int, state: RecordDict) -> None:
        self.study = city.study
        self._city = city
        self._number = number
        self._state = state

    def train(self, *, round_number: int, attempt: int, parameters: Mapping[str, Floats]) -> Values:
        """Give the parameters and weight of one training round."""
        known = self._state.get(WEIGHT)
        weight = float(str(known[WEIGHT])) if isinstance(known, MetricRecord) else None
        del attempt  # there is no ledger to name it in
        release = self._do(
            lambda bench: bench.train(
                parameters=parameters, round_number=round_number, weight=weight
            ),
        )
        self._state[WEIGHT] = MetricRecord({WEIGHT: float(release.values[WEIGHT])})
        return release.values

    def evaluate(self, *, attempt: int, parameters: Mapping[str, Floats]) -> Values:
        """Give the histograms of the held-out residents."""
        del attempt
        return self._do(lambda bench: bench.evaluate(parameters=parameters)).values

    def _do(self, work: Callable[[Workbench], Release]) -> Release:
        with self._city.workbench(self._number) as bench:
            return work(bench)


def virtual_app(city: City) -> ClientApp:
    """Give the ClientApp of all virtual departments: the nodes' own, made for each message."""
    app = ClientApp()

    @app.train()
    @app.evaluate()
    def answer(message: Message, context: Context) -> Message:
        number = int(str(context.node_config[_PARTITION]))
        steps = VirtualSteps(city, number=number, state=context.state)
        try:
            return client_app(steps)(message, context)
        except Exception as error:  # noqa: BLE001 - told to whoever simulates, without records
            text = error.message if isinstance(error, DatalabbetError) else type(error).__name__
            fault = Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, f"number {number}: {text}")
            return Message(fault, reply_to=message)

    return app
