"""Real people from a public experiment, as a small federation would hold them.

The RAND Health Insurance Experiment (1974-1982; public domain, shipped with statsmodels) has
20,190 person-years. The file has no person id: consecutive rows with the same health and
insurance are taken as one person, which gives 5,245 people, most with three or five years.
The outcome: five or more visits to a physician in the year.
"""

import numpy as np
import pandas as pd
from statsmodels.datasets import randhie

DEPARTMENTS = ("social-services", "labour-market", "schools", "health-care")
"""The four departments; each has the people of one kind of insurance, so that they differ."""

_HOMES = {
    "free": "social-services",
    "25 %": "labour-market",
    "95 %": "schools",
    "50 %": "health-care",
    "100 %": "health-care",
}
_SAME_PERSON = ["lncoins", "idp", "fmde", "physlm", "disea", "hlthg", "hlthf", "hlthp"]
_COINSURANCE = {0: "free", 25: "25 %", 50: "50 %", 95: "95 %", 100: "100 %"}


def load() -> dict[str, pd.DataFrame]:
    """Give each department's rows, with the column `resident`."""
    rows = _readable(randhie.load_pandas().data)
    home = rows["coinsurance"].map(_HOMES)
    return {name: rows[home == name].reset_index(drop=True) for name in DEPARTMENTS}


def _readable(raw: pd.DataFrame) -> pd.DataFrame:
    person = (raw[_SAME_PERSON] != raw[_SAME_PERSON].shift()).any(axis=1).cumsum()
    health = np.select(
        [raw["hlthp"] == 1, raw["hlthf"] == 1, raw["hlthg"] == 1],
        ["poor", "fair", "good"],
        default="excellent",
    )
    coinsurance = np.expm1(raw["lncoins"]).round().astype(int)
    return pd.DataFrame(
        {
            "resident": person.map("P{:05d}".format),
            "coinsurance": coinsurance.map(_COINSURANCE),
            "individual_plan": np.where(raw["idp"] == 1, "true", "false"),
            "incentive": raw["lpi"].round(4),
            "expense_limit": raw["fmde"].round(4),
            "limitation": raw["physlm"].round(4),
            "diseases": raw["disea"].round(2),
            "health": health,
            "many_visits": np.where(raw["mdvis"] >= 5, "yes", "no"),
        }
    )
