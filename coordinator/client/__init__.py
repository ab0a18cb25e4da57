"""The analyst's and the central team's side: SDK and the command `datalabbet`.

    from coordinator.client import Datalabbet, ReleasedClassifier

Needs only the base installation: no torch, no Flower, no database.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coordinator.client.api import Datalabbet
    from coordinator.client.estimator import ReleasedClassifier

__all__ = ["Datalabbet", "ReleasedClassifier"]


def __getattr__(name: str) -> object:
    """Import on first use: predicting needs no gRPC, and the command no scikit-learn."""
    if name == "Datalabbet":
        from coordinator.client.api import Datalabbet  # noqa: PLC0415 - see above

        return Datalabbet
    if name == "ReleasedClassifier":
        from coordinator.client.estimator import ReleasedClassifier  # noqa: PLC0415 - see above

        return ReleasedClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
