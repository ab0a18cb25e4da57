"""Counting how well a dataset is linked to the register, for the department's own steward."""

from collections.abc import Mapping

import numpy as np

from models.errors import DataContractError
from node.datasets import Dataset
from node.linkage_report import ColumnLinkage, LinkageReport
from node.vault.linking import Found, Linker, Way
from node.vault.register import Register
from node.vault.survey import Ids


def report(dataset: Dataset, linker: Linker) -> LinkageReport:
    """Link a dataset and count what became of its ids.

    Raises:
        DataContractError: the folder has no register, or it or the dataset cannot be read.
    """
    if dataset.residents is None:
        raise DataContractError(
            f"{dataset.file}: there is no other dataset in its folder that is a register",
            hint="Declare the population list with `register: {date: YYYY-MM-DD}`.",
        )
    links, register = linker.links(dataset), linker.register(dataset)
    return LinkageReport(
        dataset=dataset.declaration.name,
        register=f"{dataset.residents.declaration.name} of {register.date}",
        register_residents=len(register.ids),
        columns=tuple(
            _column(name, ids, links.found[name], register)
            for name, ids in links.survey.ids.items()
        ),
    )


def _column(name: str, ids: Ids, found: Mapping[int, Found], register: Register) -> ColumnLinkage:
    size = len(found)
    rows = np.bincount(ids.codes[ids.codes >= 0], minlength=size)
    everyone = [found[code] for code in range(size)]
    places = np.array([one.place for one in everyone], dtype=np.int64)
    linked = places >= 0
    protected = register.protected
    doubts = np.array([1 - one.probability for one in everyone])
    return ColumnLinkage(
        column=name,
        rows=len(ids.codes),
        ways={
            way.name.lower(): int(rows[[one.way is way for one in everyone]].sum()) for way in Way
        },
        empty=int((ids.codes < 0).sum()),
        residents=len(np.unique(places[linked])),
        protected=None if protected is None else int(rows[linked][protected[places[linked]]].sum()),
        doubt=float((rows * doubts)[linked].sum()),
    )
