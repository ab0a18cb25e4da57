"""How far one unit can move what a linked study opens: the bound against slow, random cities."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linked_oracle import vector
from linked_studies import TEXT, category, integer, linked_study, own, table

from models.errors import UsageError
from models.governance.linked import LinkedPrivacy, LinkedStudy
from models.governance.questions import Hazard, Match, Relations, Table
from models.governance.study import Protection
from models.linkage.coding import coding
from models.linkage.plan import bound, plan
from models.quantities import Delta, Epsilon

SIZE = 8


def privacy(unit: str, rows: int) -> LinkedPrivacy:
    return LinkedPrivacy(
        protection=Protection.SECURE_SUM,
        unit=unit,
        rows_per_household=rows,
        epsilon=Epsilon(1.0),
        delta=Delta(1e-6),
    )


def studies() -> list[LinkedStudy]:
    yes = ("no", "yes")
    school = (own("eligible", "school"), category("eligible", *yes))
    year = (own("year", "school"), category("year", "first", "second"))
    home = (own("help", "social", of="household", absent=True), category("help", *yes))
    flag = (own("flag", "social", absent=True), category("flag", *yes))
    work = (own("work", "labour", absent=True), category("work", "a", "b", "c"))
    care = [(own(f"care_{i}", "care", of="household"), category(f"care_{i}", *yes)) for i in (1, 2)]
    times = [
        (own("began", "social"), integer("began", 0, 5)),
        (own("lasted", "social"), integer("lasted", 1, 3)),
        (own("ended", "social"), category("ended", *yes)),
        (own("entry", "labour"), integer("entry", 1, 6)),
    ]
    matched = Table(
        kind="table",
        name="matched",
        title=TEXT,
        of=("eligible", "care"),
        match=Match(name="care", by="year", variables=("care_1", "care_2")),
    )
    at_home = (own("when", "social", of="household"), category("when", "first", "second"))
    own_care = [(own(f"care_{i}", "care"), category(f"care_{i}", *yes)) for i in (1, 2)]
    by_home = Table(
        kind="table",
        name="by_home",
        title=TEXT,
        of=("care",),
        match=Match(name="care", by="when", variables=("care_1", "care_2")),
    )
    hazard = Hazard(
        kind="hazard",
        name="leaving",
        title=TEXT,
        start="began",
        duration="lasted",
        event="ended",
        entry="entry",
        bands=(1,),
        window=2,
    )
    pairs = Relations(
        kind="relations",
        name="all",
        title=TEXT,
        of=("flag", "work"),
        crossed=(("flag", "work"),),
    )
    made = []
    for unit, rows in (("resident", 1), ("resident", 2), ("household", 1), ("household", 2)):
        terms = privacy(unit, rows)
        made += [
            linked_study([school, home], [table("two", "eligible", "help")], privacy=terms),
            linked_study([school, flag], [table("two", "eligible", "flag")], privacy=terms),
            linked_study([flag, work], [table("both", "flag", "work"), pairs], privacy=terms),
            linked_study(
                [school, home, work], [table("x", "eligible", "help", "work")], privacy=terms
            ),
            linked_study([school, year, *care], [matched], privacy=terms),
            linked_study([at_home, *own_care], [by_home], privacy=terms),
            linked_study(times, [hazard], privacy=terms),
            linked_study(
                [flag, work, home, school],
                [table("both", "flag", "work"), table("one", "eligible", "help")],
                privacy=terms,
            ),
        ]
    return made


STUDIES = studies()


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_unit_moves_the_tables_further_than_the_bound(data: st.DataObject) -> None:
    study = data.draw(st.sampled_from(STUDIES))
    households = data.draw(st.lists(st.integers(0, 3), min_size=SIZE, max_size=SIZE))
    records = {
        item.name: {
            resident: code
            for resident in range(SIZE)
            if (code := data.draw(st.integers(-1, _given(study, item.name) - 1))) >= 0
        }
        for item in study.variables
    }
    unit = data.draw(st.integers(0, SIZE - 1))
    gone = (
        {r for r in range(SIZE) if households[r] == households[unit]}
        if study.privacy.unit == "household"
        else {unit}
    )
    without = {
        name: {r: code for r, code in rows.items() if r not in gone}
        for name, rows in records.items()
    }
    moved = vector(study, records, households) - vector(study, without, households)
    at = 0
    for target in plan(study).layout.targets:
        part = moved[at : at + target.cells]
        at += target.cells
        assert math.sqrt(float(np.sum(part**2))) <= bound(study, target).value + 1e-9
    assert math.sqrt(float(np.sum(moved**2))) <= plan(study).noise.reach.value


def _given(study: LinkedStudy, name: str) -> int:
    axis = coding(study, name)
    return axis.width - (axis.absent >= 0)


def test_the_bound_is_reached_by_a_household_of_two_counted_residents() -> None:
    study = dataclasses.replace(STUDIES[0], privacy=privacy("household", 2))
    records = {"eligible": {0: 1, 1: 1}, "help": {2: 1}}
    moved = vector(study, records, [0, 0, 0]) - vector(study, {"eligible": {}, "help": {}}, [0] * 3)
    [target] = plan(study).layout.targets
    assert math.sqrt(float(np.sum(moved**2))) == bound(study, target).value == 2.0


def test_a_table_of_nothing_but_what_households_have_is_refused() -> None:
    study = STUDIES[0]
    alone = dataclasses.replace(study, questions=(table("alone", "help"),))
    with pytest.raises(UsageError, match="counts residents by what their household"):
        plan(alone)


@pytest.mark.parametrize(
    ("first", "second"),
    [({}, {"of": "household"}), ({}, {"absent": True})],
)
def test_matched_variables_that_are_not_alike_are_refused(first: dict, second: dict) -> None:
    """One of a resident's own beside one of the household's would count every one at home."""
    yes = ("no", "yes")
    when = (own("when", "social", of="household"), category("when", "first", "second"))
    labels = ("no", "yes", "no record") if second.get("absent") else yes
    cares = [
        (own("care_1", "care", **first), category("care_1", *labels)),
        (own("care_2", "care", **second), category("care_2", *yes)),
    ]
    asked = Table(
        kind="table",
        name="by_home",
        title=TEXT,
        of=("care",),
        match=Match(name="care", by="when", variables=("care_1", "care_2")),
    )
    with pytest.raises(UsageError, match="differ in `of` or `absent`"):
        plan(linked_study([when, *cares], [asked], privacy=privacy("household", 1)))


def test_a_match_that_only_households_have_a_part_in_is_refused() -> None:
    yes = ("no", "yes")
    when = (own("when", "social", of="household"), category("when", "first", "second"))
    cares = [
        (own(f"care_{i}", "care", of="household"), category(f"care_{i}", *yes)) for i in (1, 2)
    ]
    asked = Table(
        kind="table",
        name="by_home",
        title=TEXT,
        of=("care",),
        match=Match(name="care", by="when", variables=("care_1", "care_2")),
    )
    with pytest.raises(UsageError, match="counts residents by what their household"):
        plan(linked_study([when, *cares], [asked], privacy=privacy("household", 1)))
