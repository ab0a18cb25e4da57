"""The pages about linked studies: their files are valid, and what they show is what is printed."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from coordinator.client import declared, linked_planning, linked_planning_views
from models.governance import any_study, linked, questions
from models.governance.linked import LinkedDraft

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = (ROOT / "docs/tutorials/sof-and-amf-follow-up.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs/reference/linked-study-file.md").read_text(encoding="utf-8")
CITY = ROOT / "demo/city/declarations"

DOCUMENTED = (
    linked.Committee,
    linked.Server,
    linked.RegisterTerms,
    linked.LinkedVariable,
    linked.LinkedPrivacy,
    questions.Comparison,
    questions.CellFit,
    questions.Match,
    questions.Table,
    questions.Relations,
    questions.Hazard,
)


def planned(epsilon: float | None = None) -> str:
    """Give what the tutorial's plan prints, from the declarations of the demo city."""
    (text,) = re.findall(r"```yaml\n(.*?)```", TUTORIAL, flags=re.DOTALL)
    draft = any_study.read_draft(text, name="the tutorial's file")
    assert isinstance(draft, LinkedDraft)
    known = declared.read_all([CITY / "sof", CITY / "amf"])
    tried = [] if epsilon is None else [epsilon]
    (study,) = linked_planning.variations(draft, known, epsilons=tried)
    item = linked_planning.planned(study, sizes={"shared": 1300})
    return linked_planning_views.text([item], swedish=False)


def test_the_tutorial_shows_the_plan_that_is_printed() -> None:
    (shown,) = re.findall(
        r"\$ datalabbet privacy plan follow-up\.yaml [^\n]*\n(.*?)\n\.\.\.",
        TUTORIAL,
        flags=re.DOTALL,
    )
    assert planned().startswith(shown)


def test_the_tutorial_shows_what_drowns() -> None:
    (shown,) = re.findall(r"```text\n(This question will drown.*?)```", TUTORIAL, flags=re.DOTALL)
    assert shown in planned(0.1)
    assert shown not in planned()


@pytest.mark.parametrize("kind", DOCUMENTED, ids=lambda kind: kind.__name__)
def test_every_field_of_a_linked_study_is_on_the_page(kind) -> None:
    missing = [
        item.name
        for item in fields(kind)
        if not re.search(rf"`([a-z_]+\.)?{item.name}`", REFERENCE)
        and item.name not in {"kind", "title"}
    ]
    assert missing == []


def test_no_field_is_on_the_page_that_a_linked_study_does_not_have() -> None:
    known = {item.name for kind in (LinkedDraft, *DOCUMENTED) for item in fields(kind)}
    rows = [line.split("|") for line in REFERENCE.splitlines() if line.startswith("| ")]
    named = {
        part.split(".")[-1]
        for cells in rows
        for cell in cells[1:3]
        for part in re.findall(r"`([a-z_.]+)`", re.sub(r"\(.*?\)", "", cell))
    }
    assert named - known == {"table", "relations", "hazard", "compare", "logistic"}
