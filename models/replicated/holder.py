"""A department's side of a run: its columns in, sealed bodies out.

    holder = Holder(study, run=run, department=name, residents=n, entropy=entropy)
    holder.seeds_document(box_keys)        for the coordinator, and in boxes for servers 1 and 2
    holder.body(chunk, columns)            for chunk 1, 2, ..., holder.chunks
    holder.totals(unlinked, protected)     as chunk `holder.chunks` + 1

Formal guarantee: a chunk that is asked for again gives the same bytes, and only for the same
columns, so that no keystream and no nonce is ever used for two different things; rows that are not
zeros and ones, or have two ones in a group, are refused before they are shared. That of a household
no more residents count than the study says is the work of `node.work.spine`.
"""

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from models.errors import AccountingError, RefusedError
from models.governance.linked import LinkedStudy
from models.linkage.groups import Group
from models.linkage.plan import TOTALS, plan
from models.randomness import Entropy
from models.replicated import sealing, sharing
from models.replicated.messages import Seeds
from models.replicated.sealing import ContentKey
from models.replicated.seeds import Seed
from models.replicated.sharing import Bound, Stretch
from models.secagg.rings import Words

Columns = npt.NDArray[np.uint8]
"""Zeros and ones, shape (rows of the chunk, `Layout.columns(department)`): the department's groups
side by side, in the order of `Layout.owned`."""


class Holder:
    """The seeds and the content key of one department in one run.

    Args:
        study: that is run.
        run: its number.
        department: whose columns they are.
        residents: rows of the spine.
        entropy: for seeds and key.
    """

    def __init__(
        self,
        study: LinkedStudy,
        *,
        run: int,
        department: str,
        residents: int,
        entropy: Entropy,
    ) -> None:
        self._study, self._department = study, department
        self._plan = plan(study)
        self._residents = residents
        self._bound = Bound.of(study, run=run)
        self._seeds = (Seed.fresh(entropy), Seed.fresh(entropy))
        self._content = ContentKey.fresh(entropy)
        self._sent: dict[int, bytes] = {}
        self._erased = False
        layout = self._plan.layout
        self._groups = [layout.groups[place] for place in layout.owned(department)]

    @property
    def chunks(self) -> int:
        """Give how many chunks the spine has."""
        return self._plan.chunks(self._residents)

    def rows(self, chunk: int) -> slice:
        """Give which rows of the spine a chunk is.

        Raises:
            RefusedError: the spine has no such chunk.
        """
        return rows_of(chunk, rows=self._plan.rows, residents=self._residents)

    def seeds_document(self, box_keys: Mapping[str, bytes]) -> Seeds:
        """Give the seeds: to the coordinator plain, to servers 1 and 2 in boxes.

        Args:
            box_keys: of the department's boxes for servers 1 and 2, by the server's name
                (`sealing.box_key` with the purpose `sealing.SEEDS`).
        """
        self._alive()
        zeroth, first = self._seeds
        one, two = self._study.committee.names
        data = {one: first.octets, two: zeroth.octets}
        boxes = (
            sealing.boxed(box_keys[one], data[one] + self._content.octets, to=one),
            sealing.boxed(box_keys[two], data[two] + self._content.octets, to=two),
        )
        return Seeds(first=zeroth.written(), second=first.written(), boxes=boxes)

    def body(self, chunk: int, columns: Columns) -> bytes:
        """Give share 2 of a chunk, sealed for servers 1 and 2.

        Raises:
            AccountingError: the columns are no zeros and ones of the chunk's shape, or a row has
                two ones in one group; or the chunk was shared with other columns before.
            RefusedError: there is no such chunk, or the keys were erased.
        """
        rows = self.rows(chunk)
        layout, ring = self._plan.layout, self._plan.ring
        shape = (rows.stop - rows.start, layout.columns(self._department))
        if columns.dtype != np.uint8 or columns.shape != shape:
            raise AccountingError(
                f"chunk {chunk} of {self._department} must be {shape[0]} rows of {shape[1]} "
                "columns of bytes"
            )
        self._check(columns)
        stretch = Stretch(
            kind=sharing.SHARE,
            department=self._department,
            chunk=chunk,
            ring=ring,
            size=columns.size,
        )
        return self._sealed(columns.astype(ring.dtype).reshape(-1), stretch)

    def totals(self, *, unlinked: int, protected: int) -> bytes:
        """Give share 2 of the two totals, sealed for servers 1 and 2.

        Args:
            unlinked: residents of the department's records who are not in the register.
            protected: residents or households with protected identity that were left out.
                Either is cut to the public bound `register.residents`.

        Raises:
            AccountingError: other totals were shared before.
            RefusedError: the keys were erased.
        """
        ring, most = self._plan.ring, self._study.register.residents
        values = np.clip(np.array([unlinked, protected], dtype=np.int64), 0, most)
        stretch = Stretch(
            kind=sharing.TOTALS,
            department=self._department,
            chunk=self.chunks + 1,
            ring=ring,
            size=TOTALS,
        )
        return self._sealed(ring.encode(values), stretch)

    def erase(self) -> None:
        """Forget the seeds and the key. Nothing is shared after that."""
        self._erased = True
        self._seeds = (Seed(bytes(32)), Seed(bytes(32)))
        self._content = ContentKey(bytes(32))
        self._sent.clear()

    def _sealed(self, values: Words, stretch: Stretch) -> bytes:
        self._alive()
        found = hashlib.sha256(values.data).digest()
        if self._sent.setdefault(stretch.chunk, found) != found:
            raise AccountingError(
                f"chunk {stretch.chunk} of {self._department} was shared with other columns before"
            )
        return sharing.body(
            values, stretch, first=self._seeds, content=self._content, bound=self._bound
        )

    def _alive(self) -> None:
        if self._erased:
            raise RefusedError(f"the keys of {self._department} for this run were erased")

    def _check(self, columns: Columns) -> None:
        """Refuse what is no 0 or 1, and a row with two ones in one group or variable."""
        if columns.size and columns.max() > 1:
            raise AccountingError(f"the columns of {self._department} are not all zeros and ones")
        named = list(_single(self._groups))
        starts = np.cumsum([0, *(width for _, width in named)])[:-1]
        if not columns.size:
            return
        most = np.add.reduceat(columns, starts, axis=1, dtype=np.uint16).max(axis=0)
        for (name, _), found in zip(named, most, strict=True):
            if found > 1:
                raise AccountingError(
                    f"a row of {self._department} has two categories of {name} at once"
                )


def rows_of(chunk: int, *, rows: int, residents: int) -> slice:
    """Give which rows of the spine a chunk of `rows` residents is; the last may be shorter.

    Raises:
        RefusedError: the spine has no such chunk.
    """
    start = (chunk - 1) * rows
    if not 0 <= start < residents:
        raise RefusedError(f"the spine of {residents} residents has no chunk {chunk}")
    return slice(start, min(start + rows, residents))


def _single(groups: list[Group]) -> Iterator[tuple[str, int]]:
    """Give the stretches of columns of which a row has at most one 1: names and width."""
    for group in groups:
        if group.stacked:
            yield from ((axis.variable, axis.width) for axis in group.axes)
        else:
            yield " and ".join(axis.variable for axis in group.axes), group.width
