"""Numbers with a meaning and bounds: privacy quantities are never bare floats.

Each quantity is a frozen value that refuses non-finite and out-of-range numbers. In a
document (YAML, JSON) it is written as the plain number.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True, slots=True, order=True)
class Quantity:
    """A finite number above `minimum` (itself allowed if `closed`), at most `maximum`."""

    value: float

    minimum: ClassVar[float] = 0.0
    closed: ClassVar[bool] = False
    maximum: ClassVar[float] = math.inf

    def __post_init__(self) -> None:
        """Refuse what is not a number inside the bounds.

        Raises:
            ValueError: with a text that names the quantity and its bounds.
        """
        if isinstance(self.value, bool) or not isinstance(self.value, (int, float)):
            raise ValueError(f"{self.label()} must be a number")  # noqa: TRY004 - pydantic reads it
        try:
            value = float(self.value)
        except OverflowError:  # an integer beyond all floats
            value = math.inf
        low = value >= self.minimum if self.closed else value > self.minimum
        if not (math.isfinite(value) and low and value <= self.maximum):
            raise ValueError(f"{self.label()} must be {self.bounds()}")
        object.__setattr__(self, "value", value)

    @classmethod
    def label(cls) -> str:
        """Give the name used in messages."""
        return cls.__name__

    @classmethod
    def bounds(cls) -> str:
        """Give the allowed range in words."""
        text = f"{'at least' if cls.closed else 'above'} {cls.minimum:g}"
        return text if math.isinf(cls.maximum) else f"{text} and at most {cls.maximum:g}"

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Read the quantity from, and write it as, a plain number."""
        del source, handler

        def read(value: Any) -> Quantity:
            return value if isinstance(value, cls) else cls(value)

        return core_schema.no_info_plain_validator_function(
            read,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda quantity: quantity.value
            ),
        )


@dataclass(frozen=True, slots=True, order=True)
class Epsilon(Quantity):
    """The ε of (ε, δ)-differential privacy for one resident; at most 100."""

    maximum: ClassVar[float] = 100.0


@dataclass(frozen=True, slots=True, order=True)
class Delta(Quantity):
    """The δ of (ε, δ)-differential privacy: above 0, at most 0.001."""

    maximum: ClassVar[float] = 1e-3


@dataclass(frozen=True, slots=True, order=True)
class ClipNorm(Quantity):
    """The largest L2 norm of what one resident may add to a sum."""

    maximum: ClassVar[float] = 1e6


@dataclass(frozen=True, slots=True, order=True)
class NoiseMultiplier(Quantity):
    """Standard deviation of the noise divided by the L2 sensitivity of the sum."""


@dataclass(frozen=True, slots=True, order=True)
class NoiseVariance(Quantity):
    """Variance of the noise in one cell of a released sum; 0 where none was added."""

    closed: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, order=True)
class SamplingRate(Quantity):
    """The probability with which a resident is in one step's sample, independently."""

    maximum: ClassVar[float] = 1.0


@dataclass(frozen=True, slots=True, order=True)
class Share(Quantity):
    """A part of a whole: at least 0, at most 0.9."""

    closed: ClassVar[bool] = True
    maximum: ClassVar[float] = 0.9
