"""Every command that the documentation tells people to type exists, with its options."""

import re
import shlex
from pathlib import Path

import cli_reference
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROGRAMS = ("datalabbet", "datalabbet-node", "datalabbet-coordinator")


def known() -> dict[str, set[str]]:
    """Every command by its words, with the options it knows."""
    return {
        name: {flag for p in command.params for flag in (*p.opts, *p.secondary_opts)}
        for program, root in cli_reference.programs()
        for name, command in cli_reference.walk(program, root)
    }


def typed(page: str) -> list[str]:
    """The command lines of a page's console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", page, flags=re.DOTALL)
    lines = [re.sub(r"^\s*\$ ", "", line).strip() for b in blocks for line in b.splitlines()]
    parts = [part.strip() for line in lines for part in re.split(r"&&|\|", line)]
    return [part for part in parts if part.split(" ")[0] in PROGRAMS]


def problem(line: str, commands: dict[str, set[str]]) -> str | None:
    """What is wrong with a command line, or None."""
    words = shlex.split(line.split(" > ", maxsplit=1)[0].rstrip(" &"), comments=True)
    name, options = words[0], {word.partition("=")[0] for word in words if word.startswith("-")}
    longest = name
    for end in range(len(words), 0, -1):
        path = [w for w in words[:end] if not w.startswith("-")]
        # `--home DIR` stands between a program and its command.
        path = [w for place, w in enumerate(path) if not (place == 1 and "--home" in words)]
        if " ".join(path) in commands:
            longest = " ".join(path)
            break
    if longest == name and any(not w.startswith("-") for w in words[1:]) and "--home" not in words:
        return f"{line}: no such command"
    allowed = commands.get(longest, set()) | {"--home", "--help"} | commands.get(name, set())
    unknown = options - allowed
    return f"{line}: {longest} does not know {sorted(unknown)}" if unknown else None


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_pages_tell_people_to_type_exists(page: Path) -> None:
    commands = known()
    problems = [found for line in typed(page.read_text()) if (found := problem(line, commands))]
    assert problems == []


def test_a_wrong_command_is_found() -> None:
    commands = known()
    assert problem("datalabbet sutdy check x.yaml", commands) is not None
    assert problem("datalabbet-node --home n studies approve x --stuart A", commands) is not None
    assert problem("datalabbet-node --home n studies approve x --steward A", commands) is None
