"""Category texts that are spelled otherwise than declared, led back to their category.

Real systems write `Åbrinken` in many ways: in capitals, with blanks around, with the ring as a
character of its own (NFD), without it (`Abrinken`), or as UTF-8 that something read as
Windows-1252 (`Ã…brinken`). A text is led back only to the one category it can mean, always in
the same way; where two could be meant, none is.
"""

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from node.vault.chunks import ArrowArray

UNKNOWN = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Repaired:
    """What texts mean: per row the place of its category or `UNKNOWN`, and how it was spelled.

    Attributes:
        places: int16 places in the list of categories.
        otherwise: the category is known, and the text is not its declared spelling.
    """

    places: npt.NDArray[np.int16]
    otherwise: npt.NDArray[np.bool_]


def repair(
    texts: ArrowArray, *, categories: Sequence[str], spellings: Mapping[str, str]
) -> Repaired:
    """Give the category of each text.

    Args:
        texts: as the source has them, blanks included; null is unknown.
        categories: the declared ones.
        spellings: other texts, each with the category that it stands for.
    """
    coded = texts.dictionary_encode()
    lookup = _Lookup(categories, spellings)
    distinct: list[str] = coded.dictionary.to_pylist()
    # One place more than there are texts: null takes the last one.
    places = np.array([*map(lookup.place, distinct), UNKNOWN], dtype=np.int16)
    declared = set(categories)
    otherwise = np.array([*(text not in declared for text in distinct), False], dtype=np.bool_)
    otherwise &= places != UNKNOWN
    rows = pc.fill_null(coded.indices, len(distinct)).to_numpy(zero_copy_only=False)
    return Repaired(places=places[rows], otherwise=otherwise[rows])


class _Lookup:
    """Finds the one category that a text can mean: first as written, then more freely."""

    def __init__(self, categories: Sequence[str], spellings: Mapping[str, str]) -> None:
        place = {category: number for number, category in enumerate(categories)}
        known = [*place.items(), *((text, place[means]) for text, means in spellings.items())]
        self._steps = tuple((form, _unique(form, known)) for form in (_plain, _folded, _bare))

    def place(self, text: str) -> int:
        for candidate in (text, _decoded_again(text)):
            if candidate is None:
                break
            for form, places in self._steps:
                if (found := places.get(form(candidate))) is not None:
                    return found
        return UNKNOWN


def _unique(form: Callable[[str], str], known: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Give the texts, in a form, that belong to one category; `UNKNOWN` where to several."""
    found: dict[str, int] = {}
    for text, place in known:
        key = form(text)
        found[key] = place if found.get(key, place) == place else UNKNOWN
    return found


def _plain(text: str) -> str:
    """Compose the characters (NFC), and make every run of blanks one space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _folded(text: str) -> str:
    return _plain(text).casefold()


def _bare(text: str) -> str:
    """Leave out diacritics on top of case and blanks: `Å` and `Ä` become `a`."""
    apart = unicodedata.normalize("NFD", _folded(text))
    return "".join(character for character in apart if not unicodedata.combining(character))


def _decoded_again(text: str) -> str | None:
    """Give UTF-8 that was read as Windows-1252 or ISO-8859-1 as it was meant; else None.

    The two differ in the bytes 0x80 to 0x9f alone; a character that either gives is taken.
    """
    if text.isascii():
        return None
    try:
        return b"".join(map(_byte, text)).decode("utf-8")
    except ValueError:  # characters of neither encoding, or bytes that are no UTF-8
        return None


def _byte(character: str) -> bytes:
    try:
        return character.encode("windows-1252")
    except UnicodeEncodeError:
        return character.encode("iso-8859-1")
