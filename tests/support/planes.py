"""The coordinator's data plane as a process that can be killed; the nodes stay where they are."""

import pickle
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import coordinators
import killing
from killing import Child, Nursery
from scripted import ScriptedEntropy

from coordinator.fleet.authority import Authority
from coordinator.store import runs
from coordinator.store.database import open_database, reading
from models.governance.study import Study
from models.governance.views import RunStatus


class Coordinator(coordinators.Coordinator):
    """A coordinator whose service is another process, on the same database and port."""

    def __init__(self, folder: Path, *, study: Study, nursery: Nursery) -> None:
        self._nursery = nursery
        self._child: Child | None = None
        self.runs: Any = SimpleNamespace(get=self._status)
        super().__init__(folder, study=study)

    def open(self) -> None:
        """Start the process; a second time on the port of the first."""
        told = self.folder / "told.pickle"
        told.write_bytes(pickle.dumps((self.study, self.url, self.port)))
        log = self.folder / "coordinator.log"
        child = self._nursery.start("planes:serve", str(self.folder), log=log, ready=True)
        assert child.poll() is None, log.read_text()
        self._child = child
        self.port = int((self.folder / "port").read_text())

    def crash(self) -> None:
        """Kill it."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None

    def start(self) -> int:
        """Give the run that it has started."""
        return int((self.folder / "run").read_text())

    def _status(self, run_id: int) -> RunStatus:
        with reading(self.database) as connection:
            return runs.get(connection, run_id)


class Served(coordinators.Coordinator):
    """The process's side: what the first life made is taken up, and its one run goes on."""

    def __init__(self, folder: Path) -> None:
        told = (folder / "told.pickle").read_bytes()
        self.study, self.url, self.port = pickle.loads(told)  # noqa: S301 - our own
        self.folder, self.settings = folder, coordinators.QUICK
        self.entropy = ScriptedEntropy(f"{folder} served")
        self.identities = {}
        self.authority = Authority.load(folder / "authority")
        self.database = open_database(self.url)
        self.open()


def serve(folder: str) -> None:
    """Be the coordinator until killed."""
    home = Path(folder)
    served = Served(home)
    (home / "port").write_text(str(served.port))
    if not (home / "run").exists():
        (home / "run").write_text(str(served.start()))
    killing.ready()
    threading.Event().wait()
