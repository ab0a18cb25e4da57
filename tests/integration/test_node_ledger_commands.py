"""`datalabbet-node ledger`: shown, exported and verified as a steward and an auditor would."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleets import Federation, node_command
from ledgers import PUPILS

from models.governance.cost import GaussianEvent, PrivacyCost
from models.governance.step import StepKey
from models.quantities import NoiseMultiplier
from node.home import Home
from node.rules import open_rules

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    federation = Federation(tmp_path)
    yield federation.enrol("school")
    federation.close()


def charge(home: Home, number: int) -> None:
    rules = open_rules(home)
    rules.ledger.charge(
        step=StepKey(study="a" * 64, run=7, step=f"train/{number}"),
        request="r",
        cost=PrivacyCost(events=(GaussianEvent(noise=NoiseMultiplier(10.0)),)),
        about=PUPILS,
        allow=lambda _: None,
    )
    rules.close()


def test_the_ledger_is_shown_exported_and_verified(home: Home, tmp_path: Path) -> None:
    empty = node_command(home.path, "ledger", "show")
    assert "Nothing was charged yet" in empty.stdout
    charge(home, 1)
    shown = node_command(home.path, "ledger", "show", "--output", "json")
    told = json.loads(shown.stdout)
    by_name = {row["what"]: row for row in told["balances"]}
    assert by_name["total"]["limit"] == 16
    assert by_name["total"]["epsilon"] + by_name["total"]["left"] == pytest.approx(16)
    key = told["fingerprint"]
    assert key in node_command(home.path, "ledger", "show").stdout
    (tmp_path / "head.json").write_text(shown.stdout)

    first, later, part = (str(tmp_path / name) for name in ("1.jsonl", "2.jsonl", "3.jsonl"))
    assert node_command(home.path, "ledger", "export", first).returncode == 0
    assert Path(first).stat().st_mode & 0o077 == 0
    assert node_command(home.path, "ledger", "export", first).returncode == 4  # there already
    charge(home, 2)
    node_command(home.path, "ledger", "export", later)
    node_command(home.path, "ledger", "export", part, "--since", first)

    nowhere = tmp_path / "nowhere"  # whoever verifies has no node

    def verify(*words: str) -> tuple[int, str]:
        done = node_command(nowhere, "ledger", "verify", *words)
        return done.returncode, done.stdout

    assert verify(first, "--key", key)[0] == 0
    code, text = verify(later, "--key", key, "--since", first)
    assert code == 0
    assert "continues" in text
    assert verify(later, "--key", key, "--since", str(tmp_path / "head.json"))[0] == 0
    assert verify(part, "--key", key, "--since", first)[0] == 0
    assert verify(part, "--key", key)[0] == 1
    code, text = verify(first, "--key", key, "--since", later)
    assert code == 1
    assert text.startswith("NOT VERIFIED")
    for file, fingerprint, expected in (
        (first, "0" * 64, 1),
        (first, "short", 4),
        (str(tmp_path / "missing"), key, 4),
    ):
        assert verify(file, "--key", fingerprint)[0] == expected

    changed = Path(first).read_text().replace('"noise":10', '"noise":20')
    Path(later).write_text(changed)
    code, text = verify(later, "--key", key, "--output", "json")
    assert code == 1
    found = json.loads(text)
    assert found["ok"] is False
    assert "other entries" in found["problem"]


def test_an_export_with_nothing_new_is_verified(home: Home, tmp_path: Path) -> None:
    charge(home, 1)
    head, part = tmp_path / "head.json", str(tmp_path / "part.jsonl")
    shown = node_command(home.path, "ledger", "show", "--output", "json").stdout
    head.write_text(shown)
    node_command(home.path, "ledger", "export", part, "--since", str(head))
    key = json.loads(shown)["fingerprint"]
    done = node_command(home.path, "ledger", "verify", part, "--key", key, "--since", str(head))
    assert done.returncode == 0
    assert "nothing new" in done.stdout
