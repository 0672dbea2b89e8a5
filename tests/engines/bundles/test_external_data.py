"""External data is found at every place where ONNX allows a tensor."""

from __future__ import annotations

import numpy as np
import pytest

from engines.bundles.external_data import OnnxFormatError, external_data

onnx = pytest.importorskip("onnx", reason="onnx builds the models of these tests")
helper = onnx.helper


def outside(name: str = "w", location: str = "weights.bin"):
    tensor = onnx.TensorProto(name=name, data_type=onnx.TensorProto.FLOAT, dims=[4])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "16")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def inside(name: str = "w"):
    return onnx.numpy_helper.from_array(np.ones(4, np.float32), name)


def model(nodes=(), initializers=(), **fields) -> bytes:
    graph = helper.make_graph(list(nodes), "g", [], [], initializer=list(initializers))
    return helper.make_model(graph, **fields).SerializeToString()


def message(field: int, content: bytes) -> bytes:
    """A protobuf field with a length before its content."""
    size, varint = len(content), bytearray()
    while size > 0x7F:
        varint.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([field << 3 | 2, *varint, size]) + content


def branch(*tensors):
    return helper.make_graph([], "branch", [], [], initializer=list(tensors))


def test_scan_of_a_model_with_all_weights_inside_finds_nothing() -> None:
    node = helper.make_node("Constant", [], ["c"], value=inside("c"))
    assert external_data(model([node], [inside()])) is None


def test_scan_finds_an_initializer() -> None:
    assert external_data(model([], [inside("a"), outside(location="../../etc/passwd")])) == "../../etc/passwd"


def test_scan_finds_a_constant() -> None:
    assert external_data(model([helper.make_node("Constant", [], ["c"], value=outside())])) == "weights.bin"


def test_scan_finds_a_list_of_tensors() -> None:
    assert (
        external_data(model([helper.make_node("Anything", [], ["c"], values=[inside(), outside()])])) == "weights.bin"
    )


def test_scan_finds_a_tensor_in_a_branch_of_a_branch() -> None:
    inner = helper.make_node("If", ["b"], ["x"], then_branch=branch(outside()), else_branch=branch())
    middle = helper.make_graph([inner], "middle", [], [])
    node = helper.make_node("If", ["b"], ["y"], then_branch=branch(), else_branch=middle)
    assert external_data(model([node])) == "weights.bin"


def test_scan_finds_a_tensor_in_a_function() -> None:
    node = helper.make_node("Constant", [], ["c"], value=outside())
    function = helper.make_function("local", "f", [], ["c"], [node], [helper.make_opsetid("", 18)])
    assert external_data(model([], [], functions=[function])) == "weights.bin"


def test_scan_finds_a_sparse_tensor() -> None:
    graph = helper.make_graph([], "g", [], [])
    graph.sparse_initializer.add().values.CopyFrom(outside())
    assert external_data(helper.make_model(graph).SerializeToString()) == "weights.bin"


def test_scan_finds_an_external_tensor_without_a_file_name() -> None:
    tensor = onnx.TensorProto(name="w", data_location=onnx.TensorProto.EXTERNAL)
    assert external_data(model([], [tensor])) == "?"


@pytest.mark.parametrize("junk", [b"", b"\x00" * 9, b"not a model", b"\x3a\xff\xff\xff\xff\x0f", b"\xff" * 40])
def test_scan_of_other_bytes_raises(junk: bytes) -> None:
    with pytest.raises(OnnxFormatError):
        external_data(junk)


def test_scan_of_every_truncation_ends() -> None:
    """No endless loop, index error or stack overflow, wherever the file was truncated."""
    whole = model([helper.make_node("Constant", [], ["c"], value=inside("c"))], [inside()])
    for size in range(len(whole)):
        try:
            assert external_data(whole[:size]) is None
        except OnnxFormatError:
            continue


def test_scan_of_deep_nesting_raises() -> None:
    graph = branch(outside()).SerializeToString()
    for _ in range(100):
        for field in (6, 5, 1):  # graph in attribute, attribute in node, node in graph: deeper than protobuf builds
            graph = message(field, graph)
    with pytest.raises(OnnxFormatError, match="nested deeper"):
        external_data(message(7, graph))
