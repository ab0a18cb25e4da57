"""The keys of a run: every member's signed offer, carried to everybody.

The coordinator holds no key. It carries offers and learns who agreed; members take nothing else
on trust from it (`models.secagg.agreement`).
"""

from collections.abc import Sequence
from typing import Any, Protocol

from coordinator.flower.keyed import KeyMessages
from coordinator.flower.question import Outcome, Question
from models.errors import RunFailedError
from models.governance.any_study import AnyStudy
from models.secagg import agreement
from models.secagg.agreement import Cohort, Offer

_TRIES = 20
"""So often members may lose their keys between offering and agreeing, one time after another."""


class Ask(Protocol):
    """Waits until a question is answered."""

    def __call__(self, question: Question[Any], *, cohort: Sequence[str], minimum: int) -> Outcome:
        """Wait for the answers of at least `minimum` of `cohort`.

        Raises:
            RunFailedError: too few will ever answer.
        """
        ...


class Keys:
    """The agreement of one run's members, made anew when somebody lost or lacks its keys."""

    def __init__(self, *, study: AnyStudy, run_id: int, messages: KeyMessages, ask: Ask) -> None:
        self._roster = study.signed_roster
        self._members = messages.members
        self._hash = study.digest()
        self._run = run_id
        self._messages = messages
        self._ask = ask
        self._cohort: Cohort | None = None
        self._asked: frozenset[str] = frozenset()

    @property
    def minimum(self) -> int:
        """Give how many departments must answer: all of them, where they mask in pairs."""
        roster = self._roster
        return len(roster.members) if roster.mode.pairs else roster.minimum

    @property
    def witness(self) -> str | None:
        """Give the witness's name, if there is one."""
        return self._roster.witness.name if self._roster.witness else None

    def lost(self) -> None:
        """Agree anew before the next attempt: a member has no keys."""
        self._cohort = None

    def cohort(self) -> Cohort:
        """Give the cohort that its members agreed on.

        They are asked anew when keys were `lost`, and when a department that was away has come.

        Raises:
            RunFailedError: too few members can agree.
        """
        here = self._messages.present()
        self._asked &= here  # whoever goes and comes back is asked again
        if self._cohort is None or not here <= self._asked | set(self._cohort.names):
            self._cohort = self._agreed()
            self._asked = self._messages.present()
        return self._cohort

    def _agreed(self) -> Cohort:
        for _ in range(_TRIES):
            offers = self._offers(self._members, self.minimum)
            if self.witness is not None:
                offers += self._offers((self.witness,), 1)
            cohort = agreement.verify(
                self._roster, offers, study=self._hash, run=self._run, minimum=self.minimum
            )
            if self._joined(cohort, offers):
                return cohort
        raise RunFailedError(
            "the departments cannot agree on keys: one of them lost its own again and again",
            hint="Look into the logs of the nodes: does one restart all the time?",
        )

    def _offers(self, names: Sequence[str], minimum: int) -> tuple[Offer, ...]:
        question = self._messages.offer(names)
        self._ask(question, cohort=names, minimum=minimum)
        return tuple(question.answers[name] for name in sorted(question.answers))

    def _joined(self, cohort: Cohort, offers: Sequence[Offer]) -> bool:
        groups = [(cohort.names, self.minimum)]
        if self.witness is not None:
            groups.append(((self.witness,), 1))
        for names, minimum in groups:
            question = self._messages.join(names, offers, cohort=cohort)
            if not self._ask(question, cohort=names, minimum=minimum).enough:
                return False
        return True
