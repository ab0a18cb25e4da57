"""A city of many blocks takes the memory of one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

MEASURE = """
import re, sys
from pathlib import Path
from demo.city.delivery.delivery import Profile
from demo.city.generate import Order, generate

folder, residents, scale = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
order = Order(
    seed=1, residents=residents, profile=Profile(sys.argv[4]), scale=scale,
    out=folder / "city", truth=folder / "truth.json",
)
generate(order, tell=lambda text: None)
# Not ru_maxrss: it begins at the size of the process that started this one.
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def peak(folder: Path, *, residents: int, scale: int, profile: str = "dirty") -> int:
    """The most memory, in bytes, that making such a city took."""
    folder.mkdir()
    command = [sys.executable, "-c", MEASURE, str(folder), str(residents), str(scale), profile]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert re.fullmatch(r"\d+\n", done.stdout)
    return int(done.stdout) << 10


def test_more_blocks_take_no_more_memory(tmp_path: Path) -> None:
    one = peak(tmp_path / "one", residents=20_000, scale=1)
    six = peak(tmp_path / "six", residents=20_000, scale=6)
    assert six < one + (60 << 20)
    # The check can fail: six times the residents in one block do take more.
    assert peak(tmp_path / "large", residents=120_000, scale=1) > one + (60 << 20)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("profile", ["clean", "dirty"])
def test_forty_whole_cities_stay_below_two_gigabytes(tmp_path: Path, profile: str) -> None:
    assert peak(tmp_path / "forty", residents=150_000, scale=40, profile=profile) < 2 << 30
