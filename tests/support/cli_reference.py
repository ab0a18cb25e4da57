"""The generated part of `docs/reference/cli.md`: every command, from the commands themselves.

Run `.venv/bin/python tests/support/cli_reference.py` to write it anew.
"""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

FILE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "cli.md"
BEGIN, END = "<!-- generated: commands -->", "<!-- end of the generated part -->"


def programs():
    """Give each program's name and its click command."""
    import typer

    from coordinator.cli import app as coordinator_app
    from coordinator.client.cli import app as client_app
    from node.cli import cli as node_app

    for name, app in (
        ("datalabbet", client_app),
        ("datalabbet-coordinator", coordinator_app),
        ("datalabbet-node", node_app),
    ):
        yield name, typer.main.get_command(app)


def walk(name: str, command) -> Iterator[tuple[str, object]]:
    """Give a command and all below it with their full names, groups without the hidden ones."""
    yield name, command
    for child, below in sorted(getattr(command, "commands", {}).items()):
        if not below.hidden:
            yield from walk(f"{name} {child}", below)


def options(command) -> Iterator[tuple[str, str]]:
    """Give each option as written, and its help."""
    for option in command.params:
        if option.param_type_name != "option" or option.hidden:
            continue
        names = ", ".join(f"`{flag}`" for flag in sorted((*option.opts, *option.secondary_opts)))
        choices = getattr(option.type, "choices", ())
        kind = option.metavar or "|".join(map(_word, choices)) or option.type.name
        value = "" if option.is_flag else f" `{kind}`"
        required = " Required." if option.required else ""
        yield names + value, _line(option.help or "") + required


def _word(choice: object) -> str:
    return repr(str(getattr(choice, "value", choice)))[1:-1]  # a tab as \\t


def _line(text: str) -> str:
    return " ".join(text.split())


def usage(name: str, command) -> str:
    """Give the command line of a command."""
    words = [name]
    if any(p.param_type_name == "option" and not p.hidden for p in command.params):
        words.append("[OPTIONS]")
    for argument in command.params:
        if argument.param_type_name == "argument":
            text = argument.metavar or argument.name.upper()
            words.append(text if argument.required else f"[{text}]")
    if getattr(command, "commands", None):
        words.append("COMMAND")
    return " ".join(words)


def generate() -> str:
    """Give the generated part."""
    parts = [BEGIN]
    for program, root in programs():
        for name, command in walk(program, root):
            level = "##" if name == program else "###"
            parts.append(f"\n{level} `{name}`\n")
            parts.append(inspect.cleandoc(command.help or "").partition("\f")[0].strip())
            parts.append(f"\n```\n{usage(name, command)}\n```")
            listed = [f"- {flags}: {text}" for flags, text in options(command)]
            if listed:
                parts.append("\n" + "\n".join(listed))
    parts.append(f"\n{END}")
    return "\n".join(parts) + "\n"


def written() -> str:
    """Give the generated part as the file has it."""
    text = FILE.read_text(encoding="utf-8")
    return text[text.index(BEGIN) : text.index(END) + len(END)] + "\n"


def main() -> None:
    """Write the file anew, leaving what people wrote."""
    text = FILE.read_text(encoding="utf-8")
    before, after = text[: text.index(BEGIN)], text[text.index(END) + len(END) + 1 :]
    FILE.write_text(before + generate() + after, encoding="utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(FILE.parents[2]))
    main()
