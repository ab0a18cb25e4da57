"""All tables of all departments, clean, from the simulated city."""

import pandas as pd

from demo.city.numbers import Numbers
from demo.city.simulate import City
from demo.city.tables.assistance import assistance
from demo.city.tables.care import care
from demo.city.tables.columns import Identities, identify
from demo.city.tables.grades import grades
from demo.city.tables.labour import labour
from demo.city.tables.register import register
from demo.city.tables.schools import schools


def tables(city: City, numbers: Numbers) -> dict[str, pd.DataFrame]:
    """Give every table by its name, with new identities from `numbers`.

    Columns stand in the order of the specification and rows in the order of the key; missing
    values are NaN, NaT or NA. Ids are texts, dates `datetime64[s]`, months YYYY-MM.

    Raises:
        UsageError: a birth date has run out of numbers.
    """
    return written(city, identify(city, numbers))


def written(city: City, identities: Identities) -> dict[str, pd.DataFrame]:
    """Give every table by its name, with identities already given."""
    return {
        **register(city, identities),
        **assistance(city, identities),
        **labour(city, identities),
        **schools(city, identities),
        **grades(city, identities),
        **care(city, identities),
    }
