"""The mathematics: frozen values and pure functions, with no I/O of their own."""
