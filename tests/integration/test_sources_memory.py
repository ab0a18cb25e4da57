"""Data far larger than the memory allowed for it is streamed, from every source.

Each case runs in a process of its own and measures how much its peak memory grew between a
first small read, which loads what reading needs, and the whole read.
"""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from declared import HEADING, declare

ROWS = 300_000
ALLOWED = 48 << 20
"""Bytes; the files are larger, and as objects in memory the records are several times that."""

ID = "a-resident-id-of-two-hundred-characters" * 5

MEASURE = """
import re, sys
from pathlib import Path
from node.datasets import load
from node.vault.contract import check
from node.vault.records import records

def peak():
    # Not ru_maxrss: it begins at the size of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) * 1024

dataset = load(Path(sys.argv[1]))
columns = dataset.declaration.columns
stream = records(dataset, columns=columns, batch_rows=2048)
next(stream)
before = peak()
{work}
print(rows, peak() - before)
"""
STREAM = "rows = sum(len(b.rows) for b in records(dataset, columns=columns, batch_rows=2048))"
HOARD = "kept = list(records(dataset, columns=columns)); rows = sum(len(b.rows) for b in kept)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    block = "".join(
        f"{ID}{n:06},{n % 121},{n}.5,{('låg', 'mellan', 'hög')[n % 3]},true\n"
        for n in range(10_000)
    )
    with (folder / "data.csv").open("w", encoding="utf-8") as file:
        file.write(HEADING)
        for _ in range(ROWS // 10_000):
            file.write(block)
    return folder


def grown(dataset, work):
    """Give the rows read and the bytes by which the peak grew."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE.format(work=work), dataset.file],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    rows, growth = map(int, done.stdout.split())
    assert rows == ROWS
    return growth


def test_a_large_text_file(folder):
    dataset = declare(folder)
    assert (folder / "data.csv").stat().st_size > ALLOWED
    assert grown(dataset, STREAM) < ALLOWED


def test_a_check_streams_too(folder):
    dataset = declare(folder)
    assert grown(dataset, "rows = check(dataset).rows") < ALLOWED


def test_the_measure_sees_what_is_hoarded(folder):
    assert grown(declare(folder), HOARD) > ALLOWED


def test_a_large_parquet_file_in_one_row_group(folder):
    block = {
        "pnr": [f"{ID}{n:06}" for n in range(10_000)],
        "age": [n % 121 for n in range(10_000)],
        "income": [n + 0.5 for n in range(10_000)],
        "school": ["låg"] * 10_000,
        "moved": [True] * 10_000,
    }
    table = pa.concat_tables([pa.table(block)] * (ROWS // 10_000))
    path = folder / "data.parquet"
    pq.write_table(table, path, row_group_size=ROWS, use_dictionary=False, compression="none")
    assert path.stat().st_size > ALLOWED
    assert pq.read_metadata(path).num_row_groups == 1
    dataset = declare(folder, "source: {kind: parquet, path: data.parquet}")
    assert grown(dataset, STREAM) < ALLOWED


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_large_query(folder, kind, request):
    empty = Path(folder) / "empty.db"
    series = (
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < {rows}) "
        "select '{id}' || i as pnr, i % 121 as age, i % 9999 as income, "
        "'hög' as school, true as moved from n"
    )
    if kind == "postgresql":
        url = request.getfixturevalue("postgres")
        series = series.replace("with recursive n(i) as", "select * from (with recursive n(i) as")
        series += ") as everything"
    else:
        empty.touch()
        url = f"sqlite:///{empty}"
    query = series.format(rows=ROWS, id=ID)
    dataset = declare(folder, f"source:\n  kind: sql\n  url: '{url}'\n  query: |\n    {query}\n")
    assert grown(dataset, STREAM) < ALLOWED
