"""How much a resident of a population may pay in all: the department's own limits."""

from dataclasses import dataclass

from models.quantities import Delta, Epsilon

SMALLEST_DELTA = 1e-9
"""The smallest δ at which charges over studies are added up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most ε, at `delta`, that all studies on one population may add up to.

    Attributes:
        per_year: charges of one calendar year (UTC).
        total: all charges ever.
    """

    per_year: Epsilon
    total: Epsilon
    delta: Delta


DEFAULT = Limits(per_year=Epsilon(8.0), total=Epsilon(16.0), delta=Delta(1e-6))
"""What holds unless the department's settings say otherwise (`docs/reference/ledger.md`)."""
