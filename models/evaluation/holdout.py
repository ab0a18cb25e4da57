"""Which residents a study sets aside for evaluation: the same ones in every department."""

import hashlib
import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from models.quantities import Share


def held_out(residents: Iterable[str], *, study: str, share: Share) -> npt.NDArray[np.bool_]:
    """Tell of each resident id whether it is set aside.

    Formal guarantee: the answer for an id depends on the id, the study's hash (64 hex digits)
    and the share alone, so training and evaluation use different residents, in all departments
    together, and adding a resident moves nobody else to the other side.
    """
    key = bytes.fromhex(study)
    digests = b"".join(
        hashlib.blake2b(
            resident.encode(), key=key, digest_size=8, person=b"datalabbet/hold1"
        ).digest()
        for resident in residents
    )
    threshold = np.uint64(math.floor(math.ldexp(share.value, 64)))
    return np.frombuffer(digests, dtype=">u8").astype(np.uint64) < threshold
