"""What a run goes on from: parameters, the strategy's state, and who answered which round."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from models.errors import StorageError

Arrays = Mapping[str, npt.NDArray[np.generic]]

_ANSWERED = "answered"
_ATTEMPTS = "attempts"
_PARAMETERS = "parameters/"
_STATE = "state/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A run after a completed round.

    Attributes:
        parameters: what the next round starts from.
        state: what the strategy carries.
        rounds: per completed round, the departments that answered.
        attempts: per completed sum, the attempt that gave it; empty without secure sums.
    """

    parameters: Arrays
    state: Arrays
    rounds: tuple[tuple[str, ...], ...]
    attempts: tuple[int, ...] = ()


def encode(checkpoint: Checkpoint, *, departments: tuple[str, ...]) -> bytes:
    """Give the bytes (safetensors) of a checkpoint of a run over `departments`."""
    answered = [[name in those for name in departments] for those in checkpoint.rounds]
    tensors: dict[str, npt.NDArray[np.generic]] = {}
    tensors[_ANSWERED] = np.array(answered, dtype=np.bool_).reshape(-1, len(departments))
    if checkpoint.attempts:
        tensors[_ATTEMPTS] = np.array(checkpoint.attempts, dtype=np.int32)
    tensors |= {_PARAMETERS + name: _whole(a) for name, a in checkpoint.parameters.items()}
    tensors |= {_STATE + name: _whole(a) for name, a in checkpoint.state.items()}
    return bytes(save(tensors))


def _whole(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    return np.ascontiguousarray(array).reshape(array.shape)  # the former makes 0-d arrays 1-d


def decode(content: bytes, *, departments: tuple[str, ...], round_number: int) -> Checkpoint:
    """Give the checkpoint in bytes that `encode` gave, after `round_number`.

    Raises:
        StorageError: they are something else.
    """
    try:
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError):
        raise StorageError("a checkpoint cannot be read", hint=_HINT) from None
    answered = tensors.get(_ANSWERED)
    if answered is None or answered.shape != (round_number, len(departments)):
        raise StorageError("a checkpoint does not belong to its run", hint=_HINT)
    return Checkpoint(
        parameters=_part(tensors, _PARAMETERS),
        state=_part(tensors, _STATE),
        rounds=tuple(
            tuple(name for name, here in zip(departments, row, strict=True) if here)
            for row in answered
        ),
        attempts=tuple(int(attempt) for attempt in tensors.get(_ATTEMPTS, ())),
    )


_HINT = "Restore the coordinator's database from a backup, or stop the run and start it anew."


def _part(tensors: Arrays, prefix: str) -> dict[str, npt.NDArray[np.generic]]:
    return {
        name.removeprefix(prefix): array
        for name, array in tensors.items()
        if name.startswith(prefix)
    }
