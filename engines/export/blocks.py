"""A picture between two layers, in blocks of pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from engines.export.graph import Graph, attributes

# What attributes of layers are where they are not given.
_USUAL = {"group": 1, "dilations": [1, 1], "output_padding": [0, 0], "auto_pad": b"NOTSET"}


def draw_in_blocks(graph: Graph) -> None:
    """A picture that one layer draws for the next to look at → its blocks of pixels as channels, never laid out.

    The one layer draws 2s×2s pixels for each place, s apart, the other looks at as many. Counted from s/2 pixels
    outside of the picture both go by the same blocks of s×s pixels, two by two, and are 2×2 convolutions; in between,
    what lies outside is multiplied by 0. Transposed convolutions and pictures of few channels are what engines are slow
    with.
    """
    for look in graph.of_kind("Conv"):
        draw, picture = graph.made_by(look.input[0], "ConvTranspose"), graph.shape(look.input[0])
        stride = _stride_of_blocks(graph, look)
        if draw is None or not stride or stride != _stride_of_blocks(graph, draw):
            continue
        if len(picture) == 4 and None not in picture[1:]:
            _mark_pixels(graph, look.input[0], picture, stride)
            _draw_in_blocks(graph, draw, look, stride)


def _stride_of_blocks(graph: Graph, layer: Any) -> int:
    """s, where a float32 layer's kernel is 2s wide, its stride s, and s/2 is cut off or added on each side; else 0."""
    stride = int(attributes(layer).get("strides", [1])[0])
    by_blocks = {"strides": [stride] * 2, "kernel_shape": [2 * stride] * 2, "pads": [stride // 2] * 4}
    known = all(name in graph.constants for name in layer.input[1:]) and graph.is_single(layer.output[0])
    return stride if known and stride % 2 == 0 and _USUAL | attributes(layer) == _USUAL | by_blocks else 0


def _draw_in_blocks(graph: Graph, draw: Any, look: Any, stride: int) -> None:
    from onnx import helper

    name = look.input[0]
    _set_layer(draw, [draw.input[0], *_drawing(graph, draw, stride)], f"{name}.blocks", pad=1)
    _set_layer(look, [f"{name}.kept", *_looking(graph, look, stride)], look.output[0], pad=0)
    for inputs, output in (("rows", "columns"), "inside"), (("blocks", "inside"), "kept"):
        node = helper.make_node("Mul", [f"{name}.{each}" for each in inputs], [f"{name}.{output}"], f"{name}.{output}")
        graph.insert_before(look, node)


def _set_layer(node: Any, inputs: list[str], output: str, pad: int) -> None:
    """Make a node a 2×2 convolution."""
    from onnx import helper

    node.CopyFrom(helper.make_node("Conv", inputs, [output], node.name, kernel_shape=[2, 2], pads=[pad] * 4))


def _drawing(graph: Graph, draw: Any, stride: int) -> list[str]:
    """Weights of a transposed convolution [inputs, C, 2s, 2s] → of a convolution [C·s·s, inputs, 2, 2], and offsets."""
    weights, *offsets = (graph.constants[name] for name in draw.input[1:])
    inputs, channels = weights.shape[:2]
    kernel = weights.reshape(inputs, channels, 2, stride, 2, stride)[:, :, ::-1, :, ::-1]
    blocks = kernel.transpose(1, 3, 5, 0, 2, 4).reshape(channels * stride**2, inputs, 2, 2)
    names = [f"{name}.blocks" for name in draw.input[1:]]
    graph.constants |= zip(names, (blocks, *(np.repeat(each, stride**2) for each in offsets)), strict=True)
    return names


def _looking(graph: Graph, look: Any, stride: int) -> list[str]:
    """Weights of a convolution [outputs, C, 2s, 2s] → [outputs, C·s·s, 2, 2], and its offsets."""
    _, name, *offsets = look.input
    weights = graph.constants[name]
    outputs, channels = weights.shape[:2]
    kernel = weights.reshape(outputs, channels, 2, stride, 2, stride).transpose(0, 1, 3, 5, 2, 4)
    graph.constants[f"{name}.blocks"] = kernel.reshape(outputs, channels * stride**2, 2, 2)
    return [f"{name}.blocks", *offsets]


def _mark_pixels(graph: Graph, name: str, picture: list[Any], stride: int) -> None:
    """Rows [C·s·s, H/s + 1, 1] and columns [C·s·s, 1, W/s + 1] of blocks: 1 for what is in the picture, 0 around it.

    Engines multiply the two when they load the graph, which is kept small.
    """
    _, channels, height, width = picture
    down, across = (np.pad(np.ones(size, np.float32), stride // 2).reshape(-1, stride).T for size in (height, width))
    pixels = (channels, stride, stride)
    rows = np.broadcast_to(down[:, None], (*pixels, height // stride + 1))
    columns = np.broadcast_to(across, (*pixels, width // stride + 1))
    graph.constants[f"{name}.rows"] = rows.reshape(-1, height // stride + 1, 1)
    graph.constants[f"{name}.columns"] = columns.reshape(-1, 1, width // stride + 1)
