"""A simulated run: the coordinator's rounds over Flower's simulation runtime (Ray).

Flower is asked for nothing but the exchange of messages: no SuperLink is started, nothing is
downloaded, and neither Flower nor Ray reports home.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flwr.app import Context
from flwr.server.superlink.fleet.vce.backend.backend import BackendConfig
from flwr.serverapp import Grid, ServerApp
from flwr.simulation import run_simulation

from coordinator.flower.engine import Answer, Rounds
from coordinator.flower.question import Question
from coordinator.rounds import finish
from demo.virtual import City, virtual_app
from demo.virtual_grid import VirtualGrid
from models.errors import RunFailedError
from models.evaluation.metrics import Metrics
from models.families.network import Floats
from models.governance.study import Study
from models.randomness import SystemEntropy

_PAUSE = 0.1
_AHEAD = 16
"""Messages in the runtime per processor: enough that no worker waits for the next."""
_RAY: BackendConfig = {
    "init_args": {
        "address": "local",
        "include_dashboard": False,
        "log_to_driver": False,
        "logging_level": "ERROR",
    },
    "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a simulated run went.

    Attributes:
        parameters: of the trained model.
        quality: what the departments' noisy histograms say; None if nobody was set aside.
        round_seconds: of each round; the first has the start of the workers in it.
        evaluation_seconds: of the evaluation; 0 without one.
    """

    parameters: Mapping[str, Floats]
    quality: Metrics | None
    round_seconds: tuple[float, ...]
    evaluation_seconds: float


def run(city: City, *, tell: Callable[[str], None]) -> Course:
    """Train and evaluate the study of `city` over its virtual departments.

    Raises:
        RunFailedError: a department did not do its step, or the runtime broke.
    """
    _tame_ray()
    server = _Server(city.study, tell=tell)
    app = ServerApp()
    app.main()(server.main)
    try:
        run_simulation(app, virtual_app(city), len(city.sources), backend_config=_RAY)
    except RuntimeError as error:
        raise RunFailedError(f"Flower's simulation runtime broke: {error}") from None
    finally:
        server.stop.set()
    return server.course()


def _tame_ray() -> None:
    """Keep Ray to itself: no reports home, and no orders from anybody else.

    Its servers listen on every interface of the machine, so they get a password for this run.
    """
    token = SystemEntropy().token(32).hex()
    os.environ |= {  # noqa: TID251 - settings of Ray's, not of ours
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
    }


class _Server:
    """The ServerApp of a simulation: the coordinator's rounds, each with all departments."""

    def __init__(self, study: Study, *, tell: Callable[[str], None]) -> None:
        self.stop = threading.Event()
        self._study = study
        self._tell = tell
        self._course: Course | None = None

    def course(self) -> Course:
        """Give how it went.

        Raises:
            RunFailedError: it did not come to its end.
        """
        if self._course is None:
            raise RunFailedError("the simulation ended before its last round")
        return self._course

    def main(self, grid: Grid, context: Context) -> None:
        """Do the rounds; called by Flower, in a thread of its own."""
        del context
        exchange = VirtualGrid(grid, window=_AHEAD * (os.cpu_count() or 1))
        rounds = self._begin(exchange)
        spent = []
        for number in range(1, self._study.averaging.rounds + 1):
            begun = time.monotonic()
            question = rounds.ask_training(number)
            self._await(question)
            rounds.fold(number, question.answers)
            spent.append(time.monotonic() - begun)
            self._tell(f"Round {number} of {self._study.averaging.rounds}: {spent[-1]:.1f} s")
        begun = time.monotonic()
        quality = self._evaluate(rounds)
        self._course = Course(
            parameters=rounds.parameters,
            quality=quality,
            round_seconds=tuple(spent),
            evaluation_seconds=0.0 if quality is None else time.monotonic() - begun,
        )

    def _begin(self, grid: VirtualGrid) -> Rounds:
        """Wait for Flower's virtual nodes; which of them has which name says nothing."""
        departments = self._study.departments
        while len(nodes := tuple(grid.get_node_ids())) < len(departments):
            self._pause()
        return Rounds(
            study=self._study,
            grid=grid,
            nodes=dict(zip(departments, nodes, strict=True)),
            histograms=finish.forms(self._study),
        )

    def _evaluate(self, rounds: Rounds) -> Metrics | None:
        if not finish.evaluated(self._study):
            return None
        question = rounds.ask_evaluation(self._study.averaging.rounds)
        self._await(question)
        answers = {name: answer.arrays for name, answer in question.answers.items()}
        return finish.quality(self._study, answers)

    def _await(self, question: Question[Answer]) -> None:
        while len(question.answers) < len(self._study.departments):
            self._pause()
            question.collect()
            if question.misfits:
                raise RunFailedError("a virtual department answered what was not asked")

    def _pause(self) -> None:
        if self.stop.wait(_PAUSE):
            raise RunFailedError("the simulation was stopped")
