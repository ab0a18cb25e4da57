"""What systems do to the names of districts."""

import unicodedata
from collections.abc import Callable, Iterable
from types import MappingProxyType
from typing import Final

import numpy as np

from demo.city.dirt.kinds import Kind
from demo.city.dirt.soil import Bools, Soil

RATE: Final = 0.01
"""Share of the rows with each spelling."""
MOJIBAKE_RATE: Final = 0.002

_MISREAD_AS: Final = MappingProxyType(
    {"sof": "iso-8859-1", "amf": "windows-1252", "vof": "windows-1252"}
)
_WITHOUT_DIACRITICS: Final = str.maketrans("åäöÅÄÖ", "aaoAAO")


def misspell(soil: Soil, column: str, *, department: str) -> None:
    """Spell some of the names in a column as real files do; readers can still tell which is meant.

    Names that lose nothing without diacritics are left alone by the defects that touch those.
    """
    _respell(soil, column, Kind.OTHER_CASE, lambda name: _other_case(name, soil.generator))
    _respell(soil, column, Kind.TRAILING_BLANK, lambda name: name + " ")
    if department not in _MISREAD_AS:
        return
    _respell(soil, column, Kind.LOST_DIACRITICS, lambda name: name.translate(_WITHOUT_DIACRITICS))
    if department == "amf":  # the other departments' encodings have no combining marks
        _respell(soil, column, Kind.DECOMPOSED, lambda name: unicodedata.normalize("NFD", name))
    encoding = _MISREAD_AS[department]
    _respell(
        soil,
        column,
        Kind.MOJIBAKE,
        lambda name: name.encode("utf-8").decode(encoding),
        rate=MOJIBAKE_RATE,
    )


def _respell(
    soil: Soil, column: str, kind: Kind, spell: Callable[[str], str], *, rate: float = RATE
) -> None:
    touches_all = kind in {Kind.OTHER_CASE, Kind.TRAILING_BLANK}
    where = None if touches_all else _has_diacritics(soil.frame[column])
    positions = soil.pick(column, rate, where=where)
    names = soil.frame[column].iloc[positions]
    soil.plant(kind, column, positions, [spell(name) for name in names])


def _other_case(name: str, generator: np.random.Generator) -> str:
    return name.upper() if generator.random() < 0.5 else name.lower()  # noqa: PLR2004


def _has_diacritics(names: Iterable[object]) -> Bools:
    return np.array(
        [isinstance(name, str) and not name.isascii() for name in names], dtype=np.bool_
    )
