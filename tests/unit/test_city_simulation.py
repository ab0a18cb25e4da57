"""The simulated city: the same again for the same settings, and held to a slow second writing."""

import math
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import lru_cache

import numpy as np
import pytest

from demo.city.care import BOSTOD, HTJ, OPEN
from demo.city.labour import ARBETE, AVBROTT, OSA, PRAKTIK
from demo.city.population import HIGH, LOW, Kind, Role, district_deprivation
from demo.city.settings import MONTHS, MUNICIPALITIES, Effects, Settings
from demo.city.simulate import City, simulate

SMALL = Settings(seed=7, residents=6_000)


@lru_cache
def city(settings: Settings) -> City:
    return simulate(settings)


def arrays(value: object, path: str = "") -> dict[str, np.ndarray]:
    """Give every array of the city by its place."""
    if isinstance(value, np.ndarray):
        return {path: value}
    if not is_dataclass(value) or isinstance(value, Settings):
        return {}
    parts = (arrays(getattr(value, f.name), f"{path}.{f.name}") for f in fields(value))
    return {name: array for part in parts for name, array in part.items()}


def changed(one: City, other: City) -> set[str]:
    """Name the arrays that differ."""
    left, right = arrays(one), arrays(other)
    return {
        name for name in left if not np.array_equal(left[name], right[name], equal_nan=name in NANS)
    }


NANS = {".care.hours"}


def test_equal_settings_give_equal_cities() -> None:
    assert changed(simulate(SMALL), simulate(SMALL)) == set()
    assert len(arrays(city(SMALL))) > 50


@pytest.mark.parametrize(
    "other",
    [
        replace(SMALL, seed=8),
        replace(SMALL, block=1),
        replace(SMALL, municipality=MUNICIPALITIES["B"]),
        replace(SMALL, municipality=MUNICIPALITIES["C"]),
    ],
)
def test_seed_block_and_municipality_each_give_other_residents(other: Settings) -> None:
    here, there = city(SMALL).population.households, city(other).population.households
    assert here.kind.size == there.kind.size
    for name in ("kind", "district", "deprivation", "foreign"):
        same = getattr(here, name) == getattr(there, name)
        assert same.mean() < 0.9, name


@pytest.mark.parametrize(
    ("effect", "may_change"),
    [
        ("j1", {"eligible", "eligible_probability", "merit", "failed"}),
        ("j4", {"eligible", "eligible_probability", "merit", "failed"}),
    ],
)
def test_effects_on_eligibility_change_nothing_before_it(effect: str, may_change: set[str]) -> None:
    for size in (0.0, -1.0):
        other = city(replace(SMALL, effects=Effects(**{effect: size})))
        places = changed(city(SMALL), other)
        assert ".schools.eligible" in places
        assert {name.split(".")[-1].split("_")[0] for name in places} <= {
            name.split("_")[0] for name in may_change
        }


def test_the_effect_on_absence_changes_pupils_with_care_at_home_only() -> None:
    one, other = city(SMALL), city(replace(SMALL, effects=Effects(j3=0)))
    assert all(name.startswith(".schools.") for name in changed(one, other))
    without = ~one.schools.heavy_care
    assert (one.schools.absence[~without] > other.schools.absence[~without]).all()
    assert (~without).any()
    for name, array in arrays(one.schools).items():
        assert np.array_equal(array[without], arrays(other.schools)[name][without])


def test_the_effect_on_dropping_out_changes_reasons_of_households_with_care_only() -> None:
    one = city(replace(SMALL, effects=Effects(j5=5)))
    other = city(replace(SMALL, effects=Effects(j5=-5)))
    assert changed(one, other) == {".labour.programmes.reason"}
    more, fewer = one.labour.programmes, other.labour.programmes
    differ = more.reason != fewer.reason
    assert more.heavy[differ].all()
    assert (more.reason[differ] == AVBROTT).all()


def test_the_effect_of_programmes_leaves_alone_who_has_no_effective_programme() -> None:
    larger = replace(SMALL, residents=40_000)
    one, other = city(larger), city(replace(larger, effects=Effects(j2=0)))
    places = changed(one, other)
    assert not {name for name in places if name.startswith((".population", ".care"))}
    assert not {name for name in places if name.endswith(("hinder_health", "caseworker"))}
    kind, started = other.labour.programmes.kind, other.labour.programmes.spell_month
    effective = ((kind == PRAKTIK) | (kind == OSA)) & (started <= 12)
    # Only of those who came of age in 2017 or later does the city tell every programme.
    homes = other.population.households
    known = other.population.age[homes.first] <= 25
    touched = np.isin(np.arange(known.size), other.labour.programmes.household[effective])
    assert (known & touched).any()
    for name in ("household", "month", "spell_month", "last", "amount", "children"):
        before, after = (
            getattr(c.assistance, name)[(known & ~touched)[c.assistance.household]]
            for c in (other, one)
        )
        assert before.size > 100
        assert np.array_equal(before, after), name


def test_persons_stand_by_household_with_adults_first() -> None:
    people = city(SMALL).population
    homes = people.households
    order = np.lexsort((people.role, people.household))
    assert np.array_equal(order, np.arange(people.age.size))
    assert np.array_equal(people.role[homes.first], np.zeros(homes.kind.size))
    pairs = homes.second >= 0
    assert (people.role[homes.second[pairs]] == Role.SECOND).all()
    assert np.array_equal(people.household[homes.first], np.arange(homes.kind.size))
    adults = np.bincount(people.household[people.role != Role.CHILD])
    assert np.array_equal(adults, np.array([1, 1, 2, 2, 3])[homes.kind])
    year = people.birth.astype("datetime64[Y]").astype(int) + 1970
    assert np.array_equal(year, 2024 - people.age)
    assert ((people.education == 0) == (people.role == Role.CHILD)).all()


def test_districts_deprivation_is_standardised() -> None:
    weights = np.array([7, 8, 9, 10, 10, 10, 10, 9, 8, 7, 7, 5]) / 100
    level = district_deprivation()
    assert weights @ level == pytest.approx(0, abs=1e-12)
    assert weights @ level**2 == pytest.approx(1)


def test_former_residents_leave_nothing_after_they_left() -> None:
    made = city(SMALL)
    homes = made.population.households
    assert homes.former.sum() == round(0.04 * (~homes.former).sum())
    assert (homes.left[~homes.former] == MONTHS).all()
    left = homes.left
    assert (made.assistance.month < left[made.assistance.household]).all()
    assert (made.labour.programmes.end < left[made.labour.programmes.household]).all()
    home = made.population.household[made.care.person]
    assert (made.care.end[homes.former[home]] <= left[home][homes.former[home]]).all()
    assert (12 * (made.schools.spring - 2016) + 5 < left[made.schools.household]).all()


def test_heavy_care_is_the_households_care_month_by_month() -> None:
    made = city(SMALL)
    care, slow = made.care, np.zeros_like(made.care.heavy_months)
    for row, person in enumerate(care.person):
        heavy = care.kind[row] == BOSTOD or (care.kind[row] == HTJ and care.hours[row] >= 30)
        for month in range(-60, MONTHS):
            if heavy and care.start[row] <= month < care.end[row]:
                slow[made.population.household[person], month + 60] = True
    assert slow.any()
    assert np.array_equal(slow, care.heavy_months)
    assert (care.end == OPEN).any()


def test_programmes_end_in_work_when_the_spell_ends_within_two_months() -> None:
    made = city(SMALL)
    paid, taken = made.assistance, made.labour.programmes
    ends = {int(paid.spell[r]): int(paid.month[r]) for r in np.flatnonzero(paid.last)}
    for row in range(taken.start.size):
        over = ends.get(int(taken.spell[row]), 10_000) - taken.end[row] <= 2
        if taken.running[row]:
            assert taken.reason[row] == -1
            assert taken.end[row] == MONTHS - 1
        elif taken.reason[row] != AVBROTT:
            assert (taken.reason[row] == ARBETE) == over
        assert taken.heavy[row] == made.care.heavy(taken.household[row], taken.start[row])
    assert set(taken.reason.tolist()) == {-1, 0, 1, 2, 3, 4}


def test_spells_are_numbered_in_order_and_without_gaps() -> None:
    paid = city(SMALL).assistance
    assert np.array_equal(np.lexsort((paid.month, paid.household)), np.arange(paid.month.size))
    same = paid.spell[1:] == paid.spell[:-1]
    assert set(np.diff(paid.spell).tolist()) == {0, 1}
    assert (np.diff(paid.household)[same] == 0).all()
    assert (np.diff(paid.month)[same] == 1).all()
    assert (np.diff(paid.spell_month)[same] == 1).all()
    assert not paid.last[:-1][same].any()


def test_programmes_lie_in_their_spell() -> None:
    made = city(SMALL)
    paid, taken = made.assistance, made.labour.programmes
    first = np.searchsorted(paid.spell, taken.spell)
    assert np.array_equal(paid.household[first], taken.household)
    start = paid.month[first] - paid.spell_month[first] + 1
    assert np.array_equal(taken.start - start + 1, taken.spell_month)


def test_pupils_carry_what_their_household_had() -> None:
    made = city(SMALL)
    paid, schools = made.assistance, made.schools
    months = {(int(h), int(m)) for h, m in zip(paid.household, paid.month, strict=True)}
    for row in range(schools.person.size):
        home, spring = int(schools.household[row]), int(schools.spring[row])
        years = [
            sum((home, 12 * (year - 2016) + m) in months for m in range(12))
            for year in range(spring - 3, spring)
        ]
        assert schools.long_assistance[row] == (max(years) >= 10)
        august = 12 * (spring - 1 - 2016) + 7
        heavy = made.care.heavy_months[home, 60 + august : 60 + august + 11]
        assert schools.heavy_care[row] == heavy.any()
    assert schools.long_assistance.any()
    failed = schools.failed_maths | schools.failed_english | schools.failed_swedish
    assert np.array_equal(failed, ~schools.eligible)
    assert (schools.failed_others[schools.eligible] <= 3).all()


def test_amounts_are_paid_within_what_the_norm_allows() -> None:
    made = city(SMALL)
    paid, homes = made.assistance, made.population.households
    couple = homes.kind[paid.household] == Kind.COUPLE
    norm = np.where(couple, 14_100, 10_800) + 4_000 * paid.children
    ratio = paid.amount / norm
    assert ratio.mean() == pytest.approx(0.775 * math.exp(0.12**2 / 2), abs=0.005)
    assert paid.amount.min() >= 500
    assert paid.amount.max() <= 40_000


def test_summer_jobs_are_for_children_of_16_to_18() -> None:
    made = city(SMALL)
    jobs, people = made.labour.summer_jobs, made.population
    age = jobs.year - (2024 - people.age[jobs.person])
    assert set(age.tolist()) == {16, 17, 18}
    assert (people.role[jobs.person] == Role.CHILD).all()
    assert set((jobs.month % 12).tolist()) == {5, 6, 7}
    assert np.array_equal(jobs.month // 12 + 2016, jobs.year)


def test_testby_has_no_sheltered_work() -> None:
    kinds = city(replace(SMALL, municipality=MUNICIPALITIES["C"])).labour.programmes.kind
    assert set(kinds.tolist()) == {0, 1, 3}


# What follows writes section 4's rules for assistance and programmes down a second time, household
# by household and with `if`s, from the same uniform numbers.


@dataclass
class SlowProgramme:
    start: int
    kind: int
    until: int
    spell_month: int
    spell_start: int
    end: int = 0


def chance(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


class SlowHousehold:
    """One household through all months."""

    def __init__(self, made: City, number: int) -> None:
        people, homes = made.population, made.population.households
        self.head = homes.first[number]
        self.born = 2024 - int(people.age[self.head])
        self.education = int(people.education[self.head])
        self.health = bool(made.assistance.hinder_health[number])
        self.start_base = -6.78 + 0.95 * homes.deprivation[number] + 0.35 * homes.ill_health[number]
        if homes.kind[number] == Kind.SINGLE_WITH_CHILDREN:
            self.start_base += 0.55
        if homes.foreign[number]:
            self.start_base += 0.35
        self.children = Role.CHILD in people.role[people.household == number]
        self.t = 0
        self.ended = -1000
        self.programme: SlowProgramme | None = None
        self.programmes: list[SlowProgramme] = []
        self.rows: list[tuple[int, int, bool]] = []

    def live(self, month: int, sof: np.ndarray, amf: np.ndarray) -> None:
        year = 2016 + math.floor(month / 12)
        age = year - self.born
        if self.t:
            self.t += 1
        elif age >= 18 and sof[0] < chance(self.start_log_odds(month, year, age)):
            self.t = 1
        if not self.t:
            return
        if age <= 64 and (self.programme is None or month > self.programme.until):
            self.refer(month, age, amf)
        last = bool(sof[1] < chance(self.leave_log_odds(month, age)))
        self.rows.append((month, self.t, last))
        if last:
            for programme in self.programmes[-1:]:
                programme.end = min(programme.end, month)
            self.programme, self.ended, self.t = None, month + 1, 0

    def start_log_odds(self, month: int, year: int, age: int) -> float:
        total = self.start_base - 0.055 * (max(year, 2016) - 2019)
        total += 0.30 * (age < 30) + {LOW: 0.40, HIGH: -0.45}.get(self.education, 0)
        if month - self.ended <= 12:
            total += 0.9
        return total - 9 * (age >= 67)

    def refer(self, month: int, age: int, amf: np.ndarray) -> None:
        total = -2.35 + 0.55 * (self.education == LOW) + 0.45 * (age >= 50) - 0.9 * self.health
        total += 0.5 if self.t >= 13 else 0.3 if self.t >= 7 else 0.0
        if amf[0] < chance(total):
            kind = sum(amf[1] >= bound for bound in (0.45, 0.70, 0.85))
            until = month + int(3 + math.floor(7 * amf[2])) - 1
            self.programme = SlowProgramme(month, kind, until, self.t, month - self.t, until)
            self.programmes.append(self.programme)

    def leave_log_odds(self, month: int, age: int) -> float:
        bounds = ((3, -1.10), (6, -1.60), (12, -2.20), (24, -2.75), (10_000, -3.10))
        total = next(value for bound, value in bounds if self.t <= bound)
        total += {LOW: -0.25, HIGH: 0.25}.get(self.education, 0)
        total -= 0.30 * (age >= 50) + 0.70 * self.health + 0.20 * self.children
        latest = self.programme
        if latest and month <= latest.until + 6 and latest.kind in {PRAKTIK, OSA}:
            total += 0.65 if latest.spell_month <= 6 else 0.30 if latest.spell_month <= 12 else 0
        return total


def test_spells_and_programmes_are_those_of_a_slow_simulation() -> None:
    settings = Settings(seed=11, residents=1_500)
    made = simulate(settings)
    count = made.population.households.kind.size
    sof, amf = settings.generator("sof"), settings.generator("amf")
    sof.random(count)
    sof.integers(1, 41, count)
    slow = [SlowHousehold(made, number) for number in range(count)]
    for month in range(-60, MONTHS):
        u_sof, u_amf = sof.random((2, count)), amf.random((5, count))
        for number, household in enumerate(slow):
            household.live(month, u_sof[:, number], u_amf[:, number])
    left = made.population.households.left
    paid, taken = made.assistance, made.labour.programmes
    rows = [(h, *row) for h, s in enumerate(slow) for row in s.rows if 0 <= row[0] < left[h]]
    assert len(rows) > 1_000
    fast = zip(paid.household, paid.month, paid.spell_month, paid.last, strict=True)
    assert [tuple(row) for row in fast] == rows
    programmes = [
        (h, p.start, p.kind, min(p.end, left[h] - 1), p.spell_month)
        for h, s in enumerate(slow)
        for p in s.programmes
        if p.end >= 0 and p.start < left[h]
    ]
    assert len(programmes) > 100
    columns = (taken.household, taken.start, taken.kind, taken.end, taken.spell_month)
    assert list(zip(*(c.tolist() for c in columns), strict=True)) == programmes
