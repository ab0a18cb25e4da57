"""What a run asks of a grid, whichever engine carries its messages."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import NoReturn

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.run import Run


class Exchange(Grid):
    """A grid for one run, whose answers are taken as they come."""

    @abstractmethod
    def take(self, message_ids: Iterable[str]) -> dict[str, Message | None]:
        """Give the answers that have come to these messages, each once; None: a garbled one."""

    @abstractmethod
    def forget(self, message_ids: Iterable[str]) -> None:
        """Await these messages no longer; answers that still come are dropped."""

    def set_run(self, run: Run) -> NoReturn:
        """Refuse: a grid serves the run that it was made for."""
        raise NotImplementedError("a grid serves one run")

    def create_message(  # noqa: PLR0917 - Flower's signature
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> NoReturn:
        """Refuse: deprecated by Flower; messages are made with `flwr.app.Message`."""
        raise NotImplementedError("make a flwr.app.Message")
