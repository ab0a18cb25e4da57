"""The composition of a node: what opens records, and the running node.

Importing this module takes a second, and running the node imports flwr, torch and opacus on
top: commands import it only when they need it.
"""

import signal
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from models.errors import DataContractError
from models.randomness import SystemEntropy
from node import telemetry
from node.check_report import CheckReport
from node.config import now, version
from node.datasets import Dataset
from node.home import Home
from node.linkage_report import LinkageReport
from node.rules import open_rules
from node.sources import Stored
from node.vault import contract, quality
from node.vault.describe import describe
from node.vault.linking import Linker, Way


def check_data(dataset: Dataset, *, limit: int = 1000) -> CheckReport:
    """Hold a dataset's records against its declaration; see `node.vault.contract.check`."""
    return contract.check(dataset, limit=limit)


WAYS = {way.name.lower(): way.value for way in Way}
"""What the ways are called for people, in which rows are led to residents, or are not."""


def linkage(
    datasets: Iterable[Dataset],
) -> Iterator[tuple[Dataset, LinkageReport | DataContractError]]:
    """Link the datasets of a folder to its register; give each with its report, or what failed."""
    linker = Linker()
    for dataset in datasets:
        try:
            yield dataset, quality.report(dataset, linker)
        except DataContractError as error:
            yield dataset, error


def draft(source: Stored, *, name: str, folder: Path) -> str:
    """Give a draft declaration of a source; see `node.vault.describe`."""
    return describe(source, name=name, folder=folder)


def run(home: Home, *, witness: bool = False) -> None:
    """Run the node, as a department's or as a witness's, until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: not enrolled, or it runs already.
    """
    telemetry.setup(home.settings.log_level)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    rules = open_rules(home)
    from node.runs import Role  # noqa: PLC0415 - flwr and the accountant: seconds
    from node.service import Node  # noqa: PLC0415

    node = Node(
        rules=rules,
        address=home.settings.coordinator,
        software=version(),
        now=now,
        entropy=SystemEntropy(),
        role=Role.WITNESS if witness else Role.DEPARTMENT,
    )
    try:
        node.run(stop)
    finally:
        rules.close()
