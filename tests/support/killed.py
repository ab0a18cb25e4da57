"""What the killed do: one member of a run with secure sums, asked by a malicious coordinator.

Each life of a member is a process. The coordinator asks it for its step again, with other
numbers in every life, and for another set of survivors; and writes down what it gets.
"""

import hashlib
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import killing
from hostile import AUDITOR, OTHERS, VICTIM, Answer, Hostile, Party, Town, own_offer
from studies import KEYS, summed_study
from summers import table

from models.governance.answers import Fault
from models.governance.roster import Mode
from models.governance.study import Study
from models.ledger.entries import fingerprint, key_text
from models.ledger.verification import verify
from models.training import messages
from models.training.studies import training_plan
from node.ledger import contexts, export
from node.ledger.contexts import ChargedContexts, WitnessContexts
from node.work.sum_bench import SumBench

ATTEMPTS = 900
STUDY = summed_study(
    secure_sum={
        "residents": 180,
        "attempts": ATTEMPTS,
        "mode": Mode.WITNESS,
        "witness": AUDITOR,
    },
    privacy={"spare_rounds": 100},
)
CRITICAL = (
    *("node/gate/sums.py", "node/gate/witness.py", "node/gate/gate.py", "node/ledger/ledger.py"),
    *("node/ledger/contexts.py", "node/ledger/journal.py", "node/ledger/database.py"),
    *("models/secagg/node.py", "models/secagg/contexts.py", "models/secagg/witness.py"),
    *("node/work/sum_bench.py", "node/flower/sum_app.py", "node/flower/adapter.py"),
)
"""Where a member decides, writes down, charges and makes its answer."""


class Lone(Town):
    """A town of which one member is real."""

    def __init__(self, folder: Path, study: Study, *, name: str, life: int) -> None:
        self.study = study
        self.plan = training_plan(study)
        data = table(folder, name) if name in study.departments else None
        node = Party(folder / name, name, study, data, life=life)
        if life == 0:
            node.department.approve(study)
        self.nodes = {name: node}


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What came out of a member: for which attempt, bound to what, and which bytes."""

    step: str
    attempt: int
    context: str
    content: str


def live(folder: str, name: str, life: str, lines: str, broken: str) -> None:
    """Be a member for one life: until killed, or for three steps.

    Args:
        folder: of the town.
        name: of the member.
        life: which one it is.
        lines: of the critical modules after which it dies by its own hand; 0: by another's.
        broken: what is switched off.
    """
    _break(broken)
    _note_work(Path(folder) / "worked.log")
    attacker = Hostile(Lone(Path(folder), STUDY, name=name, life=int(life)))
    offers = [own_offer(STUDY, n, signer=KEYS[n]) for n in (*OTHERS, VICTIM, AUDITOR) if n != name]
    joined = attacker.join(name, [*attacker.offers(name), *offers])
    assert not isinstance(joined, Fault), joined
    killing.ready()
    if int(lines):
        killing.die_after(int(lines), CRITICAL)
    step = 1 + int(life) % 3
    _ask(attacker, Path(folder) / "sent.log", name, life=int(life), steps=(step, step + 1, step))


def _note_work(log: Path) -> None:
    """Note every look at the records before it is taken."""
    answer = SumBench._units

    def noted(bench: SumBench, step: str, arrays: object) -> object:
        with log.open("ab", buffering=0) as out:
            out.write(f"{step}\n".encode())
        return answer(bench, step, arrays)

    SumBench._units = noted


def _ask(attacker: Hostile, log: Path, name: str, *, life: int, steps: Sequence[int]) -> None:
    with log.open("ab", buffering=0) as out:
        for number in steps:
            step, first = messages.train(number), 1
            for attempt in _likely(log, step, first):
                found = _one(attacker, name, step, attempt, life)
                if isinstance(found, tuple):
                    sent = {"step": step, "attempt": attempt, "context": found[0]}
                    out.write(json.dumps(sent | {"content": found[1]}).encode() + b"\n")
                    break
                if found is Fault.BUDGET_EXHAUSTED:
                    return
                assert found is Fault.ANSWERED, found


def _likely(log: Path, step: str, first: int) -> Iterator[int]:
    """Give the attempts to ask for: the newest that was answered once more, and then new ones."""
    known = [sent.attempt for sent in read(log.parent) if sent.step == step]
    yield from range(max(known, default=first), ATTEMPTS + 1)


def _one(
    attacker: Hostile, name: str, step: str, attempt: int, life: int
) -> tuple[str, str] | Fault:
    if name != AUDITOR:
        point = attacker.town.point(fill=life / 64)  # another in every life
        answer = attacker.ask(name, step, point, attempt=attempt)
        if isinstance(answer, Answer):
            return answer.context, hashlib.sha256(answer.words.tobytes()).hexdigest()
        return answer
    agreement = attacker.town[AUDITOR].joining.agreement
    context = messages.context(
        STUDY,
        run=77,
        step=step,
        attempt=attempt,
        cohort=agreement.cohort.digest(),
        arrays={},
    )
    pads = attacker.masks(context, STUDY.departments)
    if isinstance(pads, Fault):
        return pads
    return context.digest(), hashlib.sha256(pads.tobytes()).hexdigest()


def _break(what: str) -> None:
    """Switch a defence off, in this process."""
    if what == "memory":
        for memory in (ChargedContexts, WitnessContexts):
            memory.insert = lambda *_: None
    if what == "order":  # what is sent is charged afterwards
        insert, answer = ChargedContexts.insert, SumBench.answer
        waiting: list[object] = []

        def later(used: ChargedContexts, entry: object) -> object:
            with used._journal.database.read() as connection:
                before = contexts._earlier(connection, entry)
            if before is None:
                waiting.append(lambda: insert(used, entry))
            return before

        def soon(bench: SumBench, **asked: object) -> object:
            made = answer(bench, **asked)
            for pay in waiting:
                pay()
            waiting.clear()
            return made

        ChargedContexts.insert, SumBench.answer = later, soon


# --- what is found afterwards ---


def read(folder: Path) -> list[Sent]:
    """Give what came out; a line that was cut off by the kill is none."""
    log = folder / "sent.log"
    lines = log.read_bytes().split(b"\n")[:-1] if log.exists() else []
    return [Sent(**json.loads(line)) for line in lines]


def doubles(sent: list[Sent]) -> dict[tuple[str, int], int]:
    """Give the attempts for which there are several messages, and how many."""
    found = defaultdict(set)
    for each in sent:
        found[each.step, each.attempt].add((each.context, each.content))
    return {slot: len(messages) for slot, messages in found.items() if len(messages) > 1}


def unpaid(folder: Path, name: str) -> list[Sent]:
    """Give what came out and is not written down, as it is, with a charge of its own."""
    query = (
        "SELECT c.step, c.attempt, json_extract(c.document, '$.context'), e.step, e.attempt"
        " FROM contexts c LEFT JOIN entries e ON e.number = c.charge AND e.kind = 'charge'"
    )
    with closing(sqlite3.connect(folder / name / "node.db")) as connection:
        rows = connection.execute(query).fetchall()
    paid = {
        (step, attempt): context
        for step, attempt, context, *charge in rows
        if charge == [step, attempt] or name == AUDITOR
    }
    return [each for each in read(folder) if paid.get((each.step, each.attempt)) != each.context]


def looks_unpaid(folder: Path, name: str) -> Counter[str]:
    """Give the looks at the records, by step, that are more than were charged."""
    log = folder / "worked.log"
    looks = Counter(log.read_text().split() if log.exists() else [])
    paid = Counter(step for step, _ in charges(folder, name).elements())
    return looks - paid


def charges(folder: Path, name: str) -> Counter[tuple[str, int]]:
    """Give the charges, by step and attempt."""
    with closing(sqlite3.connect(folder / name / "node.db")) as connection:
        return Counter(connection.execute("SELECT step, attempt FROM charges").fetchall())


def problem(folder: Path, name: str) -> str | None:
    """Give what `datalabbet-node ledger verify` finds wrong with the ledger."""
    node = Party(folder / name, name, STUDY)
    key, now = node.department.key, node.department.journal.now()
    delta = node.department.limits.delta
    lines = export.lines(node.department.journal, key=key, delta=delta, at=now, since=None)
    content = b"".join(line + b"\n" for line in lines)
    node.close()
    return verify(content, key=fingerprint(key_text(key.public_key()))).problem
