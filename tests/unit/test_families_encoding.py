"""The one preprocessing: by the declaration alone, the same everywhere."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import DataContractError
from models.families.encoding import Encoder
from models.schema import NumericColumn
from tests.support.studies import AGE, AREA, INCOME, TEXT

COLUMNS = (AGE, INCOME, AREA)


def encode(bins: int, **values: list[float]) -> list[list[float]]:
    columns = {
        "age": np.array(values["age"], dtype=np.float64),
        "income": np.array(values["income"], dtype=np.float64),
        "area": np.array(values["area"], dtype=np.int16),
    }
    return Encoder.of(COLUMNS, bins=bins).encode(columns).tolist()


def test_numbers_are_scaled_from_their_bounds_and_missing_ones_are_told() -> None:
    assert Encoder.of(COLUMNS, bins=0).names == (
        "age", "income", "income=missing", "area=north", "area=south", "area=west", "area=missing",
    )  # fmt: skip
    assert encode(0, age=[0, 50, 100], income=[-10, math.nan, 5], area=[0, 2, -1]) == [
        [-1, -1, 0, 1, 0, 0, 0],
        [0, 0, 1, 0, 0, 1, 0],
        [1, 0.5, 0, 0, 0, 0, 1],
    ]


def test_bins_are_half_open_and_the_last_holds_the_maximum() -> None:
    encoder = Encoder.of((AGE,), bins=4)
    assert encoder.names == ("age[0,25)", "age[25,50)", "age[50,75)", "age[75,100]")
    got = encoder.encode({"age": np.array([0, 24.9, 25, 75, 100.0])})
    assert got.argmax(axis=1).tolist() == [0, 0, 1, 3, 3]
    assert got.sum(axis=1).tolist() == [1] * 5


def test_declared_edges_go_before_even_bins() -> None:
    column = NumericColumn(
        name="age", type="integer", meaning=TEXT, minimum=0, maximum=100, edges=(18, 65)
    )
    encoder = Encoder.of((column,), bins=10)
    assert encoder.width == 3
    got = encoder.encode({"age": np.array([17.0, 18, 64, 65])})
    assert got.argmax(axis=1).tolist() == [0, 1, 1, 2]


def test_missing_has_a_level_of_its_own_in_bins() -> None:
    got = Encoder.of((INCOME,), bins=2).encode({"income": np.array([math.nan, 3.0])})
    assert got.tolist() == [[0, 0, 1], [0, 1, 0]]


def test_values_outside_the_bounds_are_clamped() -> None:
    low, high = encode(0, age=[-5, 1e300], income=[-math.inf, math.inf], area=[0, 0])
    assert low[:2] == [-1, -1]
    assert high[:2] == [1, 1]


@pytest.mark.parametrize("bins", [0, 5])
@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"age": [math.nan], "income": [0], "area": [0]}, "age"),
        ({"age": [1], "income": [0], "area": [3]}, "area"),
        ({"age": [1], "income": [0], "area": [-2]}, "area"),
        ({"age": [1], "income": [0, 1], "area": [0]}, "income"),
    ],
)
def test_what_the_declaration_forbids_is_refused_without_the_value(
    bins: int, values: dict[str, list[float]], named: str
) -> None:
    with pytest.raises(DataContractError, match=named):
        encode(bins, **values)


def test_an_absent_column_is_refused() -> None:
    with pytest.raises(DataContractError, match="income"):
        Encoder.of(COLUMNS, bins=0).encode({"age": np.array([1.0])})


def test_no_rows_give_no_rows() -> None:
    assert encode(3, age=[], income=[], area=[]) == []


def test_huge_bounds_do_not_overflow() -> None:
    column = NumericColumn(name="x", type="number", meaning=TEXT, minimum=-1.7e308, maximum=1.7e308)
    got = Encoder.of((column,), bins=0).encode({"x": np.array([-1.7e308, 0.0, 1.7e308])})
    assert got[:, 0].tolist() == [-1, 0, 1]


@given(
    bins=st.sampled_from([0, 2, 7, 20]),
    ages=st.lists(st.floats(allow_nan=False), min_size=1, max_size=20),
    data=st.data(),
)
def test_every_input_is_within_one_and_rows_do_not_touch_each_other(
    bins: int, ages: list[float], data: st.DataObject
) -> None:
    size = len(ages)
    income = data.draw(st.lists(st.floats(), min_size=size, max_size=size))
    area = data.draw(st.lists(st.integers(-1, 2), min_size=size, max_size=size))
    together = encode(bins, age=ages, income=income, area=area)
    assert np.abs(together).max() <= 1
    alone = [
        encode(bins, age=[a], income=[i], area=[r])[0]
        for a, i, r in zip(ages, income, area, strict=True)
    ]
    assert together == alone
