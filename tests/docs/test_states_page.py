"""The page of states is what the transition tables say."""

import state_diagrams

from models.governance.states import StudyState


def test_the_page_is_up_to_date() -> None:
    assert state_diagrams.FILE.read_text(encoding="utf-8") == state_diagrams.page()


def test_a_changed_table_changes_the_diagram() -> None:
    one = {StudyState.PROPOSED: frozenset({StudyState.READY})}
    other = {StudyState.PROPOSED: frozenset[StudyState]()}
    start = StudyState.PROPOSED
    assert state_diagrams.diagram(one, start) != state_diagrams.diagram(other, start)
