"""Whose identity keys a study with secure sums names, and what a department must compare.

Masks are agreed on with the keys of the roster, which every approval signs. Whoever put another
key there could take a department's place: the keys are compared by people, outside the system.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from models.governance.any_study import AnyStudy
from models.governance.roster import Member, Roster

COMPARE = (
    "compare each fingerprint with that department, by telephone or in person, not by what the "
    "coordinator says; `datalabbet-node code` prints a node's own"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A member of a roster as a steward reads it."""

    name: str
    fingerprint: str
    witness: bool
    own: bool

    def __str__(self) -> str:
        """Give one line: name, role and the fingerprint in groups of four."""
        roles = [word for word, so in (("witness", self.witness), ("this node", self.own)) if so]
        said = f" ({', '.join(roles)})" if roles else ""
        return f"{self.name}{said}: {grouped(self.fingerprint)}"


def fingerprint(identity: str) -> str:
    """Give the SHA-256 (64 hex digits) of a raw public key in hex: what people compare."""
    return hashlib.sha256(bytes.fromhex(identity)).hexdigest()


def grouped(digits: str) -> str:
    """Give hex digits in groups of four, to be read aloud."""
    return " ".join(digits[place : place + 4] for place in range(0, len(digits), 4))


def listed(study: AnyStudy, *, me: str) -> tuple[Peer, ...]:
    """Give the members of the study's roster; none without secure sums."""
    if study.roster is None:
        return ()
    witness = study.roster.witness
    return tuple(
        Peer(
            name=member.name,
            fingerprint=fingerprint(member.identity),
            witness=member == witness,
            own=member.name == me,
        )
        for member in _members(study.roster)
    )


def objections(
    study: AnyStudy, *, me: str, identity: str, pinned: Mapping[str, str]
) -> Iterator[str]:
    """Give what is wrong with the roster's keys, by this node's own key and its settings.

    `pinned`: by name, the key or its fingerprint (64 hex digits).
    """
    for member in _members(study.roster):
        if member.name == me:
            if member.identity != identity:
                yield "its roster has another identity key for this node than its own"
        elif member.identity == identity:
            yield f"its roster has this node's identity key under the name {member.name}"
        if member.name in pinned and not _is(member, pinned[member.name]):
            yield (
                f"its roster has another identity key for {member.name} than `peers` in node.toml"
            )


def changed(
    study: AnyStudy, *, earlier: Iterable[AnyStudy], pinned: Mapping[str, str]
) -> Iterator[str]:
    """Give whose key is another one than in the newest study approved before, and not pinned."""
    if study.roster is None:
        return
    known = {
        member.name: member.identity
        for before in earlier
        for member in _members(before.roster)
        if before.digest() != study.digest()
    }
    for member in _members(study.roster):
        if member.name in pinned or known.get(member.name, member.identity) == member.identity:
            continue
        yield (
            f"its roster has another identity key for {member.name} than a study approved here "
            f"before; ask {member.name}, and put its new key under `peers` in node.toml"
        )


def _members(roster: Roster | None) -> tuple[Member, ...]:
    if roster is None:
        return ()
    return (*roster.members, *([roster.witness] if roster.witness else []))


def _is(member: Member, pinned: str) -> bool:
    return pinned in {member.identity, fingerprint(member.identity)}
