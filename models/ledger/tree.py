"""The hash tree over the entries, as in RFC 6962: one hash for the whole ledger, in its order.

Only the frontier is kept: the roots of the full subtrees that the entries so far make up, one
per binary digit of their number. It is enough to add entries and to give the root.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


def leaf(entry: bytes) -> bytes:
    """Give the hash of an entry: SHA-256(0x00 ‖ entry)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def parent(left: bytes, right: bytes) -> bytes:
    """Give the hash over two subtrees: SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontier:
    """A tree of `size` entries, as the roots of its full subtrees, the largest (oldest) first.

    Formal guarantee: two ledgers of one size with the same root hold the same entries in the
    same order, unless SHA-256 collides (RFC 6962, section 2.1: leaves and nodes cannot pass for
    each other). The peaks of an earlier frontier prove that a later tree continues it: they give
    the earlier root, and with the entries since then the later one.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        """Refuse another number of subtrees than the size has."""
        if len(self.peaks) != self.size.bit_count():
            raise ValueError("a tree has one full subtree for each binary 1 of its size")

    def add(self, entry: bytes) -> "Frontier":
        """Give the tree with one more entry at its end."""
        peaks, joined = list(self.peaks), leaf(entry)
        for _ in range((~self.size & (self.size + 1)).bit_length() - 1):
            joined = parent(peaks.pop(), joined)
        return Frontier(size=self.size + 1, peaks=(*peaks, joined))

    def root(self) -> bytes:
        """Give the hash of the whole tree; of no entries it is SHA-256 of nothing."""
        if not self.peaks:
            return hashlib.sha256(b"").digest()
        *others, root = self.peaks
        for peak in reversed(others):
            root = parent(peak, root)
        return root


def frontier(entries: Iterable[bytes]) -> Frontier:
    """Give the tree of these entries."""
    found = Frontier()
    for entry in entries:
        found = found.add(entry)
    return found
