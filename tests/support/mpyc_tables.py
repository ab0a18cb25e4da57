"""All tables of two columns by MPyC: three parties, Shamir shares, somebody else's program.

    python tests/support/mpyc_tables.py FILE -M3

FILE (numpy's .npy) holds zeros and ones, shape (3, residents, columns): each party inputs its own.
Prints one line of JSON: the Gram matrix of all columns, party 0's CPU seconds and bytes sent.
Run as a program of its own: MPyC reads the command line, and starts the other parties.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from mpyc.runtime import mpc

ENOUGH = 2**31 - 1
"""A prime larger than any count."""


async def main(file: Path) -> None:
    given = np.load(file)
    field = mpc.SecFld(ENOUGH)
    await mpc.start()
    start = time.process_time()
    mine = given[mpc.pid].astype(np.int64)
    shares = mpc.input(field.array(mine))
    every = mpc.np_concatenate(shares, axis=1)
    product = await mpc.output(mpc.np_matmul(mpc.np_transpose(every), every))
    seconds = time.process_time() - start
    sent = sum(getattr(peer.protocol, "nbytes_sent", 0) for peer in mpc.parties)
    await mpc.shutdown()
    if mpc.pid == 0:
        counts = [[int(cell) for cell in row] for row in product]
        sys.stdout.write(json.dumps({"counts": counts, "seconds": seconds, "bytes": sent}) + "\n")


if __name__ == "__main__":
    mpc.run(main(Path(sys.argv[1])))
