"""One run's training: questions to the cohort, and the strategy that folds the answers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from coordinator.flower import replies, strategies
from coordinator.flower.exchange import Exchange
from coordinator.flower.grid import StreamGrid
from coordinator.flower.question import Question
from coordinator.flower.replies import Form
from models.errors import ProtocolViolationError, RunFailedError
from models.families import network
from models.governance.study import Study

Arrays = Mapping[str, npt.NDArray[np.generic]]

FIRST_ATTEMPT = 1
"""A round that is asked again is the same step: nodes give the answer that they have paid for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A checked answer of one department; `message` is what strategies read."""

    arrays: Arrays
    weight: float
    message: Message


class Rounds:
    """A study's parameters and strategy, over any grid.

    Args:
        study: what is trained.
        grid: reaches the cohort.
        nodes: the node id of each department of the study.
        histograms: the arrays that an answer to the evaluation holds.
    """

    def __init__(
        self,
        *,
        study: Study,
        grid: Exchange,
        nodes: Mapping[str, int],
        histograms: Mapping[str, Form],
    ) -> None:
        self.grid = grid
        self._spec = network.NetworkSpec.of(study)
        self._names = {node_id: department for department, node_id in nodes.items()}
        self._nodes = dict(nodes)
        self._strategy = strategies.strategy_of(study)
        self._forms = _forms(study)
        self._histograms = histograms
        self.parameters: dict[str, network.Floats] = network.initial(study)

    def ask_training(self, round_number: int) -> Question[Answer]:
        """Ask the cohort to train from the present parameters."""
        return self._ask(self._strategy.configure_train, round_number, self._forms)

    def ask_evaluation(self, round_number: int) -> Question[Answer]:
        """Ask the cohort to evaluate the present parameters, which `round_number` made."""
        return self._ask(self._strategy.configure_evaluate, round_number, self._histograms)

    def _ask(
        self,
        configure: Callable[[int, ArrayRecord, ConfigRecord, Exchange], Iterable[Message]],
        round_number: int,
        forms: Mapping[str, Form],
    ) -> Question[Answer]:
        arrays = ArrayRecord({name: Array(value) for name, value in self.parameters.items()})
        config = ConfigRecord({"attempt": FIRST_ATTEMPT})
        messages = configure(round_number, arrays, config, self.grid)

        def read(department: str, message: Message) -> Answer:
            del department
            opened, weight = replies.read(message, forms)
            return Answer(arrays=opened, weight=weight, message=message)

        return Question(grid=self.grid, names=self._names, messages=messages, read=read)

    def fold(self, round_number: int, given: Mapping[str, Answer]) -> None:
        """Make the next parameters from a round's answers.

        Floating-point sums depend on their order, so answers go in by node id: whoever repeats
        the round with the same answers gets the same bits.

        Raises:
            RunFailedError: the parameters are no longer finite.
        """
        ordered = sorted(given, key=self._nodes.__getitem__)
        self._fold(round_number, [given[department].message for department in ordered])

    def fold_mean(self, round_number: int, mean: Arrays, weight: float) -> None:
        """Make the next parameters from the mean of a round that was summed elsewhere.

        To the strategy it is the answer of one node with the weight of all.

        Raises:
            RunFailedError: the parameters are no longer finite.
        """
        strategies.begin(self._strategy, {**self.parameters})
        content = RecordDict(
            {
                replies.ARRAYS: ArrayRecord({name: Array(value) for name, value in mean.items()}),
                replies.METRICS: MetricRecord({replies.WEIGHT: weight}),
            }
        )
        one = next(iter(self._nodes.values()))
        self._fold(round_number, [Message(content, dst_node_id=one, message_type="train")])

    def _fold(self, round_number: int, messages: Sequence[Message]) -> None:
        with np.errstate(all="ignore"):  # what overflows is found below
            folded, _ = self._strategy.aggregate_train(round_number, messages)
        if folded is None:
            raise RunFailedError("a round without answers cannot be folded")
        with np.errstate(all="ignore"):  # Adam's steps are float64; nodes train in float32
            parameters = {name: folded[name].numpy().astype(np.float32) for name in self.parameters}
        try:
            network.check(self._spec, parameters)
        except ProtocolViolationError:
            raise RunFailedError(
                f"the training diverged in round {round_number}: its numbers grew without bound",
                hint="Propose the study again with a lower learning rate.",
            ) from None
        self.parameters = parameters

    def state(self) -> strategies.State:
        """Give what the strategy carries to the next round."""
        return strategies.state_of(self._strategy)

    def restore(self, *, parameters: Arrays, state: Arrays) -> None:
        """Go on from a checkpoint.

        Raises:
            ProtocolViolationError: the checkpoint is another study's.
        """
        network.check(self._spec, parameters)
        strategies.restore(self._strategy, state)
        self.parameters = {
            name: parameters[name].astype(np.float32, copy=False) for name in self.parameters
        }


class Engine(Rounds):
    """A study's parameters and strategy, over the open streams of one run.

    Args:
        study: what is trained.
        run_id: the run.
        nodes: the node id of each department of the study.
        histograms: the arrays that an answer to the evaluation holds.
    """

    grid: StreamGrid

    def __init__(
        self, *, study: Study, run_id: int, nodes: Mapping[str, int], histograms: Mapping[str, Form]
    ) -> None:
        limit = max(replies.room(_forms(study)), replies.room(histograms))
        grid = StreamGrid(run_id=run_id, nodes=nodes, limit=limit)
        super().__init__(study=study, grid=grid, nodes=nodes, histograms=histograms)


def _forms(study: Study) -> dict[str, Form]:
    shapes = network.shapes(network.NetworkSpec.of(study))
    return {name: Form(dtype="float32", shape=shape) for name, shape in shapes.items()}
