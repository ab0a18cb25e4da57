"""Linked releases for reading: views, data frames, trends and figures."""

import json
import math
import re
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import linked_releases
import linked_studies
import numpy as np
import pytest
from linked_releases import ANSWER, DROWNED, GRADES, MADE, UNKNOWN

from coordinator.client import answer_views, figures, trends, views
from coordinator.client.linked_results import LinkedResults
from coordinator.client.output import Sheet
from coordinator.client.trends import Dated
from models.errors import NotFoundError, ProtocolViolationError, UsageError
from models.governance.principal import Principal, Role
from models.governance.states import StudyState
from models.governance.views import StudyStatus

STUDY = linked_releases.study()
RUN = 2**47 + 5
FEWER = np.array([[0, 0], [20, -20], [0, 0]])


def release(run: int = RUN, **changes):
    return linked_releases.made(STUDY, run, **changes)


def results(run: int = RUN, **changes) -> LinkedResults:
    made = release(run, **changes)
    files = made.files
    return LinkedResults.from_parts(
        made.record, results=files["results.json"], tables=files["tables.json"]
    )


def quarters(number: int = 4) -> list[Dated]:
    """Give releases a quarter apart, in which ever fewer pupils with assistance are eligible."""
    return [
        results(
            7 + place,
            at=MADE + timedelta(days=91 * place),
            counts=GRADES + place * FEWER,
        ).dated
        for place in range(number)
    ]


# --- views -----------------------------------------------------------------------------------


def test_a_linked_study_is_shown_with_its_servers_questions_and_what_everybody_sees() -> None:
    status = StudyStatus(
        study=STUDY,
        study_hash=STUDY.digest(),
        state=StudyState.PROPOSED,
        approvals=(),
        proposed_at=MADE,
        proposed_by=Principal(Role.CENTRAL, "anna"),
    )
    text = views.study_text(status)
    for told in (
        "coordinator (The city's office), auditor (The auditors), social (The social welfare",
        "2024-12-31, at most 1 000 residents, protected identities left out",
        "assistance: social, social_table.assistance, any of the household's; without a record",
        "How many residents are in each combination of eligible (school) and assistance (social,",
        "1 (delta 1e-06)",
        "one household, all departments, 1 answer",
        "does not hold if two of the three servers pool",
        "auditor sees",
        "readers see",
    ):
        assert told in text, told
    assert re.search(r"^auditor +not decided$", text, flags=re.MULTILINE)
    assert views.study_json(status)["document"]["register"]["residents"] == 1000
    sheet = views.studies_sheet([status])
    assert sheet.rows[0][:3] == ("linked-test", "proposed", "0 of 3")


def test_a_linked_release_is_shown_with_its_noise_totals_and_erasures() -> None:
    text = views.record_text(release().record)
    for told in (
        "900 residents",
        "auditor (The auditors): shares erased",
        "social (The social welfare board): not known to be erased",
        "of 1 (delta 1e-06), by 1 answer, per household",
        "5.52 residents (standard deviation)",
        "not in the register: 12 (9 to 16); protected identity, left out: -1 (-5 to 3)",
        "1 table of 6 cells",
        "tables.json",
    ):
        assert told in text, told


def test_a_release_without_noise_says_that_there_is_no_bound() -> None:
    asked = linked_releases.study(privacy=linked_studies.OPEN)
    text = views.record_text(linked_releases.made(asked, RUN).record)
    assert "no bound" in text
    assert "withheld" not in text.split("in the register:")[1].split("\n")[0]


# --- results ---------------------------------------------------------------------------------


def test_figures_curves_tests_and_tables_are_data_frames() -> None:
    found = replace(results(), answers=(*results().answers, ANSWER))
    frame = found.figures
    share = frame[frame["figure"] == "eligible = yes | assistance = yes"].iloc[0]
    assert share["value"] == pytest.approx(0.5)
    assert share["low"] < 0.5 < share["high"]
    unknown = frame[frame["figure"] == UNKNOWN.name].iloc[0]
    assert math.isnan(unknown["value"])
    assert unknown["drowned"]
    assert list(found.curves["at"]) == list(range(25))
    assert found.tests.iloc[0]["degrees"] == 2
    cells = found.table("eligibility")
    assert list(cells.columns) == ["eligible", "assistance", "residents", "deviation"]
    yes = cells[(cells["eligible"] == "yes") & (cells["assistance"] == "no")]
    assert yes["residents"].item() == 900
    assert yes["deviation"].item() == pytest.approx(5.52, abs=0.01)
    assert found.tables == ("eligibility",)


def test_a_table_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(NotFoundError, match="has no table truancy") as caught:
        results().table("truancy")
    assert "eligibility" in caught.value.hint


def test_withheld_cells_are_missing_numbers() -> None:
    asked = linked_releases.study(privacy=linked_studies.OPEN)
    counts = GRADES.copy()
    counts[1, 0] = 3
    made = linked_releases.made(asked, RUN, counts=counts)
    found = LinkedResults.of(made.record, lambda entry: made.files[entry.name])
    assert found.table("eligibility")["residents"].isna().sum() == 1


def test_results_are_read_from_an_exported_folder(tmp_path) -> None:
    made = release()
    for name, content in made.files.items():
        (tmp_path / name).write_bytes(content)
    assert LinkedResults.from_release(tmp_path) == results()
    (tmp_path / "results.json").write_bytes(b"{}")
    with pytest.raises(ProtocolViolationError, match=r"results\.json is not the file"):
        LinkedResults.from_release(tmp_path)
    (tmp_path / "results.json").unlink()
    with pytest.raises(UsageError, match="cannot be read"):
        LinkedResults.from_release(tmp_path)


def test_files_of_another_run_are_refused() -> None:
    other = release(RUN + 1)
    with pytest.raises(ProtocolViolationError, match="not all of one run"):
        LinkedResults.from_parts(
            release().record,
            results=other.files["results.json"],
            tables=release().files["tables.json"],
        )


def test_answers_are_printed_with_intervals_and_what_is_drowned() -> None:
    text = answer_views.text((*results().answers, ANSWER), titles={"eligibility": "Who passes?"})
    for told in (
        "eligibility: Who passes?",
        "0.500 (0.454 to 0.546)",
        "0.250 (-1.500 to 2.000)",
        "drowned in noise; A note of its own.",
        "not determined",
        "begun early, begun late: chi-square 44.0, 2 df, p < 0.001",
        "survival, begun by month 6:",
        "A note of all.",
    ):
        assert told in text, told
    assert text.count("Who passes?") == 1
    data = json.loads(json.dumps(answer_views.as_json(RUN, [ANSWER])))
    assert data["run"] == str(RUN)
    assert data["answers"][0]["figures"][0]["drowned"] is True


def test_answers_are_chosen_by_question_and_text() -> None:
    answers = (*results().answers, ANSWER)
    (compared, leaving) = answer_views.chosen(answers, only="")
    (chosen,) = answer_views.chosen(answers, only="assistance = yes against")
    assert [figure.kind for figure in chosen.figures] == ["difference"]
    assert answer_views.chosen(answers, only="LEAVING") == [leaving]
    assert answer_views.chosen(answers, question="eligibility") == [compared, leaving]
    with pytest.raises(NotFoundError, match="no such figure") as caught:
        answer_views.chosen(answers, question="other")
    assert "eligibility" in caught.value.hint


# --- trends ----------------------------------------------------------------------------------


def test_a_trend_has_every_release_in_order_of_days() -> None:
    dated = quarters()
    found = trends.trends([dated[2], dated[0], dated[3], dated[1]], only="difference")
    (line,) = found
    assert [seen.run_id for seen in line.observed] == [7, 8, 9, 10]
    values = [seen.figure.value for seen in line.observed]
    assert values == sorted(values, reverse=True)
    assert values[-1] - values[0] == pytest.approx(-60 / 500, abs=0.001)


def test_the_change_is_that_of_first_and_last_with_a_cautious_interval() -> None:
    (line,) = trends.trends(quarters(), only="assistance = yes against")
    change = line.change
    first, last = line.observed[0].figure, line.observed[-1].figure
    assert change is not None
    assert change.value == pytest.approx(last.value - first.value)
    wide = math.hypot(first.high - first.value, last.high - last.value)
    assert change.high - change.low == pytest.approx(2 * wide, rel=0.02)
    assert change.low < change.value < change.high


def test_one_release_or_unknown_figures_have_no_change() -> None:
    (line,) = trends.trends(quarters(1), only="difference")
    assert line.change is None
    unknown = replace(quarters(1)[0], answers=(ANSWER,))
    later = replace(unknown, made=MADE + timedelta(days=91), run_id=9)
    found = trends.trends([unknown, later], only="never")
    assert found[0].change is None
    assert [row[3] for row in trends.sheet(found).rows] == ["not determined", "not determined"]


def test_a_figure_that_only_some_releases_have_is_kept() -> None:
    dated = quarters(2)
    newest = replace(dated[1], answers=(*dated[1].answers, ANSWER))
    found = trends.trends([dated[0], newest])
    assert {len(item.observed) for item in found} == {1, 2}
    assert trends.trends([dated[0]], question="other") == ()


def test_a_trend_is_printed_with_days_and_as_json() -> None:
    found = trends.trends(quarters(2), only="difference")
    sheet = trends.sheet(found)
    assert isinstance(sheet, Sheet)
    assert [row[2] for row in sheet.rows] == ["2026-11-22", "2027-02-21", "change"]
    (item,) = json.loads(json.dumps(trends.as_json(found)))
    assert [seen["run"] for seen in item["releases"]] == ["7", "8"]
    assert item["change"]["low"] < item["change"]["value"] < item["change"]["high"]


# --- figures ---------------------------------------------------------------------------------

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: bytes) -> list[str]:
    root = ET.fromstring(svg)  # noqa: S314 - our own text
    assert root.tag == f"{SVG}svg"
    return ["".join(item.itertext()).strip() for item in root.iter(f"{SVG}text")]


def colours(svg: bytes) -> set[str]:
    return set(re.findall(r"#[0-9a-f]{6}\b", svg.decode()))


def test_a_trend_is_drawn_with_title_axes_and_days() -> None:
    svg = figures.trend(trends.trends(quarters()), title="Who passes, $quarter$ by quarter?")
    found = texts(svg)
    for told in (
        "Who passes, $quarter$ by quarter?",
        "day of the release",
        "share of residents",
        "difference of shares",
        "2026-11-22",
        "2027-08-22",
    ):
        assert told in found, told
    assert any(text.startswith("Bars: 95 % intervals") for text in found)


def test_equal_data_gives_equal_bytes_and_other_data_others() -> None:
    lines = trends.trends(quarters())
    assert figures.trend(lines, title="T") == figures.trend(lines, title="T")
    assert figures.trend(lines, title="T") != figures.trend(trends.trends(quarters(3)), title="T")
    assert b"<dc:date>" not in figures.trend(lines, title="T")


def test_grey_is_enough_and_drowned_figures_are_hollow() -> None:
    svg = figures.results([*results().answers, ANSWER], title="T")
    for colour in colours(svg):
        assert len({colour[1:3], colour[3:5], colour[5:7]}) == 1, colour
    plain = figures.results(
        [replace(ANSWER, figures=(replace(DROWNED, drowned=False),))], title="T"
    )
    hollow = figures.results([replace(ANSWER, figures=(DROWNED,))], title="T")
    assert plain != hollow
    assert hollow.count(b"fill: #ffffff") > plain.count(b"fill: #ffffff")


def test_results_are_drawn_with_curves_and_without_what_is_not_determined() -> None:
    found = texts(figures.results([ANSWER], title="T"))
    assert "share still there" in found
    assert "month" in found
    assert "begun by month 6" in found
    assert "log-odds (adjusted)" in found
    assert not any("never begun" in text for text in found)


def test_nothing_and_too_much_are_not_drawn() -> None:
    with pytest.raises(UsageError, match="no such figure"):
        figures.trend(trends.trends(quarters(1), only="nothing of that name"), title="T")
    many = [
        replace(ANSWER, question=f"q{n}", series=(), figures=(DROWNED,))
        for n in range(figures.MOST + 1)
    ]
    with pytest.raises(UsageError, match="do not fit on a page"):
        figures.results(many, title="T")


def test_without_the_library_the_hint_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match="matplotlib, which is not installed") as caught:
        figures.results([ANSWER], title="T")
    assert "datalabbet[figures]" in caught.value.hint


def test_two_releases_of_one_day_are_told_apart_by_the_time() -> None:
    twice = [results(7).dated, results(8, at=MADE + timedelta(hours=2)).dated]
    (line,) = trends.trends(twice, only="difference")
    assert trends.days(line.observed) == ["2026-11-22 12:00:00", "2026-11-22 14:00:00"]
    assert "2026-11-22 14:00:00" in texts(figures.trend([line], title="T"))


def test_days_are_those_of_utc() -> None:
    late = results(at=datetime(2026, 12, 31, 23, 30, tzinfo=UTC))
    assert "2026-12-31" in texts(figures.trend(trends.trends([late.dated]), title="T"))
