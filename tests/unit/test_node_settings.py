"""Settings, the log and the command's manners."""

import json
import logging
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fleets import DECLARATION, node_command

from models.errors import ConfigurationError, NotFoundError, RefusedError
from models.linkage.identity import Admission, Mode
from node import config, telemetry
from node import home as homes
from node.shelf import Shelf, chosen


def test_a_new_home_is_private_and_explains_every_setting(tmp_path: Path) -> None:
    made = homes.create(tmp_path / "home")
    assert len(made) == 4
    assert (tmp_path / "home" / "state").stat().st_mode & 0o777 == 0o700
    assert homes.create(tmp_path / "home") == ()
    explained = (tmp_path / "home" / "node.toml").read_text()
    for name in config.Settings.model_fields:
        assert f"# {name} = " in explained, name
    uncommented = "\n".join(
        line[2:] for line in explained.splitlines() if line.startswith("# ") and " = " in line
    )
    assert config.Settings(**tomllib.loads(uncommented)) is not None


def test_the_environment_wins_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "node.toml").write_text('coordinator = "a.example:1"\nminimum_cohort = 4\n')
    assert config.load(tmp_path).coordinator == "a.example:1"
    monkeypatch.setenv("DATALABBET_NODE__COORDINATOR", "b.example:2")
    settings = config.load(tmp_path)
    assert (settings.coordinator, settings.minimum_cohort) == ("b.example:2", 4)


def test_a_home_for_invented_residents(tmp_path: Path) -> None:
    homes.create(tmp_path / "home", mode=Mode.DEMO)
    home = homes.open_home(tmp_path / "home")
    assert home.settings.mode is Mode.DEMO
    limits = (home.settings.epsilon_per_study, home.settings.epsilon_per_year)
    assert (*limits, home.settings.epsilon_total) == (100, 100, 100)
    assert home.admission() == Admission(mode=Mode.DEMO)
    (home.datasets / "pupils.yaml").write_text(DECLARATION, encoding="utf-8")
    (dataset,) = home.shelf().datasets().values()
    assert dataset.admission.mode is Mode.DEMO
    assert homes.create(home.path) == homes.create(home.path, mode=Mode.DEMO) == ()
    with pytest.raises(ConfigurationError, match="says mode demo"):
        homes.create(home.path, mode=Mode.PRODUCTION)
    homes.create(tmp_path / "other")
    with pytest.raises(ConfigurationError, match="says mode production"):
        homes.create(tmp_path / "other", mode=Mode.DEMO)


def test_test_numbers_are_read_from_a_file(tmp_path: Path) -> None:
    homes.create(tmp_path)
    (tmp_path / "node.toml").write_text('test_numbers = "list.json"')
    (tmp_path / "list.json").write_text('["189001139808", "189011229813"]')
    expected = frozenset({"189001139808", "189011229813"})
    assert homes.open_home(tmp_path).admission() == Admission(test_numbers=expected)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '["1890-01"]', '["189001139808",]'])
def test_a_list_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    homes.create(tmp_path)
    (tmp_path / "node.toml").write_text('test_numbers = "list.json"')
    (tmp_path / "list.json").write_text(content)
    with pytest.raises(ConfigurationError, match=r"list\.json .* is not a list of test numbers"):
        homes.open_home(tmp_path).admission()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("coordinator = ", "not valid TOML"),
        ('mode = "test"', "mode"),
        ('coordinator = "no port"', "coordinator"),
        ("minimum_cohort = 1", "minimum_cohort"),
        ("secret_door = true", "secret_door"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "node.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        config.load(tmp_path)


def test_only_one_process_holds_a_home(tmp_path: Path) -> None:
    assert not homes.running(tmp_path)
    with homes.alone(tmp_path):
        assert homes.running(tmp_path)
        with pytest.raises(ConfigurationError, match="running already"), homes.alone(tmp_path):
            pass
    assert not homes.running(tmp_path)


def test_declarations_are_read_again_when_a_file_changes(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    assert shelf.datasets() == {}
    with pytest.raises(NotFoundError, match="no dataset"):
        chosen(shelf.datasets(), None)
    path = tmp_path / "pupils.yaml"
    path.write_text(DECLARATION, encoding="utf-8")
    assert list(shelf.declarations()) == ["pupils"]
    path.write_text(DECLARATION.replace("maximum: 100", "maximum: 110"), encoding="utf-8")
    assert shelf.declarations()["pupils"].column("age").maximum == 110
    path.write_text("broken", encoding="utf-8")
    for _ in range(2):  # an older version is not served instead
        with pytest.raises(Exception, match="not valid"):
            shelf.datasets()
    with pytest.raises(NotFoundError, match="others is not declared"):
        chosen({}, "others")


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], list[dict[str, object]]]]:
    """Give what was logged; `telemetry.setup` is called by the test, on the stream of its phase."""
    root, own = logging.getLogger(), logging.getLogger("datalabbet.node")
    before = (root.handlers, own.handlers, own.propagate, own.level)
    yield lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    root.handlers, own.handlers, own.propagate, own.level = before


def test_a_log_line_has_listed_fields_alone(lines: Callable[[], list[dict[str, object]]]) -> None:
    telemetry.setup("info")
    telemetry.log("a run has begun here", run=7, study="pupils-pass")
    (line,) = lines()
    assert line.keys() == {"at", "level", "event", "run", "study"}
    with pytest.raises(ValueError, match="resident"):
        telemetry.log("a run has begun here", resident="19121212-1212")


def test_the_text_of_a_strange_exception_is_not_logged(
    lines: Callable[[], list[dict[str, object]]],
) -> None:
    telemetry.setup("info")
    try:
        float("19121212-1212")
    except ValueError as error:
        telemetry.failed("a step was not done", error, run=7)
    (line,) = lines()
    assert line["error"] == "ValueError"
    assert "test_node_settings.py" in line["where"]
    assert "19121212" not in json.dumps(line)


def test_our_own_errors_are_logged_with_their_text(
    lines: Callable[[], list[dict[str, object]]],
) -> None:
    telemetry.setup("info")
    telemetry.failed("a run was refused", RefusedError("not approved", hint="Approve it."), run=7)
    (line,) = lines()
    assert (line["code"], line["problem"], line["hint"]) == (
        "REFUSED",
        "not approved",
        "Approve it.",
    )


def test_other_loggers_are_not_heard(lines: Callable[[], list[dict[str, object]]]) -> None:
    telemetry.setup("info")
    logging.getLogger("flwr").error("a record of 19121212-1212")
    logging.getLogger("some.library").warning("a record of 19121212-1212")
    telemetry.log("the node has stopped")
    assert [line["event"] for line in lines()] == ["the node has stopped"]


def home_with_data(tmp_path: Path, csv: str) -> Path:
    homes.create(tmp_path / "home")
    folder = tmp_path / "home" / "datasets"
    (folder / "pupils.yaml").write_text(DECLARATION, encoding="utf-8")
    (folder / "pupils.csv").write_text(csv, encoding="utf-8")
    return tmp_path / "home"


def test_data_check_names_places_and_never_values(tmp_path: Path) -> None:
    csv = "resident,age,income,area,passed,grade\nr1,30,1.5,north,yes,low\nr2,999,1,mars,yes,low\n"
    home = home_with_data(tmp_path, csv)
    done = node_command(home, "data", "check", "--output", "json")
    assert done.returncode == 1
    (report,) = json.loads(done.stdout)["datasets"]
    assert (report["rows"], report["usable"], report["clean"]) == (2, 1, False)
    assert {v["column"] for v in report["violations"]} == {"age", "area"}
    assert "999" not in done.stdout + done.stderr
    assert "mars" not in done.stdout + done.stderr


def test_data_describe_shows_the_declaration(tmp_path: Path) -> None:
    home = home_with_data(tmp_path, "")
    done = node_command(home, "data", "describe", "--dataset", "pupils", "--output", "json")
    assert done.returncode == 0
    (told,) = json.loads(done.stdout)["datasets"]
    assert [column["column"] for column in told["columns"]] == [
        *("age", "income", "area", "passed", "grade"),
    ]
    unknown = node_command(home, "data", "describe", "--dataset", "others")
    assert unknown.returncode == 4
    assert unknown.stderr.startswith("Error: the dataset others is not declared\nHint: ")
    assert unknown.stdout == ""


def test_a_draft_leaves_bounds_to_the_steward(tmp_path: Path) -> None:
    home = home_with_data(tmp_path, "resident,age\nr1,37\n")
    done = node_command(home, "data", "draft", "pupils", "--file", "pupils.csv")
    assert done.returncode == 0, done.stderr
    assert "name: pupils" in done.stdout
    assert "37" not in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("status", "--nonsense"),
        ("studies", "approve", "some-study"),
        ("studies", "refuse", "some-study"),
        ("data", "draft", "pupils"),
        ("enrol", "--token-file", "missing", "--coordinator", "localhost:1"),
    ],
)
def test_wrong_use_ends_with_4_and_without_a_traceback(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    homes.create(tmp_path / "home")
    done = node_command(tmp_path / "home", *arguments)
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr
    assert "Error: " in done.stderr
