"""A city of nodes of one linked study, without a network: real gates, ledgers, files and shares."""

import csv
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from nodes import RUN, Department
from scripted import ScriptedEntropy

from models.governance.linked import LinkedStudy
from models.governance.roster import Member, Roster
from models.linkage import leaving
from models.linkage import plan as plans
from models.privacy.sampler import Integers
from models.replicated.messages import Begin, Box, From, Mix, Mixes, Seeds, Spine
from models.replicated.server import Server, units
from models.replicated.sharing import Held
from models.replicated.zero import Pairs
from models.schema import CategoryColumn
from models.secagg.agreement import Offers
from node.gate.linked_part import LinkedPart
from node.gate.policy import Policy
from node.link.keyring import IDENTITY, Keyring
from node.rules import Rules
from node.runs import Role, Runs
from node.shelf import Shelf
from protos.installed import code_digest

RESIDENTS = 150
Codes = Mapping[str, Mapping[str, int]]
"""By variable, the category (place in the column) by resident's id."""

REGISTER = """\
name: population
title: {sv: Folkmängd, en: Population}
description: {sv: Provdata, en: Test data}
steward: Steward of the tests
resident_id: resident
secrecy: OSL 22 kap.
register: {date: 2024-12-31, household: home, protected: hidden}
source: {kind: csv, path: population.csv}
schema:
  fields:
    - {name: home, type: key, meaning: {sv: Bostad, en: Dwelling},
       missing_meaning: {sv: ingen, en: none}}
    - {name: hidden, type: boolean, meaning: {sv: Skyddad, en: Protected}}
"""


@contextmanager
def shortened(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have 150 residents in three chunks, in plans made meanwhile."""
    monkeypatch.setattr(plans, "_MOST_ROWS", 64)
    plans.plan.cache_clear()
    leaving.describe.cache_clear()
    yield
    plans.plan.cache_clear()
    leaving.describe.cache_clear()


def key_of(name: str) -> Ed25519PrivateKey:
    """Give a party's identity key."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def keyed(study: LinkedStudy, *, code: str | None = None) -> LinkedStudy:
    """Give a study with the keys of `key_of`, for this program."""
    members = tuple(
        Member(name=name, identity=key_of(name).public_key().public_bytes_raw().hex())
        for name in sorted(study.parties)
    )
    roster = Roster(members=members, minimum=len(members))
    return replace(study, roster=roster, code=code or code_digest())


@dataclass
class People:
    """Everybody in the register: ids, households and who is protected; and the records."""

    ids: list[str]
    homes: list[str]
    hidden: list[bool]
    codes: dict[str, dict[str, int]]

    @classmethod
    def invented(cls, study: LinkedStudy, *, seed: int = 0, residents: int = RESIDENTS) -> "People":
        """Give people of whom each department knows some, and a few that the register lacks."""
        generator = np.random.default_rng(seed)
        ids = [f"r{number:05d}" for number in generator.permutation(10 * residents)[:residents]]
        homes = [f"h{generator.integers(residents // 2)}" for _ in ids]
        homes = ["" if generator.random() < 0.1 else home for home in homes]
        hidden = [bool(generator.random() < 0.05) for _ in ids]
        known = {}
        for name in {(v.department, v.dataset) for v in study.variables}:
            some = [each for each in ids if generator.random() < 0.6]
            known[name] = [*some, *(f"x{number}" for number in range(generator.integers(1, 6)))]
        codes = {
            item.name: {
                each: int(generator.integers(_levels(study, item.name)))
                for each in known[item.department, item.dataset]
            }
            for item in study.variables
        }
        return cls(ids, homes, hidden, codes)


def _levels(study: LinkedStudy, name: str) -> int:
    column = study.column(name)
    if column is None:
        return 1
    if isinstance(column, CategoryColumn):
        return len(column.categories)
    return int(column.maximum - column.minimum) + 1


def write(
    folder: Path, study: LinkedStudy, people: People, *, department: str, public: bool = False
) -> None:
    """Write the declarations and files of a department: its register, and its own tables."""
    folder.mkdir(exist_ok=True)
    (folder / "population.yaml").write_text(REGISTER, encoding="utf-8")
    lines = zip(people.ids, people.homes, people.hidden, strict=True)
    rows = [(each, home, "true" if hidden else "false") for each, home, hidden in lines]
    _table(folder / "population.csv", ("resident", "home", "hidden"), rows)
    mine = [item for item in study.variables if item.department == department]
    for name in {item.dataset for item in mine}:
        items = [item for item in mine if item.dataset == name and item.column]
        text = _declared(study, name, [item.name for item in items], public=public)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        first = next(item.name for item in mine if item.dataset == name)
        table = [
            (each, *(_text(study, item.name, people.codes[item.name][each]) for item in items))
            for each in people.codes[first]
        ]
        _table(folder / f"{name}.csv", ("resident", *(item.column for item in items)), table)


def _text(study: LinkedStudy, name: str, code: int) -> str:
    column = study.column(name)
    if isinstance(column, CategoryColumn):
        return column.categories[code]
    assert column is not None
    return str(int(column.minimum) + code)


def _declared(study: LinkedStudy, name: str, variables: Iterable[str], *, public: bool) -> str:
    fields = []
    for each in variables:
        column = study.column(each)
        assert column is not None
        limits = (
            f"enum: [{', '.join(f'{level!r}' for level in column.categories)}]"
            if isinstance(column, CategoryColumn)
            else f"minimum: {column.minimum:g}, maximum: {column.maximum:g}"
        )
        kind = f"type: {column.type}, "
        fields.append(
            f"    - {{name: {column.name}, {kind}meaning: {{sv: Text, en: Text}}, "
            f"constraints: {{{limits}}}}}"
        )
    fields = fields or ["    - {name: unused, type: key, meaning: {sv: Text, en: Text}}"]
    return "\n".join(
        [
            f"name: {name}",
            "title: {sv: Text, en: Text}",
            "description: {sv: Text, en: Text}",
            "steward: Steward of the tests",
            "resident_id: resident",
            "secrecy: OSL 26 kap.",
            f"public: {str(public).lower()}",
            f"source: {{kind: csv, path: {name}.csv}}",
            "schema:",
            "  fields:",
            *fields,
            "",
        ]
    )


def _table(path: Path, header: Iterable[object], rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


@dataclass
class Party:
    """One party: what is on disk, and one life of its program."""

    folder: Path
    name: str
    study: LinkedStudy
    policy: Policy = field(default_factory=Policy)
    life: int = 0

    def __post_init__(self) -> None:
        (self.folder / "datasets").mkdir(exist_ok=True, parents=True)
        self.keyring = Keyring(self.folder / "state")
        pem = key_of(self.name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.keyring.write(IDENTITY, pem)
        self.shelf = Shelf(self.folder / "datasets")
        self.start()

    def start(self) -> None:
        """Begin a life: keys and memory are fresh, the disk is what it was."""
        register = self.shelf.register()
        self.department = Department(
            self.folder,
            name=self.name,
            key=key_of(self.name),
            declared=dict(self.shelf.declarations()),
            policy=self.policy,
            register=None if register is None else register.register,
        )
        mine = self.department
        rules = Rules(
            keyring=self.keyring,
            department=mine.name,
            shelf=self.shelf,
            approvals=mine.approvals,
            gate=mine.gate,
            journal=mine.journal,
            ledger=mine.ledger,
        )
        role = Role.DEPARTMENT if self.name in self.study.departments else Role.WITNESS
        self.runs = Runs(
            rules=rules,
            role=role,
            entropy=ScriptedEntropy(f"{self.name} {self.life}"),
            scratch=self.folder / "scratch",
        )

    def part(self, *, run: int = RUN) -> LinkedPart:
        """Take up a run."""
        found = self.runs.work(self.runs.open(self.study.digest()), run=run)
        assert isinstance(found, LinkedPart)
        return found

    def restart(self) -> None:
        """End this life and begin another on the same disk."""
        self.close()
        self.life += 1
        self.start()

    @property
    def charges(self) -> int:
        return self.department.ledger.spending(self.study.digest()).charges

    def close(self) -> None:
        self.department.close()


def owner(study: LinkedStudy, name: str) -> str:
    """Give the owner of a server as the study names it; empty for others."""
    return next((s.owner for s in study.committee.servers if s.name == name), "")


class LinkedTown:
    """All parties of a study; each has approved it. The coordinator's part is played here."""

    def __init__(
        self,
        folder: Path,
        study: LinkedStudy,
        *,
        people: People | None = None,
        run: int = RUN,
        spoil: Callable[[Path], None] = lambda folder: None,
        public: bool = False,
    ) -> None:
        self.study, self.run = study, run
        self.people = people or People.invented(study)
        self.parties: dict[str, Party] = {}
        for name in study.parties:
            if name in study.departments:
                home = folder / name / "datasets"
                home.mkdir(parents=True, exist_ok=True)
                write(home, study, self.people, department=name, public=public)
        spoil(folder)
        for name in study.parties:
            policy = Policy(owner=owner(study, name))
            self.parties[name] = Party(folder / name, name, study, policy)
            self.parties[name].department.approve(study)
        self.take_up(run)

    def take_up(self, run: int) -> None:
        """Have all parties take up a run."""
        self.run = run
        self.parts = {name: party.part(run=run) for name, party in self.parties.items()}

    # --- the coordinator's part ---

    def agree(self) -> None:
        offers = Offers(offers=tuple(part.offer() for part in self.parts.values()))
        assert len({part.join(offers).cohort for part in self.parts.values()}) == 1

    def mixes(self) -> dict[str, Mixes]:
        mixed = {name: self.holding(name).mix() for name in self.study.departments}
        return {
            name: Mixes(parts=_boxes({w: m for w, m in mixed.items() if w != name}, name))
            for name in self.study.departments
        }

    def spine(self) -> dict[str, Spine]:
        mixes = self.mixes()
        return {name: self.holding(name).spine(mixes[name]) for name in self.study.departments}

    def begin(self, *, servers: bool = True) -> None:
        """Agree on the order, have the departments charge, and let the servers begin."""
        self.agree()
        self.said = self.spine()
        self.residents = next(iter(self.said.values())).residents
        self.seeds = {name: self.holding(name).seeds() for name in self.study.departments}
        self.own = Server(
            self.study,
            run=self.run,
            index=0,
            residents=self.residents,
            held={name: Held.at_coordinator(item) for name, item in self.seeds.items()},
            pairs=(pairs := Pairs.drawn(ScriptedEntropy(f"coordinator {self.run}"))),
        )
        given = dict(zip(self.study.committee.names, (pairs.after, pairs.before), strict=True))
        self.begins = {
            name: Begin(
                spines=_boxes(self.said, name),
                seeds=_boxes(self.seeds, name),
                pair=given[name].written(),
            )
            for name in self.study.committee.names
        }
        for name, begin in self.begins.items() if servers else ():
            assert self.serving(name).begin(begin).residents == self.residents

    def bodies(self, chunk: int) -> dict[str, bytes]:
        return {name: self.holding(name).share(chunk) for name in self.study.departments}

    def fold(self, chunk: int) -> None:
        bodies, mine = self.bodies(chunk), self.own.fold(chunk, {})
        one, two = (self.serving(name) for name in self.study.committee.names)
        first, second = one.fold(chunk, bodies), two.fold(chunk, bodies)
        if mine is not None:
            assert first is not None
            assert second is not None
            self.own.cross(chunk, first)
            one.cross(chunk, second)
            two.cross(chunk, mine)

    def open(self) -> Integers:
        """Give the opened vector, after all chunks."""
        totals = {name: self.holding(name).totals() for name in self.study.departments}
        parts = [self.own.open({}, ScriptedEntropy("coordinator's noise"))]
        parts += [self.serving(name).open(totals) for name in self.study.committee.names]
        return units(self.study, parts)

    def opened(self) -> Integers:
        """Do a whole run."""
        self.begin()
        for chunk in range(1, self.own.chunks + 1):
            self.fold(chunk)
        return self.open()

    def holding(self, name: str):
        found = self.parts[name].holding
        assert found is not None
        return found

    def serving(self, name: str):
        found = self.parts[name].serving
        assert found is not None
        return found

    def close(self) -> None:
        for part in self.parts.values():
            part.close()
        for party in self.parties.values():
            party.close()


def _boxes(said: Mapping[str, Mix | Spine | Seeds], to: str) -> tuple[From, ...]:
    def mine(boxes: Iterable[Box]) -> Box:
        return next(box for box in boxes if box.to == to)

    return tuple(From(sender=name, box=mine(item.boxes)) for name, item in said.items())


def clear(
    study: LinkedStudy, people: People, order: Iterable[str]
) -> tuple[dict[str, dict[int, int]], list[int]]:
    """Give records and households by place, as `linked_oracle` takes them.

    `order`: the ids of the register in the order of the spine. Those with protected identity are
    left out, and so are records of residents who are not in the register.
    """
    hidden = dict(zip(people.ids, people.hidden, strict=True))
    homes = dict(zip(people.ids, people.homes, strict=True))
    leaving = study.register.protected == "leave-out"
    kept = [each for each in order if not (leaving and hidden[each])]
    places = {each: place for place, each in enumerate(kept)}
    records = {
        name: {places[each]: code for each, code in codes.items() if each in places}
        for name, codes in people.codes.items()
    }
    numbers: dict[str, int] = {}
    households = [numbers.setdefault(homes[each] or f"alone {each}", len(numbers)) for each in kept]
    return records, households
