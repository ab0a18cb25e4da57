"""How likely a resident of the register is the one that a row is about: Fellegi and Sunter's model.

Splink weighs each pair of a row and a candidate: how much more often a column agrees between a row
and its own resident than between a row and a stranger. Those rates are handed to it; nothing is
learned here from the rows. From the weights of all candidates of a number follows the probability
of each, and of none of them.

The engine inside Splink is DuckDB, on one thread, without files, network or extensions.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd

Texts = npt.NDArray[np.object_]
Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "allow_community_extensions": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "enable_external_access": False,
    "memory_limit": "1GB",
    "temp_directory": "",
    "threads": 1,
}
_WARNING = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How often a column agrees.

    Attributes:
        own: between a row and its own resident, in (0, 1).
        stranger: between a row and somebody else whose number is near, in (0, 1).
    """

    own: float
    stranger: float


def rate(agreeing: int, compared: int) -> float:
    """Give a share that is neither 0 nor 1: one of each kind is added to what was counted."""
    return (agreeing + 1) / (compared + 2)


def factors(
    rates: Mapping[str, Rates],
    *,
    rows: Mapping[str, Texts],
    candidates: Mapping[str, Texts],
    pairs: int,
) -> Floats:
    """Give for each pair how much likelier what agrees is of the row's own resident.

    Args:
        rates: by column; columns are taken to agree independently of each other.
        rows: by column, shape (pairs,): what the row says; None where it says nothing.
        candidates: by column, shape (pairs,): what the register says of the candidate.
        pairs: how many there are.

    Returns:
        Shape (pairs,), positive: above 1 speaks for the candidate. 1 where there is no column.
    """
    if not rates or not pairs:
        return np.ones(pairs)
    import splink  # noqa: PLC0415 - half a second, and few rows need it

    numbers = {"unique_id": np.arange(pairs), "pair": np.arange(pairs)}
    with contextlib.closing(duckdb.connect(":memory:", config=_SETTINGS)) as connection:
        engine = splink.DuckDBAPI(connection=connection)
        left, right = (
            engine.register(pd.DataFrame({**numbers, **_named(rates, texts)}))
            for texts in (rows, candidates)
        )
        linker = splink.Linker([left, right], _settings(rates), log_level=_WARNING)
        found: pd.DataFrame = linker.inference.predict().as_pandas_dataframe()  # type: ignore[no-untyped-call]
    found = found.sort_values("unique_id_l")
    weights: Floats = found["match_weight"].to_numpy(dtype=np.float64)
    return np.exp2(weights)


def _named(rates: Mapping[str, Rates], texts: Mapping[str, Texts]) -> dict[str, pd.Series]:
    """Number the columns: a declared name could be one of Splink's own."""
    return {
        f"compared_{place}": pd.Series(texts[name], dtype="str") for place, name in enumerate(rates)
    }


def _settings(rates: Mapping[str, Rates]) -> dict[str, Any]:
    """Give Splink's settings: even odds beforehand, so that the weight is what agrees alone."""
    return {
        "link_type": "link_only",
        "probability_two_random_records_match": 0.5,
        "blocking_rules_to_generate_predictions": ["l.pair = r.pair"],
        "comparisons": [_comparison(f"compared_{n}", one) for n, one in enumerate(rates.values())],
        "retain_matching_columns": False,
        "retain_intermediate_calculation_columns": False,
    }


def _comparison(name: str, rates: Rates) -> dict[str, Any]:
    return {
        "output_column_name": name,
        "comparison_levels": [
            {
                "sql_condition": f"{name}_l IS NULL OR {name}_r IS NULL",
                "label_for_charts": "not known",
                "is_null_level": True,
            },
            {
                "sql_condition": f"{name}_l = {name}_r",
                "label_for_charts": "the same",
                "m_probability": rates.own,
                "u_probability": rates.stranger,
            },
            {
                "sql_condition": "ELSE",
                "label_for_charts": "different",
                "m_probability": 1 - rates.own,
                "u_probability": 1 - rates.stranger,
            },
        ],
    }


def probabilities(
    factors: Floats, *, number: Places, chances: Sequence[float], meant: float
) -> Floats:
    """Give for each pair the probability that the candidate is the one that is meant.

    Of a mistyped number, either one of its candidates is meant, or nobody of the register (or
    somebody further away). Candidates that are not meant are near by chance.

    Args:
        factors: shape (pairs,), as `factors` gives them.
        number: shape (pairs,), which number the pair is of, from 0.
        chances: for each number, how many strangers are near it on average.
        meant: the share of numbers that mean one of their candidates.
    """
    odds = factors / np.asarray(chances)[number]
    total = np.bincount(number, weights=odds, minlength=len(chances))
    found: Floats = meant * odds / (meant * total + 1 - meant)[number]
    return found
