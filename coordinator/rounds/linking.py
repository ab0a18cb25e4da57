"""The course of a run of a linked study: keys, one order, shares chunk by chunk, one opening.

The coordinator is server 0 of three. It carries what is sealed for others, computes on its own two
shares of everything, and opens the sum of the three servers' tables, which has their noise in it.
Shares live in memory only: a run that is interrupted after it began is lost, and says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from coordinator.aggregation.keys import Keys
from coordinator.flower.linked import LinkedMessages
from coordinator.flower.question import Outcome, Question
from coordinator.release import linked_bundle
from coordinator.rounds import checkpoint, spines
from coordinator.rounds.asking import Asking
from coordinator.rounds.checkpoint import Checkpoint
from coordinator.rounds.keeping import Keeping
from models.errors import ProtocolViolationError, RunFailedError
from models.governance.answers import Fault
from models.governance.linked import COORDINATOR, LinkedStudy
from models.governance.states import RunState
from models.governance.step import LINKED
from models.linkage import tables
from models.linkage.plan import plan
from models.privacy.sampler import Integers
from models.randomness import Entropy
from models.replicated.messages import Begin, Box, From, Mix, Mixes, Spine
from models.replicated.server import Server, units
from models.replicated.sharing import Held
from models.replicated.zero import Pairs

T = TypeVar("T")

_GONE = frozenset({Fault.NOT_JOINED, Fault.ANSWERED})
"""What a party says that no longer has what it had of the run: it was started anew."""

_BROKEN = _GONE | {Fault.FAILED}
"""What ends the run once shares are on their way: a step that is half done is not done again."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """What was opened: the vector in units, and the residents of the spine."""

    units: Integers
    residents: int


class Linking:
    """One answer to all questions of a linked study."""

    def __init__(
        self,
        *,
        study: LinkedStudy,
        messages: LinkedMessages,
        asking: Asking,
        keeping: Keeping,
        entropy: Entropy,
    ) -> None:
        self._study = study
        self._messages = messages
        self._asking = asking
        self._keeping = keeping
        self._entropy = entropy
        self._diary = keeping.diary
        self._run = keeping.diary.status.run_id
        self._plan = plan(study)
        self._phase = RunState.TRAINING

    def go(self) -> None:
        """Go from the keys to the release.

        Raises:
            RunFailedError: the coordinator was restarted while it had shares, a party does not do
                its part, or what was opened is no table.
        """
        found = self._restored() or self._computed()
        self._finish(found)

    def _restored(self) -> Found | None:
        """Give what was opened before the coordinator was restarted; None: nothing was shared."""
        kept = self._keeping.load()
        if kept is None:
            return None
        state = checkpoint.decode(kept[1], departments=self._study.departments, round_number=0)
        if not state.state:
            raise RunFailedError(
                "the coordinator was restarted in the middle of the run, and shares are kept in "
                "memory only",
                hint="Start a new run; what the departments charged stays charged.",
            )
        return Found(units=state.state[_UNITS].astype(np.int64), residents=int(state.state[_SIZE]))

    def _computed(self) -> Found:
        Keys(study=self._study, run_id=self._run, messages=self._messages, ask=self._ask).cohort()
        said = self._spine()
        residents = spines.agreed(self._study, said)
        # Durable before any charge: from here on the run cannot begin anew.
        self._keeping.mark(
            Checkpoint(parameters={}, state={}, rounds=()),
            message=_SHARING,
            rounds_total=self._plan.chunks(residents),
        )
        own = self._begun(said, residents)
        try:
            found = Found(units=self._units(own, residents), residents=residents)
        finally:
            own.erase()
        state = {_UNITS: found.units, _SIZE: np.array(residents)}
        self._keeping.mark(Checkpoint(parameters={}, state=state, rounds=()))
        return found

    # --- before any record is opened ---

    def _spine(self) -> Mapping[str, Spine]:
        """Have the departments agree on one order; give what each says of its spine."""
        mixed = self._departments(self._messages.mix())
        return self._departments(self._messages.spine(_mixes(mixed)))

    def _begun(self, said: Mapping[str, Spine], residents: int) -> Server:
        """Have the departments charge and the servers begin; give the coordinator's own server."""
        seeds = self._departments(self._messages.seeds())
        pairs = Pairs.drawn(self._entropy)
        own = Server(
            self._study,
            run=self._run,
            index=0,
            residents=residents,
            held={name: Held.at_coordinator(item) for name, item in seeds.items()},
            pairs=pairs,
        )
        each = {
            name: Begin(
                spines=_boxes({who: item.boxes for who, item in said.items()}, name),
                seeds=_boxes({who: item.boxes for who, item in seeds.items()}, name),
                pair=given.written(),
            )
            for name, given in zip(
                self._study.committee.names, (pairs.after, pairs.before), strict=True
            )
        }
        self._servers(self._messages.begin(each, residents=residents))
        return own

    # --- shares ---

    def _units(self, own: Server, residents: int) -> Integers:
        """Have all chunks folded, the next one shared meanwhile; give the opened vector."""
        sharing = self._messages.share(1, residents=residents)
        for chunk in range(1, own.chunks + 1):
            # A department may fail at the first chunk and mend it: it has shared nothing yet.
            bodies = self._departments(sharing, lost=_GONE if chunk == 1 else _BROKEN)
            last = chunk == own.chunks
            sharing = (
                self._messages.totals()
                if last
                else self._messages.share(chunk + 1, residents=residents)
            )
            self._fold(own, chunk, bodies, residents)
            self._diary.note(
                RunState.TRAINING, rounds_done=chunk, departments=self._study.departments
            )
        totals = self._departments(sharing, lost=_BROKEN)
        asked = self._messages.open(totals)
        parts = [own.open({}, self._entropy)]
        parts += self._servers(asked).values()
        return units(self._study, parts)

    def _fold(self, own: Server, chunk: int, bodies: Mapping[str, bytes], residents: int) -> None:
        asked = self._messages.fold(chunk, bodies, residents=residents)
        mine = own.fold(chunk, {})
        turned = self._servers(asked)
        if mine is None:
            return
        first, second = (turned[name] for name in self._study.committee.names)
        assert first is not None  # noqa: S101 - read as it is wanted, as the next
        assert second is not None  # noqa: S101
        crossing = self._messages.cross(chunk, sealed=second, own=mine)
        own.cross(chunk, first)
        self._servers(crossing)

    # --- the end ---

    def _finish(self, found: Found) -> None:
        try:
            opened = tables.opened(self._study, found.units, residents=found.residents)
        except ProtocolViolationError as error:
            raise RunFailedError(error.message, hint=_CHARGED) from None
        self._phase = RunState.EVALUATING
        self._diary.note(RunState.EVALUATING)
        bundle = linked_bundle.build(
            study=self._study,
            run_id=self._run,
            opened=opened,
            residents=found.residents,
            erased=self._erased(found.residents),
            finished=self._keeping.finished() + 1,
            created_at=self._keeping.clock(),
        )
        self._keeping.finish(bundle, step=LINKED, attempt=1, evaluated_by=self._study.departments)

    def _erased(self, residents: int) -> dict[str, int]:
        """Have the servers erase their shares; give how many chunks each says it had.

        Whoever does not say so spoils no result; the record tells it.
        """
        erasing = self._messages.erase()
        self._asking.ask(
            erasing,
            cohort=self._study.committee.names,
            minimum=0,
            phase=self._phase,
            final=_BROKEN,
            who="servers",
        )
        said = {name: item.chunks for name, item in erasing.answers.items()}
        return {COORDINATOR: self._plan.chunks(residents), **said}

    # --- asking ---

    def _departments(
        self, question: Question[T], *, lost: frozenset[Fault] = _GONE
    ) -> Mapping[str, T]:
        return self._all(question, self._study.departments, final=lost, who="departments")

    def _servers(self, question: Question[T]) -> Mapping[str, T]:
        """Give the two other servers' answers, in their order."""
        return self._all(question, self._study.committee.names, final=_BROKEN, who="servers")

    def _all(
        self, question: Question[T], names: Sequence[str], *, final: frozenset[Fault], who: str
    ) -> dict[str, T]:
        """Give the answers of all of `names`, in their order.

        Raises:
            RunFailedError: one of them will not answer; the text names it.
        """
        outcome = self._asking.ask(
            question, cohort=names, minimum=len(names), phase=self._phase, final=final, who=who
        )
        if not outcome.enough:
            reasons = "; ".join(f"{name} {_LOST[fault]}" for name, fault in outcome.faults.items())
            raise RunFailedError(f"the run cannot go on: {reasons}", hint=_CHARGED)
        return {name: question.answers[name] for name in names}

    def _ask(self, question: Question[Any], *, cohort: Sequence[str], minimum: int) -> Outcome:
        """Ask about keys: whoever lost its own is asked again."""
        return self._asking.ask(
            question, cohort=cohort, minimum=minimum, phase=self._phase, final=_GONE, who="members"
        )


_UNITS, _SIZE = "units", "residents"
_SHARING = "all agree on the order of residents; departments share their columns"
_CHARGED = (
    "See what happened to the nodes that are named, then start a new run; what the departments "
    "charged stays charged."
)
_LOST = {
    Fault.NOT_JOINED: "was started anew in the middle of the run, and its shares are gone",
    Fault.ANSWERED: "was started anew in the middle of the run, and its shares are gone",
    Fault.FAILED: "could not do its step; its own log says why",
}


def _mixes(mixed: Mapping[str, Mix]) -> dict[str, Mixes]:
    """Give for each department what the others sealed for it."""
    boxes = {sender: item.boxes for sender, item in mixed.items()}
    return {name: Mixes(parts=_boxes(boxes, name)) for name in mixed}


def _boxes(boxes: Mapping[str, Sequence[Box]], to: str) -> tuple[From, ...]:
    """Give the boxes that are for one member, with who sealed them."""
    return tuple(
        From(sender=sender, box=box) for sender, own in boxes.items() for box in own if box.to == to
    )
