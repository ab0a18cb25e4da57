"""What a linked study computes: codings, groups, targets, and what is refused."""

import dataclasses

import numpy as np
import pytest
from linked_studies import (
    OPEN,
    TEXT,
    category,
    integer,
    linked_study,
    own,
    school_study,
    table,
)

from models.errors import UsageError
from models.governance.linked import Committee, LinkedVariable, Server
from models.governance.questions import Hazard, Match, Relations
from models.linkage.coding import NONE, coding
from models.linkage.groups import LAG, PRODUCT
from models.linkage.layout import layout
from models.schema import Missing, NumericColumn

YES = ("no", "yes")


def test_a_category_is_its_place_and_what_is_missing_has_a_place_of_its_own() -> None:
    column = dataclasses.replace(category("a", "x", "y"), missing=Missing(meaning=TEXT))
    study = linked_study(
        [(own("a", "one", absent=True), column), (own("b", "two"), category("b", *YES))],
        [table("t", "a", "b")],
    )
    axis = coding(study, "a")
    assert axis.labels == ("x", "y", "missing", "no record")
    assert axis.absent == 3
    np.testing.assert_array_equal(axis.codes(np.array([0, 1, -1])), [0, 1, 2])


def test_a_number_falls_into_the_bin_that_begins_with_it() -> None:
    study = linked_study(
        [
            (own("n", "one"), integer("n", 0, 10, edges=(5.0,))),
            (own("m", "two", bins=5), integer("m", 0, 100)),
        ],
        [table("t", "n", "m")],
    )
    assert coding(study, "n").labels == ("0 to 5", "5 to 10")
    assert coding(study, "n").middles == (2.5, 7.5)
    np.testing.assert_array_equal(
        coding(study, "n").codes(np.array([0.0, 4.9, 5.0, 10.0])), [0, 0, 1, 1]
    )
    assert coding(study, "m").width == 5


def test_each_of_a_few_integers_is_a_category() -> None:
    study = linked_study(
        [(own("n", "one"), integer("n", 3, 6)), (own("b", "two"), category("b", *YES))],
        [table("t", "n", "b")],
    )
    axis = coding(study, "n")
    assert axis.labels == ("3", "4", "5", "6")
    np.testing.assert_array_equal(axis.codes(np.array([3.0, 6.0, np.nan])), [0, 3, NONE])


def test_a_number_without_bins_is_refused() -> None:
    wide = NumericColumn(name="n", type="number", meaning=TEXT, minimum=0.0, maximum=1.0)
    study = linked_study(
        [(own("n", "one"), wide), (own("b", "two"), category("b", *YES))], [table("t", "n", "b")]
    )
    with pytest.raises(UsageError, match="without bins"):
        layout(study)


def test_that_there_is_a_record_is_a_variable() -> None:
    client = LinkedVariable(name="client", department="one", dataset="one_table", absent=True)
    study = linked_study(
        [(client, None), (own("b", "two"), category("b", *YES))], [table("t", "client", "b")]
    )
    assert coding(study, "client").labels == ("yes", "no")


def test_variables_of_one_department_are_crossed_and_two_departments_multiplied() -> None:
    study = linked_study(
        [
            (own("a", "one"), category("a", *YES)),
            (own("b", "one"), category("b", "x", "y", "z")),
            (own("c", "two"), category("c", *YES)),
        ],
        [table("t", "a", "c", "b")],
    )
    made = layout(study)
    assert [group.width for group in made.groups] == [6, 2]
    [target] = made.targets
    assert (target.cells, made.derived) == (12, ())
    assert [axis.variable for axis in target.axes] == ["c", "a", "b"]


def test_three_departments_need_products_of_the_two_smallest() -> None:
    study = linked_study(
        [
            (own("a", "one"), category("a", *"abcde")),
            (own("b", "two"), category("b", *YES)),
            (own("c", "three"), category("c", "x", "y", "z")),
        ],
        [table("t", "a", "b", "c")],
    )
    made = layout(study)
    [derived] = made.derived
    assert (derived.kind, derived.width) == (PRODUCT, 6)
    [target] = made.targets
    assert (target.left, made.width(target.left)) == (3, 6)
    assert made.groups[target.right or 0].axes[0].variable == "a"


def test_four_departments_in_one_table_are_refused() -> None:
    study = linked_study(
        [(own(f"v{i}", f"dep-{i}"), category(f"v{i}", *YES)) for i in range(4)],
        [table("t", *(f"v{i}" for i in range(4)))],
    )
    with pytest.raises(UsageError, match="4 departments"):
        layout(study)


def test_products_with_too_many_columns_are_refused_with_the_figure() -> None:
    levels = [str(i) for i in range(100)]
    study = linked_study(
        [(own(f"v{i}", f"dep-{i}"), category(f"v{i}", *levels)) for i in range(3)],
        [table("t", "v0", "v1", "v2")],
    )
    with pytest.raises(UsageError, match="10,000 columns"):
        layout(study)


def test_relations_open_every_variable_and_every_pair_once() -> None:
    variables = [
        (own(f"v{i}", "one" if i < 2 else "two"), category(f"v{i}", *YES)) for i in (0, 1, 2)
    ]
    pairs = Relations(
        kind="relations",
        name="r",
        title=TEXT,
        of=("v0", "v1"),
        outcome="v2",
        crossed=(("v0", "v2"),),
    )
    made = layout(linked_study(variables, [pairs]))
    assert [target.table for target in made.targets] == [
        "r/v0",
        "r/v1",
        "r/v2",
        "r/v0*v2",
        "r/v0/v1",
        "r/v0/v2",
        "r/v0/v0*v2",
        "r/v1/v2",
        "r/v1/v0*v2",
        "r/v2/v0*v2",
    ]
    assert len(made.derived) == 1


def test_a_hazard_counts_lags_on_the_common_calendar() -> None:
    study = linked_study(
        [
            (own("began", "one"), integer("began", 0, 11)),
            (own("lasted", "one"), integer("lasted", 1, 4)),
            (own("ended", "one"), category("ended", *YES)),
            (own("entry", "two"), integer("entry", 2, 11)),
        ],
        [
            Hazard(
                kind="hazard",
                name="h",
                title=TEXT,
                start="began",
                duration="lasted",
                event="ended",
                entry="entry",
                bands=(2,),
                window=3,
            )
        ],
    )
    made = layout(study)
    [lag] = made.derived
    assert (lag.kind, lag.width, lag.offset) == (LAG, 4, 2)
    assert [target.cells for target in made.targets] == [8, 32]


def test_a_match_takes_the_variable_of_the_category() -> None:
    study = linked_study(
        [
            (own("year", "one"), category("year", "first", "second")),
            (own("out", "one"), category("out", *YES)),
            *[(own(f"care_{i}", "two"), category(f"care_{i}", *YES)) for i in (1, 2)],
        ],
        [
            dataclasses.replace(
                table("t", "out", "care"),
                match=Match(name="care", by="year", variables=("care_1", "care_2")),
            )
        ],
    )
    [target] = layout(study).targets
    assert target.cells == 4
    # out = yes, year = second (column 3), care_2 = yes (column 3): the cell yes, yes.
    assert (3, 3, 3) in (target.select or ())
    assert all(left % 2 == right // 2 for left, right, _ in target.select or ())


def test_two_servers_of_one_owner_are_refused_however_it_is_written() -> None:
    servers = (Server(name="a-node", owner="Board of  Audit"), Server(name="b-node", owner="other"))
    with pytest.raises(ValueError, match="same owner"):
        Committee(coordinator="BOARD of audit.", servers=servers)


def test_a_server_cannot_be_named_twice() -> None:
    servers = (Server(name="a-node", owner="One"), Server(name="a-node", owner="Two"))
    with pytest.raises(ValueError, match="two servers"):
        Committee(coordinator="Three", servers=servers)


def test_the_parties_are_the_departments_and_the_servers_beside_them() -> None:
    assert school_study(privacy=OPEN).parties == ("school", "social", "auditor")


def test_a_department_that_gives_nothing_is_refused() -> None:
    study = school_study()
    with pytest.raises(ValueError, match="every department"):
        dataclasses.replace(study, departments=(*study.departments, "labour"))


def test_a_department_that_is_a_server_multiplies_no_columns() -> None:
    study = linked_study(
        [(own(f"v{i}", f"dep-{i}"), category(f"v{i}", *YES)) for i in range(3)],
        [table("t", "v0", "v1", "v2")],
        servers=("auditor", "dep-1"),
    )
    with pytest.raises(UsageError, match="dep-1 is one of its departments"):
        layout(study)


@pytest.mark.parametrize("name", ["began", "entry"])
def test_months_that_may_be_missing_have_no_place_on_a_calendar(name: str) -> None:
    asked = Hazard(
        kind="hazard",
        name="h",
        title=TEXT,
        start="began",
        duration="lasted",
        event="ended",
        entry="entry",
        bands=(2,),
        window=3,
    )
    study = linked_study(
        [
            (own("began", "one", absent=name == "began"), integer("began", 0, 11)),
            (own("lasted", "one"), integer("lasted", 1, 4)),
            (own("ended", "one"), category("ended", *YES)),
            (own("entry", "two", absent=name == "entry"), integer("entry", 2, 11)),
        ],
        [asked],
    )
    with pytest.raises(UsageError, match=f"{name} must be a whole number of months"):
        layout(study)
