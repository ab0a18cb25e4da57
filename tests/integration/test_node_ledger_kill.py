"""The ledger under `kill -9`: whatever was done was charged, and stays charged."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from models.governance.step import StepKey
from node.ledger.ledger import Ledger

STUDY = "a" * 64
ROUND_STEPS = 5
WORKER = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path

from models.governance.cost import PrivacyCost, SampledGaussianEvent
from models.governance.step import StepKey
from models.quantities import NoiseMultiplier, SamplingRate
from node.ledger.ledger import Ledger

folder = Path(sys.argv[1])
event = SampledGaussianEvent(sampling=SamplingRate(0.1), noise=NoiseMultiplier(1.5), count=5)
cost = PrivacyCost(events=(event,))
ledger = Ledger(folder / "node.db", now=lambda: datetime.now(tz=UTC))
done = os.open(folder / "done.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
print("ready", flush=True)
for number in range(1, 1000):
    step = StepKey(study="a" * 64, run=7, step=f"train/{number}", attempt=1)
    if ledger.answered(step, "r") is not None:
        continue
    ledger.charge(step=step, request="r", cost=cost, allow=lambda spending: None)
    os.write(done, f"{number}\\n".encode())
    os.fsync(done)
    ledger.answer(step, b"reply" * 100, None)
"""


def kill_after(folder: Path, seconds: float) -> None:
    """Run the worker and kill it some time after it began."""
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    threading.Event().wait(seconds)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    worker.stdout.close()


def test_kill_9_never_makes_the_ledger_count_too_little(tmp_path: Path) -> None:
    kills = 8
    (tmp_path / "done.log").touch()
    for kill in range(kills):
        kill_after(tmp_path, 0.01 + 0.0173 * kill)  # at another place of the loop each time

        ledger = Ledger(tmp_path / "node.db", now=lambda: datetime.now(tz=UTC))
        with ledger._database.read() as connection:
            rows = connection.execute("SELECT step FROM charges").fetchall()
        charged = Counter(row[0] for row in rows)
        done = Counter(f"train/{n}" for n in (tmp_path / "done.log").read_text().split())
        # Every piece of work was charged before: more work than charges would be a free look.
        assert all(charged[step] >= times for step, times in done.items())
        spent = ledger.spent(STUDY)
        assert (spent.events[0].count if spent else 0) == ROUND_STEPS * sum(charged.values())
        ledger.close()
    # Not vacuous: work was done, interrupted, and charged again; but once per crash at most.
    assert sum(done.values()) > kills
    assert sum(charged.values()) - len(charged) <= kills
    last = max(int(step.partition("/")[2]) for step in charged)
    for number in range(1, last):
        step = StepKey(study=STUDY, run=7, step=f"train/{number}", attempt=1)
        ledger = Ledger(tmp_path / "node.db", now=lambda: datetime.now(tz=UTC))
        assert ledger.answered(step, "r") is not None
        ledger.close()
