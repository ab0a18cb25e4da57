"""`python -m coordinator` is `datalabbet-coordinator`."""

from coordinator.cli import main

if __name__ == "__main__":
    main()
