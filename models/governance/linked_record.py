"""The record of a linked study's release: what was asked of whom, what was opened, what it cost.

A document as `models.governance.record`, whose evolution law it shares. The figures are in
`results.json`, every opened cell in `tables.json`; the record names both by their hashes.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from models import documents
from models.governance.cost import PrivacyCost
from models.governance.linked import LinkedStudy
from models.governance.record import Interval, Loss, Number, RecordedFile, RunText, Software
from models.governance.step import Hex64
from models.quantities import ClipNorm, Delta, NoiseMultiplier, NoiseVariance
from models.schema import STRICT, Line, Name, Slug

LinkedFormat = Literal["datalabbet/linked-release/1"]
LINKED_FORMAT: LinkedFormat = "datalabbet/linked-release/1"

Positive = Annotated[int, Field(strict=True, ge=1, lt=2**53)]


_Text = Annotated[str, Field(min_length=1, max_length=50_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Some paragraphs in Swedish and in English, longer than a line: they name all parties."""

    __pydantic_config__ = STRICT

    sv: _Text
    en: _Text


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedProtection:
    """What protects residents in this release, and in all releases of the study so far.

    Attributes:
        in_words: what the numbers mean, for people; ε is that of all releases so far.
        unit, rows_per_household: as the study says.
        epsilon_run: ε of this run alone; None: no bound (protection `none`).
        epsilon: ε of this study's finished runs so far, this one among them. Runs that failed
            may have cost as much, and are in the departments' own ledgers.
        epsilon_approved: the most that the departments' ledgers allow.
        runs: the finished runs so far, this one among them.
        cost: of this run, all departments together: each of them charged it once.
        noise: standard deviation that surely remains in an opened number, relative to `reach`,
            whichever one server knows or leaves out its own share; None: no noise.
        reach: how far one unit can move all opened numbers together, in counts (L2).
        variance: of the noise in one cell, in counts.
    """

    __pydantic_config__ = STRICT

    in_words: Explanation
    unit: Literal["resident", "household"]
    rows_per_household: Positive
    epsilon_run: Loss | None
    epsilon: Loss | None
    epsilon_approved: Loss | None
    delta: Delta | None
    runs: Positive
    cost: PrivacyCost
    noise: NoiseMultiplier | None
    reach: ClipNorm
    variance: NoiseVariance


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRecord:
    """One of the three that computed on shares.

    Attributes:
        name: the member, or `coordinator`.
        owner: who runs it, as the study says.
        erased: how many chunks of shares it said it had, and has erased; None: it did not say so.
    """

    __pydantic_config__ = STRICT

    name: Slug
    owner: Line
    erased: Number | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DepartmentTotals:
    """What one department could not place, with 95 % intervals of the noise. None: withheld.

    Attributes:
        unlinked: residents of its records who are not in the register.
        protected: units with protected identity that were left out.
    """

    __pydantic_config__ = STRICT

    department: Slug
    unlinked: Interval | None
    protected: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What was opened for one question.

    Attributes:
        tables, cells: how many.
        withheld: cells that are not shown: of 1 to 4 residents, where there is no noise.
    """

    __pydantic_config__ = STRICT

    question: Name
    tables: Positive
    cells: Positive
    withheld: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedRecord:
    """One release of a linked study.

    Attributes:
        run: the run that made it.
        residents: of the register's snapshot (`study.register.date`): the rows of the spine.
        chunks: how many parts the spine was shared in.
        servers: coordinator, then the two others in the study's order.
        totals: of each department, in the study's order.
        files: every file except `record.json`, which is this document.
    """

    __pydantic_config__ = STRICT

    format: LinkedFormat = LINKED_FORMAT
    run: RunText
    study_hash: Hex64
    study: LinkedStudy
    created_at: AwareDatetime
    protection: LinkedProtection
    residents: Positive
    chunks: Positive
    servers: Annotated[tuple[ServerRecord, ...], Field(min_length=3, max_length=3)]
    totals: tuple[DepartmentTotals, ...]
    openings: tuple[Opening, ...]
    software: tuple[Software, ...]
    files: tuple[RecordedFile, ...]

    def __post_init__(self) -> None:
        """Refuse what does not belong to the study, and a file named twice."""
        study = self.study
        if self.study_hash != study.digest():
            raise ValueError("study_hash is not the hash of the study")
        if tuple(item.owner for item in self.servers) != study.committee.owners:
            raise ValueError("the servers are not those of the study")
        if tuple(item.department for item in self.totals) != study.departments:
            raise ValueError("the totals are not those of the study's departments")
        if [item.question for item in self.openings] != [item.name for item in study.questions]:
            raise ValueError("the openings are not those of the study's questions")
        names = [file.name for file in self.files]
        if len(set(names)) != len(names):
            raise ValueError("each file may be named once")

    @property
    def run_id(self) -> int:
        """Give the run's id as a number."""
        return int(self.run)

    def file(self, name: str) -> RecordedFile | None:
        """Give the entry of that file, or None."""
        return next((file for file in self.files if file.name == name), None)

    def canonical(self) -> bytes:
        """Give the canonical bytes (RFC 8785 JSON): the content of `record.json`."""
        return documents.write(self)
