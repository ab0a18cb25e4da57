"""The population register (KIR): one row per resident on 2024-12-31."""

import numpy as np
import pandas as pd

from demo.city.population import ALWAYS, Role
from demo.city.settings import Bools
from demo.city.simulate import City
from demo.city.tables.columns import Identities, frame, words


def register(city: City, identities: Identities) -> dict[str, pd.DataFrame]:
    """Give `kir_person`, without the former residents."""
    people = city.population
    homes = people.households
    dwelling = np.full(homes.former.size, "", dtype=object)
    lived_in = ~homes.former
    dwelling[lived_in] = identities.numbers.running("B", int(lived_in.sum()), width=6)
    here = np.flatnonzero(lived_in[people.household])
    home = people.household[here]
    # Who was born into the household after it moved has always lived here.
    moved_in = np.where(homes.moved_in[home] < people.birth[here], ALWAYS, homes.moved_in[home])
    columns = {
        "pnr": identities.pnr[here],
        "bostad_id": dwelling[home],
        "fodelsear": people.birth[here].astype("datetime64[Y]").astype(np.int64) + 1970,
        "kon": words(people.woman[here], ("M", "K")),
        "stadsdel_kod": homes.district[home] + 1,
        "fodd_utomlands": born_abroad(city)[here],
        "inflyttad": moved_in,
        "skyddad": homes.protected[home],
    }
    return {"kir_person": frame(columns, by=[identities.rank[here]])}


def born_abroad(city: City) -> Bools:
    """Tell for each person: adults of foreign households, and newly arrived pupils."""
    people = city.population
    abroad: Bools = people.households.foreign[people.household] & (people.role != Role.CHILD)
    abroad[city.schools.person[city.schools.newly_arrived]] = True
    return abroad
