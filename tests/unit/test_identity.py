"""Personal numbers: the published test numbers, each written form, each fault, who is let in."""

from datetime import date

import pytest

from models.linkage.identity import (
    Admission,
    Fault,
    Identity,
    Kind,
    Mode,
    Refusal,
    looks_real,
    read,
)

# Of Skatteverket's open lists (CC0) of numbers that are never given to anybody.
PERSONS = """
189001139808 189011229813 189012139805 189106079800 189202039815 189204249800 189407079806
189407139808 189505199803 189601209803 189607079812 189707319803 189906029815 198804042391
198804152398 198811092389 199504162380 200005112396 200110222395 200311182398 200409212388
201309242384 201408302386 202211102385
""".split()  # noqa: SIM905 - a list would be long
COORDINATION = """
191701662395 192202752388 192409662398 193907802395 195112812382 196110702393 202303782383
202306752391 191500722390 191711602399 192004912388
""".split()  # noqa: SIM905 - of the last three, month or day is unknown, or they do not fit
EXTRACTED = date(2024, 12, 31)


@pytest.mark.parametrize(
    ("numbers", "kind"),
    [(PERSONS, Kind.PERSONNUMMER), (COORDINATION, Kind.SAMORDNINGSNUMMER)],
)
def test_published_numbers_are_read_in_every_form(numbers, kind):
    for number in numbers:
        sign = "+" if int(number[:4]) <= EXTRACTED.year - 100 else "-"
        forms = [number, f"{number[:8]}-{number[8:]}", f"{number[2:8]}{sign}{number[8:]}"]
        if sign == "-":
            forms.append(number[2:])
        for form in forms:
            for text in (form, f" {form}\u00a0", f"{form[:4]} {form[4:]}"):
                assert read(text, extracted=EXTRACTED) == Identity(digits=number, kind=kind)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", Fault.UNREADABLE),
        ("anna", Fault.UNREADABLE),
        ("198804042391x", Fault.UNREADABLE),
        ("1988-04-04-2391", Fault.UNREADABLE),
        ("١٩٨٨٠٤٠٤٢٣٩١", Fault.UNREADABLE),
        ("19880404239", Fault.LENGTH),
        ("101011234", Fault.LENGTH),
        ("1.98583e+11", Fault.SHORTENED),
        ("1,98583E+11", Fault.SHORTENED),
        ("2E+11", Fault.SHORTENED),
        ("TF1234567890", Fault.TEMPORARY),
        ("tf 1234567890", Fault.TEMPORARY),
        ("880404-T391", Fault.INTERIM),
        ("19880404T391", Fault.INTERIM),
        ("880404-2391", Fault.CENTURY),
        ("198802302391", Fault.DATE),
        ("190002292391", Fault.DATE),
        ("198813042391", Fault.DATE),
        ("198880042391", Fault.DATE),
        ("198893042391", Fault.DATE),
        ("198804602391", Fault.CHECK_DIGIT),
        ("198804922391", Fault.DATE),
        ("198884642391", Fault.DATE),
        ("183904042391", Fault.YEAR),
        ("210004042391", Fault.YEAR),
        ("198804042390", Fault.CHECK_DIGIT),
    ],
)
def test_each_fault_is_told_apart(text, fault):
    assert read(text, extracted=None) is fault


def test_29_february_exists_in_leap_years_alone():
    assert read("200082291230", extracted=None) is Fault.CHECK_DIGIT
    assert read("190082291230", extracted=None) is Fault.DATE


def test_the_sign_tells_the_century_at_the_day_of_extraction():
    six, four = "201231", "2391"
    for year, minus, plus in ((2024, "20", "19"), (2020, "20", "19"), (2019, "19", "18")):
        for sign, century in (("-", minus), ("", minus), ("+", plus)):
            digits = century + six + four
            whole = read(digits, extracted=None)
            found = read(six + sign + four, extracted=date(year, 12, 31))
            assert found == whole, (year, sign)


def test_nobody_is_born_after_the_extraction():
    assert read("202211102385", extracted=date(2022, 11, 10)) == Identity(
        digits="202211102385", kind=Kind.PERSONNUMMER
    )
    assert read("202211102385", extracted=date(2022, 11, 9)) is Fault.FUTURE


DEMO = "198583071230"


def demo() -> Identity:
    found = next(
        identity
        for last in "0123456789"
        if isinstance(identity := read(DEMO[:11] + last, extracted=None), Identity)
    )
    assert found.kind is Kind.DEMO
    return found


def test_who_is_let_in():
    person = Identity(digits=PERSONS[0], kind=Kind.PERSONNUMMER)
    coordination = Identity(digits=COORDINATION[0], kind=Kind.SAMORDNINGSNUMMER)
    listed = frozenset([person.digits])
    production = Admission()
    assert production.mode is Mode.PRODUCTION
    assert production.refusal(person) is None
    assert production.refusal(coordination) is None
    assert production.refusal(demo()) is Refusal.DEMO
    assert Admission(test_numbers=listed).refusal(person) is Refusal.TEST
    assert Admission(test_numbers=listed).refusal(coordination) is None
    in_demo = Admission(mode=Mode.DEMO)
    assert in_demo.refusal(demo()) is None
    assert in_demo.refusal(person) is Refusal.REAL
    assert in_demo.refusal(coordination) is Refusal.REAL
    assert Admission(mode=Mode.DEMO, test_numbers=listed).refusal(person) is None


@pytest.mark.parametrize(
    ("text", "real"),
    [
        (PERSONS[0], True),
        (f"{PERSONS[0][:8]}-{PERSONS[0][8:]}", True),
        (COORDINATION[0], True),
        (PERSONS[0][2:], False),  # ten digits are found in many ids
        (f"a{PERSONS[0]}", False),
        (f"{PERSONS[0]}0", False),
        (PERSONS[0][:11] + str((int(PERSONS[0][11]) + 1) % 10), False),
        (demo().digits, False),
    ],
)
def test_an_id_looks_real_only_if_it_is_exactly_a_number(text, real):
    assert (looks_real(text) is not None) is real
