"""The only door for privacy-relevant randomness, and the public one beside it."""

import os
from typing import Protocol

import numpy as np


class Entropy(Protocol):
    """A source of unpredictable bytes.

    Formal guarantee: every mechanism of `models.privacy` is private only as far as the
    bytes of its `Entropy` are independent, uniform and unknown to the adversary. There is
    no default anywhere: whoever composes a service hands one in.
    """

    def token(self, size: int) -> bytes:
        """Give `size` fresh bytes."""
        ...


class SystemEntropy:
    """The operating system's cryptographic generator: the only production `Entropy`."""

    def token(self, size: int) -> bytes:
        """Give `size` bytes of `getrandom(2)` or its equivalent."""
        return os.urandom(size)


def public_generator(seed: bytes) -> np.random.Generator:
    """Give a reproducible generator for what protects nobody.

    For starting weights, simulated intervals and examples only: whoever knows the seed
    (it is derived from public values) knows every number. Never for noise or sampling.
    """
    return np.random.Generator(np.random.PCG64(int.from_bytes(seed, "big")))
