"""When a question to the cohort is answered: pure rules over who is there and who has spoken."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from coordinator.rounds.settings import RunSettings

_IDLE = 60.0
_BEAT = 1.0  # who is connected can change without a word to the run
_SOON = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Roll:
    """Where each department stands in one question.

    Attributes:
        cohort: the study's departments, in its order.
        minimum: how many must answer.
        answered: those whose answer is there.
        failed: those that tried and could not; they may be asked again.
        left_out: those that take no further part, and why (a sentence's end).
        connected: those whose node is connected to the coordinator at all.
        absent: seconds without a stream for this run, of those that have none.
        asked_for: seconds since the question was asked.
        slow: those that let an earlier question pass in silence, and have said nothing since.
        who: what those of `cohort` are called.
    """

    cohort: tuple[str, ...]
    minimum: int
    answered: Collection[str]
    failed: Collection[str]
    left_out: Mapping[str, str]
    connected: Collection[str]
    absent: Mapping[str, float]
    asked_for: float
    slow: Collection[str] = ()
    who: str = "departments"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proceed:
    """Enough answers are there; `without` says who is missing and why (empty: nobody)."""

    without: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Going:
    """Answers are on their way; look again after `seconds` or when something changes."""

    seconds: float
    enough: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Short:
    """Too few can answer now; `message` says who is waited for and why."""

    message: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Impossible:
    """Too few will ever answer; `message` says who is left out and why."""

    message: str


Verdict = Proceed | Going | Short | Impossible


def judge(roll: Roll, settings: RunSettings) -> Verdict:
    """Tell whether the question is answered, goes on, waits, or cannot be answered.

    It is answered when all that take part have answered; or when the minimum has, and each of
    the others has failed, has been absent for longer than is allowed, is late, or was late before
    and has said nothing since: it is not waited for a second time.
    """
    able = [department for department in roll.cohort if department not in roll.left_out]
    if len(able) < roll.minimum:
        return Impossible(message=_impossible(roll, len(able)))
    missing = [d for d in able if d not in roll.answered and d not in roll.failed]
    late = roll.asked_for >= settings.round_timeout_seconds
    gone = {d for d in missing if roll.absent.get(d, -1.0) >= _allowed(roll, d, settings)}
    silent = set(missing) if late else gone.union(d for d in missing if d in roll.slow)
    if len(roll.answered) >= roll.minimum and len(silent) == len(missing):
        return Proceed(without=_listed(_reasons(roll, able, late=late)))
    hoped = len(roll.answered) + len(missing) - len(silent)
    seconds = _next_look(roll, missing, settings, late=late)
    if hoped < roll.minimum:
        return Short(message=_waiting(roll, able, late=late), seconds=seconds)
    here = len(roll.answered) + sum(d not in roll.absent for d in missing)
    return Going(seconds=seconds, enough=here >= roll.minimum)


def _allowed(roll: Roll, department: str, settings: RunSettings) -> float:
    """Give how long a department may be without a stream."""
    connected = department in roll.connected
    return settings.join_seconds if connected else settings.grace_seconds


def _next_look(roll: Roll, missing: Iterable[str], settings: RunSettings, *, late: bool) -> float:
    """Give when time alone could change the verdict."""
    ends = [_IDLE if late else settings.round_timeout_seconds - roll.asked_for]
    for department in missing:
        if department in roll.absent:
            left = _allowed(roll, department, settings) - roll.absent[department]
            ends += [_BEAT, left] if left > 0 else [_IDLE]
    return max(_SOON, min(ends))


def _reasons(roll: Roll, departments: Iterable[str], *, late: bool) -> dict[str, str]:
    reasons = {}
    for department in departments:
        if department in roll.failed:
            reasons[department] = "could not do the step"
        elif department in roll.answered:
            continue
        elif department in roll.absent and department not in roll.connected:
            reasons[department] = "has no connection"
        elif department in roll.absent:
            reasons[department] = "is connected but has not joined the run"
        else:
            reasons[department] = f"has not answered {_since(roll, department, late=late)}"
    return reasons


def _since(roll: Roll, department: str, *, late: bool) -> str:
    if department in roll.slow:
        return "since an earlier question"
    return "in time" if late else "yet"


def _listed(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{department} {reason}" for department, reason in reasons.items())


def _waiting(roll: Roll, able: Iterable[str], *, late: bool) -> str:
    reasons = dict(roll.left_out) | _reasons(roll, able, late=late)
    if len(roll.cohort) == 1 and roll.minimum == 1:  # the witness: no study has one department
        [(name, reason)] = reasons.items()
        return f"waiting for {name}, who {reason}"
    return (
        f"waiting: {roll.minimum} {roll.who} are needed and {len(roll.answered)} have answered "
        f"({_listed(reasons)})"
    )


def _impossible(roll: Roll, able: int) -> str:
    if len(roll.cohort) == 1 and roll.minimum == 1:
        [(name, reason)] = roll.left_out.items()
        return f"the run cannot go on without {name}, who {reason}"
    return (
        f"the study needs {roll.minimum} {roll.who}, and only {able} can still take part "
        f"({_listed(roll.left_out)})"
    )
