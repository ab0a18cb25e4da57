"""Grades (SKF): by subject in grades 6 and 9, and the final grades of grade 9."""

from typing import Final

import numpy as np
import pandas as pd

from demo.city.settings import Bools, Floats, Whole
from demo.city.simulate import City
from demo.city.tables.columns import Identities, frame, spread, words
from demo.city.tables.schools import FIRST_GRADE, LAST_GRADE, PupilYears, pupil_years

CORE: Final = ("EN", "MA", "SV")
OTHERS: Final = (
    *("BL", "HKK", "IDH", "MU", "BI", "FY", "KE", "GE", "HI", "RE", "SH", "SL", "TK"),
    "M2",
)
SUBJECTS: Final = (*CORE, *OTHERS)
"""17 subjects of grade 9; the last, modern languages, has no grade in grade 6."""
SUBJECTS_GRADE_6: Final = 16
LETTERS: Final = ("E", "D", "C", "B", "A", "F", "-")
STEPS: Final = 4
"""Steps from E (0) to A (4), of 2.5 points each; E is worth 10."""
FAILED: Final = 5
UNGRADED: Final = 6
UNGRADED_ABSENCE: Final = 50.0
"""Per cent of absence from which a failed subject has no grade at all (-)."""
GRADE_6: Final = (0.45, 0.08, -0.15, 0.15, 0.20)
"""Level of the grades in grade 6, as a share of the way from E to A: constant, per step of the
guardians' education, with F in mathematics; spread between pupils, and between subjects."""
GRADE_6_FAILED: Final = {"passed": 0.02, "failed": 0.15}
"""Chance of F in another subject, by whether mathematics was passed."""


def grades(city: City, identities: Identities) -> dict[str, pd.DataFrame]:
    """Give the tables of grades; they agree with each other and with the latent outcomes."""
    draw = city.settings.generator("grades")
    years = pupil_years(city)
    sixth, ninth = years.only(years.grade == FIRST_GRADE), years.only(years.grade == LAST_GRADE)
    # Both are drawn for all pupils, so that who moved away changes nobody else's grades.
    early, final = _grade_6(city, draw), _grade_9(city, draw)
    return {
        "skf_betyg": _by_subject(city, identities, [(sixth, early), (ninth, final)]),
        "skf_slutbetyg": _final(city, identities, ninth, final),
    }


def _grade_9(city: City, draw: np.random.Generator) -> Whole:
    """Give a code of `LETTERS` per pupil and subject.

    The passes add up to the latent merit where their number allows it (10 to 20 points each),
    and come as near as possible where it does not.
    """
    latent = city.schools
    failed = np.zeros((latent.person.size, len(SUBJECTS)), dtype=bool)
    core = (latent.failed_english, latent.failed_maths, latent.failed_swedish)
    failed[:, : len(CORE)] = np.stack(core, axis=1)
    order = np.argsort(draw.random((failed.shape[0], len(OTHERS))), axis=1)
    failed[:, len(CORE) :] = order < latent.failed_others[:, None]
    passes = (~failed).sum(axis=1)
    steps = np.rint((latent.merit - 10 * passes) / 2.5).astype(np.int64)
    steps = np.clip(steps, 0, STEPS * passes)
    codes = spread(steps, np.where(failed, 0, STEPS), draw.uniform(-0.5, 0.5, failed.shape))
    worst = np.where(latent.absence >= UNGRADED_ABSENCE, UNGRADED, FAILED)
    return np.where(failed, worst[:, None], codes)


def _grade_6(city: City, draw: np.random.Generator) -> Whole:
    """Give a code per pupil and subject; only mathematics, f6, says anything about grade 9."""
    latent = city.schools
    constant, education, maths, between, within = GRADE_6
    f6 = latent.failed_maths_grade_6
    level: Floats = (
        constant
        + education * (latent.guardian_education - 2)
        + maths * f6
        + draw.normal(0.0, between, f6.size)
    )
    shape = (f6.size, SUBJECTS_GRADE_6)
    share = level[:, None] + draw.normal(0.0, within, shape)
    codes = np.clip(np.rint(share * STEPS), 0, STEPS).astype(np.int64)
    chance = np.where(f6, GRADE_6_FAILED["failed"], GRADE_6_FAILED["passed"])
    failed: Bools = draw.random(shape) < chance[:, None]
    failed[:, CORE.index("MA")] = f6
    return np.where(failed, FAILED, codes)


def _by_subject(
    city: City, identities: Identities, parts: list[tuple[PupilYears, Whole]]
) -> pd.DataFrame:
    alphabetical = np.argsort(np.argsort(SUBJECTS))
    collected: list[tuple[Whole, ...]] = []
    for years, codes in parts:
        subjects = codes.shape[1]
        collected.append(
            (
                np.repeat(city.schools.person[years.pupil], subjects),
                np.repeat(years.spring, subjects),
                np.repeat(years.grade, subjects),
                np.tile(np.arange(subjects), years.pupil.size),
                codes[years.pupil].ravel(),
            )
        )
    person, spring, grade, subject, code = (
        np.concatenate(part) for part in zip(*collected, strict=True)
    )
    columns = {
        "pnr": identities.pnr[person],
        "lasar": spring,
        "arskurs": grade,
        "amne": words(subject, SUBJECTS),
        "betyg": words(code, LETTERS),
    }
    return frame(columns, by=[identities.rank[person], spring, alphabetical[subject]])


def _final(city: City, identities: Identities, years: PupilYears, codes: Whole) -> pd.DataFrame:
    latent, pupil = city.schools, years.pupil
    failed = (codes[pupil] >= FAILED).sum(axis=1)
    person = latent.person[pupil]
    columns = {
        "pnr": identities.pnr[person],
        "lasar": years.spring,
        "meritvarde": latent.merit[pupil],
        "antal_f": failed,
        "behorig_yrkes": latent.eligible[pupil],
        "alla_amnen": failed == 0,
    }
    return frame(columns, by=[identities.rank[person]])
