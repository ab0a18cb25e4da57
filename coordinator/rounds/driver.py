"""The runs of a coordinator: starting, following, stopping, and going on after a restart."""

import dataclasses
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import datetime

from sqlalchemy import Connection, Engine

from coordinator.fleet.presence import Presence
from coordinator.flower.engine import Engine as FlowerEngine
from coordinator.flower.engine import Rounds
from coordinator.flower.grid import StreamGrid
from coordinator.flower.sums import SumMessages
from coordinator.rounds import finish
from coordinator.rounds.asking import Asking
from coordinator.rounds.averaging import Averaging
from coordinator.rounds.averaging_sums import AveragingSums
from coordinator.rounds.board import Board
from coordinator.rounds.diary import Diary, Halt
from coordinator.rounds.keeping import Keeping
from coordinator.rounds.runner import RESTARTED, Course, Runner
from coordinator.rounds.settings import RunSettings
from coordinator.rounds.summing import Summing
from coordinator.store import fleet, runs, studies
from coordinator.store.database import reading, writing
from models.errors import (
    DatalabbetError,
    NotFoundError,
    RefusedError,
    StorageError,
    UsageError,
)
from models.governance.any_study import AnyStudy
from models.governance.linked import LinkedStudy
from models.governance.principal import Principal, Role
from models.governance.states import RunState, ended
from models.governance.views import Assignment, RunStatus
from models.linkage.plan import plan as linked_plan
from models.randomness import Entropy
from models.training.studies import training_plan

_log = logging.getLogger(__name__)
_STOP_SECONDS = 10.0
_LISTEN_SECONDS = 1.0
_ID_BYTES = 6  # 48 bits: exact in JSON, and never the id of a run that a lost database had


class RunService:
    """All runs of one coordinator; every method is safe from any thread.

    Args:
        database: the coordinator's database, migrated.
        presence: where nodes are asked to take part.
        settings: how patient runs are.
        clock: the time, aware.
        entropy: where run ids come from.
    """

    def __init__(
        self,
        *,
        database: Engine,
        presence: Presence,
        settings: RunSettings,
        clock: Callable[[], datetime],
        entropy: Entropy,
    ) -> None:
        self._database = database
        self._presence = presence
        self._settings = settings
        self._clock = clock
        self._entropy = entropy
        self._board = Board()
        self._lock = threading.Lock()
        self._active: dict[int, tuple[Runner, threading.Thread]] = {}
        self._closed = False

    def start(self, request_id: str, study: str) -> RunStatus:
        """Start a run of a study (id or hash) that is ready; the same request starts it once.

        Raises:
            NotFoundError: there is no such study.
            RefusedError: the study is not ready, or too many runs go on.
            UsageError: the request id was used for another study.
            StorageError: nothing was started.
        """
        with reading(self._database) as connection:
            found = _study(connection, study)
        length = _length(found)  # may take a second: not under the lock
        with self._lock:
            with writing(self._database) as connection:
                before = runs.requested(connection, request_id)
                if before is not None:
                    if before.study_hash != found.digest():
                        raise UsageError("the request id was used for another study")
                    return self._board.get(before.run_id) or before
                if self._closed or len(self._active) >= self._settings.most_runs:
                    raise RefusedError(
                        f"{len(self._active)} runs go on, which is the most at once",
                        hint="Wait for one to end, or stop one.",
                    )
                nodes = _nodes(connection, found)
                status = self._fresh(found, length)
                runs.add(connection, status, request_id=request_id)
            self._launch(status, found, nodes)
            return status

    def _fresh(self, study: AnyStudy, length: int) -> RunStatus:
        now = self._clock()
        return RunStatus(
            run_id=max(2, int.from_bytes(self._entropy.token(_ID_BYTES), "big")),
            study=study.study,
            study_hash=study.digest(),
            state=RunState.STARTING,
            rounds_done=0,
            rounds_total=length,
            message="waiting for the departments to connect",
            started_at=now,
            updated_at=now,
            departments=(),
        )

    def resume_all(self) -> None:
        """Go on with every run that has not ended; to be called once, before the server starts.

        Each shows its true state from now on: it waits until its departments are back.

        Raises:
            StorageError: the database cannot be used.
        """
        with reading(self._database) as connection:
            waiting = tuple(runs.unfinished(connection))
        with self._lock:
            for status in waiting:
                _log.info("run %s goes on after round %s", status.run_id, status.rounds_done)
                try:
                    self._resume(status)
                except StorageError:
                    raise
                except DatalabbetError as error:  # such as a study that this version cannot read
                    self._give_up(status, error)

    def _resume(self, status: RunStatus) -> None:
        with reading(self._database) as connection:
            study = _study(connection, status.study_hash)
            nodes = _nodes(connection, study)
        self._launch(status, study, nodes, resumed=status.state is not RunState.STARTING)

    def _give_up(self, status: RunStatus, error: DatalabbetError) -> None:
        """End a run that cannot be taken up; the coordinator's other runs go on."""
        _log.warning("run %s cannot go on: %s", status.run_id, error.message)
        message = f"the run cannot go on after the restart: {error.message}"
        failed = dataclasses.replace(
            status, state=RunState.FAILED, message=message, updated_at=self._clock()
        )
        with writing(self._database) as connection:
            runs.change(connection, failed)
        self._board.show(failed)

    def _launch(
        self, status: RunStatus, study: AnyStudy, nodes: dict[str, int], *, resumed: bool = False
    ) -> None:
        halt = Halt()
        diary = Diary(
            status=status,
            database=self._database,
            board=self._board,
            halt=halt,
            settings=self._settings,
            clock=self._clock,
            releases=study.privacy.releases if isinstance(study, LinkedStudy) else 1,
        )
        if resumed:
            shown = dataclasses.replace(status, state=RunState.WAITING, message=RESTARTED)
            self._board.show(shown)
        runner = self._runner(study, diary, halt, nodes)

        def work() -> None:
            try:
                runner.run()
            finally:
                self._presence.withdraw(status.run_id)
                with self._lock:
                    self._active.pop(status.run_id, None)

        thread = threading.Thread(target=work, name=f"run-{status.run_id}", daemon=True)
        self._active[status.run_id] = (runner, thread)
        for member in study.parties:
            self._presence.assign(
                member, Assignment(run_id=status.run_id, study_hash=status.study_hash)
            )
        thread.start()

    def _runner(self, study: AnyStudy, diary: Diary, halt: Halt, nodes: dict[str, int]) -> Runner:
        run_id = diary.status.run_id
        keeping = Keeping(study=study, diary=diary, database=self._database, clock=self._clock)

        def asking(grid: StreamGrid) -> Asking:
            return Asking(
                grid=grid,
                diary=diary,
                halt=halt,
                presence=self._presence,
                settings=self._settings,
            )

        course: Course
        grid: StreamGrid
        if isinstance(study, LinkedStudy):
            # torch takes seconds to import, and most coordinators have no linked study
            from coordinator.flower.linked import LinkedMessages  # noqa: PLC0415
            from coordinator.rounds.linking import Linking  # noqa: PLC0415

            carried = LinkedMessages(study=study, run_id=run_id, nodes=nodes)
            grid = carried.grid
            course = Linking(
                study=study,
                messages=carried,
                asking=asking(grid),
                keeping=keeping,
                entropy=self._entropy,
            )
        elif study.secure_sum is None:
            engine = FlowerEngine(
                study=study, run_id=run_id, nodes=nodes, histograms=finish.forms(study)
            )
            grid = engine.grid
            course = Averaging(study=study, engine=engine, asking=asking(grid), keeping=keeping)
        else:
            messages = SumMessages(study=study, run_id=run_id, nodes=nodes)
            grid = messages.grid
            waiting = asking(grid)
            if study.training is None:
                course = Summing(study=study, messages=messages, asking=waiting, keeping=keeping)
            else:
                rounds = Rounds(study=study, grid=grid, nodes=nodes, histograms={})
                course = AveragingSums(
                    study=study, rounds=rounds, messages=messages, asking=waiting, keeping=keeping
                )
        return Runner(course=course, grid=grid, diary=diary, halt=halt)

    def get(self, run_id: int) -> RunStatus:
        """Give a run.

        Raises:
            NotFoundError: there is none of that id.
        """
        shown = self._board.get(run_id)
        if shown is not None:
            return shown
        with reading(self._database) as connection:
            return runs.get(connection, run_id)

    def list(self, study: str = "") -> tuple[RunStatus, ...]:
        """Give the runs, newest first; with `study` (id or hash) only that study's."""
        with reading(self._database) as connection:
            kept = runs.newest(connection, study=study)
        return tuple(self._board.get(status.run_id) or status for status in kept)

    def watch(
        self, run_id: int, *, active: Callable[[], bool] = lambda: True
    ) -> Iterator[RunStatus]:
        """Give a run's status at once and after each change, until it ends.

        Args:
            run_id: the run.
            active: asked about every second whether anybody still listens.

        Raises:
            NotFoundError: there is no run of that id.
        """
        status = self.get(run_id)
        if ended(status.state):
            return iter((status,))
        return self._board.watch(run_id, active=active, seconds=_LISTEN_SECONDS)

    def stop(self, run_id: int) -> RunStatus:
        """Stop a run for good; one that has ended stays as it is.

        Raises:
            NotFoundError: there is no run of that id.
        """
        with self._lock:
            going = self._active.get(run_id)
        if going is not None:
            runner, thread = going
            runner.interrupt(stop=True)
            thread.join(_STOP_SECONDS)
        return self.get(run_id)

    def grid(self, run_id: int) -> StreamGrid:
        """Give the grid of a run that goes on.

        Raises:
            NotFoundError: the run does not go on here.
        """
        with self._lock:
            going = self._active.get(run_id)
        if going is None:
            raise NotFoundError(f"run {run_id} does not go on")
        return going[0].grid

    def close(self) -> None:
        """End every run's thread without changing the runs: the coordinator goes down."""
        with self._lock:
            self._closed = True
            going = tuple(self._active.values())
        for runner, _ in going:
            runner.interrupt(stop=False)
        for _, thread in going:
            thread.join(_STOP_SECONDS)
        self._board.close()


def _study(connection: Connection, reference: str) -> AnyStudy:
    found = studies.find(connection, reference)
    if found is None:
        raise NotFoundError(
            "there is no such study", hint="`datalabbet study list` shows the studies."
        )
    return found.study


def _length(study: AnyStudy) -> int:
    """Give how many rounds a run has, with secure sums steps, of a linked study at most chunks."""
    if isinstance(study, LinkedStudy):
        return linked_plan(study).chunks(study.register.residents)
    if study.training is not None:
        return study.training.rounds
    return training_plan(study).recipe.steps


def _nodes(connection: Connection, study: AnyStudy) -> dict[str, int]:
    """Give the node id of each party of the study, as it was given at enrolment.

    Raises:
        RefusedError: a department, or the witness, has no node.
    """
    nodes = {}
    for name in study.parties:
        member = fleet.get_member(connection, Principal(Role.DEPARTMENT, name))
        if member is None or not member.node_id:
            raise RefusedError(f"{name} has not enrolled a node")
        nodes[name] = member.node_id
    return nodes
