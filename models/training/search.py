"""The least noise that is enough: a search over numbers of four digits."""

import itertools
import math
from collections.abc import Callable
from functools import cache

from models.errors import UsageError
from models.quantities import NoiseMultiplier

_MOST_TIMES = 1000
"""The search ends here, as a multiple of where it begins."""


def least(excess: Callable[[NoiseMultiplier], float], *, start: float) -> NoiseMultiplier:
    """Give the least noise, to four digits of `start`, whose `excess` is not above 0.

    `excess` falls with the noise: the logarithm of how many times too much is spent.

    Raises:
        UsageError: no reasonable noise is enough.
    """
    unit = 10.0 ** (math.floor(math.log10(start)) - 3)

    @cache
    def at(index: int) -> float:
        return excess(NoiseMultiplier(index * unit))

    fails, holds = _bracket(at, math.ceil(start / unit))
    for turn in itertools.count():
        if holds - fails == 1:
            break
        middle = (fails + holds) // 2
        if turn % 3 < 2 and fails:  # noqa: PLR2004 - mostly interpolate
            slope = (at(fails) - at(holds)) / (holds - fails)
            middle = fails + math.ceil(at(fails) / slope)
        middle = min(max(middle, fails + 1), holds - 1)
        fails, holds = (fails, middle) if at(middle) <= 0 else (middle, holds)
    return NoiseMultiplier(holds * unit)


def _bracket(excess: Callable[[int], float], begin: int) -> tuple[int, int]:
    """Give one index that is too little, or 0, and a larger one that is enough."""
    stride = 10
    if excess(begin) <= 0:
        low, high = max(0, begin - stride), begin
        while low and excess(low) <= 0:
            stride *= 2
            low, high = max(0, low - stride), low
        return low, high
    low, high = begin, begin + stride
    while excess(high) > 0:
        stride *= 2
        low, high = high, high + stride
        if high > _MOST_TIMES * begin:
            raise UsageError(
                "no reasonable amount of noise keeps so small an ε over so many steps",
                hint="raise ε, or lower the departments that one resident can be in",
            )
    return low, high
