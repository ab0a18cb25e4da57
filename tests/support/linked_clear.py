"""The demo city's joint questions in the clear: analysis tables by DuckDB, counts by numpy.

What the departments' nodes and three servers do on shares is done here on one desk: the tables
that a run without noise must open, for the same residents.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
from city_catalogue import CATALOGUE

from demo.linked.joint import Joint
from demo.linked.studies import study as study_text
from demo.town import Town
from models import documents, yaml_text
from models.governance.linked import LinkedDraft, LinkedStudy
from models.governance.linked_resolution import datasets, resolve_linked
from models.governance.study import Protection
from models.linkage.coding import NONE, Coding, coding
from models.linkage.groups import LAG, Group, Layout, Target
from models.linkage.plan import plan
from models.linkage.tables import Opened, opened
from models.schema import CategoryColumn
from node.datasets import DerivedSource

KINDS = {"integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN"} | dict.fromkeys(
    ("date", "yearmonth"), "DATE"
)
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spine:
    """The residents that count, in an order drawn by `seed`, and their households' numbers."""

    ids: list[str]
    households: npt.NDArray[np.int64]
    protected: npt.NDArray[np.bool_]


def draft(
    joint: Joint, *, residents: int, protection: Protection = Protection.NONE, epsilon: str = "1"
) -> LinkedDraft:
    """Give the study file of a question, read."""
    text = study_text(joint, residents=residents, protection=protection, epsilon=epsilon)
    return documents.read(LinkedDraft, yaml_text.parse(text, what="study").content, what="study")


def resolved(read: LinkedDraft) -> LinkedStudy:
    """Give the study with the columns that the demo city declares."""
    declared = {
        pair: replace(CATALOGUE[pair[1]].declaration, public=True) for pair in datasets(read)
    }
    keys = {name: f"{place:064x}" for place, name in enumerate(read.parties, 1)}
    return resolve_linked(read, declared, code="0" * 64, identities=keys)


def analysis_table(town: Town, name: str) -> pd.DataFrame:
    """Give a declared analysis table, by its own query on the city's clean tables."""
    dataset = CATALOGUE[name]
    source = dataset.source
    assert isinstance(source, DerivedSource)
    with duckdb.connect(":memory:") as engine:
        for table in dataset.tables:
            declared = table.declaration
            kinds = {declared.resident_id: "VARCHAR"}
            kinds |= {c.name: KINDS.get(c.type, "VARCHAR") for c in declared.columns}
            columns = ", ".join(f'"{column}" {kind}' for column, kind in kinds.items())
            engine.execute(f'CREATE TABLE "{declared.name}" ({columns})')
            frame = _typed(town.tables[declared.name], kinds)
            engine.register("frame", frame)
            chosen = ", ".join(f'CAST("{c}" AS {kind})' for c, kind in kinds.items())
            engine.execute(f'INSERT INTO "{declared.name}" SELECT {chosen} FROM frame')  # noqa: S608 - declared names
            engine.unregister("frame")
        return engine.execute(source.query).df()


def _typed(frame: pd.DataFrame, kinds: Mapping[str, str]) -> pd.DataFrame:
    """Give months as days: DuckDB reads no others."""
    found = frame.copy()
    for name, kind in kinds.items():
        if kind == "DATE" and found[name].dtype.kind != "M":
            found[name] = found[name] + "-01"
    return found


def spine(town: Town, *, seed: int) -> Spine:
    """Give the register's residents in an order of chance."""
    register = town.tables["kir_person"]
    order = np.random.default_rng(seed).permutation(len(register))
    chosen = register.iloc[order]
    return Spine(
        ids=chosen.pnr.tolist(),
        households=pd.factorize(chosen.bostad_id)[0].astype(np.int64),
        protected=chosen.skyddad.to_numpy() == 1,
    )


def codes(study: LinkedStudy, town: Town, rows: Spine) -> dict[str, Codes]:
    """Give each variable's category for every resident of the spine, or NONE."""
    tables = {name: analysis_table(town, name) for _, name in datasets(study)}
    found = {}
    for department in study.departments:
        own = [item for item in study.variables if item.department == department]
        present = np.zeros(len(rows.ids), dtype=np.bool_)
        written = {}
        for item in own:
            table = tables[item.dataset].set_index("pnr")
            place = table.index.get_indexer(pd.Index(rows.ids))
            there = place >= 0
            if item.of == "resident":
                present |= there & ~rows.protected
            written[item.name] = np.full(len(rows.ids), NONE, dtype=np.int64)
            values = _coded(study, item.name, table)
            written[item.name][there] = values[place[there]]
        limited = study.privacy.unit == "household" or study.linking
        kept = _first(present, rows, study.privacy.rows_per_household) if limited else present
        for item in own:
            axis = coding(study, item.name)
            mine = written[item.name]
            if item.of == "household":
                best = np.full(rows.households.max() + 1, NONE, dtype=np.int64)
                np.maximum.at(best, rows.households, mine)
                mine = best[rows.households]
            else:
                mine = np.where(kept, mine, NONE)
            found[item.name] = np.where(rows.protected, NONE, np.where(mine < 0, axis.absent, mine))
    return found


def _coded(study: LinkedStudy, name: str, table: pd.DataFrame) -> Codes:
    column = study.column(name)
    if column is None:
        return np.zeros(len(table), dtype=np.int64)
    values = table[column.name]
    if isinstance(column, CategoryColumn):
        texts = values.map({True: "true", False: "false"}) if values.dtype == bool else values
        return texts.map({word: code for code, word in enumerate(column.categories)}).to_numpy(int)
    return coding(study, name).codes(values.to_numpy(np.float64)).astype(np.int64)


def _first(present: npt.NDArray[np.bool_], rows: Spine, most: int) -> npt.NDArray[np.bool_]:
    places = np.flatnonzero(present)
    rank = pd.Series(rows.households[places]).groupby(rows.households[places]).cumcount()
    kept = np.zeros_like(present)
    kept[places[rank.to_numpy() < most]] = True
    return kept


def counts(study: LinkedStudy, known: Mapping[str, Codes]) -> npt.NDArray[np.int64]:
    """Give all cells of all tables, in order, without totals."""
    made = plan(study).layout
    return np.concatenate([_target(made, target, known) for target in made.targets])


def _target(made: Layout, target: Target, known: Mapping[str, Codes]) -> npt.NDArray[np.int64]:
    left = _places(made, target.left, known)
    if target.right is None:
        return np.bincount(left[left >= 0], minlength=target.cells)
    if target.select is not None:
        return _selected(made, target, known)
    right = _places(made, target.right, known)
    both = (left >= 0) & (right >= 0)
    cell = left[both] * made.width(target.right) + right[both]
    return np.bincount(cell, minlength=target.cells)


def _selected(made: Layout, target: Target, known: Mapping[str, Codes]) -> npt.NDArray[np.int64]:
    cells = np.zeros(target.cells, dtype=np.int64)
    left = _places(made, target.left, known)
    stack, start = made.groups[target.right], 0
    pairs = {(one, other): cell for one, other, cell in target.select}
    for axis in stack.axes:
        right = known[axis.variable]
        both = (left >= 0) & (right >= 0)
        seen, times = np.unique(
            np.stack([left[both], start + right[both]]), axis=1, return_counts=True
        )
        for (one, other), count in zip(seen.T.tolist(), times.tolist(), strict=True):
            if (one, other) in pairs:
                cells[pairs[one, other]] += count
        start += axis.width
    return cells


def _places(made: Layout, place: int, known: Mapping[str, Codes]) -> Codes:
    """Give the one column of a group in which each resident has a 1, or NONE."""
    if place < len(made.groups):
        return _crossed(made.groups[place], known)
    item = made.derived[place - len(made.groups)]
    left, right = (_crossed(made.groups[p], known) for p in (item.left, item.right))
    both = (left >= 0) & (right >= 0)
    if item.kind == LAG:
        lag = right + item.offset - left
        return np.where(both & (lag >= 0) & (lag < item.width), lag, NONE)
    return np.where(both, left * made.groups[item.right].width + right, NONE)


def _crossed(group: Group, known: Mapping[str, Codes]) -> Codes:
    found: Codes | None = None
    for axis in group.axes:
        mine: Codes = known[axis.variable]
        found = mine if found is None else _both(found, mine, axis)
    assert found is not None
    return found


def _both(found: Codes, mine: Codes, axis: Coding) -> Codes:
    return np.where((found >= 0) & (mine >= 0), found * axis.width + mine, NONE)


def released(
    study: LinkedStudy, cells: npt.NDArray[np.int64], *, residents: int, seed: int = 0
) -> Opened:
    """Give what a run would open of these counts: with the plan's noise, drawn by `seed`."""
    noise = plan(study).noise
    units = np.zeros(noise.length, dtype=np.int64)
    units[: len(cells)] = cells << noise.bits
    if noise.scale:
        drawn = np.random.default_rng(seed).normal(0, noise.scale, (3, noise.length))
        units += np.rint(drawn).sum(axis=0).astype(np.int64)
    return opened(study, units, residents=residents)
