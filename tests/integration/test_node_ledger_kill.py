"""The ledger under `kill -9`: whatever was done was charged, and stays charged."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

from ledgers import Open

from models.governance.step import StepKey
from models.ledger.export import last_head
from models.ledger.verification import verify

HERE = str(Path(__file__).parents[1] / "support")
STUDY = "a" * 64
ROUND_STEPS = 5
WORKER = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path

from models.governance.cost import PrivacyCost, SampledGaussianEvent
from models.governance.step import StepKey
from models.quantities import NoiseMultiplier, SamplingRate

sys.path.insert(0, sys.argv[2])
from ledgers import KEY, PUPILS
from node.ledger.journal import Journal, Owner
from node.ledger.ledger import Ledger
from models.ledger.limits import Limits
from models.quantities import Delta, Epsilon

folder = Path(sys.argv[1])
event = SampledGaussianEvent(sampling=SamplingRate(0.01), noise=NoiseMultiplier(9.0), count=5)
cost = PrivacyCost(events=(event,))
owner = Owner(department="school", key=KEY)
journal = Journal(folder / "node.db", owner=owner, now=lambda: datetime.now(tz=UTC))
limits = Limits(per_year=Epsilon(8.0), total=Epsilon(16.0), delta=Delta(1e-6))
ledger = Ledger(journal, limits=limits)
"""
"""Opens a ledger; what is done with it is one of the next two."""

ANSWERS = """
done = os.open(folder / "done.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
print("ready", flush=True)
for number in range(1, 1000):
    step = StepKey(study="a" * 64, run=7, step=f"train/{number}", attempt=1)
    if ledger.answered(step, "r") is not None:
        continue
    ledger.charge(
        step=step, request="r", cost=cost, about=PUPILS, allow=lambda spending: None
    )
    os.write(done, f"{number}\\n".encode())
    os.fsync(done)
    ledger.answer(step, b"reply" * 100, None)
"""

SUMS = """
from models.errors import ContextUsedError
from models.governance.cost import JointGaussianEvent
from models.secagg.contexts import Entry, Purpose

event = JointGaussianEvent(
    sampling=SamplingRate(1.0), noise=NoiseMultiplier(900.0), departments=3, count=1
)
cost = PrivacyCost(events=(event,))
acknowledged = os.open(folder / "sent.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
print("ready", flush=True)
for number in range(1, 1000):
    step = StepKey(study="a" * 64, run=7, step=f"train/{number}", attempt=1)
    entry = Entry(
        purpose=Purpose.MESSAGE, study=step.study, run=7, step=step.step, attempt=1,
        context=f"{number:064x}", members=("care", "school", "work"),
    )
    contexts = ledger.contexts(
        step=step, request="r", cost=cost, about=PUPILS, allow=lambda spending: None
    )
    try:
        contexts.use(entry)
    except ContextUsedError:
        continue
    os.write(acknowledged, f"{number}\\n".encode())  # what is sent only with the receipt
"""


def kill_after(folder: Path, seconds: float, code: str) -> None:
    """Run a worker and kill it some time after it began."""
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER + code, str(folder), HERE], stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    threading.Event().wait(seconds)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    worker.stdout.close()


def test_kill_9_never_makes_the_ledger_count_too_little(tmp_path: Path) -> None:
    kills = 8
    head = None
    (tmp_path / "done.log").touch()
    for kill in range(kills):
        kill_after(
            tmp_path, 0.01 + 0.0173 * kill, ANSWERS
        )  # at another place of the loop each time

        opened = Open(tmp_path)
        ledger = opened.ledger
        with opened.journal.database.read() as connection:
            rows = connection.execute("SELECT step FROM charges").fetchall()
        charged = Counter(row[0] for row in rows)
        done = Counter(f"train/{n}" for n in (tmp_path / "done.log").read_text().split())
        # Every piece of work was charged before: more work than charges would be a free look.
        assert all(charged[step] >= times for step, times in done.items())
        spent = ledger.spent(STUDY)
        assert (spent.events[0].count if spent else 0) == ROUND_STEPS * sum(charged.values())
        # The signed head, the entries and what they add up to are of one mind.
        assert verify(opened.export(), key=opened.fingerprint).problem is None
        assert (
            head is None
            or verify(opened.export(), key=opened.fingerprint, since=head).problem is None
        )
        head = last_head(opened.export().decode())
        opened.close()
    # Not vacuous: work was done, interrupted, and charged again; but once per crash at most.
    assert sum(done.values()) > kills
    assert sum(charged.values()) - len(charged) <= kills
    last = max(int(step.partition("/")[2]) for step in charged)
    opened = Open(tmp_path)
    for number in range(1, last):
        step = StepKey(study=STUDY, run=7, step=f"train/{number}", attempt=1)
        assert opened.ledger.answered(step, "r") is not None
    opened.close()


def test_kill_9_never_parts_a_context_from_its_charge_and_loses_none(tmp_path: Path) -> None:
    kills = 5
    (tmp_path / "sent.log").touch()
    for kill in range(kills):
        kill_after(tmp_path, 0.004 + 0.0219 * kill, SUMS)

        opened = Open(tmp_path)
        with opened.journal.database.read() as connection:
            noted = connection.execute(
                "SELECT c.step, e.step FROM contexts c LEFT JOIN entries e"
                " ON e.number = c.charge AND e.kind = 'charge'"
            ).fetchall()
            charged = connection.execute("SELECT step FROM charges").fetchall()
        sent = [f"train/{n}" for n in (tmp_path / "sent.log").read_text().split()]
        contexts = [step for step, _ in noted]
        assert len(set(sent)) == len(sent)  # nothing was sent twice
        assert set(sent) <= set(contexts)
        assert all(step == paid for step, paid in noted)
        # No charge without its context either: the context of a lost message stays used.
        assert Counter(step for (step,) in charged) == Counter(contexts)
        assert len(contexts) - len(sent) <= kill + 1
        spent = opened.ledger.spent(STUDY)
        assert (spent.events[0].count if spent else 0) == len(charged)
        assert verify(opened.export(), key=opened.fingerprint).problem is None
        opened.close()
    assert len(sent) > kills
