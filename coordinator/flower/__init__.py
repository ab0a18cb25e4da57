"""Flower at the coordinator: its strategies over the nodes' open streams.

Nothing of Flower that calls home may do so. Flower reads these settings when it is first
imported, and this package is imported before any module of it.
"""

import os

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"  # noqa: TID251 - a setting of Flower's, not of ours
os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"  # noqa: TID251 - likewise
