"""`datalabbet demo`, as a user types it: one JSON object, and nothing is left running."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(300)
DEMO = [sys.executable, "-m", "coordinator.client", "demo"]


def processes_naming(text: str) -> list[str]:
    """The command lines of running processes that hold a text."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if text in line:
                found.append(line)
    return found


@pytest.mark.parametrize(
    "options",
    [(), ("--protection", "local-noise", "--residents", "20000", "--epsilon", "2")],
    ids=["secure-sum", "local-noise"],
)
def test_the_demo_goes_from_nothing_to_a_released_model(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    folder = tmp_path / "demo"
    done = subprocess.run(
        [*DEMO, "--dir", str(folder), "--output", "json", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert abs(found["released_auc"] - found["pooled_auc"]) <= 0.08
    assert found["released_auc"] < found["best_auc"]
    assert set(found["area_auc"]) == {"schools-north", "schools-centre", "schools-south"}
    assert all(0.5 < auc < 1 for auc in found["area_auc"].values())
    shares = found["shares"]
    assert abs(shares["all pupils"]["pooled"] - shares["all pupils"]["planted"]) < 0.03
    hidden = shares["household with long-term assistance"]
    assert hidden["pooled"] > hidden["planted"] + 0.1  # no school can see it
    if not options:
        assert abs(shares["all pupils"]["released"] - shares["all pupils"]["planted"]) < 0.08
    nodes = folder / "nodes"
    assert {home.name for home in nodes.iterdir()} >= {"social-services", "labour-market"}
    assert not list(nodes.rglob("*truth*"))
    assert all('mode = "demo"' in (home / "node.toml").read_text() for home in nodes.iterdir())
    assert 0 < found["epsilon"] <= (2 if options else 1)
    assert found["delta"] == 1e-5
    assert found["seconds"] > 0
    release = {path.name for path in Path(found["release"]).iterdir()}
    assert release == {"model.safetensors", "model.onnx", "card.md", "record.json"}
    assert re.search(r"finished, round (\d+) of \1\b", done.stderr)
    assert processes_naming(str(folder)) == []


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    kept = tmp_path / "kept.txt"
    kept.write_text("mine")
    done = subprocess.run(
        [*DEMO, "--dir", str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 4
    assert "not empty" in done.stderr
    assert kept.read_text() == "mine"


@pytest.mark.parametrize("wrong", ["0", "-1", "nan", "many"])
def test_an_epsilon_that_cannot_be_is_refused(tmp_path: Path, wrong: str) -> None:
    command = [*DEMO, "--dir", str(tmp_path / "d"), f"--epsilon={wrong}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 4
    assert "--epsilon" in done.stderr
    assert not (tmp_path / "d").exists()
