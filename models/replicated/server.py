"""One of the three servers in one run: shares of columns in, its part of the tables out.

    server = Server(study, run=run, index=i, residents=n, held=held, pairs=pairs)
    turned = server.fold(chunk, bodies)     for chunk 1, 2, ...; server 0 needs no bodies
    server.cross(chunk, turned)             where `fold` gave something: what the server after sent
    part = server.open(bodies, entropy)     with the totals, once
    server.erase()

`turned` travels to the server before: from server 1 to the coordinator, from the coordinator to
server 2, and from server 2 to server 1, sealed, through the coordinator.

Formal guarantee: let one server do what it should and remember everything. What it holds and
receives (two shares of every column, the parts that the others send it, seeds) can be made up from
what is opened and its own noise alone, without the records: shares 0, 1 and 2 are independent in
pairs (`sharing`), what it receives has a share of zero in it that it cannot compute (`zero`), and
what is opened has the noise of the two others, which is the noise that the study is accounted with
(`models.linkage.plan`). The proof is that of Araki and others (2016), with keystreams for random
elements.

What is not guaranteed: two servers together have every record. A server that sends something else
than it should spoils the tables; in tables without derived groups its error does not depend on the
records, so it learns nothing by it. In tables with derived groups it can multiply rows by numbers
of its choice before the noise is added, and so read the third group's values of very many rows:
those need three servers that keep to the program, which is why the study binds its digest, and why
`models.linkage.layout` refuses servers there that know whose rows they are.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from models.errors import ProtocolViolationError, RefusedError
from models.governance.linked import LinkedStudy
from models.linkage.plan import SERVERS, TOTALS, Plan, plan
from models.privacy import sampler
from models.privacy.sampler import Integers
from models.randomness import Entropy
from models.replicated import products, sealing, sharing, tensors
from models.replicated.holder import rows_of
from models.replicated.products import Replicated
from models.replicated.seeds import Seed
from models.replicated.sharing import Bound, Held, Stretch
from models.replicated.zero import Pairs
from models.secagg import masks
from models.secagg.rings import Words

_TOTAL_BITS = 2


class Server:
    """The state of one server in one run: its sums so far, and the shares of one chunk.

    Args:
        study: that is run.
        run: its number.
        index: 0 for the coordinator, 1 and 2 for the members that the study names.
        residents: rows of the spine.
        held: what it holds of each department's shares.
        pairs: its seeds with the other servers.

    Raises:
        ProtocolViolationError: a department is missing, or is not of the study.
    """

    def __init__(
        self,
        study: LinkedStudy,
        *,
        run: int,
        index: int,
        residents: int,
        held: Mapping[str, Held],
        pairs: Pairs,
    ) -> None:
        self._departments, self._index = study.departments, index
        self._plan: Plan = plan(study)
        self._residents = residents
        self._bound = Bound.of(study, run=run)
        self._held, self._pairs = dict(held), pairs
        self._work = products.work(self._plan.layout, study.departments)
        self._named(held, what="the seeds")
        layout, ring = self._plan.layout, self._plan.ring
        self._cells = tensors.tensor(ring.zeros(layout.cells), shape=(1, layout.cells))[0]
        self._done = 0
        self._waiting: list[Replicated] = []
        self._part: torch.Tensor | None = None
        self._turned: bytes | None = None
        self._opened: tuple[bytes, bytes] | None = None
        self._erased = False

    @property
    def chunks(self) -> int:
        """Give how many chunks the spine has."""
        return self._plan.chunks(self._residents)

    @property
    def done(self) -> int:
        """Give the last chunk that was folded."""
        return self._done

    def fold(self, chunk: int, bodies: Mapping[str, bytes]) -> bytes | None:
        """Take a chunk in, and give what goes to the server before; None: nothing does.

        The last chunk may be asked for again: nothing is added twice, and the answer is the same.

        Args:
            chunk: from 1, in order.
            bodies: of each department, sealed; none at server 0.

        Raises:
            ProtocolViolationError: another chunk comes next; a body is missing, of another length,
                or does not open. The text names the department and the chunk; nothing was added.
            RefusedError: the shares were erased, or there is no such chunk.
        """
        self._alive()
        if chunk == self._done and chunk:
            return self._turned
        if self._part is not None or chunk != self._done + 1:
            after = "what its servers turned" if self._part is not None else f"{self._done + 1}"
            raise ProtocolViolationError(f"chunk {chunk} came, and the next is {after}")
        rows = rows_of(chunk, rows=self._plan.rows, residents=self._residents)
        self._named(bodies if self._index else self._held, what=f"chunk {chunk}")
        count = rows.stop - rows.start
        found = [self._shares(name, chunk, count, bodies.get(name)) for name in self._departments]
        products.add(self._cells, self._work.early, found)
        products.add_sums(self._cells, self._work.sums, found)
        self._done, self._turned = chunk, None
        if self._work.crossed:
            self._turned = self._turn(chunk, found)
        return self._turned

    def cross(self, chunk: int, turned: bytes) -> None:
        """Take what the server after sent for a chunk's derived columns, and add their tables.

        The last chunk's may come again: nothing is added twice.

        Raises:
            ProtocolViolationError: the study has no derived columns, the chunk is another than the
                last that was folded, or what came is of another length or does not open.
            RefusedError: the shares were erased.
        """
        self._alive()
        if not self._work.crossed or chunk != self._done or not chunk:
            raise ProtocolViolationError(f"nothing is to be turned for chunk {chunk}")
        if self._part is None:
            return
        shape = (self._part.shape[0], self._work.crossed)
        after = tensors.tensor(self._received(chunk, turned), shape=shape)
        matrices = [*self._waiting, Replicated(own=self._part, after=after)]
        products.add(self._cells, self._work.late, matrices)
        products.add_sums(self._cells, self._work.late_sums, matrices)
        self._waiting, self._part = [], None

    def open(self, bodies: Mapping[str, bytes], entropy: Entropy) -> bytes:
        """Give this server's part of all cells and totals, with its noise, as ring elements.

        Once: asked again with the same bodies, it gives the same bytes.

        Args:
            bodies: of each department's totals, sealed; none at server 0.
            entropy: for the noise.

        Raises:
            ProtocolViolationError: chunks are missing, or a body is, or does not open.
            RefusedError: it was opened with other bodies, or the shares were erased.
        """
        self._alive()
        asked = b"".join(bodies.get(name, b"") for name in self._departments)
        if self._opened is not None:
            if self._opened[0] != asked:
                raise RefusedError("this run was opened before, with other totals")
            return self._opened[1]
        if self._done != self.chunks or self._part is not None:
            raise ProtocolViolationError(
                f"only {self._done} of {self.chunks} chunks have come: nothing can be opened yet"
            )
        self._named(bodies if self._index else self._held, what="the totals")
        noise, ring = self._plan.noise, self._plan.ring
        words = ring.zeros(noise.length)
        cells = self._plan.layout.cells
        words[:cells] = tensors.words(self._cells) << noise.bits
        shift = noise.bits - _TOTAL_BITS
        for at, name in enumerate(self._departments):
            start = cells + at * TOTALS
            words[start : start + TOTALS] = self._totals(name, bodies.get(name)) << shift
        if noise.scale:
            words += ring.encode(
                sampler.discrete_gaussian(scale=noise.scale, size=noise.length, entropy=entropy)
            )
        masks.apply(words, self._pairs.opening(self._index, ring=ring))
        self._opened = asked, ring.write(words)
        return self._opened[1]

    def erase(self) -> int:
        """Forget all shares, seeds and sums; give how many chunks there were."""
        self._erased = True
        self._held.clear()
        self._cells.zero_()
        self._waiting, self._part, self._turned, self._opened = [], None, None, None
        self._pairs = Pairs(after=Seed(bytes(32)), before=Seed(bytes(32)))
        return self._done

    def _shares(self, name: str, chunk: int, rows: int, body: bytes | None) -> Replicated:
        columns = self._plan.layout.columns(name)
        stretch = self._stretch(sharing.SHARE, name, chunk, size=rows * columns)
        held, indices = self._held[name], (self._index, (self._index + 1) % SERVERS)
        own, after = (held.share(index, stretch, body=body, bound=self._bound) for index in indices)
        shape = (rows, columns)
        return Replicated(
            own=tensors.tensor(own, shape=shape), after=tensors.tensor(after, shape=shape)
        )

    def _totals(self, name: str, body: bytes | None) -> Words:
        stretch = self._stretch(sharing.TOTALS, name, self.chunks + 1, size=TOTALS)
        return self._held[name].share(self._index, stretch, body=body, bound=self._bound)

    def _stretch(self, kind: str, name: str, chunk: int, *, size: int) -> Stretch:
        ring = self._plan.ring
        return Stretch(kind=kind, department=name, chunk=chunk, ring=ring, size=size)

    def _turn(self, chunk: int, found: list[Replicated]) -> bytes:
        """Make this server's share of the derived columns, and give it for the server before."""
        ring = self._plan.ring
        part = products.crossed(self._plan.layout.derived, self._work.places, found)
        words = tensors.words(part)
        masks.apply(words, self._pairs.share(chunk=chunk, ring=ring))
        self._waiting, self._part = (
            found,
            tensors.tensor(words, shape=(part.shape[0], part.shape[1])),
        )
        if self._index != SERVERS - 1:
            return ring.write(words)
        return sealing.seal(self._turned_key, nonce=chunk, aad=b"", data=words.data.cast("B"))

    def _received(self, chunk: int, turned: bytes) -> Words:
        """Give share i + 1 of the derived columns, which the server after computed."""
        assert self._part is not None  # noqa: S101 - asked by the caller
        ring, size = self._plan.ring, self._part.numel()
        sealed = self._index == 1
        if len(turned) != size * ring.octets + (sealing.TAG if sealed else 0):
            raise ProtocolViolationError(f"what was turned for chunk {chunk} has another length")
        if not sealed:
            return np.frombuffer(bytearray(turned), dtype=ring.dtype)
        octets = sealing.open_(self._turned_key, nonce=chunk, aad=b"", data=turned)
        return np.frombuffer(octets, dtype=ring.dtype)

    @property
    def _turned_key(self) -> bytes:
        if self._pairs.turned is None:
            raise ProtocolViolationError("this server has no key with the other member")
        return self._pairs.turned

    def _named(self, found: Mapping[str, object], *, what: str) -> None:
        missing = sorted(set(self._departments) - set(found))
        if missing:
            raise ProtocolViolationError(f"{what} of {', '.join(missing)} has not come")
        if len(found) > len(self._departments):
            raise ProtocolViolationError(f"{what} came of a department that is not of the study")

    def _alive(self) -> None:
        if self._erased:
            raise RefusedError("the shares of this run were erased")


def units(study: LinkedStudy, parts: Sequence[bytes]) -> Integers:
    """Give the opened vector: the sum of the three servers' parts, as signed integers.

    Raises:
        ProtocolViolationError: a part is missing, or of another length.
    """
    agreed = plan(study)
    if len(parts) != SERVERS:
        raise ProtocolViolationError("the opened vector is the sum of three servers' parts")
    total = agreed.ring.zeros(agreed.noise.length)
    for part in parts:
        total += agreed.ring.read(part, length=agreed.noise.length)
    return agreed.ring.decode(total)
