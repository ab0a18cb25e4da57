"""What a linked study would cost and give: noise, expected intervals, memory and traffic."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from models.errors import UsageError
from models.governance.linked import LinkedDraft, LinkedStudy
from models.governance.linked_resolution import datasets, resolve_linked
from models.linkage import plan as plans
from models.linkage.estimates.asked import check
from models.linkage.expected import Expectation, expected
from models.linkage.plan import Plan
from models.quantities import Epsilon
from models.schema import Declaration

_NO_CODE = "0" * 64
"""The studies here are never proposed: no program is bound to them, and no department's key."""

_OVERHEAD = 1024
"""Bytes of a message around its numbers, rounded up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one run asks of the machines, at the largest register that the study allows.

    Attributes:
        up: bytes that each department uploads.
        down: bytes that each of the servers beside the coordinator receives.
        between: bytes that each server sends to another one; 0: none.
        memory: of a server, in bytes; it surely needs no more.
        chunks: parts that the register is computed in.
    """

    up: Mapping[str, int]
    down: int
    between: int
    memory: int
    chunks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedPlanned:
    """One variation of a linked study.

    Attributes:
        plan: that every party would agree on.
        once, whole: ε of one run, and of all runs that the study pays for; None: no protection.
        load: of one run.
        expected: per question, how sharp the answers will be.
    """

    study: LinkedStudy
    plan: Plan
    once: float | None
    whole: float | None
    load: Load
    expected: tuple[Expectation, ...]


def variations(
    draft: LinkedDraft,
    declared: Sequence[tuple[str | None, Declaration]],
    *,
    epsilons: Sequence[float] = (),
) -> list[LinkedStudy]:
    """Give the study at every ε asked for (none: as the file says), in order.

    Args:
        draft: the study file.
        declared: declarations, and whose they are; None: of whoever has a dataset of that name.
        epsilons: to try.

    Raises:
        UsageError: an ε is out of bounds, or says nothing about this study.
        InvalidDocumentError: the draft does not fit the declarations.
    """
    if epsilons and draft.privacy.epsilon is None:
        raise UsageError("epsilon says nothing about a study without protection")
    try:
        drafts = [
            replace(draft, privacy=replace(draft.privacy, epsilon=Epsilon(asked)))
            for asked in epsilons
        ] or [draft]
    except ValueError as error:  # the quantity refuses it, with a text for people
        raise UsageError(str(error)) from None
    known = {place: _of(declared, *place) for place in datasets(draft)}
    keys = {name: hashlib.sha256(name.encode()).hexdigest() for name in draft.parties}
    return [resolve_linked(item, known, code=_NO_CODE, identities=keys) for item in drafts]


def _of(
    declared: Sequence[tuple[str | None, Declaration]], department: str, dataset: str
) -> Declaration | None:
    """Give a department's own declaration of a dataset, else one that names no department."""
    named = {whose: found for whose, found in declared if found.name == dataset}
    return named.get(department, named.get(None))


def planned(study: LinkedStudy, *, sizes: Mapping[str, int] | None = None) -> LinkedPlanned:
    """Give a study's price, noise, load, and how sharp its answers will be.

    Args:
        study: that is planned.
        sizes: see `models.linkage.expected`.

    Raises:
        UsageError: a question cannot be asked so, or is too large, or a size is of nothing in it.
    """
    check(study)
    agreed = plans.plan(study)
    return LinkedPlanned(
        study=study,
        plan=agreed,
        once=plans.epsilon(study, runs=1),
        whole=plans.epsilon(study, runs=study.privacy.runs),
        load=_load(study, agreed),
        expected=expected(study, sizes),
    )


def _load(study: LinkedStudy, agreed: Plan) -> Load:
    residents = study.register.residents
    chunks = agreed.chunks(residents)
    up = {
        name: residents * agreed.layout.columns(name) * agreed.ring.octets + chunks * _OVERHEAD
        for name in study.departments
    }
    crossed = sum(item.width for item in agreed.layout.derived)
    between = residents * crossed * agreed.ring.octets
    return Load(
        up=up,
        down=sum(up.values()),
        between=between + chunks * _OVERHEAD if crossed else 0,
        memory=agreed.octets,
        chunks=chunks,
    )


def sizes(given: Sequence[str]) -> dict[str, int]:
    """Give public numbers of residents, written `NAME=NUMBER` or `VARIABLE=CATEGORY=NUMBER`.

    Raises:
        UsageError: it is written otherwise, or twice.
    """
    found: dict[str, int] = {}
    for text in given:
        name, separator, number = text.rpartition("=")
        if not (separator and name and number.isdecimal()):
            raise UsageError(
                f"--size {text} is no number of residents",
                hint="Write --size QUESTION=NUMBER or --size VARIABLE=CATEGORY=NUMBER.",
            )
        if name in found:
            raise UsageError(f"--size {name} is given twice")
        found[name] = int(number)
    return found
