"""Run the node's command as `python -m node`."""

from node.cli import main

main()
