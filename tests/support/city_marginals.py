"""The figures of the municipality that public statistics give, measured on a simulated city."""

import numpy as np

from demo.city.assistance import Assistance
from demo.city.care import HTJ, SABO
from demo.city.population import HIGH, Kind, Role
from demo.city.simulate import City

YEARS = range(2016, 2025)


def marginals(city: City) -> dict[str, float]:
    """Give every figure; shares in per cent, of the residents of the register."""
    return _residents(city) | _assistance(city) | _pupils(city) | _care(city)


def share(rows: np.ndarray) -> float:
    return 100 * float(rows.mean())


def _residents(city: City) -> dict[str, float]:
    people = city.population
    here = ~people.households.former[people.household]
    age = people.age[here]
    return {
        "residents": float(age.size),
        "persons per household": age.size / (~people.households.former).sum(),
        "aged 6-15": share((age >= 6) & (age <= 15)),
        "aged 65-79": share((age >= 65) & (age <= 79)),
        "aged 80+": share(age >= 80),
        "protected": share(people.households.protected),
    }


def months_in(paid: Assistance, year: int) -> np.ndarray:
    chosen = paid.month // 12 == year - 2016
    return np.bincount(paid.household[chosen], minlength=paid.hinder_health.size)


def _assistance(city: City) -> dict[str, float]:
    people, homes, paid = city.population, city.population.households, city.assistance
    months, before = months_in(paid, 2024), months_in(paid, 2019)
    here, resident = ~homes.former, ~homes.former[people.household]
    child = people.household[resident & (people.role == Role.CHILD) & (people.age < 18)]
    single = here & (homes.kind == Kind.SINGLE_WITH_CHILDREN)
    home = people.household[resident]
    helped = here & (months > 0)
    to_residents = here[paid.household]
    household_years = np.unique(paid.household[to_residents] * 9 + paid.month[to_residents] // 12)
    return {
        "households 2024": share(months[here] > 0),
        "households 2019": share(before[here] > 0),
        "residents 2024": share(months[home] > 0),
        "residents 2019": share(before[home] > 0),
        "months per household-year": float(months[helped].mean()),
        "10 months or more": share(months[helped] >= 10),
        "children": share(months[child] > 0),
        "children 2019": share(before[child] > 0),
        "children long-term": share(months[child] >= 10),
        "children long-term 2019": share(before[child] >= 10),
        "single parents": share(months[single] > 0),
        "single parents 2019": share(before[single] > 0),
        "amount per household-year": float(paid.amount[to_residents].sum() / household_years.size),
    }


def _pupils(city: City) -> dict[str, float]:
    schools, people = city.schools, city.population
    here = ~people.households.former[schools.household]
    girl, education = people.woman[schools.person[here]], schools.guardian_education[here]
    eligible, absence = schools.eligible[here], schools.absence[here]
    core = schools.failed_maths | schools.failed_english | schools.failed_swedish
    passed = ~core & (schools.failed_others == 0)
    return {
        "eligible": share(eligible),
        "girls over boys": share(eligible[girl]) - share(eligible[~girl]),
        "eligible, education 3": share(eligible[education == HIGH]),
        "eligible, education 2": share(eligible[education == 2]),
        "eligible, education 1": share(eligible[education == 1]),
        "all passed": share(passed[here]),
        "merit": float(schools.merit[here].mean()),
        "absence above 15": share(absence > 15),
        "support": share(schools.support[here]),
        "failed maths": share(schools.failed_maths[here]),
    }


def _care(city: City) -> dict[str, float]:
    people, care = city.population, city.care
    kind = np.full(people.age.size, -1)
    kind[care.person] = care.kind
    hours = np.zeros(people.age.size)
    hours[care.person] = np.nan_to_num(care.hours)
    here = ~people.households.former[people.household]
    old, oldest = here & (people.age >= 65), here & (people.age >= 80)
    return {
        "care 65+": share(kind[old] >= 0),
        "care women 65+": share(kind[old & people.woman] >= 0),
        "care men 65+": share(kind[old & ~people.woman] >= 0),
        "care 80+": share(kind[oldest] >= 0),
        "care home 80+": share(kind[oldest] == SABO),
        "home care above 80 h": share(hours[old & (kind == HTJ)] > 80),
    }


def overlaps(city: City) -> dict[str, int]:
    """Count the residents and households that several departments know, 2016-2024."""
    people, homes = city.population, city.population.households
    count, here = homes.kind.size, ~homes.former
    assisted = np.isin(np.arange(count), city.assistance.household) & here
    enrolled = np.isin(np.arange(count), city.labour.programmes.household) & here
    served = city.care.person[(city.care.end > 0) & here[people.household[city.care.person]]]
    cared = np.isin(np.arange(count), people.household[served])
    pupil = here[city.schools.household]
    home = city.schools.household[pupil]
    taught = np.isin(np.arange(count), home)
    applicant = np.isin(served, homes.first[enrolled])
    return {
        "SOF": int(assisted[people.household].sum()),
        "AMF and SOF": int(enrolled.sum()),
        "VOF": served.size,
        "SOF and VOF": int(assisted[people.household[served]].sum()),
        "pupils": home.size,
        "pupils in SOF": int(assisted[home].sum()),
        "AMF and VOF": int(applicant.sum()),
        "pupils, heavy care": int(city.schools.heavy_care[pupil].sum()),
        "households SOF, pupil": int((assisted & taught).sum()),
        "households AMF, pupil": int((enrolled & taught).sum()),
        "households VOF, pupil": int((cared & taught).sum()),
        "households all four": int((assisted & enrolled & cared & taught).sum()),
    }
