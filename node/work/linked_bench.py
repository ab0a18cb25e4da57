"""What a department does with its records in a linked study: sealed random parts alone leave."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from models.errors import RefusedError
from models.governance.linked import LinkedStudy
from models.governance.release import Release
from models.linkage import plan as plans
from models.replicated.holder import Holder
from models.replicated.mixing import SpineKey
from node.datasets import Dataset
from node.vault.register import Register, register
from node.work.spine import _Coded, _coded, _Spine


class LinkedBench:
    """The register, and one study's records on it, at one department.

    Formal guarantee: what leaves of records is a share that is uniform to whoever holds at most
    one other share of it (`models.replicated`). The tables that all shares together give, with
    the noise of the servers, cost a unit no more than the releases' `cost`, all departments, all
    chunks and totals of a run taken together (`models.linkage.plan`). `spine` reads the register
    alone, and who is in it is public there; records are opened by `share` and `totals`, and
    whether the cost may be paid was decided before.
    """

    def __init__(
        self,
        *,
        study: LinkedStudy,
        department: str,
        residents: Dataset,
        datasets: Callable[[], Mapping[str, Dataset]],
    ) -> None:
        """Keep what is to be read.

        Args:
            study: that is run.
            department: whose records they are.
            residents: the register.
            datasets: gives the department's datasets of the study by name, as they are declared
                when their records are opened.
        """
        self._study = study
        self._department = department
        self._residents = residents
        self._datasets = datasets
        self._cost = plans.cost(study)
        self._register: Register | None = None
        self._spine: _Spine | None = None
        self._coded: _Coded | None = None

    def close(self) -> None:
        """Forget what was read. The bench cannot be used afterwards."""
        self._register = self._spine = self._coded = None

    def spine(self, *, key: SpineKey) -> Release:
        """Read the register and order it.

        Gives `residents` (how many; one number) and `digest` (32 octets of the snapshot's keyed
        hash, as far as the study uses it).

        Raises:
            DataContractError: the register cannot be read as it must be.
        """
        self._register = register(self._residents)
        self._spine = _Spine.of(self._study, self._register, key=key)
        digest = np.frombuffer(bytes.fromhex(self._spine.digest), dtype=np.uint8)
        residents = np.array(len(self._spine.order), dtype=np.int64)
        return Release(values={"residents": residents, "digest": digest}, cost=self._cost)

    def share(self, *, holder: Holder, chunk: int) -> Release:
        """Give `body`: the octets of a chunk's share 2, sealed.

        Raises:
            DataContractError: records cannot be read as declared, or a resident has two.
            AccountingError: the columns could move a table further than the study's noise covers.
            RefusedError: there is no such chunk, or no spine yet.
        """
        columns = self._prepared().columns(
            plans.plan(self._study).layout, department=self._department, rows=holder.rows(chunk)
        )
        return self._release(holder.body(chunk, columns))

    def totals(self, *, holder: Holder) -> Release:
        """Give `body`: the octets of the share 2 of how many residents are left out, sealed.

        Raises: as `share`.
        """
        found = self._prepared()
        body = holder.totals(unlinked=found.unlinked, protected=found.protected)
        return self._release(body)

    def _prepared(self) -> _Coded:
        """Give the records on the spine; they are read once."""
        if self._coded is None:
            if self._spine is None or self._register is None:
                raise RefusedError("records are put on a spine, and there is none yet")
            self._coded = _coded(
                self._study,
                department=self._department,
                datasets=self._datasets(),
                register=self._register,
                spine=self._spine,
            )
            self._register = None  # ids are not needed any more
        return self._coded

    def _release(self, body: bytes) -> Release:
        values: dict[str, npt.NDArray[np.generic]] = {"body": np.frombuffer(body, dtype=np.uint8)}
        return Release(values=values, cost=self._cost)
