"""NVIDIA's own ONNX parser and builder on our graphs, without a GPU: those of TensorRT for RTX build ahead of time.

They have TensorRT's interface under another name, and build for PCs' GPUs only. No plan runs here; `tests/gpu` checks
what plans compute.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from engines.bundles.bundle import MODEL_FP16, Bundle, read_bundle
from engines.errors import EngineError
from engines.runtime.tensorrt.build import BuildOptions, build_plan
from engines.runtime.tensorrt.float_edges import with_float_edges
from engines.runtime.tensorrt.runtime import Runtime, TensorRtMessages, make_logger

onnx: Any = pytest.importorskip("onnx", reason="onnx reads and changes the graphs here")

RTX = Path(__file__).parents[4] / "build" / "tensorrt" / "rtx"

# It deprecates timing caches, and warns at each call.
pytestmark = pytest.mark.filterwarnings("ignore:Use Deprecated in TensorRT-RTX:DeprecationWarning")

OPTIONS = BuildOptions(max_batch=8, device_bytes=4 * 1024**3)

Change = Callable[[Any], None]
"""Changes an `onnx.ModelProto`."""


@pytest.fixture(autouse=True)
def tensorrt(monkeypatch: pytest.MonkeyPatch) -> Any:
    """TensorRT for RTX in place of TensorRT."""
    if not RTX.exists():
        pytest.skip("TensorRT for RTX is not here: make tensorrt")
    monkeypatch.syspath_prepend(str(RTX))
    module = import_module("tensorrt_rtx_bindings")
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    return module


@pytest.fixture(params=["camera", "xray", "tiny"])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    """8 and 16 bits of the default recipe, and the published networks."""
    if request.param == "tiny":
        return request.getfixturevalue("tiny_bundle")
    return read_bundle(Path(str(files("engines.bundles.shipped"))) / f"simulator-{request.param}.bundle")


@pytest.fixture
def altered(tiny_bundle: Bundle, tmp_path: Path) -> Callable[[Change], Bundle]:
    """The tiny bundle with a changed graph, and the hash of that graph in its manifest."""

    def alter(change: Change) -> Bundle:
        model = onnx.load_from_string(tiny_bundle.read(MODEL_FP16))
        change(model)
        return with_model(tiny_bundle, model.SerializeToString(), tmp_path)

    return alter


def with_model(bundle: Bundle, model: bytes, folder: Path) -> Bundle:
    """The bundle with another FP16 model, written to `folder`."""
    (folder / MODEL_FP16).write_bytes(model)
    listed = {**bundle.manifest.files, MODEL_FP16: hashlib.sha256(model).hexdigest()}
    return dataclasses.replace(bundle, path=folder, manifest=bundle.manifest.model_copy(update={"files": listed}))


def rename(old: str, new: str) -> Change:
    """Rename the nodes of one kind."""

    def change(model: Any) -> None:
        for node in model.graph.node:
            node.op_type = new if node.op_type == old else node.op_type

    return change


def test_plan_contains_the_weights(bundle: Bundle) -> None:
    weights = onnx.load_from_string(float_graph(bundle)).graph.initializer
    assert len(build_plan(bundle, OPTIONS)) > sum(len(each.raw_data) for each in weights)


def test_each_tensor_has_the_type_that_the_graph_gives_it(bundle: Bundle, tensorrt: Any) -> None:
    """Strongly typed: networks in half precision; sums, distances and outputs in single precision."""
    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(float_graph(bundle))).graph
    wanted = {each.name: each.type.tensor_type.elem_type for each in (*graph.value_info, *graph.output)}
    logger = make_logger(TensorRtMessages())
    builder = tensorrt.Builder(logger)
    network = builder.create_network(1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    assert tensorrt.OnnxParser(network, logger).parse(float_graph(bundle))
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    types = {tensorrt.float32: onnx.TensorProto.FLOAT, tensorrt.float16: onnx.TensorProto.FLOAT16}
    outputs = [layer.get_output(index) for layer in layers for index in range(layer.num_outputs)]
    got = {tensor.name: types[tensor.dtype] for tensor in outputs if tensor.name in wanted and tensor.dtype in types}
    assert len(got) > 40
    assert got == {name: wanted[name] for name in got}
    assert {"score", "heatmap"} <= set(got)
    convolutions = [layer.get_output(0).dtype for layer in layers if layer.type == tensorrt.LayerType.CONVOLUTION]
    assert len(convolutions) > 5
    assert convolutions.count(tensorrt.float32) <= 2, "the first one, on raw counts, and the smoothing of the heatmap"


def float_graph(bundle: Bundle) -> bytes:
    return with_float_edges(bundle.read(MODEL_FP16))


def test_graph_of_mixed_types_is_rejected_with_the_node(altered: Callable[[Change], Bundle]) -> None:
    """Nothing is converted silently, as a builder without strong typing would do."""

    def keep_single(model: Any) -> None:
        cast = next(
            node
            for node in model.graph.node
            if node.op_type == "Cast" and node.attribute[0].i == onnx.TensorProto.FLOAT16
        )
        cast.attribute[0].i = onnx.TensorProto.FLOAT

    with pytest.raises(EngineError, match=r"does not accept model-fp16.onnx: Conv node_\w+: .*must be of same type"):
        build_plan(altered(keep_single), OPTIONS)


def test_graph_with_unknown_nodes_is_rejected_with_the_first_few(altered: Callable[[Change], Bundle]) -> None:
    with pytest.raises(EngineError) as caught:
        build_plan(altered(rename("Conv", "Convolve")), OPTIONS)
    line = str(caught.value)
    assert line.startswith("tensorrt engine: TensorRT 1.7.1.116 does not accept model-fp16.onnx: Convolve node_")
    assert line.count("Convolve node_") == 5
    assert line.endswith(" more")
    assert "\n" not in line


def test_graph_with_a_missing_input_is_rejected_with_the_node(altered: Callable[[Change], Bundle]) -> None:
    def cut(model: Any) -> None:
        next(node for node in model.graph.node if node.op_type == "Conv").input[0] = "nowhere"

    with pytest.raises(EngineError, match=r"does not accept model-fp16.onnx: Conv node_\w+: "):
        build_plan(altered(cut), OPTIONS)


def test_file_that_is_not_onnx_is_rejected(tiny_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="the model is not ONNX"):
        build_plan(with_model(tiny_bundle, b"garbage" * 100, tmp_path), OPTIONS)


def test_batch_of_no_frames_is_rejected_with_the_reason_of_tensorrt(tiny_bundle: Bundle) -> None:
    with pytest.raises(EngineError, match=r"built no plan \(.*MIN<=OPT<=MAX"):
        build_plan(tiny_bundle, dataclasses.replace(OPTIONS, max_batch=0))


def test_build_reports_its_progress_up_to_the_end(bundle: Bundle) -> None:
    reports: list[tuple[float, str]] = []
    build_plan(bundle, OPTIONS, lambda fraction, message: reports.append((fraction, message)))
    fractions = [fraction for fraction, _ in reports]
    assert len(reports) > 100
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert all(message for _, message in reports)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, EngineError("stopped")], ids=repr)
def test_build_that_is_interrupted_stops_with_that_error(tiny_bundle: Bundle, interrupt: Any) -> None:
    fractions: list[float] = []

    def stop(fraction: float, message: str) -> None:
        fractions.append(fraction)
        if fraction > 0.3:
            raise interrupt

    with pytest.raises(type(interrupt) if isinstance(interrupt, Exception) else interrupt):
        build_plan(tiny_bundle, OPTIONS, stop)
    assert fractions[-1] < 0.5


def test_ctrl_c_stops_the_build(tiny_bundle: Bundle) -> None:
    """The signal arrives while TensorRT's own code runs, which swallows exceptions in its calls to Python."""
    due = threading.Event()

    def report(fraction: float, message: str) -> None:
        due.set()

    def press() -> None:
        due.wait(30)
        os.kill(os.getpid(), signal.SIGINT)

    pressing = threading.Thread(target=press)
    pressing.start()
    with pytest.raises(KeyboardInterrupt):
        build_plan(tiny_bundle, OPTIONS, report)
    pressing.join()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_build_on_another_thread_leaves_signals_alone(tiny_bundle: Bundle) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(build_plan, tiny_bundle, OPTIONS).result()


@pytest.mark.parametrize("kept", [b"", b"garbage" * 100], ids=["empty", "garbage"])
def test_build_with_an_unusable_timing_cache_replaces_it(tiny_bundle: Bundle, tmp_path: Path, kept: bytes) -> None:
    cache = tmp_path / "state" / "timing.cache"
    cache.parent.mkdir()
    cache.write_bytes(kept)
    assert build_plan(tiny_bundle, dataclasses.replace(OPTIONS, timing_cache=cache))
    assert cache.read_bytes() != kept


def test_plan_without_a_driver_is_rejected(tiny_bundle: Bundle) -> None:
    """The real runtime with a real plan: one line, not a crash."""
    if Path("/dev/nvidia0").exists():
        pytest.skip("this machine has a GPU; tests/gpu runs on it")
    plan = build_plan(tiny_bundle, OPTIONS)
    with pytest.raises(EngineError, match=r"tensorrt engine: the plan is rejected \(.*CUDA"):
        Runtime().deserialize(plan, tiny_bundle)
