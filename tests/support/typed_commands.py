"""The command lines that pages tell people to type, and what is wrong with them."""

import re
import shlex

import cli_reference

PROGRAMS = ("datalabbet", "datalabbet-node", "datalabbet-coordinator")

_INLINE = re.compile(r"`((?:" + "|".join(PROGRAMS) + r")\s[^`…]+)…?`")


def known() -> dict[str, set[str]]:
    """Give every command by its words, with the options it knows."""
    return {
        name: {flag for p in command.params for flag in (*p.opts, *p.secondary_opts)}
        for program, root in cli_reference.programs()
        for name, command in cli_reference.walk(program, root)
    }


def typed(page: str) -> list[str]:
    """Give the command lines of a page's console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", page, flags=re.DOTALL)
    lines = [re.sub(r"^\s*\$ ", "", line).strip() for b in blocks for line in b.splitlines()]
    parts = [part.strip() for line in lines for part in re.split(r"&&|\|", line)]
    return [part for part in parts if part.split(" ")[0] in PROGRAMS]


def named(text: str) -> list[str]:
    """Give the commands that stand in backquotes in a text."""
    return [" ".join(found.split()) for found in _INLINE.findall(text)]


def problem(line: str, commands: dict[str, set[str]]) -> str | None:
    """Give what is wrong with a command line, or None."""
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
