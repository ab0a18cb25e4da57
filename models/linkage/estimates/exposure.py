"""Months at risk and leavings, before and after a measure, from the two tables of a `Hazard`.

`<name>/all` counts residents by duration d, event and strata; `<name>/after` those whose measure
began in month k + 1 of the state, also by k. A resident is at risk in months 1 to d and leaves in
month d if the event came. In month t a measure of lag k was not there yet (t <= k), may have its
effect (k < t <= k + window), or was too long ago. Everything here is linear in the cells.
"""

import itertools
import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from models.governance.questions import Hazard
from models.linkage.coding import Coding
from models.linkage.tables import Counts, NoisyTable
from models.quantities import NoiseVariance

Places = npt.NDArray[np.int64]

WITHOUT = 0
"""The status of a month in which no measure has its effect; then one per band, then `too long`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exposure:
    """The cells of a hazard question, and what each month of them is.

    Attributes:
        total: shape (durations, 2, strata): all residents; strata are flattened.
        after: shape (lags, durations, 2, strata): those with a measure.
        durations: months lasted, for each place of that axis.
        status: of month t (from 1, so column t - 1) after a measure of lag k, shape (lags, months).
        bands: what each band is called.
        strata: their codings.
        variance: of the noise in each cell.
    """

    total: Counts = field(repr=False)
    after: Counts = field(repr=False)
    durations: Places
    status: Places = field(repr=False)
    bands: tuple[str, ...]
    strata: tuple[Coding, ...]
    variance: NoiseVariance

    @property
    def months(self) -> int:
        """Give the longest duration."""
        return int(self.durations[-1])

    @property
    def too_long(self) -> int:
        """Give the status of months after the window."""
        return len(self.bands) + 1

    @property
    def statuses(self) -> int:
        """Give how many statuses there are."""
        return len(self.bands) + 2

    def at_risk(self, cells: Counts) -> Counts:
        """Give months at risk by month: (..., durations, 2, strata) to (..., months, strata)."""
        lasting = cells.sum(axis=-2)
        reached = self.durations[None, :] >= np.arange(1, self.months + 1)[:, None]
        found: Counts = np.einsum("td,...ds->...ts", reached.astype(np.float64), lasting)
        return found

    def leaving(self, cells: Counts) -> Counts:
        """Give leavings by month; shapes as of `at_risk`."""
        last = self.durations[None, :] == np.arange(1, self.months + 1)[:, None]
        found: Counts = np.einsum("td,...ds->...ts", last.astype(np.float64), cells[..., 1, :])
        return found

    def by_status(self, all_: Counts, after: Counts) -> Counts:
        """Give months by status: (statuses, months, strata), of which none is counted twice.

        Args:
            all_: shape (months, strata), over all residents.
            after: shape (lags, months, strata), over those with a measure.
        """
        found = np.zeros((self.statuses, *all_.shape))
        for status in range(1, self.statuses):
            found[status] = np.einsum("kt,kts->ts", (self.status == status) * 1.0, after)
        found[WITHOUT] = all_ - found[1:].sum(axis=0)
        return found

    def noisy_cells(self, all_: Counts, after: Counts) -> Counts:
        """Give how many noisy cells `by_status` adds up, from how many each month does."""
        found = self.by_status(all_, after)
        found[WITHOUT] = all_ + found[1:].sum(axis=0)
        return found


def exposure(asked: Hazard, everybody: NoisyTable, measured: NoisyTable) -> Exposure:
    """Give the cells of a question's tables, `<name>/all` and `<name>/after`."""
    middles = everybody.axes[0].middles
    lags = len(measured.axes[0].labels)
    strata = everybody.axes[2:]
    width = math.prod(axis.width for axis in strata)
    shape = (len(middles), 2, width)
    durations = np.asarray(middles).astype(np.int64)
    # A duration that is missing or has no record is nobody's month at risk.
    total = everybody.counts[: len(middles)].reshape(shape)
    after = measured.counts[:, : len(middles)].reshape(lags, *shape)
    return Exposure(
        total=total,
        after=after,
        durations=durations,
        status=_status(asked, lags=lags, months=int(durations[-1])),
        bands=_bands(asked),
        strata=strata,
        variance=everybody.variance,
    )


def _status(asked: Hazard, *, lags: int, months: int) -> Places:
    lag, month = np.arange(lags)[:, None], np.arange(1, months + 1)[None, :]
    band = 1 + np.searchsorted(np.asarray(asked.bands), lag + 1, side="left")
    found = np.where(month > lag, band, WITHOUT)
    return np.where(month > lag + asked.window, len(asked.bands) + 2, found)


def _bands(asked: Hazard) -> tuple[str, ...]:
    path = (0, *asked.bands)
    names = [f"measure begun in months {a + 1} to {b}" for a, b in itertools.pairwise(path)]
    return (*names, f"measure begun in month {asked.bands[-1] + 1} or later")
