"""The ROC chart of a comparison."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="the comparison needs the train extra")

from engines.bundles.bundle import Geometry
from engines.comparison.records import Comparison, SeedResult, SystemResult, SystemScores
from engines.comparison.report import draw_roc_curves


def test_roc_curves_have_room_for_the_longest_names() -> None:
    """Nothing is cut off at the edge of the image."""
    runs = tuple(SeedResult(seed, 0.9 + 0.01 * seed, None, None, 1.0) for seed in range(2))
    titles = ["GANomaly (inspectd)", "GANomaly (paper)"]
    systems = tuple(SystemResult(title.lower(), title, "paper", runs, 1.0) for title in titles)
    scores = np.arange(12.0), np.arange(6.0, 18.0)
    chart = draw_roc_curves(
        Comparison(systems, Geometry(32, 32, 1), 10, 12, 12, None, 3, 0, ()),
        [SystemScores(by_seed=[scores, scores]) for _ in titles],
    )
    image = cv2.imdecode(np.frombuffer(chart, np.uint8), cv2.IMREAD_COLOR)
    assert (image < 255).any()
    image[2:-2, 2:-2] = 255
    assert (image == 255).all()
