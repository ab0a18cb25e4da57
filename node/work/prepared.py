"""One study's records, encoded once into a private file and grouped by resident.

Nothing here is a release, so nothing here has a public name: `node.work.workbench` alone uses
it. The file has no name from the moment it is open, so that a crash leaves no records behind.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.errors import ConfigurationError
from models.evaluation.holdout import held_out
from models.families.chunks import Chunk, pieces
from models.families.encoding import Encoder
from models.governance.study import Study
from models.randomness import Entropy
from node.datasets import Dataset
from node.vault.records import Batch, records

_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Side:
    """Some of the residents: the rows of resident i are `rows[starts[i] : starts[i + 1]]`."""

    rows: _Ints
    starts: _Ints

    @property
    def residents(self) -> int:
        return len(self.starts) - 1


class _Prepared:
    """The encoded rows of one study; the sides `training` and `holdout` share no resident."""

    def __init__(self, *, study: Study, dataset: Dataset, scratch: Path, entropy: Entropy) -> None:
        """Read the vault once, batch by batch.

        Raises:
            DataContractError: the records cannot be read as declared, or none is usable.
            ConfigurationError: the scratch folder cannot be written to, or is full.
        """
        self._study = study
        self._encoder = Encoder.of(study.inputs, bins=study.model.bins)
        self._folder = scratch
        self._file = self._nameless(entropy)
        try:
            owners, outcomes, ids = self._read(dataset)
        except BaseException:  # an interrupt too: encoded records must not stay
            self._file.close()
            raise
        shape = (len(owners), self._encoder.width)
        self._inputs = np.memmap(self._file, dtype=np.float32, mode="r", shape=shape)
        self._outcomes = outcomes
        aside = held_out(ids, study=study.digest(), share=study.privacy.holdout)
        self.training = _side(owners, members=~aside)
        self.holdout = _side(owners, members=aside)

    def close(self) -> None:
        """Give the file up; the records are gone."""
        if not self._file.closed:
            del self._inputs
            self._file.close()

    def chunks(self, side: _Side, *, chosen: _Ints, width: int) -> Iterator[Chunk]:
        """Give the rows of the chosen residents (rising indices) for work of that width."""
        lengths = side.starts[chosen + 1] - side.starts[chosen]
        owners = np.repeat(np.arange(len(chosen)), lengths)
        before = np.cumsum(lengths) - lengths
        places = np.repeat(side.starts[chosen] - before, lengths) + np.arange(len(owners))
        for piece, complete in pieces(owners, width=width):
            rows = side.rows[places[piece]]
            yield Chunk(
                inputs=self._inputs[rows],
                outcomes=self._outcomes[rows].astype(np.int64),
                owners=owners[piece] - owners[piece.start],
                shares=1.0 / lengths[owners[piece]],
                complete=complete,
            )

    def _read(self, dataset: Dataset) -> tuple[_Ints, npt.NDArray[np.int16], list[str]]:
        """Write the inputs to the file; give owners and outcomes per row, and the ids."""
        known: dict[str, int] = {}
        owners, outcomes = [], []
        for batch in records(dataset, columns=self._study.columns):
            self._write(self._encoder.encode(batch.columns))
            owners.append(_owners(batch, known))
            outcomes.append(batch.columns[self._study.outcome].astype(np.int16))
        return np.concatenate(owners), np.concatenate(outcomes), list(known)

    def _nameless(self, entropy: Entropy) -> FileIO:
        """Open a file that only this process can reach."""
        path = self._folder / f"{entropy.token(16).hex()}.rows"
        with self._told():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            file = FileIO(descriptor, "r+")
            path.unlink()
        return file

    def _write(self, inputs: npt.NDArray[np.float32]) -> None:
        data = memoryview(inputs.tobytes())
        with self._told():
            while data:
                data = data[self._file.write(data) :]

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigurationError(
                f"{self._folder}: the encoded records cannot be written ({error.strerror})",
                hint="The folder needs write permission and room for the encoded records.",
            ) from None


def _owners(batch: Batch, known: dict[str, int]) -> _Ints:
    """Give a number for the resident of each row; new residents become `known`."""
    codes = [known.setdefault(resident, len(known)) for resident in batch.residents]
    return np.array(codes, dtype=np.int64)


def _side(owners: _Ints, *, members: npt.NDArray[np.bool_]) -> _Side:
    counts = np.bincount(owners, minlength=len(members))
    order = np.argsort(owners, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts[members])])
    return _Side(rows=order[members[owners[order]]], starts=starts)
