"""An image kept in blocks gives the same result, up to the edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="export needs the train extra")

from onnx import helper  # noqa: E402

from engines.export.space_to_depth import keep_image_in_blocks  # noqa: E402
from tests.support.onnx_models import kinds_after, model  # noqa: E402

IN_BLOCKS = {"Conv": 2, "Mul": 2}
UNCHANGED = {"ConvTranspose": 1, "Conv": 1}


def written_and_read(channels: int = 1, stride: int = 4, *, bias: bool = True, **reader: Any) -> Any:
    """Maps → an image of `channels` channels → 24 maps; `reader` are attributes of the second layer."""
    values, side = np.random.default_rng(2).standard_normal, 2 * stride
    defaults = {"strides": [stride] * 2, "pads": [stride // 2] * 4, "kernel_shape": [side] * 2}
    weights = {"w1": values((16, channels, side, side)), "w2": values((24, channels, side, side))}
    added = {"b1": values(channels), "b2": values(24)} if bias else {}
    first, second = (["x", "w1", "b1"], ["p", "w2", "b2"]) if bias else (["x", "w1"], ["p", "w2"])
    nodes = [
        helper.make_node("ConvTranspose", first, ["p"], **defaults),
        helper.make_node("Conv", second, ["y"], **{**defaults, **reader}),
    ]
    return model(nodes, {name: value.astype(np.float32) / 8 for name, value in (weights | added).items()})


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize(("channels", "stride"), [(1, 4), (3, 4), (2, 2)])
def test_image_between_two_layers_is_kept_in_blocks(channels: int, stride: int, bias: bool) -> None:
    assert kinds_after(written_and_read(channels, stride, bias=bias), keep_image_in_blocks) == IN_BLOCKS


@pytest.mark.parametrize(
    "reader",
    [{"strides": [2, 2]}, {"pads": [0, 0, 0, 0]}, {"dilations": [2, 2]}, {"pads": [2, 2, 6, 6]}],
    ids=["other stride", "no padding", "dilated", "padded on one side"],
)
def test_image_that_is_read_in_another_way_stays(reader: dict[str, Any]) -> None:
    assert kinds_after(written_and_read(**reader), keep_image_in_blocks) == UNCHANGED


def test_image_with_another_user_stays() -> None:
    proto = written_and_read()
    proto.graph.node.append(helper.make_node("ReduceMean", ["p"], ["mean"]))
    proto.graph.node.append(helper.make_node("Mul", ["y", "mean"], ["z"]))
    proto.graph.node[1].output[0] = "w"
    proto.graph.node[3].input[0] = "w"
    proto.graph.node[3].output[0] = "y"
    assert kinds_after(proto, keep_image_in_blocks) == UNCHANGED | {"ReduceMean": 1, "Mul": 1}
