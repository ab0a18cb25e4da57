"""Files of a release on this machine: downloaded whole and checked, or not at all."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from coordinator.client.profile import write_atomically
from models.errors import ProtocolViolationError, UsageError
from models.governance.any_record import AnyRecord
from models.governance.record import RecordedFile
from models.governance.views import ReleaseFile, ReleaseSummary

MODEL, RECORD = "model.safetensors", "record.json"
LARGEST = 1 << 30
"""No file of a release may be larger, in bytes."""

Download = Callable[[str], Iterator[bytes]]
"""Gives the parts of the file of that name."""


def check(summary: ReleaseSummary, record: AnyRecord, *, run_id: int) -> None:
    """Refuse a record that is not that of the run, or that names other files than the summary.

    Raises:
        ProtocolViolationError: it is so.
    """
    own = RecordedFile.of(RECORD, record.canonical())
    named = {(f.name, f.size, f.sha256) for f in (*record.files, own)}
    offered = {(f.name, f.size, f.sha256) for f in summary.files}
    if summary.run_id != run_id or record.run_id != run_id or named != offered:
        raise ProtocolViolationError(
            "the coordinator's list of files is not that of the release record"
        )


def collect(entry: RecordedFile | ReleaseFile, parts: Iterator[bytes]) -> bytes:
    """Give the whole file, if it has the recorded size and hash.

    Raises:
        ProtocolViolationError: it has not.
    """
    if entry.size > LARGEST:
        raise ProtocolViolationError(f"{entry.name} is larger than a release file may be")
    content = bytearray()
    for part in parts:
        content += part
        if len(content) > entry.size:
            break
    if len(content) != entry.size or hashlib.sha256(content).hexdigest() != entry.sha256:
        raise ProtocolViolationError(
            f"{entry.name} is not the file that the release record names",
            hint="Export again; if it happens again, tell the central team.",
        )
    return bytes(content)


def write(folder: Path, *, summary: ReleaseSummary, record: AnyRecord, download: Download) -> Path:
    """Write every file of a release into `folder`, which must be new or empty; give it.

    The files are gathered beside it and moved into place at the end: a folder of that name
    always holds a whole release.

    Raises:
        UsageError: the folder is not empty, or cannot be written.
        ProtocolViolationError: a file is not the recorded one.
    """
    folder = Path(os.path.abspath(folder.expanduser()))  # noqa: PTH100 - resolve follows links
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not empty", hint="Name a new folder.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    except OSError as error:
        raise _unwritable(folder, error) from None
    try:
        for entry in summary.files:
            content = (
                record.canonical() if entry.name == RECORD else collect(entry, download(entry.name))
            )
            write_atomically(aside / entry.name, content, mode=0o644)
        aside.chmod(0o755)
        aside.replace(folder)
    except OSError as error:
        raise _unwritable(folder, error) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def read_text(path: Path) -> str:
    """Give the text of a file that a person wrote.

    Raises:
        UsageError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text", hint="Save the file as UTF-8.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})") from None


def write_text(path: Path, text: str) -> None:
    """Write a file for a person to edit.

    Raises:
        UsageError: it cannot be written.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file for a person: wholly or not at all.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        write_atomically(path, content, mode=0o644)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror})") from None


def _unwritable(folder: Path, error: OSError) -> UsageError:
    return UsageError(
        f"{folder} cannot be written ({error.strerror})",
        hint="Check the folder's permissions and the free space.",
    )
