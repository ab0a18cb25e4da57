"""What the steward is shown, and whose word it is when a study is refused."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from nodes import Department
from studies import study

from models.errors import UsageError
from models.governance.approval import Decision
from node.cli_studies import decided
from node.output import Form, pairs, say, show, table


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = Department(tmp_path)
    yield made
    made.close()


def test_a_text_from_outside_cannot_pass_for_another_line() -> None:
    text = pairs([("purpose", "good\nprotection  epsilon 0.1\r\nhash  0"), ("protection", "none")])
    lines = text.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        "purpose     good",
        "protection  none",
    ]
    assert len(lines) == 4
    assert pairs([("reason", "")]) == "reason  "
    listed = table(("study", "title"), [("one", "a\ntwo  b")], empty="")
    assert listed.splitlines()[1:] == ["one    a two b"]


def test_a_text_from_outside_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b[2J\x9b1A\u202eÅÄÖ 10\u00a0000\tε ≤ 1\r"
    say(hostile)
    show(Form.TABLE, data=None, text=hostile)
    for printed in capsys.readouterr():
        assert printed.rstrip() == "\ufffd[2J\ufffd1A\ufffdÅÄÖ 10 000 ε ≤ 1"


def test_a_studydecided_here_is_refused_by_its_id_without_the_coordinator(
    department: Department,
) -> None:
    rules = SimpleNamespace(approvals=department.approvals)
    mine = study()
    assert decided(rules, mine.study) is None
    department.approve(mine)
    assert decided(rules, mine.study) == mine
    assert decided(rules, mine.digest()) == mine
    assert decided(rules, "another-study") is None
    department.approvals.store(mine, department.say(mine, Decision.REFUSED))
    assert decided(rules, mine.study) == mine
    other = study(retention_days=mine.retention_days + 1)
    department.approve(other)
    with pytest.raises(UsageError, match="several studies"):
        decided(rules, mine.study)
    assert decided(rules, other.digest()) == other
