"""The hash tree against RFC 6962 as it is written, and against its published values."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as some

from models.ledger.tree import Frontier, frontier, leaf


def oracle(entries: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word by word: split at the largest power of two below n."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = 1
    while 2 * k < len(entries):
        k *= 2
    return hashlib.sha256(b"\x01" + oracle(entries[:k]) + oracle(entries[k:])).digest()


def test_the_published_values() -> None:
    """The tree that implementations of Certificate Transparency test themselves with."""
    inputs = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ]
    roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ]
    entries = [bytes.fromhex(text) for text in inputs]
    for size, root in enumerate(roots, start=1):
        assert frontier(entries[:size]).root().hex() == root
        assert oracle(entries[:size]).hex() == root


@given(some.lists(some.binary(max_size=4), max_size=70))
def test_the_root_is_that_of_the_slow_oracle(entries: list[bytes]) -> None:
    assert frontier(entries).root() == oracle(entries)


@given(some.lists(some.binary(max_size=4), max_size=40), some.data())
def test_an_earlier_frontier_proves_that_a_tree_continues_it(
    entries: list[bytes], data: some.DataObject
) -> None:
    cut = data.draw(some.integers(0, len(entries)))
    before = frontier(entries[:cut])
    assert before.root() == oracle(entries[:cut])
    tree = Frontier(size=cut, peaks=before.peaks)
    for entry in entries[cut:]:
        tree = tree.add(entry)
    assert tree.root() == oracle(entries)


def test_a_node_cannot_pass_for_an_entry() -> None:
    one, other = leaf(b"one"), leaf(b"other")
    assert frontier([b"one", b"other"]).root() != frontier([one + other]).root()


def test_a_frontier_has_the_subtrees_of_its_size() -> None:
    with pytest.raises(ValueError, match="full subtree"):
        Frontier(size=3, peaks=(b"x" * 32,))
