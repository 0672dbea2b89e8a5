"""The report is one self-contained page, escapes all names, and states every figure once."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from calibration import Calibration, report_html
from tests.calibration.lines import calibration, filled, origin, scores


class Balanced(HTMLParser):
    """Checks that elements are closed in order, and collects the text."""

    EMPTY = frozenset({"meta", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        """Self-closing elements, as in SVG, are not left open."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def with_frames_left_out() -> Calibration:
    values = scores(400, seed=3)
    values[[7, 9]] += 40
    return filled(values, budget="1 per shift").finish(**origin(camera="<b>top</b> & side", who="<i>"))


@pytest.mark.parametrize(
    "made", [calibration(), with_frames_left_out()], ids=["certified or not", "with frames left out"]
)
def test_report_is_one_self_contained_page(made: Calibration) -> None:
    page = report_html(made)
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert not re.search(r"(src|href)=\"(?!data:)|url\(|@import|<script", page)
    assert made.promise in "".join(parser.text)
    assert not re.search(r'["\s,]nan["\s,]', page)
    assert page.count("<svg") == 2


def test_report_escapes_names_and_shows_the_images() -> None:
    page = report_html(with_frames_left_out())
    assert "<b>" not in page
    assert "&lt;b&gt;top&lt;/b&gt; &amp; side" in page
    assert page.count("data:image/png;base64,") == 2


def test_report_of_a_long_window_stays_small() -> None:
    values = scores(20_000)
    made = calibration()
    assert len(report_html(replace(made, scores=values.astype("float32"), id=""))) < 600_000


def test_report_of_a_record_from_disk_is_the_same() -> None:
    made = with_frames_left_out()
    assert report_html(Calibration.from_json(made.to_json())) == report_html(made)


def text_of(made: Calibration) -> str:
    parser = Balanced()
    parser.feed(report_html(made))
    return "\n".join(parser.text)


def of_four_images_a_part(seed: int, *, odd: float = 0.0, budget: str = "1 per shift") -> Calibration:
    """A calibration on 75 good parts with four images each, one of them odd by so much."""
    rng = np.random.default_rng(seed)
    values = np.repeat(1 + 0.3 * rng.standard_normal(75), 4) + 0.1 * rng.standard_normal(300)
    values[100:104] += odd
    return filled(values, budget=budget).finish(**origin())


def with_bad_images(values: np.ndarray, number: int) -> Calibration:
    """Return a calibration for 1 in 100 parts from a window with this number of images far above the others."""
    values[50 :: values.size // (number + 1)][:number] += 40.0
    return filled(values, budget="1 per 100 parts").finish(**origin())


def thrown_out_by_a_person() -> Calibration:
    values = scores(1_000)
    values[50::50] += 40.0
    return filled(values, budget="1 per 100 parts").finish(**origin(), confirmed_bad=range(50, 1_000, 50))


def kept_out_for_an_alarm() -> Calibration:
    """Parts with an image each, of which those above the threshold in force never were in the window."""
    window = filled(scores(400), budget="1 per 100 parts", parts=True)
    for score in (17.0, 21.0, 18.0, 25.0):
        window.keep_out_alarmed(score)
    return window.finish(**origin())


def of_parts(number: int, *, budget: str) -> Calibration:
    """A calibration on parts with an image each."""
    return filled(scores(number), budget=budget, parts=True).finish(**origin())


CASES = {
    "certified": lambda: filled(scores(5_000), budget="1 per 100 parts").finish(**origin()),
    "extrapolated": lambda: filled(scores(300), budget="1 per 1000 parts").finish(**origin()),
    "dependent": lambda: of_four_images_a_part(5, budget="1 per 400 frames"),
    "parts": lambda: of_parts(1_000, budget="1 per 2000 parts"),
    "certified parts": lambda: of_parts(300, budget="1 per 100 parts"),
    "raised": lambda: of_four_images_a_part(2, odd=4.0),
    "left out and certified": lambda: with_bad_images(scores(3_000), 1),
    "left out and not certified": lambda: with_bad_images(scores(1_000), 20),
    "thrown out by a person": thrown_out_by_a_person,
    "kept out for an alarm": kept_out_for_an_alarm,
}


@pytest.mark.parametrize("case", [case for case in CASES if case != "raised"])
def test_report_states_the_same_rates_in_the_promise_the_facts_and_the_chart(case: str) -> None:
    made = CASES[case]()
    text, span = text_of(made), re.escape(made.budget.span)
    likely, worst = re.search(rf"Likely: ([\d.,]+) per {span}; at worst ([\d.,]*\d)", made.promise).groups()  # type: ignore[union-attr]
    assert made.promise in text
    assert f"\n{likely} per {made.budget.span}\nfalse alarms; at worst {worst}, with 95% confidence\n" in text
    assert f"\nlikely {likely}\nat worst {worst}\n" in text
    assert set(re.findall(r"per (?:day|hour|minute|week|year|shift|[\d,]+ \w+)", text)) == {f"per {made.budget.span}"}


def test_report_states_no_best_guess_that_the_window_cannot_carry() -> None:
    made = filled(scores(300), budget="1 per shift").finish(**origin())
    text = text_of(made)
    found = re.search(r"At worst ([\d,]+) per shift", made.promise)
    assert found
    assert f"\nAt worst\n{found[1]} per shift\nfalse alarms, with 95% confidence; the window is too short" in text
    assert f"\nat worst {found[1]}\n" in text
    assert "ikely: " not in text
    assert "\nlikely " not in text


def test_report_facts_of_dependent_images_are_exact() -> None:
    """Four images a part: 300 images count as about 75."""
    made = of_four_images_a_part(5)
    lines = text_of(made).split("\n")
    at = lines.index("Images that count")
    count = round(made.threshold.effective_sample_size)
    assert 20 < count < 90
    assert lines[at + 1] == f"{count} of 300"
    assert lines[at + 2].startswith("the more alike successive images are, the fewer count")
    assert lines[lines.index("You asked for") + 1 : lines.index("You asked for") + 3] == [
        "1 per shift",
        "false alarms, at most",
    ]
    assert lines[lines.index("Left out") + 1] == "0 images"


def test_report_of_a_record_of_the_first_version_uses_the_unit_of_its_budget() -> None:
    """Its own promise is in alarms per minute."""
    made = Calibration.from_json((Path(__file__).parents[1] / "store" / "first-version.json").read_text())
    assert "per minute" in made.promise
    text = text_of(made)
    assert "You asked for at most 1 false alarm per 100 frames. 60 frames cannot promise that." in text
    assert "per minute. " not in text
