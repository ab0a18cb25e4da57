"""The dirty profile: the clean tables as real systems would deliver them.

The register (kir) is what the other departments are compared with, and stays clean but for one
resident. A cell gets one defect at most, and rows that come twice have none.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from demo.city.dirt import gaps, ids, rows, temporary, text, values
from demo.city.dirt.kinds import Kind
from demo.city.dirt.soil import FileMark, Soil, Soiled
from demo.city.settings import Settings

BYTE_ORDER_MARK_YEAR: Final = 2021
"""The school year whose files begin with a byte-order mark."""
OTHER_ORDER_YEAR: Final = 2022
"""The school year whose files have their first two columns the other way round."""

_SOILED = ("sof", "amf", "skf", "vof")
_NAMES = {
    "sof_person": "stadsdel",
    "amf_person": "stadsdel",
    "vof_person": "stadsdel",
    "skf_elev": "omrade",
}


class Dirt:
    """Soils one block of tables after the other; remembers what occurs once in the whole city.

    Every table of every block has a generator of its own, and so has what a department's tables
    have in common, the temporary ids: an effect that changes one department's rows moves no
    defect of another's.
    """

    def __init__(self, settings: Settings) -> None:
        """Prepare; `settings` are those of the first block, and each block has the next number."""
        self._settings = settings
        self._next_serial = dict.fromkeys(_SOILED, 1)
        self._is_first_block = True

    def soil(self, tables: Mapping[str, pd.DataFrame]) -> dict[str, Soiled]:
        """Give all tables of a block with their defects, and the departments' alias tables."""
        soils = gaps.cut(tables, self._generator)
        gaps.silence_provider(soils["vof_utford"])
        if self._is_first_block:
            gaps.move_to_small_school(soils["skf_elev"])
            gaps.invent_district(soils["kir_person"], "stadsdel_kod")
            gaps.invent_district(soils["vof_person"], "stadsdel")
        soiled = {"kir_person": soils.pop("kir_person").soiled()}
        for department in _SOILED:
            own = {
                table: soil for table, soil in soils.items() if table.startswith(department + "_")
            }
            aliases = self._assign_temporary(own, department)
            soiled |= {table: self._soil(soil, table) for table, soil in own.items()}
            soiled[f"{department}_alias"] = aliases
        self._is_first_block = False
        self._settings = replace(self._settings, block=self._settings.block + 1)
        return soiled

    def _generator(self, table: str) -> np.random.Generator:
        return self._settings.generator("dirty", table=table)

    def _assign_temporary(self, soils: Mapping[str, Soil], department: str) -> Soiled:
        aliases, self._next_serial[department] = temporary.assign(
            soils,
            department=department,
            first_serial=self._next_serial[department],
            generator=self._generator(f"{department}_alias"),
        )
        return aliases

    def _soil(self, soil: Soil, table: str) -> Soiled:
        department = table.partition("_")[0]
        ids.spoil(soil, department=department)
        values.spoil(soil, table)
        if table in _NAMES:
            text.misspell(soil, _NAMES[table], department=department)
        if department == "skf":
            _mark_school_years(soil)
        repeated = rows.repeat(soil, table)
        return values.with_old_amounts(repeated) if table == "sof_utbetalning" else repeated


def _mark_school_years(soil: Soil) -> None:
    soil.file_marks += [
        FileMark(kind=Kind.BYTE_ORDER_MARK, year=BYTE_ORDER_MARK_YEAR),
        FileMark(kind=Kind.COLUMN_ORDER, year=OTHER_ORDER_YEAR),
    ]
