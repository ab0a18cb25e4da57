"""The only thing that leaves a department: values together with what they cost."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.governance.cost import PrivacyCost

Array = npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Aggregated values of one step and the privacy cost they were born with.

    Formal guarantee: `values` were computed by a mechanism whose privacy loss for one resident
    is at most that of `cost`; everything derived from them is post-processing and free.

    Attributes:
        values: named arrays, finite, without object dtype.
        cost: the events, composed.
    """

    values: Mapping[str, Array]
    cost: PrivacyCost

    def __post_init__(self) -> None:
        """Refuse values that are not finite numbers."""
        for name, array in self.values.items():
            if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
                raise ValueError(f"the released array {name} must hold finite numbers")
