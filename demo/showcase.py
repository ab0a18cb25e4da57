"""The demo itself: from an empty folder to a released model, and what it is worth."""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from coordinator.client import progress
from coordinator.client.api import Datalabbet
from demo import comparison, eligibility, pupils, town
from demo.comparison import Comparison
from demo.federation import Federation, together
from demo.town import AREAS, DEPARTMENTS
from models.errors import DeadlineError, UsageError
from models.governance.record import Interval, ReleaseRecord
from models.governance.study import Study

CENTRAL, ANALYST = "central-team", "analyst"
MARKER = ".datalabbet-demo"
SEED, OTHER_SEED = 20250401, 20250402
RESIDENTS_ELSEWHERE = 60_000
"""Size of the other city, on whose pupils the models are tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the demo found. `seconds` is everything from the empty folder on."""

    comparison: Comparison
    estimated_auc: Interval | None
    epsilon: float | None
    delta: float | None
    seconds: float
    training_seconds: float
    release: Path

    def document(self) -> dict[str, object]:
        """Give the outcome as one JSON object."""
        estimate = None if self.estimated_auc is None else asdict(self.estimated_auc)
        return {
            **asdict(self.comparison),
            "estimated_auc": estimate,
            "epsilon": self.epsilon,
            "delta": self.delta,
            "seconds": round(self.seconds, 1),
            "training_seconds": round(self.training_seconds, 1),
            "release": str(self.release),
        }


def prepare(folder: Path) -> None:
    """Make the working folder; what an ended demo left in it is removed.

    Raises:
        UsageError: it holds something else, or a demo that still runs.
    """
    marker = folder / MARKER
    if marker.exists():
        if _alive(int(marker.read_text())):
            raise UsageError(
                f"a demo is still running in {folder}",
                hint="Stop it with Ctrl-C, or give another folder with --dir.",
            )
        shutil.rmtree(folder)
    elif folder.exists() and any(folder.iterdir()):
        raise UsageError(
            f"{folder} is not empty and was not made by the demo",
            hint="Give another folder with --dir.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    marker.write_text(str(os.getpid()))


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process != os.getpid()


def run(
    federation: Federation,
    *,
    residents: int,
    epsilon: str,
    protection: str,
    tell: Callable[[str], None],
) -> Outcome:
    """Run the whole path in the federation's folder, telling each step as it begins."""
    begun = time.monotonic()
    root = federation.root
    tell(f"Making a city of about {residents:,} invented residents and its departments' records")
    here = town.build(seed=SEED, residents=residents)
    town.deliver(here, root / "nodes")
    study_file = root / "study.yaml"
    text = eligibility.study(epsilon=epsilon, residents=residents, protection=protection)
    study_file.write_text(text, encoding="utf-8")

    tell("Starting the coordinator and enrolling departments and people (mutual TLS)")
    federation.start_coordinator()
    federation.enrol({CENTRAL: "central", ANALYST: "analyst"})

    tell("Each department checks its data against its declaration")
    together([(lambda name: federation.node(name, "data", "check"), d) for d in DEPARTMENTS])

    tell(f"Starting {len(DEPARTMENTS)} nodes")
    with Datalabbet.connect(federation.profile(CENTRAL)) as client:
        federation.start_nodes(client)
        tell("The central team proposes the study; each school area's steward approves its hash")
        wait_for_catalogue(client, DEPARTMENTS)
        study = client.propose(study_file)
        together([(lambda name: _approve(federation, name), d) for d in AREAS])

        tell("Training")
        training = time.monotonic()
        started = client.start_run(eligibility.STUDY)
        ended = progress.check(progress.follow(client.watch(started.run_id)))
        trained = time.monotonic() - training

    tell("The analyst fetches the release")
    release = root / "release"
    with Datalabbet.connect(federation.profile(ANALYST)) as client:
        client.export(ended.run_id, release)
        record = client.release(ended.run_id)
    assert isinstance(study.study, Study)  # noqa: S101 - our own study, and its release
    assert isinstance(record, ReleaseRecord)  # noqa: S101 - likewise
    elsewhere = town.build(seed=OTHER_SEED, residents=RESIDENTS_ELSEWHERE)
    return Outcome(
        comparison=comparison.compare(
            study.study,
            here=pupils.pupils(here),
            elsewhere=pupils.pupils(elsewhere),
            release=release,
        ),
        estimated_auc=None if record.quality is None else record.quality.auc,
        epsilon=record.protection.epsilon,
        delta=_delta(record),
        seconds=time.monotonic() - begun,
        training_seconds=trained,
        release=release,
    )


def _approve(federation: Federation, department: str) -> None:
    steward = f"Demo steward of {department}"
    federation.node(
        department, "studies", "approve", eligibility.STUDY, "--steward", steward, "--yes"
    )


def wait_for_catalogue(client: Datalabbet, departments: tuple[str, ...]) -> None:
    """Wait until every node has published its declarations, which it does on connecting.

    Raises:
        DeadlineError: one has not within half a minute.
    """
    end = time.monotonic() + 30
    while not {entry.department for entry in client.catalogue()} >= set(departments):
        if time.monotonic() > end:
            raise DeadlineError("not every node has published its catalogue")
        time.sleep(0.1)


def _delta(record: ReleaseRecord) -> float | None:
    return None if record.protection.delta is None else record.protection.delta.value
