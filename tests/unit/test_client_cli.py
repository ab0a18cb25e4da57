"""The command `datalabbet` without a coordinator: exit codes, forms of output, messages."""

import importlib.util
import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coordinator.client import cli, output, progress, views
from coordinator.client.output import Form, Sheet
from models import errors
from models.errors import DatalabbetError, RunFailedError
from models.governance import draft as drafts
from models.governance.states import RunState
from models.governance.views import RunStatus

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = cli.run(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def status(state: RunState, done: int = 1, message: str = "") -> RunStatus:
    return RunStatus(
        run_id=2**60,
        study="pupils-pass",
        study_hash="a" * 64,
        state=state,
        rounds_done=done,
        rounds_total=3,
        message=message,
        started_at=NOW,
        updated_at=NOW,
        departments=("school",),
    )


# --- exit codes ------------------------------------------------------------------------------

EXIT_CODES = {
    errors.RefusedError: 1,
    errors.AlreadyExistsError: 1,
    errors.BudgetExhaustedError: 1,
    errors.ContextUsedError: 1,
    errors.NotJoinedError: 1,
    errors.RunFailedError: 1,
    errors.DataContractError: 1,
    errors.StorageError: 1,
    errors.ConnectionFailedError: 2,
    errors.UnauthenticatedError: 2,
    errors.NotAllowedError: 2,
    errors.DeadlineError: 3,
    errors.UsageError: 4,
    errors.NotFoundError: 4,
    errors.ConfigurationError: 4,
    errors.ProtocolViolationError: 5,
    errors.AccountingError: 5,
}


@pytest.mark.parametrize(("kind", "code"), EXIT_CODES.items(), ids=lambda v: getattr(v, "code", v))
@pytest.mark.parametrize("form", ["table", "json"])
def test_each_error_has_its_exit_code(capsys, monkeypatch, kind, code, form) -> None:
    def fail(**_: object) -> None:
        raise kind("what happened", hint="what to do")

    monkeypatch.setattr("coordinator.client.catalogue_commands.connect", lambda _: fail())
    found, out, err = run(capsys, "catalogue", "list", "--output", form)
    assert found == code
    assert err == "Error: what happened\nHint: what to do\n"
    if form == "json":
        said = {"code": kind.code, "message": "what happened", "hint": "what to do"}
        assert json.loads(out) == {"error": said}
    else:
        assert out == ""


def test_every_error_class_is_in_the_table() -> None:
    def below(kind: type[DatalabbetError]) -> set[type[DatalabbetError]]:
        return {kind}.union(*(below(child) for child in kind.__subclasses__()))

    ours = {kind for kind in below(DatalabbetError) if kind.__module__ == "models.errors"}
    assert ours - {DatalabbetError, errors.InvalidDocumentError} == set(EXIT_CODES)
    assert errors.InvalidDocumentError.exit_code == 4


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("run", "watch"),
        ("run", "watch", "abc"),
        ("run", "watch", "1"),
        ("run", "start", "s", "--unknown"),
        ("study", "list", "--output", "xml"),
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_4(capsys, arguments) -> None:
    code, out, err = run(capsys, *arguments)
    assert code == 4
    assert out == ""
    assert err
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", [(), ("study",)], ids=["datalabbet", "a group"])
def test_no_command_gives_help_and_4(capsys, arguments) -> None:
    code, out, err = run(capsys, *arguments)
    assert code == 4
    assert "Usage: datalabbet" in out + err


def test_wrong_arguments_in_json(capsys) -> None:
    code, out, err = run(capsys, "run", "watch", "abc", "--output=json")
    assert code == 4
    error = json.loads(out)["error"]
    assert error["code"] == "USAGE"
    assert error["hint"] == "See: datalabbet run watch --help"
    assert error["message"] in err


def bug(_: object) -> None:
    raise ZeroDivisionError("a secret value")


def test_a_bug_gives_a_reference_and_no_traceback(capsys, monkeypatch) -> None:
    monkeypatch.setattr("coordinator.client.catalogue_commands.connect", bug)
    code, _, err = run(capsys, "catalogue", "list")
    assert code == 5
    assert "Traceback" not in err
    assert "a secret value" not in err
    again = run(capsys, "catalogue", "list")[2]
    assert again == err  # the same bug, the same reference
    assert "(reference " in err


def test_debug_shows_the_traceback(capsys, monkeypatch) -> None:
    monkeypatch.setattr("coordinator.client.catalogue_commands.connect", bug)
    code, _, err = run(capsys, "--debug", "catalogue", "list")
    assert code == 5
    assert "Traceback" in err
    assert "ZeroDivisionError" in err


def test_ctrl_c_is_130(capsys, monkeypatch) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("coordinator.client.catalogue_commands.connect", interrupt)
    assert run(capsys, "catalogue", "list")[0] == 130


def test_a_reader_that_goes_away_gets_no_traceback() -> None:
    read, write = os.pipe()
    os.close(read)
    code = "from coordinator.client.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "version"], stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")  # click's own answer to a closed pipe


def test_help_and_version_are_0(capsys) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert "Exit codes" in out
    code, out, _ = run(capsys, "version", "--output", "json")
    assert (code, set(json.loads(out))) == (0, {"version"})


def test_main_ends_the_process_with_the_code(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["datalabbet", "nonsense"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 4
    capsys.readouterr()


# --- commands that need no coordinator -------------------------------------------------------


def test_a_new_study_file_checks_as_it_is(capsys, tmp_path: Path) -> None:
    path = tmp_path / "Vad hjälper? 2026.yaml"
    code, out, err = run(capsys, "study", "new", str(path))
    assert (code, out) == (0, f"{path}\n")
    assert "study check" in err
    draft = drafts.read(path.read_text(encoding="utf-8"), name="x")
    assert draft.study == "vad-hj-lper"
    code, out, _ = run(capsys, "study", "check", str(path), "--offline", "-o", "json")
    assert (code, json.loads(out)["checked"]) == (0, "file")


def test_a_new_study_can_go_to_stdout(capsys) -> None:
    code, out, err = run(capsys, "study", "new", "-")
    assert (code, err) == (0, "")
    assert drafts.read(out, name="x").study == "my-study"


def test_a_study_file_is_refused_with_line_numbers(capsys, tmp_path: Path) -> None:
    text = drafts.template(drafts.Blank()).replace("epsilon: 3.0", "epsilon: 0")
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding="utf-8")
    line = next(n for n, t in enumerate(text.splitlines(), 1) if t.strip() == "epsilon: 0")
    code, _, err = run(capsys, "study", "check", str(path), "--offline")
    assert code == 4
    assert f"privacy.epsilon: Epsilon must be above 0 and at most 100 (line {line})" in err


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), (b"\xff\xfe\x00", "not UTF-8"), (b"", "document")],
)
def test_what_is_no_study_file(capsys, tmp_path: Path, content, message) -> None:
    path = tmp_path / "study.yaml"
    if content is not None:
        path.write_bytes(content)
    code, _, err = run(capsys, "study", "check", str(path), "--offline")
    assert code == 4
    assert message in err


def test_a_command_without_a_profile_says_how_to_get_one(capsys, tmp_path: Path) -> None:
    code, _, err = run(capsys, "study", "list", "--profile", str(tmp_path / "none"))
    assert code == 4
    assert "datalabbet enrol" in err


def test_the_profile_can_come_from_the_environment(capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("DATALABBET_PROFILE", str(tmp_path / "from-the-environment"))
    assert "from-the-environment" in run(capsys, "study", "list")[2]


def test_the_demo_is_there_exactly_when_it_is_installed(capsys) -> None:
    installed = importlib.util.find_spec("demo.cli") is not None
    known = (*cli.app.registered_commands, *cli.app.registered_groups)
    assert ("demo" in {command.name for command in known}) == installed


# --- output ----------------------------------------------------------------------------------


def test_tables_are_aligned_and_free_of_control_characters(capsys) -> None:
    sheet = Sheet(head=("a", "long name"), rows=(("1\x1b[31m", "x"), ("22222", "y")))
    output.show(Form.TABLE, data=None, text=sheet)
    assert capsys.readouterr().out == "a      long name\n1[31m  x\n22222  y\n"


def test_an_empty_table_says_so_on_stderr(capsys) -> None:
    output.show(Form.TABLE, data=[], text=views.runs_sheet([]))
    assert capsys.readouterr() == ("", "No run has been started.\n")


def test_on_a_terminal_tables_are_drawn(monkeypatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "xterm")
    output.show(Form.TABLE, data=[], text=views.runs_sheet([status(RunState.TRAINING)]))
    assert "pupils-pass" in screen.getvalue()
    assert "\x1b[1m" in screen.getvalue()  # the heading is bold


def test_run_ids_are_texts_in_json() -> None:
    assert views.run_json(status(RunState.TRAINING))["run"] == str(2**60)


# --- progress --------------------------------------------------------------------------------

STATES = [
    status(RunState.STARTING, 0),
    status(RunState.TRAINING, 1),
    status(RunState.TRAINING, 1),
    status(RunState.WAITING, 1, "care is not connected"),
    status(RunState.FINISHED, 3),
]


def test_without_a_terminal_each_change_is_a_line(capsys) -> None:
    assert progress.follow(iter(STATES)) == STATES[-1]
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 4
    assert "waiting, round 1 of 3 (school). care is not connected" in err


def test_on_a_terminal_there_is_a_bar(monkeypatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    assert progress.follow(iter(STATES)) == STATES[-1]
    assert "3/3" in screen.getvalue()


@pytest.mark.parametrize("state", [RunState.STOPPED, RunState.FAILED])
def test_a_run_that_did_not_finish_is_an_error(state: RunState) -> None:
    with pytest.raises(RunFailedError, match=rf"{state.value} after 1 of 3 rounds: why"):
        progress.check(status(state, 1, "why"))
    finished = status(RunState.FINISHED, 3)
    assert progress.check(finished) is finished


def test_a_run_about_which_nothing_is_said_is_an_error() -> None:
    with pytest.raises(RunFailedError):
        progress.follow(iter([]))
