"""A dataset and a study on public data: who sees a physician five times a year or more."""

from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from residents import DEPARTMENTS

from demo import fields
from demo.fields import Field, Format, Table

FORMS: tuple[Format, ...] = ("swedish-csv", "parquet", "csv", "sqlite")
"""Each department delivers its own kind of file."""

OUTCOME = "many_visits"
STUDY = "many-visits"

FIELDS = (
    Field(
        name="coinsurance",
        sv="Andel av vårdkostnaden som personen själv betalar",
        en="Share of the cost of care that the person pays",
        categories=("free", "25 %", "50 %", "95 %", "100 %"),
    ),
    Field(
        name="individual_plan",
        sv="Egen självrisk i stället för hushållets",
        en="A deductible of one's own instead of the household's",
    ),
    Field(
        name="incentive",
        sv="Årlig ersättning för deltagande (logaritm)",
        en="Annual payment for taking part (logarithm)",
        bounds=(0, 8),
    ),
    Field(
        name="expense_limit",
        sv="Högsta egna utlägg i förhållande till egenandelen (logaritm)",
        en="Largest own expense relative to the coinsurance (logarithm)",
        bounds=(0, 9),
    ),
    Field(
        name="limitation",
        sv="Fysisk begränsning, från 0 (ingen) till 1 (har en)",
        en="Physical limitation, from 0 (none) to 1 (has one)",
        bounds=(0, 1),
    ),
    Field(
        name="diseases",
        sv="Index över kroniska sjukdomar",
        en="Index of chronic diseases",
        bounds=(0, 60),
    ),
    Field(
        name="health",
        sv="Självskattad hälsa",
        en="Self-rated health",
        categories=("excellent", "good", "fair", "poor"),
    ),
    Field(
        name=OUTCOME,
        sv="Fem eller fler läkarbesök under året",
        en="Five or more visits to a physician in the year",
        categories=("no", "yes"),
    ),
)


def table(department: str) -> Table:
    """Give the dataset as the department's steward declares it."""
    return Table(
        name="visits",
        title=("Läkarbesök", "Visits to a physician"),
        description=(
            "Ett år för en person i RAND-experimentet med sjukförsäkring, 1974-1982.",
            "One year of one person in the RAND Health Insurance Experiment, 1974-1982.",
        ),
        steward=f"Demo steward of {department}",
        secrecy="None: public domain data, used to show the service",
        public=True,
        resident_id="resident",
        fields=FIELDS,
    )


def write_departments(data: dict[str, pd.DataFrame], homes: Path) -> None:
    """Write each department's dataset into the folder `datasets` of its node's home."""
    for department, form in zip(DEPARTMENTS, FORMS, strict=True):
        folder = homes / department / "datasets"
        fields.write(folder, table(department), data[department], form=form)


def study(*, epsilon: str) -> str:
    """Give the study file (YAML). `epsilon` is written into it as it stands."""
    document: dict[str, Any] = {
        "study": STUDY,
        "title": {"sv": "Många läkarbesök", "en": "Many visits to a physician"},
        "purpose": {
            "sv": "Visa hur förvaltningar lär en gemensam modell utan att dela uppgifter.",
            "en": "Show how departments learn one model together without sharing records.",
        },
        "legal_basis": {"article_6": "e", "provision": "None needed: public data, for the demo"},
        "contact": "demo@datalabbet.example",
        "departments": list(DEPARTMENTS),
        "dataset": "visits",
        "variables": [field.name for field in FIELDS if field.name != OUTCOME],
        "outcome": OUTCOME,
        "model": {"family": "logistic", "bins": 0},
        "training": {
            "strategy": "fedavg",
            "rounds": 20,
            "steps": 2,
            "sampling_rate": 0.5,
            "learning_rate": 3.0,
        },
        "privacy": {
            "protection": "local-noise",
            "epsilon": float(epsilon),
            "delta": 1e-5,
            "clip": 1.0,
            "departments_per_resident": 1,
            "holdout": 0.3,
        },
        "minimum_cohort": 3,
        "retention_days": 365,
    }
    return yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
