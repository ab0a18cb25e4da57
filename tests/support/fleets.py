"""A real coordinator in this process, and real nodes beside it, for integration tests."""

import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from studies import draft, rows, write_csv

from coordinator import config as coordinator_config
from coordinator import home as coordinator_home
from coordinator import operate
from coordinator.app import Coordinator
from coordinator.client import connection
from coordinator.client.api import Datalabbet
from coordinator.home import Surroundings
from models.governance.principal import Principal, Role
from models.governance.study import StudyDraft
from models.governance.views import RunStatus
from models.randomness import SystemEntropy
from node import config as node_config
from node import home as node_home
from node.home import Home

CITY = ("school", "care")

DECLARATION = """\
name: pupils
title: {sv: Elever, en: Pupils}
description: {sv: Provdata, en: Test data}
steward: Steward of the tests
resident_id: resident
secrecy: OSL 23 kap.
source: {kind: csv, path: pupils.csv}
schema:
  fields:
    - name: age
      type: integer
      meaning: {sv: Ålder, en: Age}
      constraints: {minimum: 0, maximum: 100}
    - name: income
      type: number
      meaning: {sv: Inkomst, en: Income}
      constraints: {minimum: -10, maximum: 10}
      missing_meaning: {sv: Okänd, en: Not known}
      missingValues: ["", "NA"]
    - name: area
      meaning: {sv: Område, en: Area}
      constraints: {enum: [north, south, west]}
      missing_meaning: {sv: Okänt, en: Not known}
      missingValues: ["", "NA"]
    - name: passed
      meaning: {sv: Godkänd, en: Passed}
      constraints: {enum: ["no", "yes"]}
    - name: grade
      meaning: {sv: Betyg, en: Grade}
      constraints: {enum: [low, middle, high]}
"""


@dataclass
class Federation:
    """A coordinator that listens on loopback, and the homes of its departments."""

    folder: Path
    settings: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        path = self.folder / "coordinator"
        coordinator_home.write_settings(
            path, {"listen": "127.0.0.1:0", "enrol_listen": "127.0.0.1:0", "names": ["127.0.0.1"]}
        )
        settings = coordinator_config.load(path).model_copy(update=self.settings)
        self.around = Surroundings(
            home=path, settings=settings, clock=coordinator_config.now, entropy=SystemEntropy()
        )
        coordinator_home.initialise(self.around)
        self.open()

    def open(self) -> None:
        """Start the coordinator; a second time on the ports of the first."""
        self.coordinator = Coordinator(self.around)
        self.at = self.coordinator.start()
        update = {"listen": self.at.main, "enrol_listen": self.at.enrolment}
        settings = self.around.settings.model_copy(update=update)
        self.around = Surroundings(
            home=self.around.home,
            settings=settings,
            clock=self.around.clock,
            entropy=self.around.entropy,
        )

    def close(self) -> None:
        """Stop the coordinator."""
        self.coordinator.stop()

    def token(self, department: str, *, role: Role = Role.DEPARTMENT) -> str:
        """Give a token for a member."""
        who = Principal(role, department)
        return operate.invite(self.around, who, valid=timedelta(hours=1)).text

    def node(self, department: str, *, residents: int = 300) -> Path:
        """Give the home of a department with data, not yet enrolled."""
        path = self.folder / department
        node_home.create(path)
        (path / "datasets" / "pupils.yaml").write_text(DECLARATION, encoding="utf-8")
        table = rows(residents, seed=len(department), prefix=department[:2])
        write_csv(path / "datasets" / "pupils.csv", table)
        return path

    def enrol(self, department: str) -> Home:
        """Enrol a department through the command, and give its home."""
        path = self.node(department)
        done = node_command(path, *self.enrolling(), given=self.token(department))
        assert done.returncode == 0, done.stderr
        return Home(path=path, settings=node_config.load(path))

    def enrolling(self) -> tuple[str, ...]:
        """Give the arguments of the command that enrols with a token on stdin."""
        port = self.at.enrolment.rpartition(":")[2]
        where = ("--coordinator", self.at.main, "--enrol-port", port)
        return ("enrol", *where, "--token-file", "-", "--output", "json")

    @contextmanager
    def central(self) -> Iterator[Datalabbet]:
        """Give the client of a person of the central team."""
        from models.governance import token as tokens

        name = f"anna-{uuid.uuid4().hex[:6]}"
        profile = connection.enrol(
            folder=self.folder / name,
            token=tokens.parse(self.token(name, role=Role.CENTRAL)),
            coordinator=self.at.main,
            enrol_address=self.at.enrolment,
        )
        with Datalabbet.connect(profile.folder) as client:
            yield client


def city_draft(**changes: object) -> StudyDraft:
    """Give a study of the departments of `CITY`."""
    return draft(departments=CITY, minimum_cohort=2, **changes)


def node_command(
    home: Path, *arguments: str, given: str = "", timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run `datalabbet-node` and give what it said."""
    return subprocess.run(
        [sys.executable, "-m", "node", "--home", str(home), *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=environment(),
    )


def node_process(home: Path, log: Path, *, command: str = "run") -> "subprocess.Popen[bytes]":
    """Start `datalabbet-node run` (or `witness`); its log goes to a file."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "node", "--home", str(home), command],
            stdout=output,
            stderr=output,
            env=environment(),
        )


def environment() -> dict[str, str]:
    """Give this process's environment without settings of Datalabbet."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DATALABBET_")}
    return {**kept, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}


def until(holds: Callable[[], bool], *, seconds: float = 30.0, what: str = "") -> None:
    """Wait until something holds; fail after some time."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if holds():
            return
        pause.wait(0.05)
    raise AssertionError(f"it never came: {what}")


def ended(client: Datalabbet, run_id: int, *, seconds: float = 60.0) -> RunStatus:
    """Give the last status of a run."""
    *_, last = client.watch(run_id, timeout=seconds)
    return last
