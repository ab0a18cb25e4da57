"""Who is connected, and who is told what when."""

import threading
import time

from coordinator.fleet.presence import Ending, Presence
from models.governance.views import Assignment

ONE = Assignment(run_id=7, study_hash="a" * 64)
TWO = Assignment(run_id=8, study_hash="b" * 64)


def test_a_place_is_taken_and_given_up() -> None:
    presence = Presence()
    place = presence.attend("school", "0.1.0")
    assert presence.connected() == {"school"}
    assert presence.software("school") == "0.1.0"
    presence.leave(place)
    presence.leave(place)
    assert presence.connected() == set()
    assert presence.software("school") == ""
    assert place.ending is Ending.LEFT


def test_a_newer_stream_replaces_the_older() -> None:
    presence = Presence()
    older = presence.attend("school", "0.1.0")
    newer = presence.attend("school", "0.2.0")
    assert older.ending is Ending.REPLACED
    presence.leave(older)  # the older stream's thread ends later than it was replaced
    assert presence.connected() == {"school"}
    assert presence.software("school") == "0.2.0"
    assert newer.ending is None
    assert older.ending is Ending.REPLACED


def test_the_first_list_comes_at_once_and_the_next_when_it_changes() -> None:
    presence = Presence()
    place = presence.attend("school", "0.1.0")
    start = time.monotonic()
    assert presence.wait(place, timeout=10) == ()
    presence.assign("school", ONE)
    presence.assign("care", TWO)
    assert presence.wait(place, timeout=10) == (ONE,)
    assert time.monotonic() - start < 5
    assert presence.wait(place, timeout=0.01) == (ONE,)  # unchanged: after the time is over


def test_an_assignment_wakes_who_waits() -> None:
    presence = Presence()
    place = presence.attend("school", "0.1.0")
    presence.wait(place, timeout=0)
    told: list[tuple[Assignment, ...]] = []
    thread = threading.Thread(target=lambda: told.append(presence.wait(place, timeout=30)))
    thread.start()
    presence.assign("school", ONE)
    thread.join(5)
    assert told == [(ONE,)]


def test_assignments_wait_for_nodes_that_are_away_and_are_ordered() -> None:
    presence = Presence()
    presence.assign("school", TWO)
    presence.assign("school", ONE)
    presence.assign("school", ONE)
    place = presence.attend("school", "0.1.0")
    assert presence.wait(place, timeout=10) == (ONE, TWO)
    assert presence.assigned("school", 7)
    presence.withdraw(7)
    presence.withdraw(7)
    assert not presence.assigned("school", 7)
    assert presence.wait(place, timeout=10) == (TWO,)


def test_what_is_asked_of_one_does_not_disturb_another() -> None:
    presence = Presence()
    place = presence.attend("care", "0.1.0")
    presence.wait(place, timeout=0)
    presence.assign("school", ONE)
    assert presence.wait(place, timeout=0.01) == ()


def test_waiting_ends_when_the_place_does() -> None:
    presence = Presence()
    place = presence.attend("school", "0.1.0")
    presence.wait(place, timeout=0)
    for end in (lambda: presence.attend("school", "0.2.0"), presence.close):
        thread = threading.Thread(target=lambda: presence.wait(place, timeout=30))
        thread.start()
        end()
        thread.join(5)
        assert not thread.is_alive()


def test_after_closing_there_is_no_place() -> None:
    presence = Presence()
    first = presence.attend("school", "0.1.0")
    presence.close()
    assert first.ending is Ending.CLOSED
    assert presence.attend("care", "0.1.0").ending is Ending.CLOSED
    assert presence.connected() == set()


def test_changes_are_numbered_for_those_who_wait_for_any() -> None:
    presence = Presence()
    seen = presence.version()
    assert presence.wait_for_change(seen, timeout=0.01) == seen
    presence.attend("school", "0.1.0")
    assert presence.wait_for_change(seen, timeout=10) > seen
