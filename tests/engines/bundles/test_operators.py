"""Graphs that could run for ever, or grow without end, are rejected in one line before a runtime sees them."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path

import pytest

from engines.bundles import Bundle, OnnxFormatError, read_bundle
from engines.bundles.operators import FORBIDDEN, MAX_NODES, check_operators
from engines.errors import BundleError
from tests.engines.bundles.test_external_data import message, model

onnx = pytest.importorskip("onnx", reason="onnx builds the models of these tests")
helper = onnx.helper


def function(name: str, calls: list[str], domain: str = "f"):
    nodes = [helper.make_node(each, ["x"], ["x"], domain="f" if each.startswith("f") else "") for each in calls]
    return helper.make_function(domain, name, ["x"], ["x"], nodes, [helper.make_opsetid("", 18)])


@pytest.mark.parametrize("operator", sorted(FORBIDDEN))
@pytest.mark.parametrize("place", ["graph", "branch", "function", "list of graphs", "training"])
def test_loop_is_rejected_wherever_it_is(operator: str, place: str) -> None:
    node = helper.make_node(operator, ["n"], ["y"])
    graph = helper.make_graph([node], "inner", [], [])
    if place == "graph":
        content = model([node])
    elif place == "branch":
        content = model([helper.make_node("If", ["c"], ["y"], then_branch=graph, else_branch=graph)])
    elif place == "list of graphs":
        content = model([helper.make_node("Anything", [], ["y"], graphs=[graph])])
    elif place == "function":
        content = model([], functions=[function("f", [operator])])
    else:
        training = onnx.TrainingInfoProto(algorithm=graph).SerializeToString()
        content = model([]) + bytes([0xA2, 0x01, len(training)]) + training
    with pytest.raises(OnnxFormatError, match=f"operator {operator} can run for ever") as caught:
        check_operators(content)
    assert "\n" not in str(caught.value)


def test_functions_that_double_each_other_are_rejected_at_once() -> None:
    """2^60 nodes in two kilobytes."""
    functions = [function(f"f{number}", [f"f{number + 1}"] * 2) for number in range(60)]
    content = model([helper.make_node("f0", ["x"], ["y"], domain="f")], functions=functions)
    begin = time.monotonic()
    with pytest.raises(OnnxFormatError, match=f"wanted at most {MAX_NODES}"):
        check_operators(content)
    assert time.monotonic() < begin + 5.0


def test_function_that_calls_itself_is_rejected() -> None:
    functions = [function("f0", ["f1"]), function("f1", ["f0"])]
    with pytest.raises(OnnxFormatError, match="calls itself"):
        check_operators(model([helper.make_node("f0", ["x"], ["y"], domain="f")], functions=functions))


def test_function_with_the_name_of_an_operator_does_not_call_itself() -> None:
    check_operators(model([helper.make_node("Add", ["x"], ["y"], domain="f")], functions=[function("Add", ["Add"])]))


def test_nesting_is_bounded() -> None:
    graph = b""
    for _ in range(2_000):
        graph = message(1, message(5, message(6, graph)))
    with pytest.raises(OnnxFormatError, match="nested deeper"):
        check_operators(message(7, graph))


def test_bundle_with_a_loop_of_a_trillion_steps_is_one_line(tiny_bundle: Bundle, tmp_path: Path) -> None:
    """All hashes match: the author of the graph wrote the manifest too."""
    folder = Path(shutil.copytree(tiny_bundle.path, tmp_path / "loop.bundle"))
    graph = onnx.load(folder / "model.onnx")
    body = helper.make_graph([], "body", [], [])
    graph.graph.node.append(helper.make_node("Loop", ["trip", ""], ["forever"], body=body))
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["model.onnx"] = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"model.onnx: operator Loop can run for ever; wanted a graph without loops$"):
        read_bundle(folder)
