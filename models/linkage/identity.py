"""Swedish personal numbers: what is written in a cell, and who it names.

A personnummer is a birth date (YYYYMMDD), a birth number of three digits and a check digit; a
samordningsnummer (coordination number) has 60 added to the day. Both are also written with two
digits of the year and `-`, or `+` from the year in which the person turns 100.

A demo number has 80 added to the month: it is built like a personnummer and can never be one.
Nothing here quotes a number in a message.
"""

import enum
import re
from dataclasses import dataclass
from datetime import date

FIRST_YEAR = 1840
"""No register in use holds anybody who was born earlier."""

_LAST_YEAR = 2099
"""The last year of birth where nothing tells when the records were taken out."""

_HUNDRED = 100
_DEMO_MONTHS = 80
_COORDINATION_DAYS = 60


class Kind(enum.StrEnum):
    """What a number is."""

    PERSONNUMMER = "personnummer"
    SAMORDNINGSNUMMER = "samordningsnummer"
    DEMO = "demo number"


class Fault(enum.StrEnum):
    """Why a text names nobody. Texts for people; they never hold the number."""

    UNREADABLE = "is not written as a personal number"
    LENGTH = "has neither ten nor twelve digits"
    SHORTENED = "was shortened by a spreadsheet: the last digits are lost"
    TEMPORARY = "is a temporary number (TF), which names nobody for certain"
    INTERIM = "is an interim number (with a letter), which names nobody for certain"
    CENTURY = "has two digits of the year, and `extracted` is not declared"
    DATE = "has a birth date that does not exist"
    YEAR = f"has a birth year before {FIRST_YEAR} or too late"
    FUTURE = "was born after the records were taken out"
    CHECK_DIGIT = "has a wrong check digit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whom a number names.

    Attributes:
        digits: the number as twelve digits; equal numbers are the same person.
        kind: what it is.
    """

    digits: str
    kind: Kind


class Mode(enum.StrEnum):
    """Whether a node holds people's records or invented ones."""

    PRODUCTION = "production"
    DEMO = "demo"


class Refusal(enum.StrEnum):
    """Why a node refuses a number that is right in itself. Texts for people."""

    REAL = "may be a real person's number, and this node is in demo mode"
    DEMO = "is a demo number, and this node is in production mode"
    TEST = "is one of the published test numbers, and this node is in production mode"


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Which numbers a node takes.

    Attributes:
        mode: of the node.
        test_numbers: numbers of twelve digits that are promised never to be a person's, such as
            those that Skatteverket publishes.
    """

    mode: Mode = Mode.PRODUCTION
    test_numbers: frozenset[str] = frozenset()

    def refusal(self, identity: Identity) -> Refusal | None:
        """Give why the number is refused, or None if it is taken."""
        listed = identity.digits in self.test_numbers
        if self.mode is Mode.DEMO:
            return None if listed or identity.kind is Kind.DEMO else Refusal.REAL
        if identity.kind is Kind.DEMO:
            return Refusal.DEMO
        return Refusal.TEST if listed else None


_WRITTEN = re.compile(r"([0-9]{2})?([0-9]{6})([-+]?)([0-9]{4})")
_EXACT = re.compile(r"[0-9]{8}[-+]?[0-9]{4}")
_FAULTS = (
    (re.compile(r"(?i)TF[0-9]{10}"), Fault.TEMPORARY),
    (re.compile(r"(?i)[0-9]([.,][0-9]+)?E[+]?[0-9]+"), Fault.SHORTENED),
    (re.compile(r"([0-9]{2})?[0-9]{6}[-+]?[A-Za-z][0-9]{3}"), Fault.INTERIM),
    (re.compile(r"[0-9]+[-+]?[0-9]*"), Fault.LENGTH),
)


def read(text: str, *, extracted: date | None) -> Identity | Fault:
    """Give whom a text names, or why it names nobody.

    Blanks around and inside the number are passed over. A check digit is reckoned over the last
    ten digits, so that it says nothing about the century.

    Args:
        text: the number in any of its written forms.
        extracted: the day on which the records were taken out, which gives the century of a
            number with ten digits and the latest day of birth.
    """
    digits = _digits("".join(text.split()), extracted)
    if isinstance(digits, Fault):
        return digits
    born = _born(digits)
    if isinstance(born, Fault):
        return born
    day, kind = born
    if extracted is not None and day > extracted:
        return Fault.FUTURE
    if check_digit(digits[2:11]) != int(digits[11]):
        return Fault.CHECK_DIGIT
    return Identity(digits=digits, kind=kind)


def looks_real(text: str) -> Identity | None:
    """Give the number if a text is exactly a real person's: twelve digits, a sign allowed.

    For ids that are declared to be something else, where one may have slipped in.
    """
    found = read(text, extracted=None) if _EXACT.fullmatch(text) else None
    if isinstance(found, Identity) and found.kind is not Kind.DEMO:
        return found
    return None


def check_digit(nine: str) -> int:
    """Give the check digit of nine digits YYMMDDNNN (Luhn)."""
    doubled = (int(digit) * (2 - place % 2) for place, digit in enumerate(nine))
    return -sum(number // 10 + number % 10 for number in doubled) % 10


def _digits(bare: str, extracted: date | None) -> str | Fault:
    match = _WRITTEN.fullmatch(bare)
    if match is None:
        found = (fault for pattern, fault in _FAULTS if pattern.fullmatch(bare))
        return next(found, Fault.UNREADABLE)
    century, six, sign, four = match.groups()
    if century is None:
        if extracted is None:
            return Fault.CENTURY
        century = _century(int(six[:2]), extracted.year, old=sign == "+")
    return f"{century}{six}{four}"


def _century(two: int, year: int, *, old: bool) -> str:
    """Give the first two digits of the latest year that ends so and fits the sign."""
    latest = year - _HUNDRED if old else year
    return f"{(latest - (latest - two) % _HUNDRED) // _HUNDRED:02d}"


def _born(digits: str) -> tuple[date, Kind] | Fault:
    """Give the birth date of twelve digits, and the kind that its month and day tell.

    A coordination number may be given to somebody of whose birth only the year is known: month
    and day may be 0 there, and need not exist together. Its date is the first of the month.
    """
    year, month, day = int(digits[:4]), int(digits[4:6]), int(digits[6:8])
    kind = Kind.PERSONNUMMER
    if month > _DEMO_MONTHS:
        month, kind = month - _DEMO_MONTHS, Kind.DEMO
    elif _COORDINATION_DAYS <= day <= _COORDINATION_DAYS + 31:
        month, day, kind = max(month, 1), 1, Kind.SAMORDNINGSNUMMER
    try:
        found = date(year, month, day)
    except ValueError:
        return Fault.DATE
    return (found, kind) if FIRST_YEAR <= year <= _LAST_YEAR else Fault.YEAR
