"""A mask is drawn, a model is trained with it, and is in force: all on the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.commands import ask
from tests.page.conftest import Line, Tab
from tests.page.test_drawing import board
from tests.page.test_screens import check
from tests.support.agents import await_state, inspectd
from tests.support.broker import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

OpenTab = Callable[..., Tab]

# With the crop, the model is small.
STEPS = "3"
TRAINED_MS = 600_000


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Images of good parts, as the camera of the agent shows them."""
    pytest.importorskip("torch", reason="the extra train is not installed")
    folder = tmp_path_factory.mktemp("parts")
    done = inspectd("simulate", folder, "--mode", "camera", "--count", "40", "--seed", "5")
    assert done.returncode == 0, done.stderr
    return sorted((folder / "train" / "good").iterdir())[:24]


@pytest.mark.timeout(900)
def test_mask_that_is_drawn_and_trained_with_is_in_force(line: Line, open_tab: OpenTab, parts: list[Path]) -> None:
    opened = open_tab().log_in("anna")
    image = board(opened)
    image.click((0.4, 0.4), (0.6, 0.6))
    opened.tab.click("[data-tool=mask]")
    image.click((0.42, 0.42), (0.5, 0.42), (0.5, 0.5), (0.42, 0.42))
    opened.tab.click("text=Keep for training")
    opened.tab.wait_for_selector("code:has-text('--mask')")
    assert ask(line.socket, "view")["mask"] is None
    train(opened, parts)
    opened.tab.click("button:text-is('Take over')")
    opened.tab.wait_for_selector("text=How to train", timeout=60_000)
    view = ask(line.socket, "view")
    assert view["crop"] == view["drawn"]["crop"]
    assert view["mask"] is not None
    await_state(line.socket, lambda state: state["phase"] in ("calibrating", "armed", "refused"))
    opened.tab.click("button:text-is('Put the earlier model back')")
    wait_until(lambda: ask(line.socket, "view")["mask"] is None, what="the earlier model")
    ask(line.socket, "view/draw", width=view["width"], height=view["height"])


def test_training_is_cancelled_and_leaves_the_model_in_force(line: Line, open_tab: OpenTab, parts: list[Path]) -> None:
    model = ask(line.socket, "status")["cameras"]["line1"]["model"]
    opened = open_tab().log_in("anna").go("training")
    opened.tab.wait_for_selector(".group")
    opened.tab.set_input_files("#upload", [str(path) for path in parts])
    opened.tab.wait_for_selector("text=24 images uploaded")
    opened.tab.fill("#minutes", "60")
    opened.tab.select_option("#recipe", "scratch")
    opened.tab.click("button:text-is('Train')")
    opened.tab.wait_for_selector("text=You may leave this page")
    opened.tab.click("button:text-is('Cancel the training')")
    opened.tab.wait_for_selector("text=The training was cancelled.", timeout=TRAINED_MS)
    opened.tab.wait_for_selector("button:text-is('Train')")
    check(opened, "training-cancelled-panel")
    assert ask(line.socket, "status")["cameras"]["line1"]["model"] == model


def train(opened: Tab, parts: list[Path]) -> None:
    """Upload, train, and look at what came of it."""
    opened.go("training").tab.wait_for_selector(".group")
    opened.tab.set_input_files("#upload", [str(path) for path in parts])
    opened.tab.wait_for_selector("text=24 images uploaded")
    opened.tab.click("[data-kind=uploads] summary")
    opened.tab.uncheck("[data-kind=uploads] .alarm >> nth=0 >> input")
    check(opened, "training-panel")
    opened.tab.fill("#steps", STEPS)
    opened.tab.select_option("#recipe", "scratch")
    opened.tab.click("button:text-is('Train')")
    opened.tab.wait_for_selector("text=You may leave this page")
    check(opened, "training-runs-panel")
    opened.tab.wait_for_selector("button:text-is('Take over')", timeout=TRAINED_MS)
    opened.tab.wait_for_selector("table.compare")
    check(opened, "trained-panel")
    opened.tab.screenshot(path=Path(__file__).parents[2] / "build" / "page" / "trained.png", full_page=True)
