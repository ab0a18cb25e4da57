"""Every command that the documentation tells people to type exists, with its options."""

from pathlib import Path

import pytest
from typed_commands import known, named, problem, typed

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_pages_tell_people_to_type_exists(page: Path) -> None:
    commands = known()
    text = page.read_text(encoding="utf-8")
    lines = typed(text) + named(text)
    assert [found for line in lines if (found := problem(line, commands))] == []


def test_a_wrong_command_is_found() -> None:
    commands = known()
    assert problem("datalabbet sutdy check x.yaml", commands) is not None
    assert problem("datalabbet-node --home n studies approve x --stuart A", commands) is not None
    assert problem("datalabbet-node --home n studies approve x --steward A", commands) is None


def test_commands_are_found_in_blocks_and_in_sentences() -> None:
    page = "Run `datalabbet-node\n  doctor`, not `datalabbet`.\n"
    page += "```console\n$ datalabbet run list\n```\n"
    assert typed(page) == ["datalabbet run list"]
    assert named(page) == ["datalabbet-node doctor"]
