"""Ring elements as torch's whole numbers, whose products and sums wrap: they are the ring's.

A matrix is read row by row. Only this module and those that multiply import torch.
"""

import numpy as np
import torch

from models.secagg.rings import Words


def tensor(words: Words, *, shape: tuple[int, int]) -> torch.Tensor:
    """Give ring elements as signed integers, without a copy on little-endian machines."""
    native = np.dtype(f"i{words.itemsize}")
    signed = words.view(f"<i{words.itemsize}").astype(native, copy=False)
    return torch.from_numpy(signed).reshape(shape)


def words(values: torch.Tensor) -> Words:
    """Give a tensor's elements as ring elements in one row, without a copy where that can be."""
    native = values.contiguous().numpy().reshape(-1)
    little = native.astype(f"<i{native.itemsize}", copy=False)
    found: Words = little.view(f"<u{native.itemsize}")
    return found
