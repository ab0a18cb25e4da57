"""Where a generated city is put: whole or not at all, and never over somebody else's files.

A marker file in the folder lists what the generator wrote there. A later run into the same
folder removes those files and no others; it refuses a folder that holds anything else.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from models.errors import StorageError, UsageError

MARKER = ".datalabbet-demo-data"
MADE_BY = "datalabbet demo-data generate"
NODE_SETTINGS = "node.toml"
_UNFINISHED = ".unfinished"


def check(*, out: Path, truth: Path) -> None:
    """Refuse places that must not be written to.

    Raises:
        UsageError: `out` holds files that the generator did not make, or the truth would lie
            where a node reads, or over a file that is no truth file.
    """
    _check_out(out)
    place = truth.resolve()
    if place.is_relative_to(out.resolve()):
        raise UsageError(
            f"the truth file {truth} would lie in the folder of the data",
            hint="Nodes read that folder. Give --truth a place outside it.",
        )
    for folder in place.parents:
        if (folder / NODE_SETTINGS).exists() or (folder / MARKER).exists():
            raise UsageError(
                f"the truth file {truth} would lie in a node's folder, {folder}",
                hint="Give --truth a place that no node reads.",
            )
    if truth.is_dir() or (truth.exists() and not _is_truth(truth)):
        raise UsageError(
            f"{truth} exists and is not a truth file", hint="Give another file with --truth."
        )


@contextmanager
def unfinished(*, out: Path, truth: Path) -> Iterator[tuple[Path, Path]]:
    """Give a new folder and a new file to write to; they take their places when all went well.

    What an earlier run made there stays until then.

    Raises:
        StorageError: the disk did not take something.
    """
    parts = out / _UNFINISHED
    draft = truth.with_name(f".{truth.name}{_UNFINISHED}")
    found = out.exists()
    try:
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir(parents=True)
        truth.parent.mkdir(parents=True, exist_ok=True)
        yield parts, draft
        truth.unlink(missing_ok=True)  # it is not the truth of what comes now
        _put(parts, out)
        draft.replace(truth)
    except OSError as error:
        raise StorageError(f"{error.filename or out} cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(parts, ignore_errors=True)
        with suppress(OSError):  # what could not be made cannot be removed either
            draft.unlink(missing_ok=True)
        if not found and out.is_dir() and not any(out.iterdir()):
            out.rmdir()


def _check_out(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise UsageError(f"{out} is not a folder", hint="Give another folder with --out.")
    foreign = sorted(_files(out) - _made(out) - {MARKER})
    if foreign:
        raise UsageError(
            f"{out} holds {foreign[0]}, which the generator did not make",
            hint="Give an empty or new folder with --out.",
        )


def _put(parts: Path, out: Path) -> None:
    """Move the new files to their places, after what an earlier run made is removed.

    The marker names the files before they come, so that an interrupted move can be repeated;
    it says `complete` only when all are there.
    """
    new = _files(parts)
    marker = out / MARKER
    old = _made(out)
    _mark(marker, old | new, complete=False)
    for name in sorted(old):
        (out / name).unlink(missing_ok=True)
    for name in sorted(new):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (parts / name).replace(out / name)
    for folder in sorted({(out / name).parent for name in old}, reverse=True):
        if folder != out and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    _mark(marker, new, complete=True)


def _mark(marker: Path, names: set[str], *, complete: bool) -> None:
    said = {"made_by": MADE_BY, "complete": complete, "files": sorted(names)}
    draft = marker.with_name(MARKER + _UNFINISHED)
    draft.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    draft.replace(marker)


def _made(out: Path) -> set[str]:
    """Give the files that the marker says the generator made."""
    try:
        said = json.loads((out / MARKER).read_text(encoding="utf-8"))
        return set(said["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _files(folder: Path) -> set[str]:
    """Give the files under a folder, by their paths in it, without an unfinished part."""
    found: set[str] = set()
    for parent, folders, names in os.walk(folder):
        here = Path(parent)
        if here == folder and _UNFINISHED in folders:
            folders.remove(_UNFINISHED)
        found |= {(here / name).relative_to(folder).as_posix() for name in names}
    return found


def _is_truth(file: Path) -> bool:
    with file.open("rb") as handle:
        return MADE_BY.encode() in handle.read(100)
