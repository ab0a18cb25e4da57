"""Rules of this code that import contracts cannot express; each is shown able to fail."""

import ast
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("coordinator", "node", "models", "protos", "demo")
FORBIDDEN_WORDS = {"epsilon", "delta", "rho", "sigma", "noise", "sensitivity", "clip"}
BARE = {"float", "int", "float | None", "int | None"}


def modules(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from (p for p in sorted((ROOT / folder).rglob("*.py")) if "_pb2" not in p.name)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for item in ast.walk(tree):
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
            yield item


def bare_privacy_numbers(source: str) -> list[str]:
    found = []
    for function in functions(ast.parse(source)):
        arguments = function.args
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            words = set(argument.arg.split("_"))
            annotation = ast.unparse(argument.annotation) if argument.annotation else ""
            if words & FORBIDDEN_WORDS and annotation in BARE:
                found.append(f"{function.name}({argument.arg}: {annotation})")
    return found


def leaks(source: str) -> list[str]:
    """Public functions, and public methods of public classes, that do not give a Release."""
    found = []
    lifecycle = {"close", "__enter__", "__exit__", "__init__"}
    for item in ast.parse(source).body:
        if isinstance(item, ast.ClassDef):
            if item.name.startswith("_"):
                continue
            members, allowed = item.body, lifecycle
        else:
            members, allowed = [item], set()
        for member in members:
            if not isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if member.name in allowed or member.name.startswith("_"):
                continue
            given = ast.unparse(member.returns) if member.returns else "nothing"
            if given != "Release":
                found.append(f"{member.name} -> {given}")
    return found


@pytest.mark.parametrize(
    "path", tuple(modules("models", "node", "coordinator")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_privacy_numbers_are_never_bare(path: Path) -> None:
    assert bare_privacy_numbers(path.read_text()) == []


def test_a_bare_privacy_number_is_found() -> None:
    assert bare_privacy_numbers("def add(x: int, *, noise_scale: float): ...") == [
        "add(noise_scale: float)"
    ]


@pytest.mark.parametrize("path", tuple(modules("node/work")), ids=lambda p: p.name)
def test_only_releases_leave_the_work(path: Path) -> None:
    assert leaks(path.read_text()) == []


def test_a_leak_is_found() -> None:
    source = "class W:\n  def rows(self) -> list: ...\ndef count(): ...\ndef ok() -> Release: ..."
    assert leaks(source) == ["rows -> list", "count -> nothing"]


@pytest.mark.parametrize("name", PACKAGES)
def test_no_other_distribution_ships_our_package_names(name: str) -> None:
    # An editable install reports nothing, hence `<=`.
    assert set(packages_distributions().get(name, ())) <= {"datalabbet"}


def test_modules_stay_small() -> None:
    lengths = {p: len(p.read_text().splitlines()) for p in modules(*PACKAGES)}
    # The codec is one module on purpose: the whole trust boundary is read in one place.
    codec = ROOT / "protos" / "codec.py"
    too_long = {str(p.relative_to(ROOT)): n for p, n in lengths.items() if n > 400 and p != codec}
    assert too_long == {}


def entropies(source: str) -> list[str]:
    """Classes with a method `token(size)`: sources of randomness by another name."""
    return [
        item.name
        for item in ast.walk(ast.parse(source))
        if isinstance(item, ast.ClassDef)
        for member in item.body
        if isinstance(member, ast.FunctionDef)
        and (member.name, [a.arg for a in member.args.args]) == ("token", ["self", "size"])
    ]


def test_no_other_source_of_randomness_is_shipped() -> None:
    found = {p.relative_to(ROOT).as_posix(): entropies(p.read_text()) for p in modules(*PACKAGES)}
    shipped = {path: names for path, names in found.items() if names}
    assert shipped == {"models/randomness.py": ["Entropy", "SystemEntropy"]}


def test_a_predictable_source_is_found() -> None:
    assert entropies("class Seeded:\n  def token(self, size: int) -> bytes: ...") == ["Seeded"]
