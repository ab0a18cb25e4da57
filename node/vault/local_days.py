"""Points in time as the days they were in Sweden: midnight there is the evening before in UTC.

Python's own time zones are used, not Arrow's: they come from the package `tzdata` where the system
has none, as in small container images.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from node.vault.chunks import ArrowArray

Days = npt.NDArray[np.datetime64]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KNOWN = (-60_000_000_000, 250_000_000_000)
"""Seconds: within the years that Python's dates have. Outside, the clocks are as at the ends."""


def local_days(values: ArrowArray) -> tuple[Days, npt.NDArray[np.bool_]]:
    """Give days, or points in time, as days in Sweden, and which of them are others in UTC.

    Points without a time zone are taken as they stand. Null is NaT.
    """
    if pa.types.is_date(values.type):
        days = values.cast(pa.date32()).to_numpy(zero_copy_only=False).astype("datetime64[D]")
        return days, np.zeros(len(days), dtype=np.bool_)
    points = values.to_numpy(zero_copy_only=False).astype("datetime64[s]")
    there = points.astype("datetime64[D]")
    if values.type.tz is None:
        return there, np.zeros(len(there), dtype=np.bool_)
    different, rows = np.unique(points, return_inverse=True)
    ahead = np.array([_ahead(point) for point in different], dtype="timedelta64[s]")
    days = (points + ahead[rows]).astype("datetime64[D]")
    return days, (days != there) & ~np.isnat(days)


def _ahead(point: np.datetime64) -> timedelta:
    """Give how far Sweden's clocks were ahead of UTC."""
    if np.isnat(point):
        return timedelta()
    seconds = int(np.clip(point.astype(np.int64), *_KNOWN))
    moment = (_EPOCH + timedelta(seconds=seconds)).astimezone(ZoneInfo("Europe/Stockholm"))
    return moment.utcoffset() or timedelta()
