"""A linked release as files: answers, tables, the card and the record."""

import logging
from collections.abc import Mapping
from datetime import datetime

from coordinator.release.bundle import ReleaseBundle, software
from coordinator.release.linked_card import card
from models import documents
from models.governance.linked import COORDINATOR, LinkedStudy
from models.governance.linked_record import (
    Explanation,
    LinkedProtection,
    LinkedRecord,
    Opening,
    ServerRecord,
)
from models.governance.record import RecordedFile
from models.governance.study import Protection
from models.linkage import plan as plans
from models.linkage import results
from models.linkage.estimates.answers import answers
from models.linkage.estimates.figures import Answer
from models.linkage.results import Results, Tables
from models.linkage.tables import Opened
from models.linkage.words import protection_in_words

_log = logging.getLogger(__name__)

RESULTS, TABLES, CARD, RECORD = "results.json", "tables.json", "card.md", "record.json"


def build(
    *,
    study: LinkedStudy,
    run_id: int,
    opened: Opened,
    residents: int,
    erased: Mapping[str, int],
    finished: int,
    created_at: datetime,
) -> ReleaseBundle:
    """Give the release of a finished run of a linked study.

    Everything here is computed from what was opened: it costs nothing.

    Args:
        study: that was run.
        run_id: the run.
        opened: all tables and totals.
        residents: of the spine.
        erased: of each server that said so, how many chunks of shares it erased.
        finished: how many runs of the study have finished, this one among them.
        created_at: now.

    Raises:
        AccountingError: the cost cannot be computed; then there is no release.
    """
    tables = results.released(study, opened, run=run_id)
    computed = _answers(study, opened, run_id)
    found = Results(
        run=str(run_id),
        study_hash=study.digest(),
        answers=() if computed is None else computed,
        complete=computed is not None,
    )
    files = {RESULTS: documents.write(found), TABLES: documents.write(tables)}
    listed = [RecordedFile.of(name, content) for name, content in sorted(files.items())]
    protection = _protection(study, finished=finished)
    servers, openings = _servers(study, erased), _openings(study, tables)
    totals = tuple(results.totals(study, item) for item in opened.totals)
    files[CARD] = card(
        study=study,
        run=str(run_id),
        created=created_at.strftime("%Y-%m-%d %H:%M %Z"),
        residents=residents,
        protection=protection,
        servers=servers,
        totals=totals,
        openings=openings,
        answers=computed,
        files=listed,
    ).encode()
    record = LinkedRecord(
        run=str(run_id),
        study_hash=study.digest(),
        study=study,
        created_at=created_at,
        protection=protection,
        residents=residents,
        chunks=plans.plan(study).chunks(residents),
        servers=servers,
        totals=totals,
        openings=openings,
        software=software(),
        files=tuple(RecordedFile.of(name, content) for name, content in sorted(files.items())),
    )
    return ReleaseBundle(record=record, files={**files, RECORD: record.canonical()})


def _answers(study: LinkedStudy, opened: Opened, run_id: int) -> tuple[Answer, ...] | None:
    """Give the answers, or None: the tables are paid for, and are released without figures too."""
    try:
        return answers(study, opened)
    except Exception:  # noqa: BLE001 - whatever it is, what was opened must not be lost
        _log.exception("run %s: the figures could not be computed", run_id)
        return None


def _protection(study: LinkedStudy, *, finished: int) -> LinkedProtection:
    """Give what protects residents, over so many finished runs.

    Formal guarantee: each run is one Gaussian mechanism over all departments' records together
    (`models.linkage.plan`), so that finished runs compose as so many of its events; every
    department charged each of them once. Runs that failed are in the departments' ledgers, whose
    budget holds them too.
    """
    noise = plans.plan(study).noise
    private = study.privacy.protection is not Protection.NONE
    spent = plans.epsilon(study, runs=finished)
    words = protection_in_words(study, spent)
    return LinkedProtection(
        in_words=Explanation(sv=words.sv, en=words.en),
        unit=study.privacy.unit,
        rows_per_household=study.privacy.rows_per_household,
        epsilon_run=plans.epsilon(study, runs=1),
        epsilon=spent,
        epsilon_approved=study.privacy.epsilon.value if study.privacy.epsilon else None,
        delta=study.privacy.delta,
        runs=finished,
        cost=plans.cost(study),
        noise=noise.noise if private else None,
        reach=noise.reach,
        variance=noise.variance,
    )


def _servers(study: LinkedStudy, erased: Mapping[str, int]) -> tuple[ServerRecord, ...]:
    names = (COORDINATOR, *study.committee.names)
    return tuple(
        ServerRecord(name=name, owner=owner, erased=erased.get(name))
        for name, owner in zip(names, study.committee.owners, strict=True)
    )


def _openings(study: LinkedStudy, tables: Tables) -> tuple[Opening, ...]:
    found = []
    for question in study.questions:
        own = [item for item in tables.tables if item.question == question.name]
        found.append(
            Opening(
                question=question.name,
                tables=len(own),
                cells=sum(len(item.cells) for item in own),
                withheld=sum(item.withheld for item in own),
            )
        )
    return tuple(found)
