"""Swedish personal numbers: what is written in a cell, and who it names.

A personnummer is a birth date (YYYYMMDD), a birth number of three digits and a check digit; a
samordningsnummer (coordination number) has 60 added to the day. Both are also written with two
digits of the year and `-`, or `+` from the year in which the person turns 100.

A demo number has 80 added to the month: it is built like a personnummer and can never be one.
Nothing here quotes a number in a message.
"""

import enum
import re
import unicodedata
from dataclasses import dataclass
from datetime import date

FIRST_YEAR = 1840
"""No register in use holds anybody who was born earlier."""

_LAST_YEAR = 2099
"""The last year of birth where nothing tells when the records were taken out."""

_CENTURIES = ("18", "19", "20")
"""Those between the first and the last year."""

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

    def refusal_of_id(self, text: str) -> Refusal | None:
        """Give why an id is refused that is declared to be no personal number, or None.

        In production what reads as twelve digits is held to `refusal`. In demo mode ten digits
        with a sign are, too: of every century that they can be of, none may be taken.
        """
        if self.mode is Mode.PRODUCTION:
            if _digits(_bare(text), None) in self.test_numbers:
                return Refusal.TEST
            found = read(text, extracted=None)
            return self.refusal(found) if isinstance(found, Identity) else None
        return None if is_ten_digits(text) else self._refusal_of_any(text)

    def refusal_of_ten_digits(self, text: str) -> Refusal | None:
        """Give why ten bare digits would be refused if they were a personal number, or None."""
        return self._refusal_of_any(text) if is_ten_digits(text) else None

    def refusal_of_mistyped(self, text: str) -> Refusal | None:
        """Give why a text with a fault is refused where personal numbers are declared, or None.

        In demo mode alone: ten or twelve digits with the month of a real number, whatever is
        wrong with them, are somebody's mistyped number. Demo numbers have other months.
        """
        digits = re.sub("[^0-9A-Za-z]", "", _bare(text))
        if self.mode is Mode.PRODUCTION or not _REAL_MONTH.fullmatch(digits):
            return None
        known = {digits, *(century + digits for century in _CENTURIES)}
        return None if known & self.test_numbers else Refusal.REAL

    def _refusal_of_any(self, text: str) -> Refusal | None:
        """Give the refusal of the numbers that a text can be, unless one of them is taken."""
        refusals = {self.refusal(identity) for identity in readings(text)}
        return None if None in refusals else next(iter(refusals), None)


_WRITTEN = re.compile(r"([0-9]{2})?([0-9]{6})([-+]?)([0-9]{4})")
_SIGNED = re.compile("[0-9]+[-+]?[0-9]*")
_TEN = re.compile("[0-9]{10}")
_DECIMALS = re.compile("[.,]0+$")
"""What programs put behind whole numbers that they hold as fractions."""

_REAL_MONTH = re.compile(
    "([0-9]{2})?[0-9]{2}((0[1-9]|1[0-2])[0-9]{2}|00([6-8][0-9]|9[01]))[0-9A-Za-z][0-9]{3}"
)
"""Months 01-12, or 00 with the day of a coordination number; interim numbers have a letter."""

_FAULTS = (
    (re.compile(r"(?i)TF[0-9]{10}"), Fault.TEMPORARY),
    (re.compile(r"(?i)[0-9]([.,][0-9]+)?E[+]?[0-9]+"), Fault.SHORTENED),
    (re.compile(r"([0-9]{2})?[0-9]{6}[-+]?[A-Za-z][0-9]{3}"), Fault.INTERIM),
    (_SIGNED, Fault.LENGTH),
)


def read(text: str, *, extracted: date | None) -> Identity | Fault:
    """Give whom a text names, or why it names nobody.

    Blanks and quotation marks around and inside the number, and `.0` behind it, are passed over;
    every dash is `-`, and digits may be of any script. A check digit is reckoned over the last
    ten digits, so that it says nothing about the century.

    Args:
        text: the number in any of its written forms.
        extracted: the day on which the records were taken out, which gives the century of a
            number with ten digits and the latest day of birth.
    """
    digits = _digits(_bare(text), extracted)
    return digits if isinstance(digits, Fault) else _identity(digits, extracted)


def readings(text: str) -> tuple[Identity, ...]:
    """Give every number that a text can be: with two digits of the year, of any century."""
    match = _WRITTEN.fullmatch(_bare(text))
    if match is None:
        return ()
    century, six, _, four = match.groups()
    found = (
        _identity(f"{one}{six}{four}", None) for one in ((century,) if century else _CENTURIES)
    )
    return tuple(item for item in found if isinstance(item, Identity))


def is_ten_digits(text: str) -> bool:
    """Tell whether a text is ten digits and no sign, as serial numbers can be by chance."""
    return _TEN.fullmatch(_bare(text)) is not None


def bare_digits(text: str) -> str:
    """Give the digits of a text that has nothing else but one sign, as it is written; else ''.

    As many as there are: a number with a digit too few or too many is one, too.
    """
    bare = _bare(text)
    return re.sub("[-+]", "", bare) if _SIGNED.fullmatch(bare) else ""


def check_digit(nine: str) -> int:
    """Give the check digit of nine digits YYMMDDNNN (Luhn)."""
    doubled = (int(digit) * (2 - place % 2) for place, digit in enumerate(nine))
    return -sum(number // 10 + number % 10 for number in doubled) % 10


class _Plain(dict[int, str]):
    """What each character is read as; characters are looked at when they first come up."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        found = str(unicodedata.decimal(character, character))
        if category == "Pd" or character == "\N{MINUS SIGN}":
            found = "-"
        elif category in _PASSED_OVER or character in _QUOTES:
            found = ""
        self[code] = found
        return found


_PASSED_OVER = {"Cc", "Cf", "Mn", "Pf", "Pi", "Zl", "Zp", "Zs"}
"""Control and format characters, marks on top of letters, quotation marks, blanks."""

_QUOTES = "\"'`\N{DOUBLE LOW-9 QUOTATION MARK}\N{SINGLE LOW-9 QUOTATION MARK}"
_PLAIN = _Plain()


def _bare(text: str) -> str:
    """Give a text without blanks, quotation marks and `.0`, its dashes and digits in ASCII."""
    return _DECIMALS.sub("", unicodedata.normalize("NFKC", text).translate(_PLAIN))


def _identity(digits: str, extracted: date | None) -> Identity | Fault:
    born = _born(digits)
    if isinstance(born, Fault):
        return born
    day, kind = born
    if extracted is not None and day > extracted:
        return Fault.FUTURE
    if check_digit(digits[2:11]) != int(digits[11]):
        return Fault.CHECK_DIGIT
    return Identity(digits=digits, kind=kind)


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
