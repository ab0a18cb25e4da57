"""`python -m coordinator.client` is the command `datalabbet`."""

from coordinator.client.cli import main

main()
