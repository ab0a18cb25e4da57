"""A whole city as processes, by their commands, that start fast enough to be killed often.

The commands are those of `demo.federation.Federation`; the processes are forked by a nursery.
"""

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from fleets import DECLARATION
from killing import Child, Nursery
from studies import DEPARTMENTS, rows, summed_study, write_csv

from coordinator import config
from coordinator.client.api import Datalabbet
from coordinator.store import runs
from coordinator.store.database import open_database, reading
from demo.federation import Federation, together
from models.governance.roster import Mode
from models.governance.study import StudyDraft
from models.governance.views import RunStatus

AUDITOR = "auditor"
COORDINATOR = "coordinator"
SPARE = 100


class Parties(Federation):
    """Three departments, a witness and a coordinator, of one study with many cheap steps."""

    def __init__(self, root: Path, *, nursery: Nursery) -> None:
        super().__init__(root=root, departments=(*DEPARTMENTS, AUDITOR))
        self._nursery = nursery
        self._orders = 0
        (root / "typed").mkdir()
        for name in DEPARTMENTS:
            folder = self.home(name) / "datasets"
            folder.mkdir(parents=True)
            (folder / "pupils.yaml").write_text(DECLARATION, encoding="utf-8")
            write_csv(folder / "pupils.csv", rows(150, seed=len(name), prefix=name[:2]))

    @property
    def everybody(self) -> tuple[str, ...]:
        return (*self.departments, COORDINATOR)

    def start(self, name: str) -> None:
        """Start a party, or start it again."""
        if name == COORDINATOR:
            self.start_coordinator()
        else:
            self.start_node(name)

    def start_node(self, department: str) -> None:
        command = "witness" if department == AUDITOR else "run"
        home = str(self.home(department))
        self._start(department, ["", "-m", "node", "--home", home, command], environment={})

    def _start(self, name: str, command: Sequence[str], *, environment: Mapping[str, str]) -> Child:
        log = self.log(name)
        child = self._nursery.start(command[2], *command[3:], log=log, environment=environment)
        self.running[name] = child
        return child

    def coordinator(self, *arguments: str) -> Any:
        return self._typed(self._coordinator(*arguments))

    def node(self, department: str, *arguments: str, stdin: str = "") -> Any:
        home = str(self.home(department))
        return self._typed(["", "-m", "node", "--home", home, *arguments], stdin=stdin)

    def client(self, person: str, *arguments: str, stdin: str = "") -> Any:
        profile = ("--profile", str(self.profile(person)))
        return self._typed(["", "-m", "coordinator.client", *arguments, *profile], stdin=stdin)

    def _typed(self, command: Sequence[str], *, stdin: str = "") -> Any:
        self._orders += 1
        files = (self.root / "typed" / f"{self._orders}.{end}" for end in ("in", "out", "err"))
        given, said, errors = files
        given.write_text(stdin)
        arguments = (*command[3:], "--output", "json")
        child = self._nursery.start(command[2], *arguments, log=said, stdin=given, errors=errors)
        code = child.wait()
        assert code == 0, (said.read_text(), errors.read_text())
        return json.loads(said.read_text())

    # --- one run ---

    def begin(self, client: Datalabbet, file: StudyDraft) -> int:
        """Have the study proposed and approved by everybody; start a run of it."""
        end = time.monotonic() + 60
        while len(client.catalogue()) < len(DEPARTMENTS):
            assert time.monotonic() < end, "the catalogue never came"
            time.sleep(0.05)
        client.propose(file)
        yes = ("studies", "approve", file.study, "--steward", "Eva", "--yes")
        together([(lambda name: self.node(name, *yes), name) for name in self.departments])
        return client.start_run(file.study).run_id

    def status(self, run_id: int) -> RunStatus:
        """Give where the run is, from the coordinator's database: it may be down."""
        home = self.root / "coordinator"
        engine = open_database(config.load(home).database_url(home))
        try:
            with reading(engine) as connection:
                return runs.get(connection, run_id)
        finally:
            engine.dispose()

    # --- afterwards ---

    def contradictions(self, name: str) -> list[str]:
        """Verify a department's ledger, and hold it against what the coordinator received."""
        export = self.root / f"{name}.ledger"
        key = self.node(name, "ledger", "show")["fingerprint"]
        self.node(name, "ledger", "export", str(export))
        verdict = self.node(name, "ledger", "verify", str(export), "--key", key)
        assert verdict["ok"], verdict
        found = self.client("anna", "ledger", "compare", str(export), "--key", key)
        assert found["verified"], found
        return [item["text"] for item in found["contradictions"]]

    def received(self) -> list[tuple[str, str, int]]:
        """Give the answers that the coordinator's chain has: of whom, step and attempt."""
        entries = self.client("anna", "ledger", "received")["entries"]
        answers = [entry for entry in entries if entry["kind"] == "answer"]
        return [(entry["department"], entry["step"], entry["attempt"]) for entry in answers]

    def rows(self, name: str, query: str) -> list[tuple[Any, ...]]:
        """Ask a node's database."""
        with closing(sqlite3.connect(self.home(name) / "state" / "node.db")) as connection:
            return connection.execute(query).fetchall()


def cheap_steps(**settings: object) -> StudyDraft:
    """Give a study of about two hundred steps, with room for many attempts."""
    made = summed_study(
        study="pupils-killed",
        secure_sum={
            "mode": Mode.BOTH,
            "witness": AUDITOR,
            "residents": 100_000,
            "attempts": 200,
            **settings,
        },
        privacy={"spare_rounds": SPARE},
    )
    names = StudyDraft.__dataclass_fields__
    return StudyDraft(**{name: getattr(made, name) for name in names})
