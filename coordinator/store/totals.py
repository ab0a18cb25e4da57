"""What came in since a run's checkpoint, round by round: much smaller than a checkpoint.

Functions take the connection of a transaction that the caller opened with
`database.reading` or `database.writing`.
"""

from sqlalchemy import Connection, delete, insert, select

from coordinator.store.tables import totals


def add(connection: Connection, run_id: int, *, round_number: int, content: bytes) -> None:
    """Keep what a round gave, after the checkpoint and the rounds that were added before."""
    connection.execute(insert(totals).values(run_id=run_id, round=round_number, content=content))


def load(connection: Connection, run_id: int) -> tuple[tuple[int, bytes], ...]:
    """Give every round since the checkpoint and what it gave, in order."""
    query = select(totals).where(totals.c.run_id == run_id).order_by(totals.c.round)
    return tuple((row.round, bytes(row.content)) for row in connection.execute(query))


def forget(connection: Connection, run_id: int) -> None:
    """Drop them: a checkpoint holds what came of them, or the run has ended."""
    connection.execute(delete(totals).where(totals.c.run_id == run_id))
