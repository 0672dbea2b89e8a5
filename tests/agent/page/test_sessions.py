"""Sessions end: by logout, idle time, their longest time; and passwords cannot be tried fast."""

from __future__ import annotations

import pytest

from agent.core.roles import Role
from agent.page.security.login_limit import FAILURES, FAILURES_OF_ALL, WINDOW_SECONDS, LoginLimit
from agent.page.security.sessions import MAX_SESSIONS, Sessions, same_csrf
from tests.support.clocks import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sessions(clock: FakeClock) -> Sessions:
    return Sessions(idle_seconds=60.0, longest_seconds=300.0, clock=clock.monotonic)


def test_session_ends_after_idle_time_unless_the_person_does_something(sessions: Sessions, clock: FakeClock) -> None:
    token, session = sessions.begin("anna", Role.VIEW, "hash")
    clock.seconds += 59
    sessions.touch(session)
    clock.seconds += 59
    assert sessions.find(token) is session
    clock.seconds += 2
    assert sessions.find(token) is None


def test_session_ends_after_its_longest_time_whatever_the_person_does(sessions: Sessions, clock: FakeClock) -> None:
    token, session = sessions.begin("anna", Role.VIEW, "hash")
    for _ in range(6):
        clock.seconds += 49
        sessions.touch(session)
    assert sessions.find(token) is session
    clock.seconds += 7
    assert sessions.find(token) is None


def test_token_is_worth_nothing_after_the_logout(sessions: Sessions) -> None:
    token, _ = sessions.begin("anna", Role.VIEW, "hash")
    sessions.end(token)
    assert sessions.find(token) is None
    assert sessions.find(None) is None


def test_number_of_sessions_is_limited_and_the_idlest_ends(sessions: Sessions, clock: FakeClock) -> None:
    first, _ = sessions.begin("first", Role.VIEW, "hash")
    clock.seconds += 1
    second, _ = sessions.begin("second", Role.VIEW, "hash")
    for _ in range(MAX_SESSIONS - 1):
        sessions.begin("more", Role.VIEW, "hash")
    assert sessions.find(first) is None
    assert sessions.find(second) is not None


def test_token_of_another_session_is_not_accepted(sessions: Sessions) -> None:
    _, one = sessions.begin("anna", Role.VIEW, "hash")
    _, other = sessions.begin("anna", Role.VIEW, "hash")
    assert same_csrf(one, one.csrf)
    assert not same_csrf(one, other.csrf)
    assert not same_csrf(one, None)
    assert not same_csrf(one, "ä\ud800")


def test_name_waits_after_some_failures_and_others_do_not(clock: FakeClock) -> None:
    limit = LoginLimit(clock.monotonic)
    for _ in range(FAILURES):
        assert limit.wait_seconds("anna") == 0
        limit.failed("anna")
    assert limit.wait_seconds("anna") == WINDOW_SECONDS
    assert limit.wait_seconds("otto") == 0
    clock.seconds += WINDOW_SECONDS
    assert limit.wait_seconds("anna") == 0


def test_many_names_wait_together(clock: FakeClock) -> None:
    limit = LoginLimit(clock.monotonic)
    for number in range(FAILURES_OF_ALL):
        limit.failed(f"name {number}")
    assert limit.wait_seconds("anna") > 0


def test_success_forgets_earlier_mistakes(clock: FakeClock) -> None:
    limit = LoginLimit(clock.monotonic)
    for _ in range(FAILURES):
        limit.failed("anna")
    limit.succeeded("anna")
    assert limit.wait_seconds("anna") == 0


def test_logins_that_succeed_do_not_make_the_whole_page_wait(clock: FakeClock) -> None:
    """A password is counted before it is checked: what was right must not stay counted."""
    limit = LoginLimit(clock.monotonic)
    for _ in range(2 * FAILURES_OF_ALL):
        limit.failed("anna")
        limit.succeeded("anna")
    assert limit.wait_seconds("anna") == 0
    assert limit.wait_seconds("otto") == 0
