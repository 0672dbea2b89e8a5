"""Bundles with valid hashes whose graph asks for more than a device has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.bundles.bundle import Bundle, write_bundle


def with_graph(bundle: Bundle, path: Path, change: Callable[[Any], None]) -> Bundle:
    """The same bundle, with valid hashes, with another graph."""
    onnx = pytest.importorskip("onnx", reason="onnx changes the model of this test")
    files = {name: (bundle.path / name).read_bytes() for name in bundle.manifest.files}
    model = onnx.load_from_string(files["model.onnx"])
    change(model.graph)
    files["model.onnx"] = model.SerializeToString()
    return write_bundle(path, bundle.manifest, files)


def add_to_score(graph: Any, value: str) -> None:
    """Add a number to the score."""
    from onnx import helper

    for node in graph.node:
        node.output[:] = ["score before" if name == "score" else name for name in node.output]
        node.input[:] = ["score before" if name == "score" else name for name in node.input]
    graph.node.append(helper.make_node("Add", ["score before", value], ["score"]))


def that_wants(gigabytes: int) -> Callable[[Any], None]:
    """Let a graph fill so many GiB with a value of its frames, which cannot be done before it runs."""

    def grow(graph: Any) -> None:
        from onnx import helper, numpy_helper

        shape = np.array([gigabytes * 2**18, 2**10], np.int64)
        graph.initializer.append(numpy_helper.from_array(shape, "large shape"))
        graph.node.append(helper.make_node("Cast", ["frames"], ["floats"], to=1))
        graph.node.append(helper.make_node("ReduceMax", ["floats"], ["seed"], keepdims=0))
        graph.node.append(helper.make_node("Expand", ["seed", "large shape"], ["large"]))
        graph.node.append(helper.make_node("ReduceMax", ["large"], ["number"], keepdims=0))
        add_to_score(graph, "number")

    return grow
