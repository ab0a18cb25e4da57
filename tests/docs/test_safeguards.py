"""Each promise names files and tests that exist, and the pages' links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
ROOMS = ("tests", "node", "coordinator", "models", "protos", "demo", "deploy", "docs")


def missing(text: str) -> list[str]:
    """The paths in backticks, beginning with one of our folders, that match nothing."""
    named = re.findall(r"`((?:" + "|".join(ROOMS) + r")/[^`\s]*)`", text)
    return [path for path in named if not any(ROOT.glob(path.rstrip("/")))]


def broken(page: Path, text: str) -> list[str]:
    """The relative links that lead nowhere."""
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text)
    return [link for link in links if not (page.parent / link).exists()]


def test_every_safeguard_names_files_that_exist() -> None:
    text = (ROOT / "docs" / "safeguards.md").read_text()
    assert len(re.findall(r"`tests/", text)) >= 10
    assert missing(text) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert broken(page, page.read_text()) == []


def test_a_lost_file_and_a_broken_link_are_found() -> None:
    assert missing("`tests/unit/test_lost.py` `node/vault`") == ["tests/unit/test_lost.py"]
    assert broken(ROOT / "README.md", "[a](docs/lost.md) [b](LICENSE)") == ["docs/lost.md"]
