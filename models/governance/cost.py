"""What a release costs a resident: recorded events, not just an epsilon.

Evolution law: an event class is never removed and never changes its meaning; new fields are
optional; a new mechanism is a new class. Whoever meets an unknown event refuses.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Discriminator, Field

from models.quantities import NoiseMultiplier, SamplingRate
from models.schema import STRICT

Count = Annotated[int, Field(strict=True, ge=1, le=10_000_000)]
Departments = Annotated[int, Field(strict=True, ge=1, le=1000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianEvent:
    """One sum over residents with (discrete) Gaussian noise of `noise` times its sensitivity."""

    __pydantic_config__ = STRICT

    kind: Literal["gaussian"] = "gaussian"
    noise: NoiseMultiplier


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledGaussianEvent:
    """`count` such sums, each over its own Poisson sample of the residents."""

    __pydantic_config__ = STRICT

    kind: Literal["sampled-gaussian"] = "sampled-gaussian"
    sampling: SamplingRate
    noise: NoiseMultiplier
    count: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class JointGaussianEvent:
    """`count` sums over a whole cohort under one Gaussian noise, which its departments share.

    It counts a resident with all of up to `departments` departments: whoever composes over
    departments takes it once, and never once for each of them.

    Attributes:
        sampling: each department's Poisson rate, drawn independently; 1: everybody is in.
        noise: relative to what ONE department can add for a resident.
        departments: the most departments of the cohort that one resident can be in.
    """

    __pydantic_config__ = STRICT

    kind: Literal["joint-gaussian"] = "joint-gaussian"
    sampling: SamplingRate
    noise: NoiseMultiplier
    departments: Departments
    count: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class NonPrivateEvent:
    """A release without noise, allowed for data that its steward declared public: ε = ∞."""

    __pydantic_config__ = STRICT

    kind: Literal["non-private"] = "non-private"


Event = Annotated[
    GaussianEvent | SampledGaussianEvent | JointGaussianEvent | NonPrivateEvent,
    Discriminator("kind"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyCost:
    """Everything one release costs a resident: its events, composed one after the other."""

    __pydantic_config__ = STRICT

    events: Annotated[tuple[Event, ...], Field(min_length=1, max_length=1000)]

    def __add__(self, other: "PrivacyCost") -> "PrivacyCost":
        """Give the cost of both, composed."""
        return PrivacyCost(events=self.events + other.events)
