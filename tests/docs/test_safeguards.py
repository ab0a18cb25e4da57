"""Each promise names files, tests and commands that exist, and the pages' links lead somewhere."""

import re
from pathlib import Path

import pytest
from typed_commands import known, named, problem

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
ROOMS = ("tests", "node", "coordinator", "models", "protos", "demo", "deploy", "docs")
SAFEGUARDS = ROOT / "docs" / "safeguards.md"

PROMISES = tuple(range(1, 9))
NOT_BUILT = frozenset({7})
"""A promise for which there is nothing to name yet; the page must say so."""

KEPT, CAUGHT, CHECK = "Kept by", "Caught by", "Check with"


def paths(text: str) -> list[str]:
    """The paths in backticks that begin with one of our folders, with `::test` where it stands."""
    return re.findall(r"`((?:" + "|".join(ROOMS) + r")/[^`\s]*)`", text)


def missing(text: str) -> list[str]:
    """The named paths that match nothing, and the named tests that their file does not have."""
    return [path for path in paths(text) if not _there(path)]


def _there(path: str) -> bool:
    name, _, function = path.partition("::")
    files = list(ROOT.glob(name.rstrip("/")))
    if not function:
        return bool(files)
    return any(re.search(rf"^def {function}\(", f.read_text("utf-8"), re.MULTILINE) for f in files)


def broken(page: Path, text: str) -> list[str]:
    """The relative links that lead nowhere: no such file, or no such heading in it."""
    found = re.findall(r"\]\((?!https?:|mailto:)([^)#\s]*)(#[^)\s]+)?\)", text)
    return [f"{link}{mark}" for link, mark in found if not _leads(page, link, mark, text=text)]


def _leads(page: Path, link: str, mark: str, *, text: str) -> bool:
    target = page.parent / link
    if not target.exists():
        return False
    if not mark:
        return True
    aim = target.read_text(encoding="utf-8") if link else text
    headings = re.findall(r"^#+ (.*)$", aim, re.MULTILINE)
    return mark[1:] in {
        re.sub(r"[^\w\- ]", "", h).strip().lower().replace(" ", "-") for h in headings
    }


def promises(text: str) -> dict[int, str]:
    """The sections of the eight promises, by number."""
    parts = re.split(r"^## (?:(\d)\. )?.*$", text, flags=re.MULTILINE)
    return {
        int(number): body for number, body in zip(parts[1::2], parts[2::2], strict=True) if number
    }


def entry(section: str, label: str) -> str:
    """The point of a section under a label, empty if there is none."""
    found = re.search(rf"^- \*\*{label}\*\*(.*?)(?=^- |^\n|\Z)", section, re.DOTALL | re.MULTILINE)
    return found[1] if found else ""


def lacks(section: str, commands: dict[str, set[str]]) -> list[str]:
    """What a promise does not name: a file that keeps it, a test of its loss, a way to look."""
    tests = [path for path in paths(entry(section, CAUGHT)) if "::" in path]
    kept = [path for path in paths(entry(section, KEPT)) if not path.startswith("tests/")]
    looked = named(entry(section, CHECK))
    wrong = [found for line in looked if (found := problem(line, commands))]
    names = {KEPT: kept, CAUGHT: tests, CHECK: looked}
    return [label for label, found in names.items() if not found] + wrong


def test_every_promise_has_a_file_a_test_and_a_command() -> None:
    sections, commands = promises(SAFEGUARDS.read_text(encoding="utf-8")), known()
    assert tuple(sections) == PROMISES
    for number in PROMISES:
        if number in NOT_BUILT:
            assert sections[number].strip().startswith("**Not built.**")
        else:
            assert lacks(sections[number], commands) == [], number


def test_every_safeguard_names_files_and_tests_that_exist() -> None:
    assert missing(SAFEGUARDS.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert broken(page, page.read_text(encoding="utf-8")) == []


def test_a_lost_file_a_lost_test_and_a_broken_link_are_found() -> None:
    assert missing("`tests/unit/test_lost.py` `node/vault`") == ["tests/unit/test_lost.py"]
    here = "tests/docs/test_safeguards.py"
    assert missing(f"`{here}::test_lost` `{here}::missing`") == [f"{here}::test_lost"]
    page = ROOT / "README.md"
    assert broken(page, "[a](docs/lost.md) [b](LICENSE)") == ["docs/lost.md"]
    assert broken(page, "# A-b (c)\n[a](#a-b-c) [b](#lost) [c](SECURITY.md#lost)") == [
        "#lost",
        "SECURITY.md#lost",
    ]


def test_a_promise_that_names_too_little_is_found() -> None:
    commands = known()
    kept, caught = "- **Kept by** `node/vault`.\n", "- **Caught by** `tests/x.py::test_y`.\n"
    whole = f"{kept}{caught}- **Check with** `datalabbet-node doctor`.\n"
    assert lacks(whole, commands) == []
    assert lacks(whole.replace("::test_y", ""), commands) == [CAUGHT]
    assert lacks(f"{kept}{caught}", commands) == [CHECK]
    assert len(lacks(whole.replace("doctor", "dokter"), commands)) == 1
    assert promises("## 1. A\none\n## B\n## 2. C\ntwo") == {1: "\none\n", 2: "\ntwo"}
