"""The states of studies and runs, and the only ways between them.

The diagrams in the documentation are generated from these tables.
"""

import enum
from types import MappingProxyType

from models.errors import RefusedError


class StudyState(enum.StrEnum):
    """Where a study stands at the coordinator."""

    PROPOSED = "proposed"
    READY = "ready"
    REFUSED = "refused"
    RUNNING = "running"
    FINISHED = "finished"


class RunState(enum.StrEnum):
    """Where a run stands. `waiting`: too few departments are connected; it goes on by itself."""

    STARTING = "starting"
    TRAINING = "training"
    WAITING = "waiting"
    EVALUATING = "evaluating"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"


_END: frozenset[RunState] = frozenset({RunState.FINISHED, RunState.STOPPED, RunState.FAILED})
_EARLY = frozenset({RunState.STOPPED, RunState.FAILED})

STUDY_TRANSITIONS = MappingProxyType(
    {
        StudyState.PROPOSED: frozenset({StudyState.READY, StudyState.REFUSED}),
        StudyState.REFUSED: frozenset({StudyState.PROPOSED, StudyState.READY}),
        StudyState.READY: frozenset({StudyState.RUNNING, StudyState.REFUSED}),
        StudyState.RUNNING: frozenset({StudyState.FINISHED, StudyState.READY, StudyState.REFUSED}),
        StudyState.FINISHED: frozenset[StudyState](),
    }
)

RUN_TRANSITIONS = MappingProxyType(
    {
        RunState.STARTING: _EARLY | {RunState.TRAINING, RunState.WAITING},
        RunState.TRAINING: _EARLY | {RunState.WAITING, RunState.EVALUATING},
        RunState.WAITING: _EARLY | {RunState.TRAINING, RunState.EVALUATING},
        RunState.EVALUATING: _EARLY | {RunState.WAITING, RunState.FINISHED},
        RunState.FINISHED: frozenset[RunState](),
        RunState.STOPPED: frozenset[RunState](),
        RunState.FAILED: frozenset[RunState](),
    }
)


def ended(state: RunState) -> bool:
    """Tell whether a run in this state will never move again."""
    return state in _END


def check_run(now: RunState, then: RunState) -> None:
    """Refuse a move of a run that the table does not have.

    Raises:
        RefusedError: names both states.
    """
    if then not in RUN_TRANSITIONS[now]:
        raise RefusedError(f"a run that is {now.value} cannot become {then.value}")


def check_study(now: StudyState, then: StudyState) -> None:
    """Refuse a move of a study that the table does not have.

    Raises:
        RefusedError: names both states.
    """
    if then not in STUDY_TRANSITIONS[now]:
        raise RefusedError(f"a study that is {now.value} cannot become {then.value}")
