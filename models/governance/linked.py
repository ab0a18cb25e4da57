"""A linked study: joint questions about the same residents, asked of several departments.

As `models.governance.study`: a file that people read, diff and sign. `LinkedDraft` is that file;
`LinkedStudy` is the draft with the declared columns, the program and the keys copied in. What is
computed from it is laid out in `models.linkage.layout`, what protects it in `models.linkage.plan`.
"""

import datetime as dt
import unicodedata
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from models import documents
from models.errors import UsageError
from models.governance.questions import (
    Question,
    named,
)
from models.governance.roster import Mode, Roster
from models.governance.step import Hex64
from models.governance.study import LegalBasis, Protection
from models.quantities import Delta, Epsilon
from models.schema import STRICT, Bilingual, CategoryColumn, Line, Name, Slug, StudyColumn

_FEW = Annotated[int, Field(strict=True, ge=1, le=20)]
_Day = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]

COORDINATOR = "coordinator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A member that computes on shares, and the authority (or company) that runs it."""

    __pydantic_config__ = STRICT

    name: Slug
    owner: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Committee:
    """The three that compute on shares: the coordinator and two members, of different owners.

    Attributes:
        coordinator: who runs the coordinator.
        servers: the two others: a witness, or departments, by name.
    """

    __pydantic_config__ = STRICT

    coordinator: Line
    servers: Annotated[tuple[Server, ...], Field(min_length=2, max_length=2)]

    def __post_init__(self) -> None:
        """Refuse two servers of one owner: two that pool their shares see every record."""
        names = [server.name for server in self.servers]
        if len(set(names)) != len(names) or COORDINATOR in names:
            raise ValueError("the committee needs two servers beside the coordinator")
        owners = [plain_owner(owner) for owner in self.owners]
        if len(set(owners)) != len(owners):
            raise ValueError(
                "two servers of the committee have the same owner: together they could open every "
                "record; choose three owners that do not answer to each other"
            )

    @property
    def owners(self) -> tuple[str, str, str]:
        """Give who runs server 0 (the coordinator), 1 and 2."""
        return (self.coordinator, self.servers[0].owner, self.servers[1].owner)

    @property
    def names(self) -> tuple[str, str]:
        """Give the members that are servers 1 and 2."""
        return (self.servers[0].name, self.servers[1].name)


def plain_owner(owner: str) -> str:
    """Give an owner's name as it is compared: letters and digits, whatever their case."""
    folded = unicodedata.normalize("NFKC", owner).casefold()
    return "".join(letter for letter in folded if letter.isalnum())


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterTerms:
    """The register that every department holds, and whom the study leaves out.

    Attributes:
        date: of the snapshot.
        residents: the most residents it may have: a public number.
        protected: whether residents with protected identity are left out.
    """

    __pydantic_config__ = STRICT

    date: _Day
    residents: Annotated[int, Field(strict=True, ge=1, le=20_000_000)]
    protected: Literal["leave-out", "include"] = "leave-out"

    def __post_init__(self) -> None:
        """Refuse what is no day."""
        dt.date.fromisoformat(self.date)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedVariable:
    """One department's statement about residents, in public categories.

    Attributes:
        name: what the study calls it.
        department, dataset, column: where it comes from. Without a column: that there is a record.
        of: whose record counts for a resident: the resident's own, or any of the household's
            (of several the last category).
        bins: into how many bins a number without declared edges is cut.
        absent: residents without a record are a category of their own, instead of not counted.
    """

    __pydantic_config__ = STRICT

    name: Name
    department: Slug
    dataset: Name
    column: Name | None = None
    of: Literal["resident", "household"] = "resident"
    bins: Annotated[int, Field(strict=True, ge=0, le=200)] = 0
    absent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedPrivacy:
    """The protection of each unit, over everything that the study releases.

    Attributes:
        protection: `secure-sum` (noise that two of three servers' shares make up), or none.
        unit: who is protected together with all records that departments have of them.
        rows_per_household: of how many residents of a household a department's own records count,
            where a study also asks about households.
        epsilon, delta: for all releases, attempts and departments together; None exactly without
            protection.
        releases: how often the study may be answered, such as once a quarter.
        spare_runs: runs that may fail; each is paid for.
    """

    __pydantic_config__ = STRICT

    protection: Protection
    unit: Literal["resident", "household"] = "resident"
    rows_per_household: _FEW = 1
    epsilon: Epsilon | None = None
    delta: Delta | None = None
    releases: Annotated[int, Field(strict=True, ge=1, le=100)] = 1
    spare_runs: Annotated[int, Field(strict=True, ge=0, le=10)] = 0

    def __post_init__(self) -> None:
        """Refuse protection without ε and δ, and ε or δ without protection."""
        if self.protection is Protection.LOCAL_NOISE:
            raise ValueError("a linked study has the protection secure-sum, or none")
        private = self.protection is not Protection.NONE
        if private != (self.epsilon is not None) or private != (self.delta is not None):
            raise ValueError(
                "epsilon and delta belong to the protection secure-sum, which needs both"
            )

    @property
    def runs(self) -> int:
        """Give how many runs the study pays for."""
        return self.releases + self.spare_runs


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedDraft:
    """The file of a linked study, as its author writes it."""

    __pydantic_config__ = STRICT

    study: Slug
    title: Bilingual
    purpose: Bilingual
    legal_basis: LegalBasis
    contact: Line
    departments: Annotated[tuple[Slug, ...], Field(min_length=2, max_length=50)]
    committee: Committee
    register: RegisterTerms
    variables: Annotated[tuple[LinkedVariable, ...], Field(min_length=1, max_length=400)]
    questions: Annotated[tuple[Question, ...], Field(min_length=1, max_length=50)]
    privacy: LinkedPrivacy
    retention_days: Annotated[int, Field(strict=True, ge=1, le=36500)]

    def __post_init__(self) -> None:
        """Refuse doubles, names of nothing, and departments that give nothing."""
        _once("department", self.departments)
        _once("variable", [item.name for item in self.variables])
        _once("question", [item.name for item in self.questions])
        giving = {item.department for item in self.variables}
        for name in sorted(giving ^ set(self.departments)):
            raise ValueError(f"{name}: every department of the study gives a variable, nobody else")
        known = {item.name for item in self.variables}
        for question in self.questions:
            for name in named(question):
                if name not in known:
                    raise ValueError(f"{question.name}: there is no variable {name}")
        if self.privacy.unit == "household" and self.privacy.rows_per_household < 1:
            raise ValueError("rows_per_household must be at least 1")

    @property
    def parties(self) -> tuple[str, ...]:
        """Give whose approval the study needs: its departments, and its servers beside them."""
        others = (name for name in self.committee.names if name not in self.departments)
        return (*self.departments, *others)

    @property
    def linking(self) -> bool:
        """Tell whether records of a household count for its residents."""
        return any(item.of == "household" for item in self.variables)

    @property
    def minimum_cohort(self) -> int:
        """Give how many departments take part: all of them."""
        return len(self.departments)

    def variable(self, name: str) -> LinkedVariable:
        """Give the variable of that name.

        Raises:
            UsageError: there is none.
        """
        for item in self.variables:
            if item.name == name:
                return item
        raise UsageError(f"the study {self.study} has no variable {name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedStudy(LinkedDraft):
    """A linked draft with all that it refers to: what is proposed, hashed, approved and run.

    Attributes:
        columns: of each variable in order, the declared column; None: that there is a record.
        code: digest of the program that may compute the answers (`protos.installed`).
        roster: the identity keys of all parties.
    """

    __pydantic_config__ = STRICT

    columns: tuple[StudyColumn | None, ...]
    code: Hex64
    roster: Roster

    def __post_init__(self) -> None:
        """Refuse columns and keys that are not those of the variables and parties."""
        LinkedDraft.__post_init__(self)
        if [column and column.name for column in self.columns] != [
            item.column for item in self.variables
        ]:
            raise ValueError("columns must be those of the variables, in order")
        for item, column in zip(self.variables, self.columns, strict=True):
            numeric = column is not None and not isinstance(column, CategoryColumn)
            if (item.bins > 0) and not numeric:
                raise ValueError(f"{item.name}: bins belong to numbers")
        if sorted(self.parties) != [member.name for member in self.roster.members]:
            raise ValueError("the roster is not that of the parties")
        if self.roster.witness is not None or self.roster.mode is not Mode.PAIRWISE:
            raise ValueError("the parties of a linked study share secrets in pairs")
        if self.roster.minimum != len(self.roster.members):
            raise ValueError("all parties of a linked study take part: minimum is their number")

    @property
    def signed_roster(self) -> Roster:
        """Give the roster, which every approval signs with the study."""
        return self.roster

    def column(self, name: str) -> StudyColumn | None:
        """Give the declared column of a variable; None: that there is a record."""
        return self.columns[self.variables.index(self.variable(name))]

    def canonical(self) -> bytes:
        """Give the canonical bytes (RFC 8785 JSON) of the study."""
        return documents.write(self)

    def digest(self) -> str:
        """Give the hash that the parties approve: 64 hex digits over the whole study."""
        return documents.digest(self.canonical(), domain="linked-study")


def _once(what: str, names: "tuple[str, ...] | list[str]") -> None:
    if len(set(names)) != len(names):
        raise ValueError(f"each {what} may be named once")
