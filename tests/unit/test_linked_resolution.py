"""From the file of a linked study to a study: what is copied in, and every problem by its place."""

import hashlib
import json
from dataclasses import replace

import pytest

from models import documents
from models.errors import InvalidDocumentError
from models.governance import any_study, linked_draft
from models.governance.linked import LinkedDraft
from models.governance.linked_resolution import datasets, resolve_linked
from models.governance.roster import Mode
from models.governance.study import Protection
from models.linkage.plan import plan
from models.schema import Bilingual, CategoryColumn, DateColumn, Declaration, KeyColumn
from models.schema import NumericColumn as Number

TEXT = Bilingual(sv="Text", en="Text")
PASSED = CategoryColumn(name="passed", meaning=TEXT, categories=("no", "yes"))
ABSENCE = Number(name="absence", type="number", meaning=TEXT, minimum=0.0, maximum=60.0)
HOUSEHOLD = KeyColumn(name="household", type="key", meaning=TEXT)
BORN = DateColumn(
    name="born", type="date", meaning=TEXT, minimum="2000-01-01", maximum="2010-01-01"
)


def declaration(name: str, *columns: object, public: bool = False) -> Declaration:
    return Declaration(
        name=name,
        title=TEXT,
        description=TEXT,
        steward="Steward",
        resident_id="pnr",
        secrecy="OSL 23 kap.",
        public=public,
        columns=columns,
    )


DECLARED = {
    ("schools", "pupils"): declaration("pupils", PASSED, ABSENCE, BORN),
    ("social-services", "assistance"): declaration("assistance", HOUSEHOLD),
}


def draft(old: str = "", new: str = "") -> LinkedDraft:
    text = linked_draft.template("passing-2026")
    assert old in text
    found = any_study.read_draft(text.replace(old, new) if old else text, name="study.yaml")
    assert isinstance(found, LinkedDraft)
    return found


def keys(*names: str) -> dict[str, str]:
    return {name: hashlib.sha256(name.encode()).hexdigest() for name in names}


EVERYBODY = keys("schools", "social-services", "auditors")


def problems(asked: LinkedDraft, declared=DECLARED, identities=EVERYBODY) -> dict[str, str]:
    with pytest.raises(InvalidDocumentError) as caught:
        resolve_linked(asked, declared, code="0" * 64, identities=identities)
    assert caught.value.message.startswith("the study passing-2026 is not valid")
    return {item.field: item.problem for item in caught.value.problems}


def test_the_columns_the_program_and_all_keys_are_copied_in() -> None:
    study = resolve_linked(draft(), DECLARED, code="a" * 64, identities=EVERYBODY | keys("other"))
    assert study.columns == (PASSED, ABSENCE, None)
    assert study.code == "a" * 64
    members = {member.name: member.identity for member in study.roster.members}
    assert members == EVERYBODY
    assert study.roster.mode is Mode.PAIRWISE
    assert (study.roster.minimum, study.roster.attempts, study.roster.colluders) == (3, 1, 0)
    assert plan(study).noise.scale > 0
    found = documents.read(type(study), json.loads(study.canonical()), what="it")
    assert found == study
    assert found.digest() == study.digest()


def test_each_dataset_is_looked_up_once_in_the_order_of_the_variables() -> None:
    assert datasets(draft()) == (("schools", "pupils"), ("social-services", "assistance"))


def test_a_department_that_is_a_server_is_in_the_roster_once() -> None:
    study = resolve_linked(draft(), DECLARED, code="0" * 64, identities=EVERYBODY)
    assert [m.name for m in study.roster.members] == ["auditors", "schools", "social-services"]


def test_everything_that_is_missing_is_told_at_once() -> None:
    assert problems(draft(), {}, {}) == {
        "variables.0.dataset": "schools has not declared the dataset pupils",
        "variables.1.dataset": "schools has not declared the dataset pupils",
        "variables.2.dataset": "social-services has not declared the dataset assistance",
        "departments": (
            "social-services has not enrolled a node, whose identity key a linked study needs"
        ),
        "committee.servers": (
            "auditors has not enrolled a node, whose identity key a linked study needs"
        ),
    }


def test_a_column_that_nobody_declared_is_told_with_its_dataset() -> None:
    found = problems(draft("column: passed", "column: grade"))
    assert found == {"variables.0.column": "schools does not declare the column grade in pupils"}


def test_dates_and_keys_are_no_variables() -> None:
    found = problems(draft("column: passed", "column: born"))
    assert "is of type date, which no study reads" in found["variables.0.column"]


@pytest.mark.parametrize(
    ("old", "new", "field", "told"),
    [
        ("column: passed", "column: passed\n    bins: 4", "variables.0.bins", "has categories"),
        ("absent: true", "absent: true\n    bins: 4", "variables.2.bins", "without a column"),
    ],
)
def test_bins_belong_to_numbers(old: str, new: str, field: str, told: str) -> None:
    assert told in problems(draft(old, new))[field]


def test_a_study_without_protection_needs_data_that_everybody_declared_public() -> None:
    base = draft()
    bare = replace(base.privacy, protection=Protection.NONE, epsilon=None, delta=None)
    asked = replace(base, privacy=bare)
    assert "not declared" in problems(asked)["privacy.protection"]
    public = {place: replace(item, public=True) for place, item in DECLARED.items()}
    study = resolve_linked(asked, public, code="0" * 64, identities=EVERYBODY)
    assert study.privacy.protection is Protection.NONE


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("owner: The municipal auditors", "owner: the Social Welfare  board", "the same owner"),
        ("of: [passed, absence, assistance]", "of: [passed, truancy]", "no variable truancy"),
        (
            "[schools, social-services]",
            "[schools, social-services, care]",
            "care: every department",
        ),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(old: str, new: str, told: str) -> None:
    with pytest.raises(InvalidDocumentError, match=told):
        draft(old, new)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("residents: 150000", "residents: many", "register.residents"),
        ("bins: 6", "bins: few", "variables.1.bins"),
        ("epsilon: 1.0", "epsilon: 0", "privacy.epsilon"),
        ("of: [passed, absence, assistance]", "of: []", "questions.0.table.of"),
        ("scale: share}", "scale: shares}", "questions.0.table.analyses.0.compare.scale"),
    ],
)
def test_each_problem_of_the_file_has_its_line(old: str, new: str, field: str) -> None:
    text = linked_draft.template("passing-2026").replace(old, new)
    line = next(n for n, t in enumerate(text.splitlines(), 1) if new in t)
    with pytest.raises(InvalidDocumentError) as caught:
        any_study.read_draft(text, name="study.yaml")
    (problem,) = caught.value.problems
    assert problem.field == field
    assert problem.problem.endswith(f"(line {line})")
