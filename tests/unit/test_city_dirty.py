"""The dirty profile: what is planted is what an independent reader of the files finds."""

import json
import re
import shutil
import sqlite3
from collections import Counter

import clean_tables
import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from defect_counter import Found, counts, find

from demo.city import codes
from demo.city.delivery.delivery import Delivery, Profile
from demo.city.dirt import ids as dirt_ids
from demo.city.dirt.kinds import Kind
from demo.city.generate import Order, generate
from demo.city.numbers import Numbers
from demo.city.settings import Settings

PERSONS = 800


@pytest.fixture(scope="module")
def city(tmp_path_factory):
    """Give the clean and the dirty folder of one city of two blocks, and the defects planted."""
    out = tmp_path_factory.mktemp("city")
    numbers = Numbers(generator=np.random.default_rng(1), municipality="A")
    blocks = [clean_tables.make(persons=PERSONS, numbers=numbers, seed=seed) for seed in (1, 2)]
    defects = []
    for profile in Profile:
        settings = Settings(seed=3, residents=PERSONS)
        delivery = Delivery(out / profile, profile=profile, settings=settings)
        defects = [defect for block in blocks for defect in delivery.add(block)]
        delivery.close()
    return out / "clean", out / "dirty", defects, blocks


@pytest.fixture(scope="module")
def found(city):
    clean, dirty, _, _ = city
    return find(dirty, clean)


def as_found(defects):
    return [
        Found(f"{defect.department}/{defect.file}", defect.row, defect.column, defect.kind.value)
        for defect in defects
    ]


def rows_of(blocks, table):
    return sum(len(block[table]) for block in blocks)


def test_the_independent_counter_finds_what_was_planted(city, found):
    planted = as_found(city[2])
    assert counts(found) == counts(planted)
    assert Counter(found) == Counter(planted)


def test_the_truth_file_of_a_generated_city_lists_what_its_files_hold(tmp_path):
    for profile in Profile:
        order = Order(
            seed=20250401,
            residents=5000,
            scale=2,
            profile=profile,
            out=tmp_path / profile / "out",
            truth=tmp_path / profile / "truth.json",
        )
        order.out.mkdir(parents=True)
        generate(order, tell=lambda step: None)
    truth = json.loads((tmp_path / "dirty/truth.json").read_text())
    listed = [
        Found(f"{d['department']}/{d['file']}", d["row"], d["column"], d["kind"])
        for d in truth["defects"]
    ]
    found = find(tmp_path / "dirty/out", tmp_path / "clean/out")
    assert Counter(found) == Counter(listed)
    assert {defect.kind for defect in found} == {kind.value for kind in Kind}
    assert json.loads((tmp_path / "clean/truth.json").read_text())["defects"] == []


def test_one_defect_less_in_the_list_is_noticed(city, found):
    planted = as_found(city[2])
    for kind in Kind:
        first = next(place for place, defect in enumerate(planted) if defect.kind == kind)
        assert counts(found) != counts(planted[:first] + planted[first + 1 :])


def test_one_defect_more_in_a_file_is_noticed(city, tmp_path):
    clean, dirty, defects, _ = city
    planted = as_found(defect for defect in defects if defect.department == "kir")
    shutil.copytree(dirty / "kir", tmp_path / "dirty/kir")
    assert counts(find(tmp_path / "dirty", clean)) == counts(planted)
    file = tmp_path / "dirty/kir/kir_person.csv"
    file.write_bytes(file.read_bytes().replace(b",K,", b",M,", 1))
    assert counts(find(tmp_path / "dirty", clean)) != counts(planted)


def test_the_counter_finds_nothing_in_a_clean_delivery(city):
    clean = city[0]
    assert find(clean, clean) == []


def test_every_kind_is_planted_and_every_department_has_some(city):
    defects = city[2]
    assert {defect.kind for defect in defects} == set(Kind)
    assert {defect.department for defect in defects} == {"kir", "sof", "amf", "skf", "vof"}
    assert [defect.kind for defect in defects if defect.department == "kir"] == [
        Kind.UNKNOWN_DISTRICT
    ]


def test_a_cell_has_one_defect_and_a_repeated_row_no_other(city):
    cells = Counter((d.department, d.file, d.row, d.column) for d in city[2] if d.row)
    assert set(cells.values()) == {1}
    whole = {(d.department, d.file, d.row) for d in city[2] if d.row and not d.column}
    others = {(d.department, d.file, d.row) for d in city[2] if d.column}
    assert whole
    assert not whole & others
    assert not {(department, file, row + 1) for department, file, row in whole} & others


RATES = [
    (Kind.WRONG_DIGIT, "sof_utbetalning", "sokande_pnr", 0.003),
    (Kind.SWAPPED_DIGITS, "skf_franvaro", "pnr", 0.001),
    (Kind.BLANKS_AROUND_ID, "amf_aktivitet", "pnr", 0.002),
    (Kind.ID_AS_FLOAT, "vof_utford", "pnr", 0.005),
    (Kind.EXACT_DUPLICATE, "sof_utbetalning", "", 0.008),
    (Kind.EXACT_DUPLICATE, "vof_utford", "", 0.008),
    (Kind.CORRECTION, "sof_utbetalning", "", 0.002),
    (Kind.MOJIBAKE, "sof_person", "stadsdel", 0.002),
    (Kind.OUT_OF_BOUNDS, "sof_utbetalning", "belopp_kr", 0.0005),
    (Kind.MISSING, "sof_utbetalning", "hinder", 0.015),
    (Kind.MISSING, "skf_betyg", "betyg", 0.015),
]


@pytest.mark.parametrize(("kind", "table", "column", "rate"), RATES)
def test_rates_are_those_of_the_specification(kind, table, column, rate, city):
    planted = [d for d in city[2] if (d.kind, d.table, d.column) == (kind, table, column)]
    expected = rate * rows_of(city[3], table)
    assert abs(len(planted) - expected) < 4 * expected**0.5 + 0.02 * expected
    wrong = 2 * expected  # a rate twice as high would be noticed, where there are rows enough
    assert expected < 20 or abs(len(planted) - wrong) > 4 * expected**0.5 + 0.02 * expected


def texts_of(folder):
    """Give every cell of every file, as text."""
    for path in sorted(folder.glob("*/*")):
        if path.suffix == ".parquet":
            for column in pyarrow.parquet.read_table(path).columns:
                yield from (str(cell) for cell in column.to_pylist())
        elif path.suffix == ".sqlite":
            connection = sqlite3.connect(path)
            yield from (
                str(cell) for row in connection.execute("SELECT * FROM vof_utford") for cell in row
            )
            connection.close()
        elif path.suffix == ".csv":
            for line in path.read_bytes().decode("iso-8859-1").split("\n"):
                yield from re.split("[,;]", line)


def month_of(text):
    """Give the month that a lenient reader would see in a text that may be an id, or None."""
    if re.fullmatch(r"\d\.\d+e\+\d+", text.strip()):
        text = str(int(float(text)))
    digits = re.sub(r"\D", "", text)
    if not re.fullmatch(r"\s*(TF)?\d{6,8}[-+]?\d{4}\s*", text) or len(digits) not in {10, 12}:
        return None
    return int(digits[-8:-6])


@pytest.mark.parametrize("profile", list(Profile))
def test_no_id_in_any_form_has_the_month_of_a_real_person(profile, city):
    months = [month_of(text) for text in texts_of(city[0].parent / profile)]
    ids = [month for month in months if month is not None]
    assert len(ids) > 10 * PERSONS
    assert not set(ids) & set(range(1, 13))


@pytest.mark.parametrize(
    "text", ["850307-1234", "19850307-1234", " 198503071234 ", "850307+1234", "1.98503e+11"]
)
def test_the_search_for_real_months_would_find_one(text):
    assert month_of(text) == 3


def luhn_holds(digits):
    """Check the last ten digits by the definition of the check digit, one by one."""
    total = 0
    for place, digit in enumerate(digits[-10:]):
        product = int(digit) * (2 if place % 2 == 0 else 1)
        total += product // 10 + product % 10
    return total % 10 == 0


def demo_digits(count, seed):
    draw = np.random.default_rng(seed)
    born = np.datetime64("1924-01-01") + draw.integers(0, 36_000, count)
    numbers = Numbers(generator=draw, municipality="A")
    ids = numbers.persons(born=born.astype("datetime64[D]"), woman=draw.random(count) < 0.5)
    return np.array([list(number) for number in ids], dtype=np.int64)


def test_the_check_digit_sees_every_wrong_digit_and_every_swap():
    digits = demo_digits(20_000, 5)
    assert all(map(luhn_holds, digits))
    generator = np.random.default_rng(6)
    wrong = dirt_ids.wrong_digit(digits, generator)
    swapped, possible = dirt_ids.swapped(digits, generator)
    assert possible.mean() > 0.999
    assert ((wrong != digits).sum(axis=1) == 1).all()
    assert ((swapped != digits).sum(axis=1)[possible] == 2).all()
    for changed in (wrong, swapped[possible]):
        assert not any(map(luhn_holds, changed))
        assert not set(10 * changed[:, 4] + changed[:, 5]) & set(range(1, 13))


def test_an_id_without_anything_to_swap_is_left_alone():
    same = np.array([[1, 1] + [0, 9] * 5, [2, 0] + [8] * 10])
    _, possible = dirt_ids.swapped(same, np.random.default_rng(1))
    assert possible.tolist() == [False, False]


def test_the_labour_market_writes_a_plus_for_those_who_turned_a_hundred(city):
    ids = pd.Series(["192483071234", "192583071234", "TF0000000001"], dtype="str")
    assert dirt_ids.written(ids, "amf").tolist() == ["248307+1234", "258307-1234", "TF0000000001"]
    assert dirt_ids.written(ids, "skf").tolist()[0] == "19248307-1234"
    assert dirt_ids.written(ids, "vof").tolist() == ids.tolist()


def read_payments(folder):
    lines = (folder / "sof/sof_utbetalning.csv").read_bytes().decode("iso-8859-1").split("\n")
    return [line.split(";") for line in lines[1:-1]]


def test_the_last_row_of_a_key_holds_the_truth(city):
    clean, dirty, defects, _ = city
    spoilt = {
        d.row for d in defects if d.table == "sof_utbetalning" and d.kind is Kind.OUT_OF_BOUNDS
    }
    amounts = {
        (row[0], row[2]): row[3].replace("\u00a0", "").replace(",00", "")
        for number, row in enumerate(read_payments(dirty), 1)
        if number not in spoilt
    }
    truth = {(row[0], row[2]): row[3] for row in read_payments(clean)}
    assert len(amounts) > 0.6 * len(truth)
    assert {key: truth[key] for key in amounts} == amounts


def test_retired_codes_stand_for_programmes_begun_before_2019(city):
    _, dirty, defects, _ = city
    table = pyarrow.parquet.read_table(dirty / "amf/amf_insats.parquet").to_pylist()
    old = [row["typ"] for row in table if row["start"].year < 2019]
    new = [row["typ"] for row in table if row["start"].year >= 2019]
    assert set(old) == set(codes.RETIRED_PROGRAMMES)
    assert len(codes.RETIRED_PROGRAMMES) == 12
    assert set(new) == set(codes.RETIRED_PROGRAMMES.values())
    assert len(old) == sum(defect.kind is Kind.RETIRED_CODE for defect in defects)


def test_temporary_ids_stand_in_a_persons_first_half_year(city):
    clean, dirty, _, _ = city
    real, written = read_payments(clean), read_payments(dirty)
    months = {(row[0], row[2]): row[1] for row in real}
    temporary: dict[str, list[str]] = {}
    for row in written:
        if row[1].startswith("TF"):
            temporary.setdefault(months[row[0], row[2]], []).append(row[2])
    assert temporary
    for person, given in temporary.items():
        paid = [row[2] for row in real if row[1] == person]
        assert set(given) <= set(paid[: paid.index(min(given)) + 6])
        assert len(set(given)) <= 6


def test_alias_tables_cover_about_sixty_per_cent(city):
    _, dirty, defects, _ = city
    for department, file in (("sof", "sof_alias.csv"), ("skf", "skf_alias.csv")):
        listed = len((dirty / department / file).read_text().splitlines()) - 1
        assert listed > 0
        details = {
            d.detail for d in defects if d.department == department and d.kind is Kind.TEMPORARY_ID
        }
        assert details <= {"alias", ""}
    # By hand for one department: each temporary id is in the alias table if its detail says so.
    lines = (dirty / "sof/sof_alias.csv").read_text().splitlines()[1:]
    aliases = {line.split(";")[0] for line in lines}
    payments = read_payments(dirty)
    for defect in defects:
        if defect.kind is Kind.TEMPORARY_ID and defect.table == "sof_utbetalning":
            assert (payments[defect.row - 1][1] in aliases) == (defect.detail == "alias")


def test_education_is_missing_more_often_for_those_born_abroad(city):
    _, dirty, _, _ = city
    lines = (dirty / "sof/sof_person.csv").read_bytes().decode("iso-8859-1").split("\n")[1:-1]
    missing: dict[str, list[bool]] = {"Sverige": [], "Utlandet": []}
    for line in lines:
        row = line.split(";")
        missing[row[5]].append(row[4] in {"", "9"})
    shares = {group: sum(cells) / len(cells) for group, cells in missing.items()}
    assert shares["Utlandet"] > shares["Sverige"] + 0.1


def test_details_name_the_month_the_office_and_the_school(city):
    details = {defect.kind: defect.detail for defect in city[2] if defect.row == 0}
    assert details[Kind.EMPTY_MONTH] == "2021-03"
    assert details[Kind.OFFICE_GAP] == "Syd 2016-2017"
    assert details[Kind.SMALL_SCHOOL] == codes.SMALL_SCHOOL
