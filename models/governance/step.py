"""The name of one piece of work, under which it is charged once and answered once."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from models.schema import STRICT

Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
RunId = Annotated[int, Field(strict=True, ge=2, lt=2**63)]

LINKED = "linked"
"""The one charged step of a run of a linked study."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepKey:
    """Study (hash), run, step (`histogram`, `train/3`, `evaluate`, `linked`) and attempt.

    Execution is at least once: a repeated key gets the answer that was given, and no new charge.
    """

    __pydantic_config__ = STRICT

    study: Hex64
    run: RunId
    step: Annotated[str, Field(pattern=r"^(train/[1-9][0-9]{0,3}|histogram|evaluate|linked)$")]
    attempt: Annotated[int, Field(strict=True, ge=1, le=1000)] = 1

    def __str__(self) -> str:
        """Give `study/run/step/attempt`, with the study's hash shortened."""
        return f"{self.study[:12]}/{self.run}/{self.step}/{self.attempt}"
