"""How many residents and households several departments know: small on purpose."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from demo.city.settings import Bools
from demo.city.simulate import City
from demo.city.tables.columns import Identities
from demo.city.tables.labour import SUMMER_JOB
from demo.city.tables.schools import LAST_GRADE


def count(city: City, identities: Identities, tables: Mapping[str, pd.DataFrame]) -> dict[str, int]:
    """Count residents and households by the departments that know them, 2016-2024.

    Former residents are left out, and so are summer jobs. `pupils_with_heavy_care` have a parent
    with heavy care at home during grade 9. Households are those of the simulation.
    """
    years, programmes = tables["skf_elev"], tables["amf_insats"]
    sof = _known(city, identities, tables["sof_person"])
    amf = _known(city, identities, programmes[programmes["typ"] != SUMMER_JOB])
    vof = _known(city, identities, tables["vof_person"])
    pupil = _known(city, identities, years[years["arskurs"] == LAST_GRADE])
    heavy = np.zeros(pupil.size, dtype=bool)
    heavy[city.schools.person[city.schools.heavy_care]] = True
    homes = {
        name: _homes(city, persons)
        for name, persons in {"sof": sof, "amf": amf, "vof": vof, "skf": pupil}.items()
    }
    counts = {
        "sof": sof,
        "amf": amf,
        "vof": vof,
        "grade_9_pupils": pupil,
        "sof_and_amf": sof & amf,
        "sof_and_vof": sof & vof,
        "amf_and_vof": amf & vof,
        "grade_9_pupils_in_sof": pupil & sof,
        "pupils_with_heavy_care": pupil & heavy,
        "households_sof_and_pupil": homes["sof"] & homes["skf"],
        "households_amf_and_pupil": homes["amf"] & homes["skf"],
        "households_vof_and_pupil": homes["vof"] & homes["skf"],
        "households_of_all_four": homes["sof"] & homes["amf"] & homes["vof"] & homes["skf"],
    }
    return {name: int(chosen.sum()) for name, chosen in counts.items()}


def _known(city: City, identities: Identities, table: pd.DataFrame) -> Bools:
    """Tell which persons are residents with a row in a table."""
    people = city.population
    numbers = table["pnr"].to_numpy(dtype=object).astype(np.int64)
    here = ~people.households.former[people.household]
    return here & np.isin(identities.pnr.astype(np.int64), numbers)


def _homes(city: City, persons: Bools) -> Bools:
    """Tell which households have one of the persons."""
    homes = np.zeros(city.population.households.former.size, dtype=bool)
    homes[city.population.household[persons]] = True
    return homes
