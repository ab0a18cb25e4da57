"""Codes that only the dirty profile uses; the declarations list the readable ones."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

RETIRED_PROGRAMMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "PRK": "PRAKTIK",
        "APRAK": "PRAKTIK",
        "PRO": "PRAKTIK",
        "JSK": "JOBBSOK",
        "JCO": "JOBBSOK",
        "MATCH": "JOBBSOK",
        "OSK": "OSA",
        "SKA": "OSA",
        "SFIP": "SFI_KOMBI",
        "SFIA": "SFI_KOMBI",
        "FER": "FERIEJOBB",
        "SOJ": "FERIEJOBB",
    }
)
"""The twelve codes of `amf_insats.typ` that were retired in 2019, and what each became."""

MISSING_CODES: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        ("sof_person", "utb"): "9",
        ("amf_person", "sfi_niva"): "-",
        ("skf_elev", "vh_utb"): "99",
        ("vof_person", "stadsdel"): "Uppgift saknas",
    }
)
"""What stands for a missing value, by table and column."""

UNKNOWN_DISTRICT: Final = 13
"""The district code that does not exist; in a table with names it stands as text."""

SMALL_SCHOOL: Final = "S25"
"""A school that exists in the dirty profile only."""
