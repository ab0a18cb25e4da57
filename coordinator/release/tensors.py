"""The released parameters as a safetensors file, the same bytes every time."""

import json
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

_LENGTH = 8  # bytes before the header, which say how long it is; also its alignment


def encode(parameters: Mapping[str, npt.NDArray[np.float32]], *, notes: Mapping[str, str]) -> bytes:
    """Give the file. The library writes the notes in an arbitrary order; here they are sorted."""
    content = save({k: np.ascontiguousarray(v) for k, v in parameters.items()}, dict(notes))
    end = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
    header = json.loads(content[_LENGTH:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _LENGTH)
    return len(text).to_bytes(_LENGTH, "little") + text + content[end:]
