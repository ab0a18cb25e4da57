"""`datalabbet demo linked`, as a user types it: seven processes, eight studies, one JSON object."""

import json
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest
from linked_clear import codes, counts, draft, released, resolved, spine

from demo import town
from demo.linked.joint import Joint
from demo.linked.questions import EVERY
from demo.linked.truth import Line, lines
from demo.showcase import SEED
from models.linkage.estimates.answers import answers

pytestmark = pytest.mark.timeout(1500)
DEMO = [sys.executable, "-m", "coordinator.client", "demo", "linked"]
RESIDENTS = 10_000


@lru_cache
def in_the_clear() -> dict[str, tuple[Line, ...]]:
    """The same questions on one desk: no nodes, no shares, no noise."""
    here = town.build(seed=SEED, residents=RESIDENTS)
    return {joint.code: _clear(joint, here) for joint in EVERY}


def _clear(joint: Joint, here: town.Town) -> tuple[Line, ...]:
    study = resolved(draft(joint, residents=RESIDENTS))
    order = spine(here, seed=3)
    opened = released(study, counts(study, codes(study, here, order)), residents=len(order.ids))
    return lines(joint.code, answers(study, opened), here.city)


def demo(folder: Path, *options: str) -> dict[str, dict]:
    done = subprocess.run(
        [*DEMO, "--dir", str(folder), "--residents", str(RESIDENTS), "--output", "json", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=1400,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert not list((folder / "nodes").rglob("*truth*"))
    return {item["code"]: item for item in found["questions"]}


def test_without_noise_the_processes_find_what_one_desk_finds(tmp_path: Path) -> None:
    found = demo(tmp_path / "demo", "--protection", "none")
    assert {*found} == {joint.code for joint in EVERY}
    for code, expected in in_the_clear().items():
        said = found[code]["found"]
        assert [line["what"] for line in said] == [line.what for line in expected]
        for line, same in zip(said, expected, strict=True):
            for name in ("estimate", "low", "high", "truth", "crude", "p"):
                value = getattr(same, name)
                assert line[name] == (None if value is None else pytest.approx(value, abs=1e-6))
        assert {path.name for path in Path(found[code]["release"]).iterdir()} >= {"record.json"}


def test_with_little_noise_the_intervals_hold_what_one_desk_finds(tmp_path: Path) -> None:
    found = demo(tmp_path / "demo", "--epsilon", "12")
    clear = in_the_clear()
    [one] = found["J1"]["found"]
    [three] = found["J3"]["found"]
    for line, same in ((one, clear["J1"][0]), (three, clear["J3"][0])):
        half = (line["high"] - line["low"]) / 2
        # One pupil of each household counts, and noise: so the interval is wider, and holds.
        assert half > (same.high - same.low) / 2
        assert abs(line["estimate"] - same.estimate) <= 1.6 * half
    early = found["J2"]["found"][0]
    assert early["crude"] < 0 < early["high"]
