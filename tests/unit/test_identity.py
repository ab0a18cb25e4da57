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
    check_digit,
    is_ten_digits,
    read,
    readings,
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


# Not of the lists: an invented person's number, as if it were somebody's.
REAL = "198503071238"
FORMS = (
    "198503071238",
    "19850307-1238",
    "19850307 1238",
    " 19850307\u00a01238 ",
    "'198503071238",
    '"19850307-1238"',
    "\u201d198503071238\u201d",
    "19850307\u20131238",
    "19850307\u22121238",
    "\ufeff198503071238",
    "1985\u200b03071238",
    "".join(chr(ord(sign) + 0xFEE0) for sign in "19850307-1238"),  # full-width
    "١٩٨٥٠٣٠٧١٢٣٨",
    "198503071238.0",
)
SHORT_FORMS = ("850307-1238", "850307+1238", "850307\u20131238", "'850307-1238'", "850307 - 1238")


@pytest.mark.parametrize("text", FORMS)
def test_a_number_is_read_with_any_dash_digit_quotation_mark_and_blank(text):
    assert read(text, extracted=None) == Identity(digits=REAL, kind=Kind.PERSONNUMMER)


@pytest.mark.parametrize("text", [*FORMS, *SHORT_FORMS, COORDINATION[0], "850367-1235"])
def test_in_demo_mode_an_id_that_reads_as_a_real_number_is_refused(text):
    assert Admission(mode=Mode.DEMO).refusal_of_id(text) is Refusal.REAL
    listed = Admission(mode=Mode.DEMO, test_numbers=frozenset([REAL, COORDINATION[0]]))
    assert listed.refusal_of_id(text) is (Refusal.REAL if text == "850367-1235" else None)


@pytest.mark.parametrize(
    "text",
    [
        "8503071238",  # ten bare digits are found in many ids: only many of them tell
        f"a{REAL}",
        f"{REAL}0",
        REAL[:11] + "9",
        "850307-1239",
        "850230-1231",
        "556036-0793",  # an organisation's number
        "165560360793",
        "858307-1230",
        "B000123",
        "",
    ],
)
def test_other_ids_are_taken(text):
    assert Admission(mode=Mode.DEMO).refusal_of_id(text) is None
    assert Admission().refusal_of_id(text) is None


def test_a_leap_day_is_looked_for_in_every_century():
    text = f"000229-123{check_digit('000229123')}"
    assert [item.digits[:2] for item in readings(text)] == ["20"]
    assert Admission(mode=Mode.DEMO).refusal_of_id(text) is Refusal.REAL


def test_ten_bare_digits_are_told_apart():
    assert is_ten_digits(" 8503071238")
    assert not is_ten_digits("850307-1238")
    in_demo = Admission(mode=Mode.DEMO)
    assert in_demo.refusal_of_ten_digits("8503071238") is Refusal.REAL
    assert in_demo.refusal_of_ten_digits("8503071239") is None
    assert in_demo.refusal_of_ten_digits("850307-1238") is None


def test_in_production_demo_and_test_numbers_are_refused_among_other_ids():
    production = Admission(test_numbers=frozenset([PERSONS[0]]))
    for digits, refusal in ((demo().digits, Refusal.DEMO), (PERSONS[0], Refusal.TEST)):
        for text in (digits, f"{digits[:8]}-{digits[8:]}", f" '{digits}'"):
            assert production.refusal_of_id(text) is refusal
        assert production.refusal_of_id(digits[2:]) is None
    for text in (*FORMS, *SHORT_FORMS):
        assert production.refusal_of_id(text) is None


MISTYPED = (
    "198503071239",  # check digit
    "19850307\u20131239",
    "850307-1239",
    "8503071238",  # the century, where the day of extraction is not declared
    "198502301238",  # no such day
    "198503991238",
    "298503071238",  # future
    "178503071238",
    "1985-03-07-1238",
    "1985/03/07 1238",
    "198503071239.0",
    "198500671239",  # a coordination number whose month is unknown
    "850307-T238",
)


@pytest.mark.parametrize("text", MISTYPED)
def test_in_demo_mode_a_mistyped_number_is_somebodys(text):
    assert isinstance(read(text, extracted=None), Fault)
    assert Admission(mode=Mode.DEMO).refusal_of_mistyped(text) is Refusal.REAL
    assert Admission().refusal_of_mistyped(text) is None


@pytest.mark.parametrize(
    "text",
    ["198583071239", "198500071239", "198513071239", "198573671239", "TF8503071238", "850307123"],
)
def test_other_faults_are_nobodys(text):
    assert Admission(mode=Mode.DEMO).refusal_of_mistyped(text) is None


def test_a_listed_number_with_a_fault_is_nobodys():
    listed = Admission(mode=Mode.DEMO, test_numbers=frozenset(PERSONS))
    assert read(PERSONS[-1], extracted=date(2000, 1, 1)) is Fault.FUTURE
    for text in (PERSONS[-1], PERSONS[-1][2:], f"{PERSONS[-1][2:8]}-{PERSONS[-1][8:]}"):
        assert listed.refusal_of_mistyped(text) is None
