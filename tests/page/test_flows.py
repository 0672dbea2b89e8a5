"""What people do with the page, from the login to a judged alarm, and what they see when something is gone."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from agent.commands import ask
from tests.page.conftest import Line, Tab
from tests.support.agents import await_state, is_armed
from tests.support.broker import Subscriber, wait_until

pytestmark = pytest.mark.browser

OpenTab = Callable[..., Tab]


def test_wrong_password_is_explained_and_the_right_one_leads_to_the_live_screen(open_tab: OpenTab) -> None:
    opened = open_tab()
    opened.tab.fill("#name", "anna")
    opened.tab.fill("#password", "not this one")
    opened.tab.press("#password", "Enter")
    opened.tab.wait_for_selector("text=Name or password is wrong.")
    opened.log_in("anna")
    opened.tab.wait_for_selector(".verdict[data-kind=good], .verdict[data-kind=bad]")
    opened.tab.wait_for_function("() => document.querySelector('canvas.image')?.width > 4")
    opened.tab.wait_for_selector(".strip canvas")


def test_score_is_that_of_the_part_which_the_verdict_is_about(open_tab: OpenTab) -> None:
    """A bad part stays on the screen while the next ones pass: its score does too, if it was seen at all."""
    opened = open_tab().log_in("anna")
    opened.tab.wait_for_selector(".verdict[data-kind=good]", timeout=60_000)
    opened.tab.wait_for_selector(".verdict[data-kind=bad]", timeout=60_000)
    shown = "[document.querySelector('.verdict').dataset.kind, document.querySelector('.facts dd').textContent]"
    seen = []
    while (now := opened.tab.evaluate(shown))[0] == "bad":
        seen.append(now[1])
    known = [each.partition(" / ") for each in seen if each != "–"]
    for score, _, threshold in known:
        assert float(score.replace(",", "")) > float(threshold.replace(",", "")), seen


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.6, 2.4, [0.7, 1, 1.5, 2]), (0.5, 60, [1, 3, 10, 30]), (0.004, 400, [0.01, 0.1, 1, 10, 100]), (1.1, 1.3, 4)],
)
def test_scores_have_labels_however_near_they_lie(
    open_tab: OpenTab, low: float, high: float, expected: list[float] | int
) -> None:
    levels = open_tab().tab.evaluate(
        "async ([low, high]) => (await import('/live/chart.js')).levels(low, high)", [low, high]
    )
    assert levels == expected if isinstance(expected, list) else len(set(levels)) == expected
    assert all(low <= level <= high for level in levels)


def test_alarm_is_judged_with_a_key_and_seen_over_mqtt(line: Line, open_tab: OpenTab) -> None:
    subscriber = Subscriber(line.broker, "inspectd/plant/+/alarm/+/verdict")
    try:
        opened = open_tab().log_in("otto").go("alarms?verdict=unjudged")
        opened.tab.click(".cards .alarm >> nth=0")
        opened.tab.wait_for_selector(".judge .pair")
        identity = opened.tab.evaluate("location.hash.split('/').at(-1).split('?')[0]")
        opened.tab.fill("#defect", "scratch")
        opened.tab.focus("main")
        opened.tab.keyboard.press("t")
        opened.tab.wait_for_selector(".judge .true[aria-pressed=true]")
        wait_until(
            lambda: any(json.loads(each.payload)["id"] == identity for each in subscriber.messages), what="the verdict"
        )
        latest = ask(line.socket, "alarms/show", alarm=identity)["judgements"][-1]
        assert (latest["verdict"], latest["by"], latest["defect"]) == ("true", "otto", "scratch")
    finally:
        subscriber.close()


def test_viewer_is_offered_nothing_that_is_denied(open_tab: OpenTab) -> None:
    opened = open_tab().log_in("vera")
    opened.tab.wait_for_selector(".verdict")
    assert opened.tab.locator("text=Pause inspection").count() == 0
    opened.go("alarms")
    opened.tab.click(".cards .alarm >> nth=0")
    opened.tab.wait_for_selector("text=Log in with the role operate")
    opened.tab.focus("main")
    opened.tab.keyboard.press("t")
    assert opened.tab.locator(".judge .pair").count() == 0


def test_session_that_has_ended_leads_to_the_login(line: Line, open_tab: OpenTab) -> None:
    from agent.core.roles import Role
    from agent.page.security.accounts import Accounts

    accounts = Accounts(line.config.parent / "state" / "page-accounts.json")
    accounts.set("temp", Role.VIEW, "correct horse")
    opened = open_tab().log_in("temp")
    opened.tab.wait_for_selector(".verdict")
    accounts.remove("temp")
    opened.tab.wait_for_selector("text=Your session has ended")  # This notice goes by itself.
    opened.tab.wait_for_selector("#name")


def test_recalibration_shows_its_progress_and_can_be_cancelled(line: Line, open_tab: OpenTab) -> None:
    before = ask(line.socket, "calibration/list", "line1")["active"]
    opened = open_tab().log_in("anna").go("setup")
    opened.tab.fill("#frames", "5000")
    opened.tab.click("button:text-is('Start')")
    opened.tab.wait_for_selector("text=Inspection goes on with the present threshold.")
    opened.tab.click("button:text-is('Cancel')")
    opened.tab.wait_for_selector("#frames")
    assert ask(line.socket, "calibration/list", "line1")["active"] == before


def test_broker_that_is_gone_is_reported_and_its_return_too(line: Line, open_tab: OpenTab) -> None:
    opened = open_tab().log_in("vera")
    opened.tab.wait_for_selector(".verdict")
    line.broker.stop()
    opened.tab.wait_for_selector("#health:has-text('Broker not connected')")
    line.broker.start()
    opened.tab.wait_for_function("() => document.querySelector('#health').textContent === ''")


def test_agent_that_is_killed_never_leaves_a_good_verdict_on_the_screen(line: Line, open_tab: OpenTab) -> None:
    opened = open_tab().log_in("vera")
    opened.tab.wait_for_selector(".verdict[data-kind=good], .verdict[data-kind=bad]")
    line.agent.kill()
    line.agent.wait()
    opened.tab.wait_for_selector(".verdict[data-kind=warn]:has-text('No data')")
    line.agent = line.start()
    await_state(line.socket, is_armed)
    opened.tab.wait_for_selector(".verdict[data-kind=good], .verdict[data-kind=bad]", timeout=60_000)
