"""An `Entropy` whose bytes follow from a seed: for tests only, it protects nobody."""

import hashlib


class ScriptedEntropy:
    """Give SHA-256(seed, counter) blocks: the same seed gives the same bytes, in order."""

    def __init__(self, seed: int | str = 0) -> None:
        """Start at the first block of `seed`."""
        self._seed = f"datalabbet/test/{seed}/".encode()
        self._blocks = 0
        self.tokens = 0

    def token(self, size: int) -> bytes:
        """Give the next `size` bytes; `tokens` counts the calls."""
        self.tokens += 1
        found = bytearray()
        while len(found) < size:
            found += hashlib.sha256(self._seed + str(self._blocks).encode()).digest()
            self._blocks += 1
        return bytes(found[:size])
