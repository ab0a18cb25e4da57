"""How patient runs are."""

from dataclasses import dataclass, fields

from models.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """The patience of every run of a coordinator.

    Attributes:
        grace_seconds: how long a department may be without a connection before a round goes on
            without it (if the minimum cohort stands) or the run says that it waits.
        join_seconds: the same for a department that is connected but has no stream for the run:
            it prepares its records first.
        round_timeout_seconds: how long a connected department may take for one step.
        retry_seconds: how long to wait before a department that failed is asked again, while
            the run cannot go on without it.
        storage_seconds: how long to wait before a database that failed is tried again.
        most_runs: how many runs may go on at once; each holds a stream per department.
    """

    grace_seconds: float = 10.0
    join_seconds: float = 600.0
    round_timeout_seconds: float = 3600.0
    retry_seconds: float = 30.0
    storage_seconds: float = 5.0
    most_runs: int = 10

    def __post_init__(self) -> None:
        """Refuse patience that is not a positive time."""
        for name in (item.name for item in fields(self) if item.name.endswith("_seconds")):
            if not 0 < getattr(self, name) < 1e7:  # noqa: PLR2004 - some months
                raise ConfigurationError(f"{name} must be above 0 and below 10,000,000")
        if not 1 <= self.most_runs <= 100:  # noqa: PLR2004 - the limit in fleet.proto
            raise ConfigurationError("most_runs must be from 1 to 100")
