"""A checkpoint comes back as it was, and another run's does not come back at all."""

import numpy as np
import pytest

from coordinator.rounds.checkpoint import Checkpoint, decode, encode
from models.errors import StorageError

DEPARTMENTS = ("school", "care", "labour")
CHECKPOINT = Checkpoint(
    parameters={"0.weight": np.arange(6, dtype=np.float32).reshape(2, 3)},
    state={"m_t/0.weight": np.ones((2, 3), dtype=np.float64), "x": np.float32(2).reshape(())},
    rounds=(("school", "labour"), ("school", "care", "labour")),
)


def test_it_comes_back_bit_for_bit() -> None:
    found = decode(
        encode(CHECKPOINT, departments=DEPARTMENTS), departments=DEPARTMENTS, round_number=2
    )
    assert found.rounds == CHECKPOINT.rounds
    for kept, back in (
        (CHECKPOINT.parameters, found.parameters),
        (CHECKPOINT.state, found.state),
    ):
        assert set(kept) == set(back)
        for name, array in kept.items():
            assert back[name].dtype == array.dtype
            assert back[name].shape == array.shape
            assert back[name].tobytes() == array.tobytes()


def test_equal_checkpoints_have_equal_bytes() -> None:
    assert encode(CHECKPOINT, departments=DEPARTMENTS) == encode(
        CHECKPOINT, departments=DEPARTMENTS
    )


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff" * 64])
def test_other_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(StorageError):
        decode(content, departments=DEPARTMENTS, round_number=2)


def test_another_rounds_or_runs_checkpoint_is_refused() -> None:
    content = encode(CHECKPOINT, departments=DEPARTMENTS)
    with pytest.raises(StorageError):
        decode(content, departments=DEPARTMENTS, round_number=3)
    with pytest.raises(StorageError):
        decode(content, departments=(*DEPARTMENTS, "rescue"), round_number=2)
    with pytest.raises(StorageError):
        decode(content[:-1], departments=DEPARTMENTS, round_number=2)
