"""Linked studies and their releases for reading: names and texts, line by line."""

import math
from collections.abc import Iterator

from models.governance.linked import COORDINATOR, LinkedStudy, LinkedVariable
from models.governance.linked_record import LinkedProtection, LinkedRecord
from models.governance.record import Interval
from models.linkage import words
from models.linkage.asked import asked

Lines = Iterator[tuple[str, str]]

_PROTECTED = {
    "leave-out": "protected identities left out",
    "include": "protected identities included",
}


def study_lines(study: LinkedStudy, *, epsilon: str) -> Lines:
    """Give what only a linked study has: its questions, servers, and who sees what.

    `epsilon`: the approved protection, in short.
    """
    privacy = study.privacy
    terms = study.register
    yield ("departments", ", ".join(study.departments))
    yield ("servers", servers(study))
    yield (
        "register",
        f"{terms.date}, at most {_count(terms.residents)} residents, {_PROTECTED[terms.protected]}",
    )
    for item in study.variables:
        yield ("variable", variable(item))
    for question in asked(study):
        yield ("question", f"{question.name}: {question.title.en}\n{question.text.en}")
    yield ("protection", privacy.protection.value)
    yield ("epsilon", epsilon)
    answers = f"{privacy.releases} answer{'s' if privacy.releases > 1 else ''}"
    spare = f", {privacy.spare_runs} that may fail" if privacy.spare_runs else ""
    yield ("covers", f"one {privacy.unit}, all departments, {answers}{spare}")
    loss = None if privacy.epsilon is None else privacy.epsilon.value
    yield ("in words", words.protection_in_words(study, loss).en)
    for sight in words.sights(study):
        yield (
            f"{sight.party} sees" if sight.party != words.READERS else "readers see",
            sight.sees.en,
        )


def servers(study: LinkedStudy) -> str:
    """Give the three that compute on shares, each with who runs it."""
    names = (COORDINATOR, *study.committee.names)
    pairs = zip(names, study.committee.owners, strict=True)
    return ", ".join(f"{name} ({owner})" for name, owner in pairs)


def variable(item: LinkedVariable) -> str:
    """Give where a variable comes from: `passed: schools, pupils.passed`."""
    column = f"{item.dataset}.{item.column}" if item.column else f"a record in {item.dataset}"
    household = ", any of the household's" if item.of == "household" else ""
    absent = "; without a record a category of its own" if item.absent else ""
    return f"{item.name}: {item.department}, {column}{household}{absent}"


def record_lines(record: LinkedRecord) -> Lines:
    """Give what only the release of a linked study has."""
    study, protection = record.study, record.protection
    yield (
        "register",
        f"{study.register.date}, {_count(record.residents)} residents",
    )
    for server in record.servers:
        erased = "not known to be erased" if server.erased is None else "shares erased"
        yield ("server", f"{server.name} ({server.owner}): {erased}")
    yield ("epsilon spent", _spent(protection))
    deviation = math.sqrt(protection.variance.value)
    yield ("noise of a cell", f"{deviation:.3g} residents (standard deviation)")
    for total in record.totals:
        unlinked, protected = count(total.unlinked), count(total.protected)
        said = f"not in the register: {unlinked}; protected identity, left out: {protected}"
        yield (total.department, said)
    for opening in record.openings:
        left = f", {opening.withheld} withheld" if opening.withheld else ""
        tables = f"{opening.tables} table{'s' if opening.tables > 1 else ''}"
        yield (opening.question, f"{tables} of {_count(opening.cells)} cells{left}")
    yield ("protection", protection.in_words.en)


def _spent(protection: LinkedProtection) -> str:
    if protection.epsilon is None:
        return "no bound"
    most = "" if protection.epsilon_approved is None else f" of {protection.epsilon_approved:.4g}"
    delta = "" if protection.delta is None else f" (delta {protection.delta.value:g})"
    answers = f"{protection.runs} answer{'s' if protection.runs > 1 else ''}"
    return f"{protection.epsilon:.4g}{most}{delta}, by {answers}, per {protection.unit}"


def count(figure: Interval | None) -> str:
    """Give a number of residents with its interval; noise makes some of them negative."""
    if figure is None:
        return "withheld"
    return f"{figure.value:.0f} ({figure.low:.0f} to {figure.high:.0f})"


def _count(number: int) -> str:
    return f"{number:,}".replace(",", " ")
