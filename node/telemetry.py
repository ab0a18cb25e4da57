"""The node's log: fixed sentences with allow-listed fields, one JSON object per line on stderr.

What is not on the list cannot be logged, and no value of a record is on the list. Loggers of
libraries are not heard: their texts are not ours to vouch for.
"""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime

from models.errors import DatalabbetError

FIELDS = frozenset(
    {
        "address",
        "attempt",
        "code",
        "dataset",
        "department",
        "error",
        "expires",
        "hint",
        "number",
        "problem",
        "run",
        "seconds",
        "software",
        "step",
        "study",
        "where",
    }
)
"""The names a log line may carry. `problem` and `hint` are texts of our own errors, which are
safe to show; `error` is the class of any other error, and `where` its place in the code."""

_LONGEST = 2000
_logger = logging.getLogger("datalabbet.node")


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds")
        fields = getattr(record, "fields", {})
        line = {"at": moment, "level": record.levelname.lower(), "event": record.msg, **fields}
        return json.dumps(line, ensure_ascii=False)


def setup(level: str) -> None:
    """Send our lines of at least `level` to stderr, and nobody else's."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    _logger.handlers = [handler]
    _logger.setLevel(level.upper())
    _logger.propagate = False
    root = logging.getLogger()
    root.handlers = [logging.NullHandler()]


def log(event: str, *, level: int = logging.INFO, **fields: str | float | None) -> None:
    """Log a fixed sentence with fields of the list.

    Raises:
        ValueError: a field is not on the list (a mistake in the code; a test finds it).
    """
    if unknown := fields.keys() - FIELDS:
        raise ValueError(f"not on the list of log fields: {sorted(unknown)}")
    kept = {
        name: value[:_LONGEST] if isinstance(value, str) else value
        for name, value in fields.items()
        if value is not None
    }
    _logger.log(level, event, extra={"fields": kept})


def failed(event: str, error: BaseException, **fields: str | float | None) -> None:
    """Log what went wrong: our own errors with their text, others by class and place alone.

    The text of a library's exception can quote a record.
    """
    if isinstance(error, DatalabbetError):
        told = {"code": error.code, "problem": error.message, "hint": error.hint or None}
        log(event, level=logging.WARNING, **fields, **told)
        return
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    where = " < ".join(f"{_short(frame.filename)}:{frame.lineno}" for frame in reversed(frames))
    log(event, level=logging.ERROR, **fields, error=type(error).__name__, where=where)


def _short(path: str) -> str:
    return "/".join(path.rsplit("/", 2)[-2:])
