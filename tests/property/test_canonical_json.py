"""Canonical JSON: the fast writer against the library that follows RFC 8785 word by word."""

import json

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from models.documents import canonical

TEXTS = st.text(st.characters(codec="utf-8"))
ANY_TEXT = st.text()  # lone surrogates too
PLAIN = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats() | TEXTS
ODD = PLAIN | st.integers() | ANY_TEXT | st.binary()
KEYS = TEXTS | ANY_TEXT | st.integers(0, 3)


def nested(leaves: st.SearchStrategy, keys: st.SearchStrategy) -> st.SearchStrategy:
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner) | st.dictionaries(keys, inner) | st.tuples(inner),
        max_leaves=20,
    )


def outcome(write, value: object) -> bytes | type[Exception]:
    try:
        return write(value)
    except rfc8785.CanonicalizationError as error:
        return type(error)
    except (TypeError, UnicodeEncodeError, AttributeError) as error:
        return type(error)


@given(nested(ODD, KEYS))
@example({"\U0001f600": 1, "\uffff": 2, "a": 3})
@example({"b": 1e-7, "a": -0.0, "c": 1e21, "é": '\x7f\x00\u2028\\"/\b'})
@example([2**53, -(2**53), 2**53 - 1, True, None])
@example({"a": "\ud800"})
def test_every_value_is_written_or_refused_as_the_library_does(value: object) -> None:
    assert outcome(canonical, value) == outcome(rfc8785.dumps, value)


@given(st.dictionaries(TEXTS, TEXTS | st.integers(-1000, 1000)))
def test_what_is_written_is_read_back(value: dict[str, object]) -> None:
    assert json.loads(canonical(value)) == value


def test_the_comparison_tells_other_orders_and_numbers() -> None:
    value = {"\U0001f600": 1, "\uffff": 2.0}
    plain = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert canonical(value) != plain


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, {"a": {1: 2}}, b"", {3}])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(rfc8785.CanonicalizationError):
        canonical({"x": [value]})
