"""Whose every row of a dirty demo city is: what linking is held against.

The dirt is made once more, on tables that carry each id a second time in a column that no defect
knows of. It rides along through lost, repeated and corrected rows.
"""

import pandas as pd

from demo.city.delivery import forms
from demo.city.dirt.dirt import Dirt
from demo.city.dirt.ids import ID_COLUMNS
from demo.city.numbers import Numbers
from demo.city.settings import MUNICIPALITIES, Effects, Settings
from demo.city.simulate import simulate
from demo.city.tables.columns import identify
from demo.city.tables.tables import written

TRUE = "true_"
"""What the names of the columns with the true ids begin with."""


def truth(*, seed: int, residents: int) -> dict[str, pd.DataFrame]:
    """Give the dirty tables of a city, in the order of their files and rows, with true ids."""
    settings = Settings(
        seed=seed, residents=residents, municipality=MUNICIPALITIES["A"], effects=Effects()
    )
    city = simulate(settings)
    numbers = Numbers(generator=settings.generator("ids"), municipality="A")
    tables = {
        name: forms.at_noon(table) if name.startswith("amf") else table
        for name, table in written(city, identify(city, numbers)).items()
    }
    doubled = {
        name: table.assign(**{TRUE + c: table[c] for c in ID_COLUMNS if c in table})
        for name, table in tables.items()
    }
    found = {name: soiled.frame for name, soiled in Dirt(settings).soil(doubled).items()}
    return {
        # Schools deliver a file for each school year.
        name: frame.sort_values("lasar", kind="stable") if "lasar" in frame else frame
        for name, frame in found.items()
    }
