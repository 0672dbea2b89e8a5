"""A picture that is never laid out is the same picture, up to its edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="export needs the train extra")

from onnx import helper  # noqa: E402

from engines.export.blocks import draw_in_blocks  # noqa: E402
from tests.support.onnx_models import kinds_after, model  # noqa: E402

IN_BLOCKS = {"Conv": 2, "Mul": 2}
LAID_OUT = {"ConvTranspose": 1, "Conv": 1}


def drawn_and_seen(channels: int = 1, stride: int = 4, *, offsets: bool = True, **looking: Any) -> Any:
    """Maps → a picture of so many channels → 24 maps; `looking` are attributes of the second layer."""
    values, side = np.random.default_rng(2).standard_normal, 2 * stride
    usual = {"strides": [stride] * 2, "pads": [stride // 2] * 4, "kernel_shape": [side] * 2}
    weights = {"drawing": values((16, channels, side, side)), "looking": values((24, channels, side, side))}
    added = {"light": values(channels), "offset": values(24)} if offsets else {}
    draw, look = (
        (["x", "drawing", "light"], ["p", "looking", "offset"]) if offsets else (["x", "drawing"], ["p", "looking"])
    )
    nodes = [
        helper.make_node("ConvTranspose", draw, ["p"], **usual),
        helper.make_node("Conv", look, ["y"], **{**usual, **looking}),
    ]
    return model(nodes, {name: value.astype(np.float32) / 8 for name, value in (weights | added).items()})


@pytest.mark.parametrize("offsets", [True, False], ids=["offsets", "no offsets"])
@pytest.mark.parametrize(("channels", "stride"), [(1, 4), (3, 4), (2, 2)])
def test_picture_between_two_layers_is_never_laid_out(channels: int, stride: int, offsets: bool) -> None:
    assert kinds_after(drawn_and_seen(channels, stride, offsets=offsets), draw_in_blocks) == IN_BLOCKS


@pytest.mark.parametrize(
    "looking",
    [{"strides": [2, 2]}, {"pads": [0, 0, 0, 0]}, {"dilations": [2, 2]}, {"pads": [2, 2, 6, 6]}],
    ids=["other stride", "no padding", "dilated", "padded on one side"],
)
def test_picture_that_is_looked_at_in_another_way_stays(looking: dict[str, Any]) -> None:
    assert kinds_after(drawn_and_seen(**looking), draw_in_blocks) == LAID_OUT


def test_picture_that_others_see_too_stays() -> None:
    proto = drawn_and_seen()
    proto.graph.node.append(helper.make_node("ReduceMean", ["p"], ["mean"]))
    proto.graph.node.append(helper.make_node("Mul", ["y", "mean"], ["z"]))
    proto.graph.node[1].output[0] = "w"
    proto.graph.node[3].input[0] = "w"
    proto.graph.node[3].output[0] = "y"
    assert kinds_after(proto, draw_in_blocks) == LAID_OUT | {"ReduceMean": 1, "Mul": 1}
