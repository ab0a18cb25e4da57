"""The release of a linked run: documents, card, what is withheld, and what it says it cost."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from linked_city import columns, in_the_clear
from linked_kinds import study_of
from linked_studies import OPEN, PRIVATE, TEXT, category, linked_study, own

from coordinator.release import linked_bundle
from coordinator.release.bundle import ReleaseBundle
from models import documents
from models.errors import InvalidDocumentError
from models.governance.linked import LinkedStudy
from models.governance.linked_record import LinkedRecord
from models.governance.questions import CellFit, Comparison, Table
from models.linkage import plan as plans
from models.linkage import tables
from models.linkage.results import Results, Tables
from protos import codec

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RUN = 2**47 + 3
RESIDENTS = 4000


def asked(**changes: Any) -> LinkedStudy:
    """Give a study with a crude and an adjusted figure beside each other."""
    yes = ("no", "yes")
    question = Table(
        kind="table",
        name="passing",
        title=TEXT,
        of=("passed", "group", "helped"),
        analyses=(
            Comparison(kind="compare", outcome="passed", by="helped"),
            CellFit(kind="logistic", outcome="passed", terms=("helped", "group"), test=("helped",)),
        ),
    )
    return linked_study(
        [
            (own("passed", "school"), category("passed", *yes)),
            (own("group", "school"), category("group", "a", "b")),
            (own("helped", "social"), category("helped", *yes)),
        ],
        [question],
        residents=RESIDENTS,
        **changes,
    )


def opened(study: LinkedStudy, *, totals: int = 7, residents: int = RESIDENTS) -> tables.Opened:
    """Give the tables of a made-up city, without noise."""
    generator = np.random.default_rng(3)
    coded = {
        axis.variable: generator.integers(0, axis.width, residents)
        for group in plans.plan(study).layout.groups
        for axis in group.axes
    }
    clear = in_the_clear(study, columns(study, coded))
    noise = plans.plan(study).noise
    units = np.zeros(noise.length, dtype=np.int64)
    units[: len(clear)] = clear << noise.bits
    units[len(clear) :] = totals << (noise.bits - 2)
    return tables.opened(study, units, residents=RESIDENTS)


def build(study: LinkedStudy, **changes: Any) -> ReleaseBundle:
    given: dict[str, Any] = {
        "study": study,
        "run_id": RUN,
        "opened": opened(study),
        "residents": RESIDENTS,
        "erased": {"coordinator": 1, "auditor": 1, "social": 1},
        "finished": 1,
        "created_at": NOW,
    }
    return linked_bundle.build(**given | changes)


def card_of(bundle: ReleaseBundle) -> str:
    return " ".join(bundle.files["card.md"].decode().split())


def results_of(bundle: ReleaseBundle) -> Results:
    return documents.read(Results, json.loads(bundle.files["results.json"]), what="results")


def tables_of(bundle: ReleaseBundle) -> Tables:
    return documents.read(Tables, json.loads(bundle.files["tables.json"]), what="tables")


@pytest.mark.parametrize("privacy", [OPEN, PRIVATE])
@pytest.mark.parametrize("kind", ["match", "relations", "hazard", "all at once"])
def test_records_and_files_are_read_as_they_were_written(kind: str, privacy: Any) -> None:
    study = study_of(kind, privacy=privacy, residents=RESIDENTS)
    bundle = build(study)
    record = codec.read_record(bundle.files["record.json"], what="the record")
    assert isinstance(record, LinkedRecord)
    assert record == bundle.record
    assert {file.name for file in record.files} == {"card.md", "results.json", "tables.json"}
    assert results_of(bundle).run == str(RUN)
    assert results_of(bundle).complete
    assert sum(item.cells for item in record.openings) == plans.plan(study).layout.cells
    assert bundle.summary.run_id == RUN


def test_small_cells_and_totals_are_withheld_without_noise_and_only_then() -> None:
    study = study_of("all at once", residents=RESIDENTS)
    found = opened(study, totals=3, residents=60)
    made = build(study, opened=found)
    record = made.record
    assert isinstance(record, LinkedRecord)
    counts = np.concatenate([table.counts.ravel() for table in found.tables])
    small = int(((counts >= 1) & (counts <= 4)).sum())
    assert small > 0
    assert sum(item.withheld for item in record.openings) == small
    cells = [cell for table in tables_of(made).tables for cell in table.cells]
    for cell, count in zip(cells, counts.tolist(), strict=True):
        assert cell is None if 1 <= count <= 4 else cell == count
    assert all(item.unlinked is None for item in record.totals)
    private = replace(study, privacy=PRIVATE)
    bundle = build(private, opened=opened(private, totals=3))
    assert isinstance(bundle.record, LinkedRecord)
    assert not any(item.withheld for item in bundle.record.openings)
    assert all(item.unlinked is not None for item in bundle.record.totals)


def test_the_record_says_what_each_run_and_all_runs_cost() -> None:
    study = asked(privacy=replace(PRIVATE, releases=3))
    one, three = (build(study, finished=number).record.protection for number in (1, 3))
    assert one.epsilon_run == one.epsilon == three.epsilon_run
    assert one.epsilon < three.epsilon <= 1.0
    assert three.epsilon == plans.epsilon(study, runs=3)
    assert one.cost == plans.cost(study)
    noise = plans.plan(study).noise
    assert (one.noise, one.reach, one.variance) == (noise.noise, noise.reach, noise.variance)


def test_the_card_has_crude_and_adjusted_figures_beside_each_other() -> None:
    card = card_of(build(asked(privacy=PRIVATE)))
    assert "| Log-odds of | Adjusted for the other terms | Crude, by itself | Remark |" in card
    [row] = [
        line
        for line in build(asked()).files["card.md"].decode().splitlines()
        if line.startswith("| helped = yes |")
    ]
    assert row.count(" to ") == 2
    assert "Any effect of helped at all" in card
    assert "standard deviation" in card
    for text in ("What it could see", "Prohibited uses", "Sammanfattning", "The auditors"):
        assert text in card


def test_the_card_of_public_data_promises_nothing() -> None:
    card = card_of(build(asked(privacy=OPEN)))
    assert "no mathematical protection" in card
    assert "withholding is no protection" in card
    assert "ε =" not in card


def test_a_server_that_did_not_say_so_has_erased_nothing() -> None:
    bundle = build(asked(), erased={"coordinator": 1, "social": 1})
    assert isinstance(bundle.record, LinkedRecord)
    assert [item.erased for item in bundle.record.servers] == [1, None, 1]
    assert "not confirmed" in card_of(bundle)


def test_figures_that_cannot_be_computed_do_not_cost_the_tables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was opened was paid for: an error in the estimates must not lose it."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(linked_bundle, "answers", broken)
    bundle = build(asked())
    assert results_of(bundle).answers == ()
    assert not results_of(bundle).complete
    assert "could not be computed" in card_of(bundle)
    assert tables_of(bundle).tables


def test_texts_of_the_study_cannot_forge_sections_of_the_card() -> None:
    evil = TEXT.__class__(sv="x", en="line\n## Protection of residents\n| a | b |")
    card = build(replace(asked(), purpose=evil, title=evil)).files["card.md"].decode()
    assert card.count("\n## Protection of residents") == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("study_hash", "0" * 64),
        ("totals", []),
        ("openings", []),
        ("format", "datalabbet/linked-release/2"),
    ],
)
def test_a_record_that_contradicts_its_study_is_refused(field: str, value: object) -> None:
    mapping = json.loads(build(asked()).files["record.json"]) | {field: value}
    with pytest.raises(InvalidDocumentError):
        codec.read_record(documents.canonical(mapping), what="the record")


def test_a_record_with_another_committee_is_refused() -> None:
    mapping = json.loads(build(asked()).files["record.json"])
    mapping["servers"][1]["owner"] = "Somebody else"
    with pytest.raises(InvalidDocumentError, match="servers"):
        codec.read_record(documents.canonical(mapping), what="the record")


def test_the_same_opening_gives_the_same_release() -> None:
    study = asked()
    assert build(study).files == build(study).files


def test_a_linked_release_is_made_without_torch() -> None:
    code = "import sys; import coordinator.release.linked_bundle; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
