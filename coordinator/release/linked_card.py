"""The card of a linked release: questions, answers and protection, explained to people."""

import math
from collections.abc import Sequence

from coordinator.release import card_parts
from coordinator.release.card_parts import contact, plain, purpose, section, table
from coordinator.release.linked_answers import answered
from models.governance.linked import LinkedStudy
from models.governance.linked_record import (
    DepartmentTotals,
    LinkedProtection,
    Opening,
    ServerRecord,
)
from models.governance.record import Interval, RecordedFile
from models.governance.study import Protection
from models.governance.words import odds_in_words, one_in, round_up
from models.linkage import words
from models.linkage.asked import asked
from models.linkage.estimates.figures import Answer


def card(  # noqa: PLR0913 - a card is its parts
    *,
    study: LinkedStudy,
    run: str,
    created: str,
    residents: int,
    protection: LinkedProtection,
    servers: Sequence[ServerRecord],
    totals: Sequence[DepartmentTotals],
    openings: Sequence[Opening],
    answers: Sequence[Answer] | None,
    files: Sequence[RecordedFile],
) -> str:
    """Give the card. Texts of the study are quoted as they are; no number is measured here.

    `answers`: None: the figures could not be computed, and only the tables are released.
    """
    facts = _facts(study, run=run, created=created, residents=residents)
    sections = (
        ("Purpose", purpose(study)),
        ("Questions and answers", _questions(study, openings, answers)),
        ("Data", _data(study, totals)),
        ("Protection of residents", _protection(study, protection)),
        ("Who could see what", _seen(study, servers)),
        ("Limits", _limits(study)),
        ("Prohibited uses", _PROHIBITED),
        ("Contact and objection", contact(study)),
        ("Sammanfattning på svenska", _swedish(study, protection)),
        ("Files", card_parts.files(files)),
    )
    head = f"# {plain(study.title.en)}\n\n*{plain(study.title.sv)}*"
    body = (section(title, text) for title, text in sections)
    return "\n\n".join((head, facts, *body)).rstrip() + "\n"


_PROHIBITED = """\
- **No decisions about individuals.** Nothing here may be used to decide, prepare or prioritise a \
decision about a single person, nor to rank, select or profile residents.
- It may not be used for another purpose than the one above without a new study and new approvals.
- No attempt may be made to learn from it whether, or with what, a resident is in the records."""


def _facts(study: LinkedStudy, *, run: str, created: str, residents: int) -> str:
    return table(
        ("", ""),
        [
            ("Study", f"`{study.study}`"),
            ("Study hash", f"`{study.digest()}`"),
            ("Run", f"`{run}`"),
            ("Made", created),
            ("Register", f"of {study.register.date}: {residents:,} residents"),
            ("Retention", f"{study.retention_days} days"),
        ],
    )


def _questions(
    study: LinkedStudy, openings: Sequence[Opening], answers: Sequence[Answer] | None
) -> str:
    sizes = {item.question: item for item in openings}
    intro = (
        "Intervals are 95 % and include sampling and privacy noise. Crude figures leave out what "
        "adjusted ones account for: where the two disagree, the adjusted one answers the question."
    )
    parts = [intro]
    bare = "The tables themselves are the answer (`tables.json`)."
    if answers is None:
        bare = "**The figures could not be computed**; the tables are whole (`tables.json`)."
    for question in asked(study):
        own = [answer for answer in answers or () if answer.question == question.name]
        parts += [
            f"### {plain(question.title.en)}\n\n*{plain(question.title.sv)}*",
            plain(question.text.en),
            answered(own) if own else bare,
            _size(sizes[question.name]),
        ]
    return "\n\n".join(parts)


def _size(opening: Opening) -> str:
    tables = "1 table" if opening.tables == 1 else f"{opening.tables:,} tables"
    withheld = f"; {opening.withheld:,} cells withheld" if opening.withheld else ""
    return f"Opened for it: {tables}, {opening.cells:,} cells{withheld}."


def _data(study: LinkedStudy, totals: Sequence[DepartmentTotals]) -> str:
    variables = [
        (
            f"`{item.name}`",
            item.department,
            f"`{item.dataset}`, `{item.column}`"
            if item.column
            else f"a record in `{item.dataset}`",
            "of any in the household" if item.of == "household" else "the resident's own",
        )
        for item in study.variables
    ]
    protected = {
        "leave-out": "Residents with protected identity are left out of every table.",
        "include": "Residents with protected identity are included.",
    }[study.register.protected]
    counted = [(item.department, _total(item.unlinked), _total(item.protected)) for item in totals]
    return (
        "Every department put its columns on one row for each resident of the register, also for "
        "those it has no record of. Raw records stayed in the departments; categories and bins "
        f"were declared, not measured. {protected}\n\n"
        f"{table(('Variable', 'Department', 'From', 'Record'), variables)}\n\n"
        + table(
            ("Department", "Not in the register", "Left out as protected"),
            counted,
        )
    )


def _total(found: Interval | None) -> str:
    if found is None:
        return "withheld: 1 to 4"
    if found.low == found.high:
        return f"{found.value:,.0f}"
    return f"{found.value:,.0f} ({found.low:,.0f} to {found.high:,.0f})"


def _protection(study: LinkedStudy, found: LinkedProtection) -> str:
    if found.epsilon is None or found.epsilon_run is None or found.delta is None:
        return found.in_words.en
    unit = "one resident" if found.unit == "resident" else "all residents of one household"
    runs = "this release" if found.runs == 1 else f"the study's {found.runs} releases so far"
    approved = "" if found.epsilon_approved is None else f"{found.epsilon_approved:g}"
    deviation = math.sqrt(found.variance.value)
    noise = 0.0 if found.noise is None else found.noise.value
    return (
        f"**ε = {round_up(found.epsilon)}, δ = {found.delta.value:g} ({one_in(found.delta)})** for "
        f"{unit}, over {runs}; this one alone: ε = {round_up(found.epsilon_run)}. The departments "
        f"approved ε = {approved} for the whole study; their own ledgers refuse more, and hold "
        "runs that failed too.\n\n"
        f"In odds: {odds_in_words(found.epsilon, found.delta).en}\n\n"
        f"{words.covered(study).en}\n\n{words.against_whom(study).en}\n\n"
        "This stays true for everything computed from the release. It does not protect against "
        "conclusions about groups, nor the departments: what is typical of their residents may "
        "show.\n\n"
        f"Noise in a cell: standard deviation {deviation:.1f} residents. One {found.unit} can move "
        f"all opened numbers together by at most {found.reach.value:.2f} (L2); the noise that "
        f"surely remains, whichever one server knows its own share, is {noise:.3f} times that. The "
        "recorded event is in `record.json`."
    )


def _seen(study: LinkedStudy, servers: Sequence[ServerRecord]) -> str:
    names = {words.READERS: "readers of the result"}
    rows = [(names.get(item.party, item.party), item.sees.en) for item in words.sights(study)]
    committee = [
        (
            item.name,
            item.owner,
            "not confirmed" if item.erased is None else f"{item.erased:,} chunks, it says",
        )
        for item in servers
    ]
    return (
        f"{table(('Party', 'What it could see'), rows)}\n\n"
        f"{table(('Server', 'Run by', 'Shares erased'), committee)}"
    )


def _limits(study: LinkedStudy) -> str:
    lines = [
        "The figures describe associations in the departments' records, not causes.",
        "They hold for the residents of this register on its date; for others they are unknown.",
        "A record that was linked to the wrong resident, or to none, weakens what is found.",
        "A figure that is marked as drowned tells nothing, in either direction.",
    ]
    if study.privacy.protection is Protection.NONE:
        lines += [
            "Only data declared public may be used without protection.",
            "Withheld cells may follow from other cells: withholding is no protection.",
        ]
    return "\n".join(f"- {line}" for line in lines)


def _swedish(study: LinkedStudy, found: LinkedProtection) -> str:
    titles = "\n".join(f"- {plain(item.title.sv)}: {plain(item.text.sv)}" for item in asked(study))
    return (
        f"{plain(study.purpose.sv)}\n\n{titles}\n\n{found.in_words.sv}\n\n"
        "Alla siffror har 95-procentiga intervall som räknar med både slump och brus; de finns "
        "ovan och i `results.json`. En siffra som drunknar i bruset säger ingenting. Resultatet "
        "får inte användas för beslut om enskilda. Den som invänder vänder sig till den "
        f"förvaltning som har uppgifterna. Kontakt: {plain(study.contact)}."
    )
