"""How long to wait before the next try: longer each time, and never all nodes at once."""

import math

from models.randomness import Entropy


class Backoff:
    """Exponential back-off with full jitter (Brooker 2015), from `first` to `longest` seconds."""

    def __init__(self, *, entropy: Entropy, first: float = 0.2, longest: float = 5.0) -> None:
        """Begin with `first`."""
        self._entropy = entropy
        self._first = first
        self._longest = longest
        self._tries = 0

    def next(self) -> float:
        """Give the seconds to wait now: between half and all of the present step."""
        step = min(self._longest, math.ldexp(self._first, min(self._tries, 30)))
        self._tries += 1
        share: float = int.from_bytes(self._entropy.token(4), "big") / 2**32
        return step * (0.5 + share / 2)

    def reset(self) -> None:
        """Begin anew: it worked."""
        self._tries = 0
