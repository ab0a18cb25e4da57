"""Whose number a mistyped number may be: residents of the register one slip of the hand away.

One slip is a digit too many, one too few, one that is another, or two neighbours that changed
places. Numbers are compared as they are written, with ten digits or twelve: of ten, the century
says nothing.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

_DIGITS = "0123456789"
_SHORT, _WHOLE = 10, 12
_PROBES = 2000
"""So many numbers are mistyped on purpose: the chance of a stranger is known to 0.002."""


def slips(digits: str) -> Iterator[str]:
    """Give every text of ten or twelve digits that one slip makes of a text, or that it made.

    Some come twice; the text itself does not come.
    """
    if len(digits) in (_SHORT, _WHOLE):
        for place, digit in enumerate(digits):
            before, after = digits[:place], digits[place + 1 :]
            yield from (before + other + after for other in _DIGITS if other != digit)
            if after and after[0] != digit:
                yield before + after[0] + digit + after[1:]
    if len(digits) + 1 in (_SHORT, _WHOLE):
        for place in range(len(digits) + 1):
            yield from (digits[:place] + other + digits[place:] for other in _DIGITS)
    if len(digits) - 1 in (_SHORT, _WHOLE):
        yield from (digits[:place] + digits[place + 1 :] for place in range(len(digits)))


class Numbers:
    """The register's numbers, to be looked up by what was written for them."""

    def __init__(self, ids: npt.NDArray[np.object_]) -> None:
        """Take the register's ids, texts in ascending order; personal numbers have twelve digits.

        Ids of another form, as opaque ones have, are found by themselves alone.
        """
        self._ids = ids
        self._places: dict[str, int] = {text: place for place, text in enumerate(ids.tolist())}
        self._of_short: dict[str, list[int]] = {}
        self._chances: dict[int, float] = {}

    def place(self, text: str) -> int:
        """Give the place of an id among the register's, or -1 if it has none of it."""
        return self._places.get(text, -1)

    def near(self, digits: str) -> tuple[int, ...]:
        """Give the places of the residents one slip away, ascending."""
        found: set[int] = set()
        for text in slips(digits):
            if len(text) == _WHOLE:
                found.add(self._places.get(text, -1))
            else:
                found.update(self._short().get(text, ()))
        return tuple(sorted(found - {-1}))

    def chance(self, digits: str) -> float:
        """Give how many strangers, on average, are one slip away from a mistyped number.

        Numbers of the register, evenly spread over it, are mistyped on purpose, in ever other
        places and with ever other digits, and the residents near them counted that are not the
        one meant. The figure is rounded up by one stranger among all that were looked at.

        Args:
            digits: a number; those with ten digits have more strangers than those with twelve.
        """
        length = _SHORT if len(digits) < _WHOLE - 1 else _WHOLE
        if length not in self._chances:
            self._chances[length] = self._measured(length)
        return self._chances[length]

    def _measured(self, length: int) -> float:
        step = max(1, len(self._ids) // _PROBES)
        strangers, probes = 1, 0
        for place in range(0, len(self._ids), step):
            text = self._ids[place][-length:]
            if len(text) != length or not text.isdecimal():
                continue
            slip = probes % length
            other = _DIGITS[(int(text[slip]) + 1 + probes // length % 9) % 10]
            near = self.near(text[:slip] + other + text[slip + 1 :])
            strangers += len({*near} - {place})
            probes += 1
        return strangers / max(probes, 1)

    def _short(self) -> dict[str, list[int]]:
        """Give the places by the last ten digits; only some departments write those."""
        if not self._of_short:
            for text, place in self._places.items():
                if len(text) == _WHOLE:
                    self._of_short.setdefault(text[-_SHORT:], []).append(place)
        return self._of_short
