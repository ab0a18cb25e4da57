"""Release: what a finished run gives to analysts and to the public."""

from coordinator.release.bundle import ReleaseBundle, build

__all__ = ["ReleaseBundle", "build"]
