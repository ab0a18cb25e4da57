"""Who is connected, and what each department's node is asked to take part in.

`Presence` is shared by the open `Attend` streams, which wait on it, and by the runs, which give
and withdraw assignments. It lives in memory: after a restart the nodes attend again, and the
runs that go on assign again.
"""

import enum
import threading
import time
from dataclasses import dataclass, field

from models.governance.views import Assignment


class Ending(enum.StrEnum):
    """Why a place in the fleet was given up."""

    REPLACED = "a newer connection of the same department replaced this one"
    CLOSED = "the coordinator is shutting down"
    LEFT = "the call has ended"


@dataclass(eq=False, slots=True)
class Attendance:
    """The place of one open stream. Only `Presence` changes it."""

    department: str
    software: str
    ending: Ending | None = None
    told: tuple[Assignment, ...] | None = field(default=None)


class Presence:
    """The connected departments and their assignments; every method is safe from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._version = 0
        self._here: dict[str, Attendance] = {}
        self._asked: dict[str, dict[int, Assignment]] = {}
        self._closed = False

    def attend(self, department: str, software: str) -> Attendance:
        """Give the department's place to a new stream; an older one ends as REPLACED."""
        place = Attendance(department=department, software=software)
        with self._changed:
            if self._closed:
                place.ending = Ending.CLOSED
                return place
            older = self._here.get(department)
            if older is not None:
                older.ending = Ending.REPLACED
            self._here[department] = place
            self._notify()
        return place

    def leave(self, place: Attendance) -> None:
        """Give the place up. A newer stream of the same department keeps its own."""
        with self._changed:
            place.ending = place.ending or Ending.LEFT
            if self._here.get(place.department) is place:
                del self._here[place.department]
            self._notify()

    def wait(self, place: Attendance, *, timeout: float) -> tuple[Assignment, ...]:
        """Give the department's assignments: at once when they changed, else after `timeout` s.

        Whoever waits looks at `place.ending` afterwards.
        """
        end = time.monotonic() + timeout
        with self._changed:
            while place.ending is None and place.told == self._list(place.department):
                if not self._changed.wait(max(0.0, end - time.monotonic())):
                    break
            place.told = self._list(place.department)
            return place.told

    def connected(self) -> set[str]:
        """Give the departments whose node is attending now."""
        with self._changed:
            return set(self._here)

    def software(self, department: str) -> str:
        """Give the version that the connected node told, or an empty text."""
        with self._changed:
            place = self._here.get(department)
            return place.software if place is not None else ""

    def assign(self, department: str, assignment: Assignment) -> None:
        """Ask the department's node to take part in a run, now or when it connects."""
        with self._changed:
            self._asked.setdefault(department, {})[assignment.run_id] = assignment
            self._notify()

    def withdraw(self, run_id: int) -> None:
        """Ask no node any more to take part in the run."""
        with self._changed:
            for asked in self._asked.values():
                asked.pop(run_id, None)
            self._notify()

    def assigned(self, department: str, run_id: int) -> bool:
        """Tell whether the department is asked to take part in the run."""
        with self._changed:
            return run_id in self._asked.get(department, {})

    def version(self) -> int:
        """Give a number that rises with every change, for `wait_for_change`."""
        with self._changed:
            return self._version

    def wait_for_change(self, seen: int, *, timeout: float) -> int:
        """Wait until something changed after version `seen`, or `timeout` s; give the version."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != seen or self._closed, timeout)
            return self._version

    def close(self) -> None:
        """End every place and refuse new ones: the server is going down."""
        with self._changed:
            self._closed = True
            for place in self._here.values():
                place.ending = Ending.CLOSED
            self._here.clear()
            self._notify()

    def _list(self, department: str) -> tuple[Assignment, ...]:
        return tuple(sorted(self._asked.get(department, {}).values(), key=lambda a: a.run_id))

    def _notify(self) -> None:
        self._version += 1
        self._changed.notify_all()
