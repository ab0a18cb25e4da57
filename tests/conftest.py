"""What every test may use. Plugins lie in `tests/support` (see `pythonpath` in pyproject.toml).

Hypothesis runs the same small set of examples every time; `--hypothesis-profile=nightly` looks
much further. No deadline: a slow machine is not a wrong answer.
"""

from hypothesis import settings

pytest_plugins = ["postgres"]

settings.register_profile(
    "default", deadline=None, derandomize=True, max_examples=60, database=None
)
settings.register_profile("nightly", deadline=None, max_examples=1000)
settings.load_profile("default")
