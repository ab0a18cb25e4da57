"""A member's keys in one run of secure sums: offered once, agreed on as often as the run asks."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from models import documents
from models.errors import NotJoinedError, RefusedError
from models.governance.any_study import AnyStudy
from models.randomness import Entropy
from models.replicated.sealing import of_cohort, own_secret
from models.secagg import agreement as agreements
from models.secagg.agreement import Agreement, EphemeralKey, Joined, Offer, Offers
from node.gate.gate import Gate


class Joining:
    """What one member (a department or the witness) says about keys in one run.

    Formal guarantee: the secret key is made here, lives in this object alone and is never written
    down; so masks of an earlier life of the node cannot be made again. An agreement is over keys
    that the identities in the approved study's roster signed (`models.secagg.agreement`); one that
    is refused changes nothing.
    """

    def __init__(
        self,
        *,
        study: AnyStudy,
        run: int,
        member: str,
        gate: Gate,
        identity: Ed25519PrivateKey,
        entropy: Entropy,
    ) -> None:
        """Keep who joins what; the key is made when it is first asked for."""
        self._study = study
        self._hash = study.digest()
        self._run = run
        self._member = member
        self._gate = gate
        self._identity = identity
        self._entropy = entropy
        self._key: EphemeralKey | None = None
        self._agreement: Agreement | None = None
        self._pinned = False

    @property
    def agreement(self) -> Agreement:
        """Give what was agreed on last.

        Raises:
            NotJoinedError: nothing was, since this node took up the run.
        """
        if self._agreement is None:
            raise NotJoinedError("the run has not agreed on keys with this node")
        return self._agreement

    def pin(self) -> None:
        """Let the agreement hold for the rest of the run, which has sealed something under it.

        Raises:
            NotJoinedError: nothing was agreed on.
        """
        self._pinned = self.agreement is not None

    def secret(self, other: str) -> bytes:
        """Give the secret that this member shares with another; with itself, one of its own.

        It is bound to who agreed, with which keys: where one member has new keys, every secret of
        the run is another one, so that nothing is sealed twice under the same key.

        Raises:
            NotJoinedError: nothing was agreed on.
            RefusedError: the other has not joined.
        """
        agreed = self.agreement
        if other == self._member:
            return of_cohort(own_secret(self._ephemeral()), cohort=agreed.cohort.digest())
        for pair in agreed.pairs:
            if other in {pair.low, pair.high}:
                return of_cohort(pair.secret, cohort=agreed.cohort.digest())
        raise RefusedError(f"{other} has not joined the run")

    def offer(self) -> Offer:
        """Give the signed key for the run: the same one each time.

        Raises:
            RefusedError: the study is not open here, or its roster has another key for this member.
        """
        self._permit()
        offered = agreements.offer(
            self._study.signed_roster,
            study=self._hash,
            run=self._run,
            member=self._member,
            ephemeral=self._ephemeral(),
            identity=self._identity,
        )
        self._gate.leave(self._study, "offer", {"offer": documents.write(offered)})
        return offered

    def join(self, offers: Offers) -> Joined:
        """Agree with those who offered; the newest agreement holds, until one is pinned.

        Raises:
            NotJoinedError: no key was offered since this node took up the run.
            RefusedError, ProtocolViolationError: the earlier agreement, if any, still holds.
        """
        self._permit()
        if self._key is None:  # restarted in between: the offers hold the key of an earlier life
            raise NotJoinedError("this node has offered no key for the run yet")
        agreed = agreements.agree(
            self._study.signed_roster,
            offers.offers,
            study=self._hash,
            run=self._run,
            minimum=self._gate.minimum(self._study),
            me=self._member,
            ephemeral=self._ephemeral(),
        )
        joined = Joined(cohort=agreed.cohort.digest())
        if self._pinned and agreed.cohort != self.agreement.cohort:
            raise RefusedError(
                "a member has other keys than the run began with: it was started anew",
                hint="Shares are sealed under the first ones. Start a new run.",
            )
        self._gate.leave(self._study, "join", {"cohort": documents.write(joined)})
        self._agreement = agreed
        return joined

    def leave(self) -> None:
        """Forget the secrets."""
        self._key = self._agreement = None
        self._pinned = False

    def _ephemeral(self) -> EphemeralKey:
        if self._key is None:
            self._key = EphemeralKey.fresh(self._entropy)
        return self._key

    def _permit(self) -> None:
        if self._gate.open(self._hash) != self._study:
            raise RefusedError("the study at work is not the approved one")
