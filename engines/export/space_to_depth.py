"""Rewrite rule: an image between a transposed and a strided convolution stays in blocks of pixels (space to depth)."""

from __future__ import annotations

from typing import Any

import numpy as np

from engines.export.graph import OnnxGraph, attributes

# Values of attributes that a layer does not set.
_DEFAULTS = {"group": 1, "dilations": [1, 1], "output_padding": [0, 0], "auto_pad": b"NOTSET"}


def keep_image_in_blocks(graph: OnnxGraph) -> None:
    """ConvTranspose → image → Conv becomes two 2×2 convolutions; the image stays in blocks of pixels, as channels.

    The transposed convolution writes 2s×2s pixels for each place, s apart, and the convolution reads as many. Counted
    from s/2 pixels outside of the image, both work on the same blocks of s×s pixels, two by two, so both are 2×2
    convolutions over blocks; in between, pixels outside of the image are multiplied by 0. Engines are slow at
    transposed convolutions and at images of few channels.
    """
    for reader in graph.of_type("Conv"):
        writer, shape = graph.sole_producer(reader.input[0], "ConvTranspose"), graph.shape(reader.input[0])
        stride = _block_stride(graph, reader)
        if writer is None or not stride or stride != _block_stride(graph, writer):
            continue
        if len(shape) == 4 and None not in shape[1:]:
            _add_pixel_masks(graph, reader.input[0], shape, stride)
            _convert(graph, writer, reader, stride)


def _block_stride(graph: OnnxGraph, layer: Any) -> int:
    """Stride s of a float32 layer with constant weights, a kernel of 2s and padding of s/2 on each side; else 0."""
    stride = int(attributes(layer).get("strides", [1])[0])
    wanted = {"strides": [stride] * 2, "kernel_shape": [2 * stride] * 2, "pads": [stride // 2] * 4}
    known = all(name in graph.constants for name in layer.input[1:]) and graph.is_float32(layer.output[0])
    return stride if known and stride % 2 == 0 and _DEFAULTS | attributes(layer) == _DEFAULTS | wanted else 0


def _convert(graph: OnnxGraph, writer: Any, reader: Any, stride: int) -> None:
    from onnx import helper

    name = reader.input[0]
    _make_2x2(writer, [writer.input[0], *_writer_weights(graph, writer, stride)], f"{name}.blocks", pad=1)
    _make_2x2(reader, [f"{name}.kept", *_reader_weights(graph, reader, stride)], reader.output[0], pad=0)
    for inputs, output in (("rows", "columns"), "inside"), (("blocks", "inside"), "kept"):
        node = helper.make_node("Mul", [f"{name}.{each}" for each in inputs], [f"{name}.{output}"], f"{name}.{output}")
        graph.insert_before(reader, node)


def _make_2x2(node: Any, inputs: list[str], output: str, pad: int) -> None:
    """Turn a node into a 2×2 convolution."""
    from onnx import helper

    node.CopyFrom(helper.make_node("Conv", inputs, [output], node.name, kernel_shape=[2, 2], pads=[pad] * 4))


def _writer_weights(graph: OnnxGraph, writer: Any, stride: int) -> list[str]:
    """Convert weights of the transposed convolution, [inputs, C, 2s, 2s] → [C·s·s, inputs, 2, 2], and its bias."""
    weights, *bias = (graph.constants[name] for name in writer.input[1:])
    inputs, channels = weights.shape[:2]
    kernel = weights.reshape(inputs, channels, 2, stride, 2, stride)[:, :, ::-1, :, ::-1]
    blocks = kernel.transpose(1, 3, 5, 0, 2, 4).reshape(channels * stride**2, inputs, 2, 2)
    names = [f"{name}.blocks" for name in writer.input[1:]]
    graph.constants |= zip(names, (blocks, *(np.repeat(each, stride**2) for each in bias)), strict=True)
    return names


def _reader_weights(graph: OnnxGraph, reader: Any, stride: int) -> list[str]:
    """Convert weights of the strided convolution, [outputs, C, 2s, 2s] → [outputs, C·s·s, 2, 2]; its bias stays."""
    _, name, *bias = reader.input
    weights = graph.constants[name]
    outputs, channels = weights.shape[:2]
    kernel = weights.reshape(outputs, channels, 2, stride, 2, stride).transpose(0, 1, 3, 5, 2, 4)
    graph.constants[f"{name}.blocks"] = kernel.reshape(outputs, channels * stride**2, 2, 2)
    return [f"{name}.blocks", *bias]


def _add_pixel_masks(graph: OnnxGraph, name: str, shape: list[Any], stride: int) -> None:
    """Add masks of rows [C·s·s, H/s + 1, 1] and of columns [C·s·s, 1, W/s + 1]: 1 inside the image, 0 around it.

    Two small masks keep the graph small; engines multiply them once, when they load it.
    """
    _, channels, height, width = shape
    down, across = (np.pad(np.ones(size, np.float32), stride // 2).reshape(-1, stride).T for size in (height, width))
    block = (channels, stride, stride)
    rows = np.broadcast_to(down[:, None], (*block, height // stride + 1))
    columns = np.broadcast_to(across, (*block, width // stride + 1))
    graph.constants[f"{name}.rows"] = rows.reshape(-1, height // stride + 1, 1)
    graph.constants[f"{name}.columns"] = columns.reshape(-1, 1, width // stride + 1)
