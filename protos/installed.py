"""Which program is installed: a digest over its own source files.

A study names the program that may compute its answers, and every approval signs it. The digest
covers what a department runs of this project: the packages `models`, `node` and `protos`. The
libraries are not in it: they are those of the image that the department deployed.
"""

import hashlib
from functools import cache
from pathlib import Path

import protos

PACKAGES = ("models", "node", "protos")
_MODULES = frozenset({".py", ".so", ".pyd"})


@cache
def code_digest() -> str:
    """Give the digest (64 hex digits) of the installed program, as it was when first asked."""
    return present_digest()


def present_digest() -> str:
    """Give the digest of the installed program's files as they are now."""
    return digest_of(Path(protos.__file__).parent.parent)


def short(digest: str) -> str:
    """Give the beginning of a digest, for people."""
    return digest[:12]


def digest_of(root: Path) -> str:
    """Give the digest over the names and bytes of all modules of the packages in `root`."""
    total = hashlib.sha256(b"datalabbet/code/v1\x00")
    for package in PACKAGES:
        files = (
            (path.relative_to(root).as_posix(), path)
            for path in (root / package).rglob("*")
            if path.suffix in _MODULES
        )
        for name, path in sorted(files):
            content = hashlib.sha256(path.read_bytes()).digest()
            total.update(len(name.encode()).to_bytes(4, "big") + name.encode() + content)
    return total.hexdigest()
