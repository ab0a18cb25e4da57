"""The demo's study, across school areas: who becomes eligible for upper secondary school."""

from typing import Any

import yaml

from demo.pupils import DATASET
from demo.town import AREAS

STUDY = "eligible-for-upper-secondary"
OUTCOME = "behorig_yrkes"
VARIABLES = ("franvaro_hogst_30", "underkand_matematik_ak6", "vh_utb", "nyanland")


_PUPILS = 0.072
"""Pupils of grade 9 per resident: about what every Swedish municipality has."""


def study(*, epsilon: str, residents: int, protection: str = "secure-sum") -> str:
    """Give the study file (YAML).

    Args:
        epsilon: written into it as it stands.
        residents: about how many the city has.
        protection: `secure-sum` or `local-noise`.
    """
    document: dict[str, Any] = {
        "study": STUDY,
        "title": {
            "sv": "Vägen till behörighet",
            "en": "The way to eligibility",
        },
        "purpose": {
            "sv": (
                "Visa vilka elever som riskerar att inte bli behöriga till gymnasieskolan, så att "
                "stödet kan sättas in i tid."
            ),
            "en": (
                "Show which pupils may not become eligible for upper secondary school, so that "
                "support can come in time."
            ),
        },
        "legal_basis": {
            "article_6": "e",
            "provision": "None needed: invented residents, for the demo",
        },
        "contact": "demo@datalabbet.example",
        "departments": list(AREAS),
        "dataset": DATASET,
        "variables": list(VARIABLES),
        "outcome": OUTCOME,
        "privacy": {
            "protection": protection,
            "epsilon": float(epsilon),
            "delta": 1e-5,
            "departments_per_resident": 1,
            "holdout": 0.2,
        },
        "minimum_cohort": 3,
        "retention_days": 365,
    }
    if protection == "secure-sum":
        document["model"] = {"family": "logistic", "bins": 4}
        document["secure_sum"] = {"residents": max(100, 100 * round(_PUPILS * residents / 100))}
    else:
        document["model"] = {"family": "logistic", "bins": 0}
        document["privacy"]["clip"] = 1.5
        document["training"] = {
            "strategy": "fedavg",
            "rounds": 20,
            "steps": 3,
            "sampling_rate": 0.5,
            "learning_rate": 2.0,
        }
    return yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
