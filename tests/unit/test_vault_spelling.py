"""Texts spelled otherwise are led back to the one category that they can mean, or to none."""

import unicodedata

import pyarrow as pa
import pytest

from node.vault.spelling import UNKNOWN, repair

DISTRICTS = ("Åbrinken", "Älgsjön", "Örtagården", "Norra Centrum")
SPELLINGS = {"ÅBR": "Åbrinken", "C N": "Norra Centrum"}


def read(*texts, categories=DISTRICTS, spellings=SPELLINGS):
    """Give (category or None, spelled otherwise) of each text."""
    found = repair(pa.array(texts, pa.string()), categories=categories, spellings=spellings)
    names = [None if place == UNKNOWN else categories[place] for place in found.places]
    return list(zip(names, found.otherwise.tolist(), strict=True))


def misread(text, encoding):
    """Give a text as a program has it that takes its UTF-8 bytes for another encoding."""
    return "".join(
        bytes([byte]).decode(encoding, errors="ignore") or chr(byte) for byte in text.encode()
    )


@pytest.mark.parametrize("category", DISTRICTS)
def test_the_declared_spelling_is_no_other(category):
    assert read(category) == [(category, False)]


@pytest.mark.parametrize("category", DISTRICTS)
@pytest.mark.parametrize(
    "spell",
    [
        str.upper,
        str.lower,
        lambda t: f" {t}",
        lambda t: f"{t}  ",
        lambda t: f"\u00a0{t}\u202f",
        lambda t: t.replace(" ", "  ") + " ",
        lambda t: unicodedata.normalize("NFD", t) + " ",
        lambda t: unicodedata.normalize("NFD", t).upper() + " ",
        lambda t: t.translate(str.maketrans("åäöÅÄÖ", "aaoAAO")) + " ",
        lambda t: misread(t, "windows-1252") + " ",
        lambda t: misread(t, "iso-8859-1") + " ",
        lambda t: misread(unicodedata.normalize("NFD", t), "windows-1252") + " ",
    ],
)
def test_other_spellings_are_read_and_told(category, spell):
    assert read(spell(category)) == [(category, True)]


def test_what_utf_8_looks_like_elsewhere():
    assert misread("Åbrinken", "windows-1252") == "Ã…brinken"
    assert misread("Åbrinken", "iso-8859-1") == "Ã\x85brinken"
    assert read("Ã…brinken", "Ã\x85brinken", "Ã„lgsjÃ¶n") == [
        ("Åbrinken", True),
        ("Åbrinken", True),
        ("Älgsjön", True),
    ]


def test_a_control_character_at_the_end_is_not_taken_for_a_blank():
    # The last byte of Å, read as ISO-8859-1, is one that Python counts among the blanks.
    assert read("Ã\x85", categories=("Å", "Ö"), spellings={}) == [("Å", True)]


def test_listed_spellings():
    assert read("ÅBR", "åbr ", "C  N", "CN") == [
        ("Åbrinken", True),
        ("Åbrinken", True),
        ("Norra Centrum", True),
        (None, False),
    ]


@pytest.mark.parametrize("text", [None, "", " ", "?", "Brinken", "Åbrinken 2", "�brinken", "Ã"])
def test_what_means_no_category(text):
    assert read(text) == [(None, False)]


def test_a_text_that_could_mean_two_categories_means_none():
    categories = ("hår", "här", "HÄR")
    assert read("hår", "här", "HÄR", "har", "Här", "HÅR", categories=categories, spellings={}) == [
        ("hår", False),
        ("här", False),
        ("HÄR", False),
        (None, False),
        (None, False),
        ("hår", True),
    ]


def test_many_rows_are_read_by_their_distinct_texts():
    texts = ["Åbrinken", "abrinken", None, "?"] * 100_000
    found = repair(pa.array(texts), categories=DISTRICTS, spellings={})
    assert found.places.tolist() == [0, 0, UNKNOWN, UNKNOWN] * 100_000
    assert found.otherwise.tolist() == [False, True, False, False] * 100_000
