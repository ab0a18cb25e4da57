"""Valid studies, declarations and data files for tests: small, and changed by keyword."""

import csv
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from models.governance.resolution import resolve
from models.governance.study import (
    LegalBasis,
    ModelSettings,
    PrivacySettings,
    Protection,
    SecureSumSettings,
    Study,
    StudyDraft,
    TrainingSettings,
)
from models.quantities import ClipNorm, Delta, Epsilon, SamplingRate, Share
from models.schema import Bilingual, CategoryColumn, Declaration, Missing, NumericColumn
from protos.installed import code_digest

TEXT = Bilingual(sv="Provtext", en="Test text")
MISSING = Missing(values=("", "NA"), meaning=Bilingual(sv="Okänt", en="Not known"))
DEPARTMENTS = ("school", "care", "labour")
KEYS = {
    name: Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
    for name in (*DEPARTMENTS, "auditor")
}
"""The identity keys of the tests' departments, and of their witness."""

IDENTITIES = {name: key.public_key().public_bytes_raw().hex() for name, key in KEYS.items()}

AGE = NumericColumn(name="age", type="integer", meaning=TEXT, minimum=0, maximum=100)
INCOME = NumericColumn(
    name="income", type="number", meaning=TEXT, minimum=-10.0, maximum=10.0, missing=MISSING
)
AREA = CategoryColumn(
    name="area", meaning=TEXT, categories=("north", "south", "west"), missing=MISSING
)
OUTCOME = CategoryColumn(name="passed", meaning=TEXT, categories=("no", "yes"))
GRADE = CategoryColumn(name="grade", meaning=TEXT, categories=("low", "middle", "high"))


def declaration(**changes: Any) -> Declaration:
    """Give a declaration of the dataset `pupils`: numbers, categories and two outcomes."""
    base = Declaration(
        name="pupils",
        title=TEXT,
        description=TEXT,
        steward="Steward of the tests",
        resident_id="resident",
        secrecy="OSL 23 kap.",
        columns=(AGE, INCOME, AREA, OUTCOME, GRADE),
    )
    return replace(base, **changes)


def draft(
    *,
    model: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    privacy: Mapping[str, Any] | None = None,
    **changes: Any,
) -> StudyDraft:
    """Give a study draft over `declaration()`; `model`, `training`, `privacy` change settings."""
    averaging = TrainingSettings(
        **{
            "rounds": 3,
            "steps": 5,
            "sampling_rate": SamplingRate(0.2),
            "learning_rate": 0.5,
            **(training or {}),
        }
    )
    kind = (privacy or {}).get("protection", Protection.LOCAL_NOISE)
    local = kind is Protection.LOCAL_NOISE
    base = StudyDraft(
        study="pupils-pass",
        title=TEXT,
        purpose=TEXT,
        legal_basis=LegalBasis(article_6="e", provision="Skollagen"),
        contact="datalabbet@example.org",
        departments=DEPARTMENTS,
        dataset="pupils",
        variables=("age", "income", "area"),
        outcome="passed",
        model=ModelSettings(**{"family": "logistic", **(model or {})}),
        training=None if "secure_sum" in changes and not local else averaging,
        secure_sum=changes.pop("secure_sum", None),
        privacy=PrivacySettings(
            **{
                "protection": Protection.LOCAL_NOISE,
                "epsilon": Epsilon(2.0),
                "delta": Delta(1e-5),
                "clip": ClipNorm(1.0),
                "departments_per_resident": 1,
                "holdout": Share(0.25),
                **(privacy or {}),
            }
        ),
        minimum_cohort=changes.pop("minimum_cohort", 2),
        retention_days=365,
    )
    return replace(base, **changes)


def study(**changes: Any) -> Study:
    """Give the study of `draft(**changes)`, resolved against `declaration()` everywhere."""
    return study_over(declaration(), **changes)


def study_over(declared: Declaration, **changes: Any) -> Study:
    """Give the study of `draft(**changes)` when every department declares `declared`."""
    file = draft(**changes)
    return resolve(
        file, dict.fromkeys(file.departments, declared), code=code_digest(), identities=IDENTITIES
    )


def summed_study(**changes: Any) -> Study:
    """Give a study trained with secure sums; `secure_sum` changes those settings."""
    settings = {"residents": 300, **changes.pop("secure_sum", {})}
    changes["secure_sum"] = SecureSumSettings(**settings)
    changes["model"] = {"bins": 10, **changes.get("model", {})}
    privacy = {"protection": Protection.SECURE_SUM, "clip": None, "spare_rounds": 2}
    changes["privacy"] = privacy | changes.get("privacy", {})
    return study(**{"minimum_cohort": 3} | changes)


def masked_study(**changes: Any) -> Study:
    """Give a study with local noise under masks; `secure_sum` changes how it masks."""
    settings = {"residents": 300, **changes.pop("secure_sum", {})}
    changes["secure_sum"] = SecureSumSettings(**settings)
    return study(**{"minimum_cohort": 3} | changes)


def public_study(**changes: Any) -> Study:
    """Give a study of protection `none` over public data."""
    privacy = {"protection": Protection.NONE, "epsilon": None, "delta": None}
    privacy |= changes.pop("privacy", {})
    return study_over(declaration(public=True), privacy=privacy, **changes)


HEADER = ("resident", "age", "income", "area", "passed", "grade")


def rows(
    residents: int, *, seed: int = 0, rows_each: int = 1, effect: float = 3.0, prefix: str = "r"
) -> list[tuple[str, ...]]:
    """Give reproducible rows that keep `declaration()`; `age` and `area` foretell `passed`."""
    generator = np.random.default_rng(seed)
    result = []
    for index in range(residents):
        for _ in range(rows_each):
            age = int(generator.integers(0, 101))
            income = "" if generator.random() < 0.1 else f"{generator.uniform(-10, 10):.3f}"
            area = int(generator.integers(0, 3))
            score = effect * ((age - 50) / 50 + (area - 1) / 2)
            passed = generator.random() < 1 / (1 + np.exp(-score))
            grade = int(np.clip(np.round(score + generator.normal()), -1, 1)) + 1
            result.append(
                (
                    f"{prefix}{index:06d}",
                    str(age),
                    income,
                    AREA.categories[area],
                    OUTCOME.categories[int(passed)],
                    GRADE.categories[grade],
                )
            )
    return result


def write_csv(
    path: Path, table: Iterable[Sequence[str]], *, header: Sequence[str] = HEADER
) -> Path:
    """Write a CSV file with a header, and give its path."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(table)
    return path


def dataset(path: Path, **changes: Any) -> "Any":
    """Give the node's `Dataset` of `declaration(**changes)` over the CSV file at `path`."""
    from node.datasets import CsvSource, Dataset

    source = CsvSource(kind="csv", path=str(path))
    file = str(path.with_suffix(".yaml"))
    return Dataset(declaration=declaration(**changes), source=source, file=file)
