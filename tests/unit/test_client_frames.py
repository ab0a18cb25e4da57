"""The analyst's frames, read as nodes read their files."""

import numpy as np
import pandas as pd
import pytest

from coordinator.client.frames import columns
from models.errors import DataContractError
from models.schema import Bilingual, CategoryColumn, Missing

TEXT = Bilingual(sv="Text", en="A text")
MOVED = CategoryColumn(
    name="moved",
    type="boolean",
    meaning=TEXT,
    categories=("false", "true"),
    missing=Missing(meaning=TEXT),
)


@pytest.mark.parametrize(
    "cells",
    [
        [False, True, None],
        [0, 1, np.nan],
        ["0", "1", ""],
        ["false", "true", ""],
        ["False", "TRUE", None],
        pd.array([False, True, None], dtype="boolean"),
        pd.array([0, 1, None], dtype="Int64"),
    ],
)
def test_truth_values_may_be_written_in_every_way_that_nodes_read(cells) -> None:
    frame = pd.DataFrame({"moved": cells})
    assert columns(frame, [MOVED], out_of_bounds="refuse")["moved"].tolist() == [0, 1, -1]


def test_other_numbers_are_no_truth_values() -> None:
    with pytest.raises(DataContractError, match="none of its categories"):
        columns(pd.DataFrame({"moved": [0, 2]}), [MOVED], out_of_bounds="refuse")
