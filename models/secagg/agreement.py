"""One X25519 key per member and run, signed by the identity that the roster pins.

Every member offers a fresh public key in a statement that names the roster, the study and the
run. The coordinator carries the offers to everybody; `verify` takes nothing else on trust from it.

Formal guarantee (`verify`, `agree`): if a node ends with an `Agreement`, then each key in its
cohort was offered by that member of the roster (whose identity key is not in other hands), for
this roster, study and run; no two keys are the same; none has low order; and the cohort is at
least as large as the roster's minimum and the node's own. Two nodes whose cohorts differ in any
name or key have different `Cohort.digest()`, which is bound into the masks (`contexts`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import Field

from models import documents
from models.errors import ProtocolViolationError, RefusedError
from models.governance.roster import Roster
from models.governance.step import Hex64
from models.randomness import Entropy
from models.schema import STRICT, Slug
from models.secagg import signing
from models.secagg.signing import Run, Signature

_DOMAIN = "secure-sum-offer"
_FIELD = 2**255 - 19

_PROBE = X25519PrivateKey.from_private_bytes(bytes(32))
"""Any scalar finds points of low order: X25519 multiplies by eight, which takes them to zero."""


@dataclass(frozen=True, slots=True)
class EphemeralKey:
    """A member's secret X25519 key for one run. Prints as nothing."""

    secret: bytes = field(repr=False)

    @classmethod
    def fresh(cls, entropy: Entropy) -> "EphemeralKey":
        """Give a new key."""
        return cls(entropy.token(32))

    @property
    def public(self) -> str:
        """Give the public key, in hex."""
        key = X25519PrivateKey.from_private_bytes(self.secret).public_key()
        return key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()

    def shared(self, public: str) -> bytes:
        """Give the 32 bytes shared with the owner of `public` (RFC 7748).

        Raises:
            ProtocolViolationError: the key has low order: the secret would be known to all.
        """
        return _exchange(X25519PrivateKey.from_private_bytes(self.secret), public)


def _exchange(key: X25519PrivateKey, public: str) -> bytes:
    octets = bytes.fromhex(public)
    if int.from_bytes(octets, "little") >= _FIELD:
        raise ProtocolViolationError("a member offers a key that is not in canonical form")
    try:
        return key.exchange(X25519PublicKey.from_public_bytes(octets))
    except ValueError:
        raise ProtocolViolationError("a member offers a key of low order") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferStatement:
    """What is signed: this member uses this X25519 key (hex) in this run under this roster."""

    __pydantic_config__ = STRICT

    roster: Hex64
    study: Hex64
    run: Run
    member: Slug
    key: Hex64


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A statement with its signature."""

    __pydantic_config__ = STRICT

    statement: OfferStatement
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """The offers of a run, as the coordinator carries them to everybody."""

    __pydantic_config__ = STRICT

    offers: Annotated[tuple[Offer, ...], Field(min_length=2, max_length=1001)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """A member's answer to the offers: the digest of the cohort that it agreed on."""

    __pydantic_config__ = STRICT

    cohort: Hex64


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed:
    """A member and the key it offered."""

    __pydantic_config__ = STRICT

    name: Slug
    key: Hex64


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """Who takes part in a run, with which keys; departments in the order of their names."""

    __pydantic_config__ = STRICT

    roster: Hex64
    study: Hex64
    run: Run
    members: Annotated[tuple[Keyed, ...], Field(min_length=2, max_length=1000)]
    witness: Keyed | None

    @property
    def names(self) -> tuple[str, ...]:
        """Give the departments' names, in order."""
        return tuple(member.name for member in self.members)

    def digest(self) -> str:
        """Give the hash that every mask of the run is bound to."""
        return documents.digest(documents.write(self), domain="secure-sum-cohort")


@dataclass(frozen=True, slots=True)
class Pair:
    """A secret that two members share; `low` and `high` are their names in order."""

    low: str
    high: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What one member (`me`) holds for a run: the cohort, and its secrets with the others.

    A department's `pairs` are those its mode masks with; the witness has one with each
    department. `minimum`: the fewest departments in a sum, by the roster and by `me`.
    """

    roster: Roster
    cohort: Cohort
    me: str
    minimum: int
    pairs: tuple[Pair, ...] = field(repr=False)


def offer(
    roster: Roster,
    *,
    study: str,
    run: int,
    member: str,
    ephemeral: EphemeralKey,
    identity: Ed25519PrivateKey,
) -> Offer:
    """Give a member's signed offer for a run.

    Raises:
        RefusedError: the roster does not pin this identity key for `member`.
    """
    public = identity.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
    if roster.find(member).identity != public:
        raise RefusedError(f"the roster names another identity key for {member}")
    statement = OfferStatement(
        roster=roster.digest(), study=study, run=run, member=member, key=ephemeral.public
    )
    return Offer(statement=statement, signature=signing.sign(statement, identity, domain=_DOMAIN))


def verify(
    roster: Roster, offers: Sequence[Offer], *, study: str, run: int, minimum: int
) -> Cohort:
    """Give the cohort that offered keys.

    1. Every offer is for this roster, study and run (none is replayed from another).
    2. Every member is in the roster, and its pinned key signed the statement.
    3. No member and no key is there twice.
    4. No key has low order or a second spelling.
    5. The witness offers exactly if the mode has one.
    6. The departments are at least the roster's minimum and `minimum`, the caller's own.

    Raises:
        RefusedError: one of these does not hold.
        ProtocolViolationError: a key is not usable (4).
    """
    pinned = roster.digest()
    found: dict[str, Keyed] = {}
    for item in offers:
        member = _keyed(roster, item, wanted=(pinned, study, run))
        if member.name in found:
            raise RefusedError(f"{member.name} offers more than one key")
        found[member.name] = member
    if len({member.key for member in found.values()}) != len(found):
        raise RefusedError("two members offer the same key")
    witness = found.pop(roster.witness.name, None) if roster.witness else None
    if (witness is not None) != roster.mode.witnessed:
        raise RefusedError("the witness has not offered a key")
    least = max(roster.minimum, minimum)
    if len(found) < least:
        raise RefusedError(f"the cohort has {len(found)} departments; {least} are the minimum")
    members = tuple(found[name] for name in sorted(found))
    return Cohort(roster=pinned, study=study, run=run, members=members, witness=witness)


def keyed(roster: Roster, offer: Offer, *, study: str, run: int) -> Keyed:
    """Give the member and the key of one offer, if 1, 2 and 4 of `verify` hold.

    Raises:
        RefusedError: 1 or 2 does not hold.
        ProtocolViolationError: the key is not usable (4).
    """
    return _keyed(roster, offer, wanted=(roster.digest(), study, run))


def _keyed(roster: Roster, offer: Offer, *, wanted: tuple[str, str, int]) -> Keyed:
    said = offer.statement
    if (said.roster, said.study, said.run) != wanted:
        raise RefusedError("a key was offered for another roster, study or run")
    what = f"the key offered by {said.member}"
    key = roster.find(said.member).key
    signing.verify(said, offer.signature, key, domain=_DOMAIN, what=what)
    _exchange(_PROBE, said.key)
    return Keyed(name=said.member, key=said.key)


def agree(
    roster: Roster,
    offers: Sequence[Offer],
    *,
    study: str,
    run: int,
    minimum: int,
    me: str,
    ephemeral: EphemeralKey,
) -> Agreement:
    """Give the secrets that `me` shares with the others who offered, after `verify`.

    Raises:
        RefusedError: as `verify`, or the offers hold another key for `me` than its own, or none.
        ProtocolViolationError: as `verify`.
    """
    cohort = verify(roster, offers, study=study, run=run, minimum=minimum)
    witness = (cohort.witness,) if cohort.witness else ()
    mine = Keyed(name=me, key=ephemeral.public)
    if mine not in (*cohort.members, *witness):
        raise RefusedError(f"the cohort holds another key for {me}, or none")
    peers = cohort.members if roster.mode.pairs or mine in witness else ()
    pairs = tuple(
        Pair(low=min(me, other.name), high=max(me, other.name), secret=ephemeral.shared(other.key))
        for other in (*peers, *witness)
        if other != mine
    )
    least = max(roster.minimum, minimum)
    return Agreement(roster=roster, cohort=cohort, me=me, minimum=least, pairs=pairs)
