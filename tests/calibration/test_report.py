"""The report opens anywhere: one file, nothing fetched, nothing that users wrote taken for markup."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from calibration import Calibration, report_html
from calibration.image_measures import png
from tests.calibration.lines import NOON, TIED_TO, calibration, filled, picture, scores


class Balanced(HTMLParser):
    """Every element that opens closes, in order."""

    EMPTY = frozenset({"meta", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        """An element of SVG that closes itself."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def spoilt() -> Calibration:
    values = scores(400, seed=3)
    values[[7, 9]] += 40
    return filled(values, budget="1 per shift").finish(
        **{**TIED_TO, "camera": "<b>top</b> & side"}, created_at=NOON, who="<i>"
    )


@pytest.mark.parametrize("made", [calibration(), spoilt()], ids=["certified or not", "with frames left out"])
def test_report_is_one_self_contained_page(made: Calibration) -> None:
    page = report_html(made)
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert not re.search(r"(src|href)=\"(?!data:)|url\(|@import|<script", page)
    assert made.promise in "".join(parser.text)
    assert not re.search(r'["\s,]nan["\s,]', page)
    assert page.count("<svg") == 2


def test_report_escapes_names_and_shows_the_pictures() -> None:
    page = report_html(spoilt())
    assert "<b>" not in page
    assert "&lt;b&gt;top&lt;/b&gt; &amp; side" in page
    assert page.count("data:image/png;base64,") == 2


def test_report_of_a_long_window_stays_small() -> None:
    values = scores(20_000)
    made = calibration()
    assert len(report_html(replace(made, scores=values.astype("float32"), id=""))) < 600_000


def test_report_needs_nothing_but_the_record() -> None:
    made = spoilt()
    assert report_html(Calibration.from_json(made.to_json())) == report_html(made)


@pytest.mark.parametrize("channels", [1, 3])
def test_png_is_read_back_by_opencv(channels: int) -> None:
    cv2 = pytest.importorskip("cv2")
    import numpy as np

    shown = picture(0, channels=channels)
    read = cv2.imdecode(np.frombuffer(png(shown), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(read.reshape(shown.shape), shown)
