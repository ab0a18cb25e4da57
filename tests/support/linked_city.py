"""A run of a linked study in one process: departments share, three servers compute, all is kept.

`run_in_process` gives what is opened. `Committee` does the same step by step and keeps what each
server saw, for tests that look at it or spoil it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scripted import ScriptedEntropy

from models.governance.linked import LinkedStudy
from models.linkage.coding import NONE
from models.linkage.groups import PRODUCT, Group
from models.linkage.plan import plan
from models.privacy import sampler
from models.privacy.sampler import Integers
from models.randomness import Entropy
from models.replicated import sealing, server
from models.replicated.holder import Columns, Holder
from models.replicated.seeds import Seed
from models.replicated.server import Server
from models.replicated.sharing import Held
from models.replicated.zero import Pairs

RUN = 2**62 + 7


def columns(study: LinkedStudy, codes: Mapping[str, Sequence[int]]) -> dict[str, Columns]:
    """Give each department's zeros and ones from its variables' categories (or NONE)."""
    made = plan(study).layout
    found = {}
    for name in study.departments:
        parts = [_group(made.groups[place], codes) for place in made.owned(name)]
        found[name] = np.concatenate(parts, axis=1)
    return found


def _group(group: Group, codes: Mapping[str, Sequence[int]]) -> Columns:
    rows = [np.asarray(codes[axis.variable]) for axis in group.axes]
    ones = [
        np.eye(axis.width, dtype=np.uint8)[row] * (row != NONE)[:, None].astype(np.uint8)
        for axis, row in zip(group.axes, rows, strict=True)
    ]
    if group.stacked:
        return np.concatenate(ones, axis=1)
    crossed = ones[0]
    for each in ones[1:]:
        crossed = (crossed[:, :, None] * each[:, None, :]).reshape(len(crossed), -1)
    return crossed


def run_in_process(
    study: LinkedStudy,
    columns_by_department: Mapping[str, Columns],
    entropies: Sequence[Entropy] | None = None,
    *,
    totals: Mapping[str, tuple[int, int]] | None = None,
) -> Integers:
    """Give the opened vector of a run; `entropies` are those of the servers' noise."""
    committee = Committee.of(study, columns_by_department, totals=totals)
    committee.fold()
    return committee.opened(entropies)


def script_of_noise(index: int) -> ScriptedEntropy:
    """Give the entropy that server `index` draws its noise from unless told otherwise."""
    return ScriptedEntropy(f"noise {index}")


def noise_of(study: LinkedStudy, *indices: int) -> Integers:
    """Give the sum of these servers' noise shares, drawn anew from the same scripts."""
    noise = plan(study).noise
    found = np.zeros(noise.length, dtype=np.int64)
    for index in indices if noise.scale else ():
        found += sampler.discrete_gaussian(
            scale=noise.scale, size=noise.length, entropy=script_of_noise(index)
        )
    return found


def in_the_clear(study: LinkedStudy, columns: Mapping[str, Columns]) -> Integers:
    """Give all cells of all tables from the columns themselves, by numpy."""
    made = plan(study).layout
    groups = []
    ends = dict.fromkeys(study.departments, 0)
    for group in made.groups:
        start = ends[group.department]
        ends[group.department] = start + group.width
        part = columns[group.department][:, start : start + group.width]
        groups.append(part.astype(np.int64))
    for item in made.derived:
        one, other = groups[item.left], groups[item.right]
        every = one[:, :, None] * other[:, None, :]
        if item.kind == PRODUCT:
            groups.append(every.reshape(len(one), -1))
            continue
        lags = np.arange(other.shape[1])[None, :] + item.offset - np.arange(one.shape[1])[:, None]
        groups.append(
            np.stack([every[:, lags == k].sum(axis=1) for k in range(item.width)], axis=1)
        )
    found = []
    for target in made.targets:
        left = groups[target.left]
        if target.right is None:
            found.append(left.sum(axis=0))
            continue
        # Floating point is exact here: the counts are far below 2^53.
        product = left.T.astype(np.float64) @ groups[target.right].astype(np.float64)
        if target.select is None:
            found.append(product.reshape(-1).astype(np.int64))
            continue
        cells = np.zeros(target.cells, dtype=np.int64)
        for one_at, other_at, cell in target.select:
            cells[cell] += int(product[one_at, other_at])
        found.append(cells)
    return np.concatenate(found)


def _secret(one: str, other: str) -> bytes:
    return ScriptedEntropy("secret " + " ".join(sorted((one, other)))).token(32)


@dataclass
class Committee:
    """Holders and servers of one run; `turned[i, chunk]` is what server i was sent."""

    study: LinkedStudy
    columns: Mapping[str, Columns]
    totals: Mapping[str, tuple[int, int]]
    holders: dict[str, Holder]
    servers: list[Server]
    drawn: Pairs
    turned: dict[tuple[int, int], bytes] = field(default_factory=dict)
    bodies: dict[tuple[str, int], bytes] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        study: LinkedStudy,
        columns: Mapping[str, Columns],
        *,
        totals: Mapping[str, tuple[int, int]] | None = None,
        script: int | str = 0,
    ) -> "Committee":
        """Deal the seeds and keys, in boxes as in a real run."""
        residents = len(next(iter(columns.values())))
        digest, names = study.digest(), study.committee.names
        holders = {
            name: Holder(
                study,
                run=RUN,
                department=name,
                residents=residents,
                entropy=ScriptedEntropy(f"holder {name} {script}"),
            )
            for name in study.departments
        }
        held: list[dict[str, Held]] = [{}, {}, {}]
        for name, holder in holders.items():
            keys = {to: _box_key(name, to, digest) for to in names}
            document = holder.seeds_document(keys)
            held[0][name] = Held.at_coordinator(document)
            for index, (to, box) in enumerate(zip(names, document.boxes, strict=True), start=1):
                octets = sealing.unboxed(keys[to], box, sender=name)
                held[index][name] = Held.in_box(octets, index=index)
        drawn = Pairs.drawn(ScriptedEntropy(f"coordinator {script}"))
        servers = [
            Server(
                study,
                run=RUN,
                index=index,
                residents=residents,
                held=held[index],
                pairs=_pairs(index, drawn, names, digest, script),
            )
            for index in range(3)
        ]
        given = dict(totals or dict.fromkeys(study.departments, (0, 0)))
        return cls(study, columns, given, holders, servers, drawn)

    @property
    def chunks(self) -> int:
        return self.servers[0].chunks

    def shared(self, chunk: int) -> dict[str, bytes]:
        """Give all departments' bodies of a chunk."""
        found = {
            name: holder.body(chunk, self.columns[name][holder.rows(chunk)])
            for name, holder in self.holders.items()
        }
        self.bodies |= {(name, chunk): body for name, body in found.items()}
        return found

    def shared_totals(self) -> dict[str, bytes]:
        """Give all departments' totals."""
        return {
            name: holder.totals(unlinked=self.totals[name][0], protected=self.totals[name][1])
            for name, holder in self.holders.items()
        }

    def fold(self, chunks: int | None = None) -> None:
        """Let the servers take in all chunks, or the first few."""
        for chunk in range(1, (self.chunks if chunks is None else chunks) + 1):
            bodies = self.shared(chunk)
            turned = [
                server.fold(chunk, bodies if index else {})
                for index, server in enumerate(self.servers)
            ]
            for index, octets in enumerate(turned):
                if octets is not None:
                    before = (index + 2) % 3
                    self.turned[before, chunk] = octets
                    self.servers[before].cross(chunk, octets)

    def parts(self, entropies: Sequence[Entropy] | None = None) -> list[bytes]:
        """Give what each server opens."""
        totals = self.shared_totals()
        drawn = entropies or [script_of_noise(index) for index in range(3)]
        return [
            each.open(totals if index else {}, entropy)
            for index, (each, entropy) in enumerate(zip(self.servers, drawn, strict=True))
        ]

    def opened(self, entropies: Sequence[Entropy] | None = None) -> Integers:
        """Give the opened vector."""
        return server.units(self.study, self.parts(entropies))


def _box_key(sender: str, to: str, digest: str) -> bytes:
    secret = _secret(sender, to)
    return sealing.box_key(
        secret, sender=sender, to=to, study=digest, run=RUN, purpose=sealing.SEEDS
    )


def _pairs(
    index: int, drawn: Pairs, names: tuple[str, str], digest: str, script: int | str
) -> Pairs:
    if index == 0:
        return drawn
    given: Seed = drawn.after if index == 1 else drawn.before
    secret = _secret(f"{names[0]}{script}", names[1])
    return Pairs.at_member(index, given=given, secret=secret, names=names, study=digest, run=RUN)
