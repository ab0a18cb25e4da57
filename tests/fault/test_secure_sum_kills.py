"""`kill -9` of nodes, witness and coordinator in the middle of secure sums.

After any kill: nothing was sent that was not charged before, no attempt has two messages, and the
ledger verifies. Members are asked by a coordinator that asks for the same step with other
numbers in every life, which is what makes a forgotten context visible.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import killed
import numpy as np
import planes
import pytest
import summing
from hostile import AUDITOR, VICTIM
from killed import STUDY
from killing import Nursery
from numpy.random import Generator, default_rng
from parties import SPARE, Parties, cheap_steps
from safetensors.numpy import load
from studies import DEPARTMENTS, summed_study
from summers import City

from coordinator.client.api import Datalabbet
from coordinator.store import releases
from models.governance.states import RunState, ended
from models.secagg.coordinator import Total
from models.training import messages, steps
from models.training.studies import training_plan

KILLED = -9
DRAWS = 2
"""The histogram and the evaluation may each be drawn so often."""


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@dataclass
class Member:
    """A member of a run, which lives and dies as often as it takes."""

    nursery: Nursery
    folder: Path
    name: str
    broken: str = ""
    lives: int = 0
    kills: int = 0
    seconds: float = 0.0

    def live(self, *, lines: int = 0, seconds: float | None = None) -> int:
        """Have it live once; give its exit code."""
        arguments = (str(self.folder), self.name, str(self.lives), str(lines), self.broken)
        log = self.folder / "log"
        self.lives += 1
        child = self.nursery.start("killed:live", *arguments, log=log, ready=True)
        begun = time.monotonic()
        if seconds is not None:
            pause(seconds)
            child.kill()
        code = child.wait(60)
        self.seconds = time.monotonic() - begun
        assert code in {0, KILLED}, log.read_text()
        self.kills += code == KILLED
        return code

    @property
    def sent(self) -> list[killed.Sent]:
        return killed.read(self.folder)

    def sound(self) -> None:
        """Nothing unpaid, nothing twice, and a ledger that verifies."""
        assert not killed.unpaid(self.folder, self.name)
        assert not killed.looks_unpaid(self.folder, self.name)
        assert not killed.doubles(self.sent)
        assert killed.problem(self.folder, self.name) is None


def pause(seconds: float) -> None:
    time.sleep(seconds)


Make = Callable[..., Member]


@pytest.fixture
def make(nursery: Nursery, tmp_path: Path) -> Make:
    made: list[Member] = []

    def one(name: str = VICTIM, broken: str = "") -> Member:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Member(nursery=nursery, folder=folder, name=name, broken=broken))
        return made[-1]

    return one


def kill_by_lines(member: Member, kills: int, *, within: int) -> None:
    """Kill it at as many places of the critical modules, evenly over `within` lines."""
    for number in range(kills):
        member.live(lines=1 + number * within // kills)
        assert not killed.unpaid(member.folder, member.name)
        assert not killed.doubles(member.sent)


LINES = {VICTIM: 1500, AUDITOR: 600}


@pytest.mark.parametrize("name", [VICTIM, AUDITOR])
def test_killed_at_any_line(make: Make, name: str) -> None:
    member = make(name)
    assert member.live() == 0  # a whole life: three messages
    assert len(member.sent) == 3
    kill_by_lines(member, 40 if name == VICTIM else 25, within=LINES[name])
    assert member.live() == 0  # and it goes on afterwards
    member.sound()
    if name == VICTIM:
        paid = killed.charges(member.folder, name)
        assert set(paid.values()) == {1}
        assert len(paid) <= 25 + STUDY.privacy.spare_rounds


def whole_life(member: Member) -> float:
    """Let it live; give the seconds that its three messages take."""
    assert member.live() == 0
    return member.seconds


def test_killed_at_any_moment(make: Make) -> None:
    """Also while SQLite writes: SIGKILL from outside, at random."""
    member = make()
    seconds = whole_life(member)
    for share in default_rng(11).uniform(0, 1.3, 35):
        member.live(seconds=share * seconds)
    member.sound()
    assert member.kills > 5
    assert len(member.sent) > 5
    lost = set(killed.charges(member.folder, member.name)) - slots(member.sent)
    assert len(lost) <= member.kills  # charged, and not sent: what a kill costs at most


def slots(sent: list[killed.Sent]) -> set[tuple[str, int]]:
    return {(each.step, each.attempt) for each in sent}


@pytest.mark.nightly
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", [VICTIM, AUDITOR])
def test_killed_at_hundreds_of_lines_and_moments(make: Make, name: str) -> None:
    """Several members, for one plan covers no more than its spare steps."""
    generator = default_rng(5)
    for _ in range(4):
        member = make(name)
        kill_by_lines(member, 50, within=LINES[name])
        for seconds in whole_life(member) * generator.uniform(0, 1, 50):
            member.live(seconds=seconds)
        member.sound()


# --- these checks can fail ---


@pytest.mark.parametrize("name", [VICTIM, AUDITOR])
def test_a_memory_that_is_lost_is_found(make: Make, name: str) -> None:
    member = make(name, "memory")
    member.live()
    member.live()
    assert killed.doubles(member.sent)
    assert killed.unpaid(member.folder, member.name)


def test_a_charge_that_comes_after_the_look_is_found(make: Make) -> None:
    """Killed in between, it is a free look at the records."""
    member = make(VICTIM, "order")
    for number in range(12):
        member.live(lines=LINES[VICTIM] * (4 + number) // 20)
    assert killed.looks_unpaid(member.folder, member.name)
    assert not killed.doubles(member.sent)


# --- the coordinator alone is killed: to the last bit ---

STEPS = 88
LONGER = summed_study(secure_sum={"residents": 20_000})


def alone(folder: Path) -> dict[str, np.ndarray]:
    """Give the model that the same parties make one step after the other, nobody ever away."""
    city, plan = City(folder, LONGER), training_plan(LONGER)
    city.join()

    def total(step: str, arrays: dict[str, np.ndarray]) -> np.ndarray:
        found = city.total(step, city.ask(step, arrays), arrays)
        assert isinstance(found, Total)
        return found.values

    at = steps.start(plan, total("histogram", {}))
    for number in range(1, STEPS + 1):
        at = steps.advanced(plan, at, total(messages.train(number), steps.question(plan, at)))
    city.close()
    return steps.parameters(plan, at)


@pytest.mark.parametrize(
    ("kills", "seed"),
    [
        (12, 1),
        *(pytest.param(60, n, marks=[pytest.mark.nightly, pytest.mark.timeout(600)]) for n in "ab"),
    ],
)
def test_a_killed_coordinator_gives_the_same_model(
    nursery: Nursery, tmp_path: Path, kills: int, seed: object
) -> None:
    """The nodes live and their noise is scripted: each step is that of an undisturbed run."""
    generator = default_rng([kills, *str(seed).encode()])
    (tmp_path / "run").mkdir()
    (tmp_path / "alone").mkdir()
    coordinator = planes.Coordinator(tmp_path / "run", study=LONGER, nursery=nursery)
    city = summing.Federation(coordinator)
    try:
        city.everybody()
        for number in range(kills):
            done = min(STEPS - 1, number * STEPS // kills)
            coordinator.wait(city.run_id, lambda run, done=done: run.rounds_done >= done)
            pause(generator.uniform(0, 0.05))
            coordinator.crash()
            coordinator.open()
        ended = coordinator.wait_end(city.run_id, seconds=60)
        assert (ended.state, ended.rounds_done) == (RunState.FINISHED, STEPS), ended.message
        content = releases.content(coordinator.database, city.run_id, "model.safetensors")
        for node in city.nodes.values():
            assert not node.errors
            assert node.member.charges == STEPS + 2  # no answer was lost, and none paid twice
    finally:
        city.close()
    found, expected = load(content), alone(tmp_path / "alone")
    assert set(found) == set(expected)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


# --- everybody is killed: real processes, by their commands, over TLS on loopback ---


def kill_somebody(city: Parties, run_id: int, *, done: int, generator: Generator) -> str:
    """Kill a party once some steps are done, or in the middle of what the last kill broke."""
    end = time.monotonic() + (0.3 if generator.random() < 0.25 else 20)
    while city.status(run_id).rounds_done < done and time.monotonic() < end:
        pause(0.01)
    pause(generator.uniform(0, 0.06))
    name = city.everybody[int(generator.integers(len(city.everybody)))]
    city.kill(name)
    city.start(name)
    return name


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("kills", "seed"),
    [
        (8, 1),
        *(
            pytest.param(40, seed, marks=[pytest.mark.nightly, pytest.mark.timeout(900)])
            for seed in (2, 3, 4, 5, 6)
        ),
    ],
)
def test_a_run_in_which_everybody_is_killed(
    nursery: Nursery, tmp_path: Path, kills: int, seed: int
) -> None:
    generator, city = default_rng(seed), Parties(tmp_path, nursery=nursery)
    killed_names = []
    with city:
        city.start_coordinator()
        city.enrol({"anna": "central"})
        with Datalabbet.connect(city.profile("anna")) as client:
            city.start_nodes(client)
            run_id = city.begin(client, cheap_steps())
        total = city.status(run_id).rounds_total
        for number in range(kills):
            done = int((number + generator.random()) * total * 0.9 / kills)
            killed_names.append(kill_somebody(city, run_id, done=done, generator=generator))
        end = time.monotonic() + 120
        while not ended(city.status(run_id).state) and time.monotonic() < end:
            pause(0.05)
        last = city.status(run_id)
        assert last.state is RunState.FINISHED, (last, killed_names)
        assert last.rounds_done == total > 100
        for name in DEPARTMENTS:
            check(city, name, total)
        answers = city.received()
        assert len(answers) == len(set(answers)) == 3 * (total + 2)
        for name, query in ((AUDITOR, SETS), *((name, MESSAGES) for name in DEPARTMENTS)):
            slots = [row[:2] for row in city.rows(name, query)]
            assert len(slots) == len(set(slots)) >= total + 2


MESSAGES = "SELECT step, attempt FROM contexts WHERE purpose = 'message'"
SETS = "SELECT step, attempt FROM contexts WHERE purpose = 'set'"


def check(city: Parties, name: str, total: int) -> None:
    """Hold a department's books against each other, and against the coordinator's."""
    assert not city.contradictions(name)
    paid = city.rows(name, "SELECT step, attempt FROM charges")
    assert set(paid) == set(city.rows(name, MESSAGES))
    received = {(step, attempt) for who, step, attempt in city.received() if who == name}
    assert received <= set(paid)
    assert total + 2 <= len(paid) <= total + SPARE + 2 * DRAWS


@pytest.mark.nightly
@pytest.mark.timeout(240)
def test_a_department_stops_its_node_in_the_middle_of_a_run(
    nursery: Nursery, tmp_path: Path
) -> None:
    """By the command, from another process; what it said before stays paid, and nothing follows."""
    city = Parties(tmp_path, nursery=nursery)
    with city:
        city.start_coordinator()
        city.enrol({"anna": "central"})
        with Datalabbet.connect(city.profile("anna")) as client:
            city.start_nodes(client)
            run_id = city.begin(client, cheap_steps())
        wait_for(lambda: city.status(run_id).rounds_done >= 20)
        city.node("care", "stop", "--reason", "a test")
        paid = city.rows("care", "SELECT step, attempt FROM charges")
        wait_for(lambda: ended(city.status(run_id).state))
        last = city.status(run_id)
        assert last.state is RunState.FAILED, last
        assert "care refused" in last.message
        assert len(city.rows("care", "SELECT step, attempt FROM charges")) <= len(paid) + 1
        assert not city.contradictions("care")
        city.node("care", "resume")


def wait_for(holds: Callable[[], bool], *, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        pause(0.02)
