"""The import contracts are kept, and each of them catches the import it is there for."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("coordinator", "node", "models", "protos", "demo")

BROKEN = {
    "Services stand on the wire": ("models/leak.py", "import protos.codec"),
    "The mathematics touches nothing": ("models/leak.py", "import socket"),
    "Only work may open the vault": ("node/link/leak.py", "import node.vault.records"),
    "Generated stubs are handled": (
        "coordinator/rounds/leak.py",
        "import protos.runs.v1.runs_pb2",
    ),
    "The analyst's client knows": ("coordinator/client/leak.py", "import coordinator.store"),
    "Flower is imported in the adapters": ("node/work/leak.py", "import flwr"),
    "torch and opacus stay": ("coordinator/rounds/leak.py", "import torch"),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    return subprocess.run(
        [*command, "--no-cache"],
        cwd=tree,
        env={"PYTHONPATH": str(tree), "PATH": "", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_contracts_are_kept(tree: Path) -> None:
    result = lint(tree)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("contract", BROKEN)
def test_each_contract_can_fail(tree: Path, contract: str) -> None:
    name, code = BROKEN[contract]
    leak = tree / name
    leak.write_text(code + "\n")
    try:
        result = lint(tree)
    finally:
        leak.unlink()
    assert result.returncode == 1
    broken = [line for line in result.stdout.splitlines() if line.endswith("BROKEN")]
    assert any(line.startswith(contract) for line in broken), result.stdout
