"""Personal numbers made up by the rules: what is written is read, and errors are found."""

from datetime import date

from hypothesis import assume, given
from hypothesis import strategies as st

from models.linkage.identity import FIRST_YEAR, Fault, Identity, Kind, check_digit, read

EXTRACTED = date(2024, 12, 31)
SHIFTS = {Kind.PERSONNUMMER: (0, 0), Kind.SAMORDNINGSNUMMER: (0, 60), Kind.DEMO: (80, 0)}


def slow_check_digit(nine):
    """Give the digit that makes the sum of the products' digits a multiple of ten."""
    total = 0
    for place, digit in enumerate(nine):
        product = int(digit) * (2 if place % 2 == 0 else 1)
        total += sum(int(d) for d in str(product))
    return next(digit for digit in range(10) if (total + digit) % 10 == 0)


@st.composite
def numbers(draw, kinds=tuple(Kind)):
    """Give twelve digits and their kind."""
    born = draw(st.dates(date(FIRST_YEAR, 1, 1), EXTRACTED))
    kind = draw(st.sampled_from(kinds))
    month, day = born.month + SHIFTS[kind][0], born.day + SHIFTS[kind][1]
    eleven = f"{born.year:04d}{month:02d}{day:02d}{draw(st.integers(0, 999)):03d}"
    return f"{eleven}{slow_check_digit(eleven[2:])}", kind


@given(numbers(), st.sampled_from(["", "-"]), st.sampled_from(["", " ", "\u00a0", "\u202f\t"]))
def test_every_written_form_is_read_back(made, sign, blank):
    digits, kind = made
    expected = Identity(digits=digits, kind=kind)
    forms = [f"{digits[:8]}{sign}{digits[8:]}"]
    age = EXTRACTED.year - int(digits[:4])
    forms.append(f"{digits[2:8]}{'+' if age >= 100 else sign}{digits[8:]}")
    for form in forms:
        for text in (form, f"{blank}{form}{blank}", f"{form[:6]}{blank}{form[6:]}"):
            assert read(text, extracted=EXTRACTED) == expected


@given(numbers(), st.integers(0, 11), st.integers(1, 9))
def test_a_wrong_digit_is_found(made, place, shift):
    digits, _ = made
    wrong = digits[:place] + str((int(digits[place]) + shift) % 10) + digits[place + 1 :]
    found = read(wrong, extracted=EXTRACTED)
    if place < 2:  # the check digit says nothing about the century
        assert isinstance(found, Fault) or {digits[:2], wrong[:2]} == {"18", "19"}
    else:
        assert isinstance(found, Fault)


@given(numbers(), st.integers(2, 10))
def test_two_swapped_neighbours_are_found(made, place):
    digits, _ = made
    pair = digits[place : place + 2]
    assume(pair[0] != pair[1])
    swapped = digits[:place] + pair[::-1] + digits[place + 2 :]
    found = read(swapped, extracted=EXTRACTED)
    # Luhn cannot tell 09 from 90; the birth date often can.
    assert isinstance(found, Fault) or set(pair) == {"0", "9"}


@given(st.text("0123456789", min_size=12, max_size=12))
def test_month_and_day_tell_the_kinds_apart(digits):
    found = read(digits[:11] + str(check_digit(digits[2:11])), extracted=None)
    month, day = int(digits[4:6]), int(digits[6:8])
    if isinstance(found, Identity):
        expected = {
            Kind.PERSONNUMMER: 1 <= month <= 12 and 1 <= day <= 31,
            Kind.SAMORDNINGSNUMMER: 0 <= month <= 12 and 60 <= day <= 91,
            Kind.DEMO: 81 <= month <= 92 and 1 <= day <= 31,
        }
        assert [kind for kind, fits in expected.items() if fits] == [found.kind]


@given(st.text("0123456789", min_size=9, max_size=9))
def test_the_check_digit_is_what_the_slow_sum_says(nine):
    assert check_digit(nine) == slow_check_digit(nine)


@given(st.text(max_size=20), st.none() | st.dates(date(1900, 1, 1)))
def test_any_text_is_read_or_has_a_fault(text, extracted):
    assert isinstance(read(text, extracted=extracted), Identity | Fault)
