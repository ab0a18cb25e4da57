"""The reference pages say what the program has: commands, errors, fields; their examples work."""

import dataclasses
import re
from pathlib import Path
from typing import get_args, get_type_hints

import cli_reference
import pytest
from google.rpc import code_pb2

from coordinator.client import cli as client_cli
from models import errors
from models.errors import DatalabbetError
from models.governance import draft as drafts
from models.governance import study
from models.governance.resolution import resolve
from node import datasets, fields
from protos import status
from protos.installed import code_digest

PAGES = Path(__file__).resolve().parents[2] / "docs" / "reference"


def page(name: str) -> str:
    return (PAGES / name).read_text(encoding="utf-8")


def example(name: str) -> str:
    """Give the last YAML block of a page."""
    return re.findall(r"```yaml\n(.*?)```", page(name), re.DOTALL)[-1]


def documented(text: str) -> set[str]:
    """Give every name in backquotes in the first cell of a table's row."""
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_every_command_and_option_is_documented() -> None:
    assert cli_reference.written() == cli_reference.generate(), (
        "docs/reference/cli.md is stale: run .venv/bin/python tests/support/cli_reference.py"
    )


def test_every_command_and_option_says_what_it_does() -> None:
    for program, root in cli_reference.programs():
        for name, command in cli_reference.walk(program, root):
            assert command.help, name
            for flags, text in cli_reference.options(command):
                assert text, f"{name} {flags}"


def error_classes() -> list[type[DatalabbetError]]:
    return [
        item
        for item in vars(errors).values()
        if isinstance(item, type) and issubclass(item, DatalabbetError)
    ]


def test_every_exit_code_is_documented() -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", page("cli.md"), re.MULTILINE)}
    used = {kind.exit_code for kind in error_classes()} | {0, client_cli.INTERRUPTED}
    assert codes == used


def test_every_error_is_documented_as_it_is() -> None:
    rows = {
        cells[1].strip("` "): (int(cells[2]), cells[3].split()[0])
        for line in page("errors.md").splitlines()
        if line.startswith("| `") and (cells := line.split("|"))
    }
    expected = {
        kind.code: (
            kind.exit_code,
            code_pb2.Code.Name(status._CODES.get(kind, code_pb2.INTERNAL)),
        )
        for kind in error_classes()
    }
    assert rows == expected


STUDY_SECTIONS = {
    study.StudyDraft: {"model", "training", "secure_sum", "privacy"},
    study.ModelSettings: set(),
    study.TrainingSettings: set(),
    study.SecureSumSettings: set(),
    study.PrivacySettings: set(),
}


@pytest.mark.parametrize("kind", STUDY_SECTIONS, ids=lambda kind: kind.__name__)
def test_every_field_of_a_study_is_documented(kind) -> None:
    named = {name.split(".")[0] for name in documented(page("study-file.md"))}
    for field in dataclasses.fields(kind):
        assert field.name in named | STUDY_SECTIONS[kind], field.name
    for field in dataclasses.fields(study.LegalBasis):
        assert f"legal_basis.{field.name}" in documented(page("study-file.md"))


def test_no_field_is_documented_that_a_study_does_not_have() -> None:
    known = {f.name for kind in STUDY_SECTIONS for f in dataclasses.fields(kind)}
    named = {name.split(".")[0] for name in documented(page("study-file.md"))}
    assert named <= known


def test_every_field_of_a_study_stands_under_its_own_heading() -> None:
    text = page("study-file.md")
    for name, kind in (
        ("model", study.ModelSettings),
        ("secure_sum", study.SecureSumSettings),
        ("training", study.TrainingSettings),
        ("privacy", study.PrivacySettings),
    ):
        section = re.split("^##", text.partition(f"### `{name}`")[2], flags=re.MULTILINE)[0]
        assert documented(section) == {field.name for field in dataclasses.fields(kind)}, name


def test_the_example_study_is_valid() -> None:
    draft = drafts.read(example("study-file.md"), name="the example")
    assert draft.study == "visits-2026"
    assert draft.privacy.protection is study.Protection.SECURE_SUM


def test_the_example_with_local_noise_is_valid() -> None:
    local, whole = re.findall(r"```yaml\n(.*?)```", page("study-file.md"), re.DOTALL)
    before, _, after = whole.partition("secure_sum:\n")
    text = before + local + after[after.index("minimum_cohort") :]
    draft = drafts.read(text, name="the example")
    assert draft.privacy.protection is study.Protection.LOCAL_NOISE


def test_the_template_names_every_field_of_a_study() -> None:
    text = drafts.template(drafts.Blank())
    for kind in (*STUDY_SECTIONS, study.LegalBasis):
        for field in dataclasses.fields(kind):
            known = field.name in {"server_learning_rate", "unit"}  # the reference page has them
            assert known or re.search(rf"\b{field.name}\b", text), field.name


def test_the_example_declaration_is_valid_and_fits_the_example_study(tmp_path: Path) -> None:
    path = tmp_path / "visits.yaml"
    path.write_text(example("declaration-file.md"), encoding="utf-8")
    declared = datasets.load(path).declaration
    draft = drafts.read(example("study-file.md"), name="the example")
    resolved = resolve(
        draft,
        dict.fromkeys(draft.departments, declared),
        code=code_digest(),
        identities={name: f"{place:064x}" for place, name in enumerate(draft.parties)},
    )
    assert resolved.target.categories == ("false", "true")


def test_every_example_of_a_declaration_is_valid(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", page("declaration-file.md"), re.DOTALL)
    for number, block in enumerate(blocks):
        (tmp_path / f"{number}.yaml").write_text(block, encoding="utf-8")
    found = {item.declaration.name: item for item in datasets.load_folder(tmp_path)}
    assert found["assistance_2024"].tables == (found["payments"],)


def test_every_type_of_a_column_is_documented() -> None:
    named = documented(page("declaration-file.md"))
    assert set(get_args(get_type_hints(fields.ColumnField)["type"])) <= named


_ALIASES = {"missing_values": "missingValues", "primary_key": "primaryKey"}
SOURCES = [kind for kind in vars(datasets).values() if isinstance(kind, type)]
SOURCES = [kind for kind in SOURCES if kind.__name__.endswith("Source")]


@pytest.mark.parametrize(
    "kind", [*SOURCES, datasets._File, datasets._Schema], ids=lambda kind: kind.__name__
)
def test_every_field_of_a_declaration_is_documented(kind) -> None:
    text = page("declaration-file.md")
    for field in dataclasses.fields(kind):
        name = _ALIASES.get(field.name, field.name)
        known = (f"`{name}`", f"`{name}.", f"`schema.{name}`")
        assert any(form in text for form in known) or name == "kind", name


def test_the_kinds_of_source_are_documented() -> None:
    assert {kind.__name__ for kind in SOURCES} == {
        "CsvSource",
        "DerivedSource",
        "ParquetSource",
        "SqlSource",
    }
    for kind in ("csv", "parquet", "sql", "derived"):
        assert f"`kind: {kind}`" in page("declaration-file.md")


def test_every_property_of_a_column_is_documented() -> None:
    named = documented(page("declaration-file.md"))
    for field in dataclasses.fields(fields.ColumnField):
        assert _ALIASES.get(field.name, field.name) in named or field.name == "constraints"
    for field in dataclasses.fields(fields.Constraints):
        assert f"constraints.{field.name}" in named
