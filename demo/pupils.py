"""The schools' analysis table as one frame, beside what the city was planted with."""

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

import demo.city
from demo.town import Town
from node import datasets
from node.sources import DerivedSource

DATASET = "skf_arskurs9"
"""The declared analysis table: one row for each pupil of grade 9."""

_FILE = Path(demo.city.__file__).with_name("declarations") / "skf" / f"{DATASET}.yaml"


def pupils(town: Town) -> pd.DataFrame:
    """Give the analysis table, made by its own declared query, with three columns more.

    `probability` is the one with which a pupil became eligible, `long_assistance` whether the
    household had long-term assistance (which no school knows), and `absent` the absence in per
    cent as the city drew it.
    """
    source = datasets.load(_FILE).source
    assert isinstance(source, DerivedSource)  # noqa: S101 - our own declaration
    with duckdb.connect() as database:
        for name in source.tables:
            database.register(name, town.tables[name])
        table = database.execute(source.query).df()
    schools = town.city.schools
    truth = pd.DataFrame(
        {
            "pnr": town.pnr.to_numpy()[schools.person],
            "probability": schools.eligible_probability,
            "long_assistance": schools.long_assistance,
            "absent": schools.absence,
        }
    )
    return table.astype({"behorig_yrkes": np.bool_}).merge(truth, on="pnr", validate="1:1")
