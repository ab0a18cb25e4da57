"""Who takes part in the demo's joint questions, and what a joint question is."""

from collections.abc import Mapping
from dataclasses import dataclass

SCHOOLS, SOCIAL, LABOUR, CARE = "schools", "social-services", "labour-market", "health-care"
REGISTER, WITNESS = "city-office", "city-auditor"

DEPARTMENTS: Mapping[str, str] = {
    SCHOOLS: "skf",
    SOCIAL: "sof",
    LABOUR: "amf",
    CARE: "vof",
    REGISTER: "kir",
}
"""The nodes that hold records, and the folder of the demo city that each has."""

OWNERS: Mapping[str, str] = {
    SCHOOLS: "Skol- och fritidsnämnden",
    SOCIAL: "Socialnämnden",
    LABOUR: "Arbetsmarknadsnämnden",
    CARE: "Vård- och omsorgsnämnden",
    REGISTER: "Kommunstyrelsen, stadsledningsförvaltningen",
    WITNESS: "Stadsrevisionen",
}
"""Who answers for each node."""

COORDINATOR = "Datalabbet, digitaliseringsnämnden"

Terms = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """One joint question, as a study.

    Attributes:
        code: as the demo city's specification calls it.
        study: its id.
        sv, en: what is asked.
        variables: as in a study file.
        questions: as in a study file, without titles.
    """

    code: str
    study: str
    sv: str
    en: str
    variables: tuple[Terms, ...]
    questions: tuple[Terms, ...]

    @property
    def departments(self) -> tuple[str, ...]:
        """Give the departments whose records it needs, in order."""
        return tuple(dict.fromkeys(str(item["department"]) for item in self.variables))

    @property
    def server(self) -> str:
        """Give the node that computes on shares, beside coordinator and witness.

        It is none of those that are asked: a department knows which row is whose.
        """
        return next(name for name in (CARE, LABOUR, SCHOOLS) if name not in self.departments)


def pupil(name: str, column: str) -> Terms:
    """Give a variable of the pupils' analysis table."""
    return own(name, SCHOOLS, "skf_elev_underlag", column)


def own(name: str, department: str, dataset: str, column: str, *, absent: bool = False) -> Terms:
    """Give a variable of the resident's own record."""
    made: dict[str, object] = {
        "name": name,
        "department": department,
        "dataset": dataset,
        "column": column,
    }
    return made | ({"absent": True} if absent else {})


def home(name: str, department: str, dataset: str, column: str, *, absent: bool = True) -> Terms:
    """Give a variable of anybody's record in the household."""
    mine = own(name, department, dataset, column, absent=absent)
    return {**mine, "of": "household"}
