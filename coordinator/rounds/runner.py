"""One run, in a thread of its own: whatever its course, it ends, and says how."""

import logging
from typing import Protocol

from coordinator.flower.grid import StreamGrid
from coordinator.rounds.diary import Diary, Halt, Left, Stopped
from models.errors import DatalabbetError
from models.governance.states import RunState

_log = logging.getLogger(__name__)

RESTARTED = "the coordinator was restarted: waiting for the departments to connect again"


class Course(Protocol):
    """What a run does from where it stands to its release."""

    def go(self) -> None:
        """Go on to the end.

        Raises:
            DatalabbetError: the run failed.
            Stopped, Left: the run was interrupted.
        """
        ...


class Runner:
    """Moves one run along its course to its end."""

    def __init__(self, *, course: Course, grid: StreamGrid, diary: Diary, halt: Halt) -> None:
        self.grid = grid
        self._course = course
        self._diary = diary
        self._halt = halt
        self._run_id = diary.status.run_id

    def interrupt(self, *, stop: bool) -> None:
        """Stop the run for good, or (`stop` false) only this thread, for a later `resume`."""
        if stop:
            self._halt.stop()
        else:
            self._halt.leave()
        self.grid.wake()

    def run(self) -> None:
        """Go on until the run has ended or is interrupted. Raises nothing."""
        try:
            self._run_to_its_end()
        except Left:
            _log.info("run %s: left, to be resumed", self._run_id)
        except Exception:  # noqa: BLE001 - the outermost place of the thread
            _log.exception("run %s: its end could not be kept", self._run_id)
        finally:
            self.grid.close()

    def _run_to_its_end(self) -> None:
        try:
            if self._diary.status.state is not RunState.STARTING:
                self._diary.note(RunState.WAITING, RESTARTED)
            self._course.go()
        except Stopped:
            self._halt.obey()
            self._diary.note(RunState.STOPPED, "stopped by the central team")
        except Left:
            raise
        except DatalabbetError as error:
            hint = f" {error.hint}" if error.hint else ""
            self._diary.note(RunState.FAILED, f"{error.message}.{hint}")
        except Exception:  # noqa: BLE001 - whatever it is, the run must not hang
            _log.exception("run %s: an unexpected error", self._run_id)
            self._diary.note(RunState.FAILED, "an unexpected error; the coordinator's log has it")
