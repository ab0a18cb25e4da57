"""The truth file: what was asked for, what was planted, and what nobody's tables say.

One JSON document. It is written as the city is made, so that a city of many blocks needs no
more memory than one of a single block.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from demo.city.care import OPEN, CareKind
from demo.city.dirt.kinds import Defect
from demo.city.folders import MADE_BY
from demo.city.labour import EndReason, ProgrammeKind
from demo.city.population import Kind
from demo.city.settings import Bools
from demo.city.simulate import City
from demo.city.tables.columns import Identities, at, month_text, words
from demo.city.tables.schools import SCHOOLS

DECIMALS: Final = 6
Json = Mapping[str, object]


class TruthFile:
    """Writes the document, one member a line: first what is known, then defects, then the rest."""

    def __init__(self, path: Path, known: Json) -> None:
        """Begin the document with the members of `known`."""
        self._file = path.open("w", encoding="utf-8", newline="\n")
        self._file.write(f'{{"made_by": {_json(MADE_BY)}')
        self._members(known)
        self._file.write(',\n"defects": [')
        self._first = True

    def defects(self, found: Iterable[Defect]) -> None:
        """Add planted defects, one a line."""
        for defect in found:
            self._file.write("\n" if self._first else ",\n")
            self._file.write(_json(asdict(defect)))
            self._first = False

    def finish(self, rest: Json) -> None:
        """End the document with the members of `rest`."""
        self._file.write("]")
        self._members(rest)
        self._file.write("\n}\n")

    def close(self) -> None:
        """Close the file, finished or not."""
        self._file.close()

    def _members(self, members: Json) -> None:
        for name, value in members.items():
            self._file.write(f",\n{_json(name)}: {_json(value)}")


def latent(city: City, identities: Identities) -> Json:
    """Give the latent table, column by column: what the effects work on, and what came of it.

    `pupils` has a row per grade-9 pupil, `programmes` per programme, `spells` per spell of
    assistance, `care` per person with care, `households` per household (by its head). Months are
    written YYYY-MM; a former resident's household has `left`, the first month without records.
    """
    return {
        "households": _households(city, identities),
        "pupils": _pupils(city, identities),
        "spells": _spells(city, identities),
        "programmes": _programmes(city, identities),
        "care": _care(city, identities),
    }


def _households(city: City, identities: Identities) -> Json:
    homes = city.population.households
    return {
        "head": _list(identities.pnr[homes.first]),
        "kind": _list(words(homes.kind, [kind.name for kind in Kind])),
        "district": _list(homes.district + 1),
        "deprivation": _list(homes.deprivation),
        "ill_health": _list(homes.ill_health),
        "foreign": _list(homes.foreign),
        "hinder_health": _list(city.assistance.hinder_health),
        "left": _list(month_text(homes.left), missing=~homes.former),
    }


def _pupils(city: City, identities: Identities) -> Json:
    pupils = city.schools
    return {
        "pnr": _list(identities.pnr[pupils.person]),
        "spring": _list(pupils.spring),
        "school": _list(words(pupils.school, SCHOOLS)),
        "first_guardian": _list(identities.pnr[pupils.first_guardian]),
        "second_guardian": _list(at(identities.pnr, pupils.second_guardian)),
        "guardian_education": _list(pupils.guardian_education),
        "long_assistance": _list(pupils.long_assistance),
        "heavy_care": _list(pupils.heavy_care),
        "newly_arrived": _list(pupils.newly_arrived),
        "child_protection": _list(pupils.child_protection),
        "absence": _list(pupils.absence),
        "failed_maths_grade_6": _list(pupils.failed_maths_grade_6),
        "support": _list(pupils.support),
        "eligible": _list(pupils.eligible),
        "eligible_probability": _list(pupils.eligible_probability),
        "merit": _list(pupils.merit),
    }


def _spells(city: City, identities: Identities) -> Json:
    paid = city.assistance
    _, first, count = np.unique(paid.spell, return_index=True, return_counts=True)
    final = first + count - 1
    return {
        "applicant": _list(identities.pnr[city.population.households.first[paid.household[first]]]),
        "first_month": _list(month_text(paid.month[first])),
        "first_spell_month": _list(paid.spell_month[first]),
        "last_month": _list(month_text(paid.month[final])),
        "ended": _list(paid.last[final]),
    }


def _programmes(city: City, identities: Identities) -> Json:
    programmes = city.labour.programmes
    return {
        "participant": _list(
            identities.pnr[city.population.households.first[programmes.household]]
        ),
        "kind": _list(words(programmes.kind, tuple(ProgrammeKind))),
        "start": _list(month_text(programmes.start)),
        "end": _list(month_text(programmes.end)),
        "reason": _list(words(programmes.reason, (*EndReason, None))),
        "spell_month": _list(programmes.spell_month),
        "heavy_care": _list(programmes.heavy),
    }


def _care(city: City, identities: Identities) -> Json:
    care = city.care
    open_end = care.end == OPEN
    ends = month_text(np.where(open_end, 0, care.end))
    return {
        "pnr": _list(identities.pnr[care.person]),
        "kind": _list(words(care.kind, tuple(CareKind))),
        "start": _list(month_text(care.start)),
        "end": _list(ends, missing=open_end),
        "hours": _list(care.hours, missing=np.isnan(care.hours)),
    }


def _list(values: npt.NDArray[Any], *, missing: Bools | None = None) -> list[object]:
    """Give JSON values, numbers with at most six decimals; None where one is missing."""
    rounded = np.round(values, DECIMALS) if values.dtype.kind == "f" else values
    given = rounded.astype(object)
    if missing is not None:
        given[missing] = None
    return list(given.tolist())


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
