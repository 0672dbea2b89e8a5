"""The exported graph gives the module's results: in FP32, in FP16, for 8 and 16 bits, for any batch."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="export needs the train extra")

from engines.bundles.bundle import Geometry, Normalisation  # noqa: E402
from engines.bundles.external_data import external_data  # noqa: E402
from engines.export.to_onnx import (  # noqa: E402
    agreement,
    export_onnx,
    fold_batch_norm,
    reference_answers,
    round_to_half,
)
from engines.networks.ganomaly import Generator, recompute_batch_norm  # noqa: E402
from engines.recipes.scorer import ReferenceScorer  # noqa: E402
from engines.runtime.onnxruntime import open_session  # noqa: E402
from tests.engines.export.conftest import ExportedRecipe  # noqa: E402

GRAY_16 = Geometry(32, 48, 1, 16)
RANGE_16 = Normalisation(low=5000, high=40000)


def scorer_of(geometry: Geometry, normalisation: Normalisation) -> ReferenceScorer:
    """The published networks, narrow, with weights and statistics as after some training."""
    torch.manual_seed(3)
    networks = Generator(geometry.height, geometry.width, geometry.channels, latent=16, filters=8)
    for parameter in networks.parameters():
        parameter.data *= 3
    recompute_batch_norm(networks, [torch.rand(32, geometry.channels, geometry.height, geometry.width) * 2 - 1])
    return ReferenceScorer(networks, normalisation).eval()


def frames_of(geometry: Geometry, count: int) -> np.ndarray:
    brightest = np.iinfo(geometry.dtype).max
    return np.random.default_rng(0).integers(0, brightest, (count, *geometry.shape)).astype(geometry.dtype)


@pytest.fixture(scope="module")
def scorer() -> ReferenceScorer:
    return scorer_of(GRAY_16, RANGE_16)


@pytest.fixture(scope="module")
def single(scorer: ReferenceScorer) -> bytes:
    return export_onnx(scorer, GRAY_16)


@pytest.fixture(scope="module")
def half(scorer: ReferenceScorer) -> bytes:
    return export_onnx(scorer, GRAY_16, half=True)


def test_fp32_graph_agrees_with_the_module(scorer: ReferenceScorer, single: bytes) -> None:
    reference = reference_answers(scorer, frames_of(GRAY_16, 6))
    assert reference.score.min() > 0
    assert agreement(single, reference) < 1e-4


def test_fp16_graph_agrees_with_the_module(scorer: ReferenceScorer, half: bytes) -> None:
    difference = agreement(half, reference_answers(scorer, frames_of(GRAY_16, 6)))
    assert 0 < difference < 1e-2


def test_graphs_of_the_default_recipe_agree_with_the_module(default_export: ExportedRecipe) -> None:
    reference = reference_answers(default_export.scorer, frames_of(default_export.geometry, 6))
    assert agreement(default_export.fp32, reference) < 1e-4
    assert agreement(default_export.fp16, reference) < 1e-2


def test_fp16_graph_is_half_the_size_and_typed(single: bytes, half: bytes) -> None:
    onnx = pytest.importorskip("onnx")
    assert len(half) < 0.6 * len(single)
    weights = [tensor for tensor in onnx.load_from_string(half).graph.initializer if np.prod(tensor.dims) > 1000]
    assert weights
    assert {tensor.data_type for tensor in weights} == {onnx.TensorProto.FLOAT16}


@pytest.mark.parametrize("name", ["single", "half"])
def test_graph_has_the_documented_inputs_and_outputs(name: str, request: pytest.FixtureRequest) -> None:
    session: Any = open_session(request.getfixturevalue(name))
    (frames,) = session.get_inputs()
    assert (frames.name, frames.type, frames.shape[1:]) == ("frames", "tensor(uint16)", [32, 48, 1])
    assert isinstance(frames.shape[0], str)
    assert [(output.name, output.type) for output in session.get_outputs()] == [
        ("score", "tensor(float)"),
        ("heatmap", "tensor(float)"),
    ]


def test_graph_takes_any_batch(single: bytes) -> None:
    session = open_session(single)
    for count in (1, 3, 17):
        score, heatmap = session.run(None, {"frames": frames_of(GRAY_16, count)})
        assert score.shape == (count,)
        assert heatmap.shape == (count, 8, 12)


def test_graph_holds_its_weights_and_no_metadata(single: bytes) -> None:
    onnx = pytest.importorskip("onnx")
    assert external_data(single) is None
    model = onnx.load_from_string(single)
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
    assert b"site-packages" not in single
    assert __file__.encode() not in single


def test_graph_stays_finite_on_frames_far_outside_the_range(scorer: ReferenceScorer, half: bytes) -> None:
    """A narrow range on a wide detector: 65,535 counts must not become infinite in half precision."""
    narrow = scorer_of(GRAY_16, Normalisation(low=100, high=101))
    score, heatmap = narrow(torch.full((1, *GRAY_16.shape), 65535, dtype=torch.uint16))
    assert torch.isfinite(score).all()
    assert torch.isfinite(heatmap).all()
    score, _ = open_session(half).run(None, {"frames": np.full((1, *GRAY_16.shape), 65535, np.uint16)})
    assert np.isfinite(score).all()


def test_export_does_not_change_the_module() -> None:
    geometry = Geometry(16, 16, 1)
    module = scorer_of(geometry, Normalisation(low=0, high=255))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    export_onnx(module, geometry, half=True)
    for name, value in module.state_dict().items():
        assert value.dtype == before[name].dtype, name
        assert torch.equal(value, before[name]), name


def test_folding_batch_norm_changes_no_result(scorer: ReferenceScorer) -> None:
    frames = torch.rand(4, 1, 32, 48) * 2 - 1
    networks = copy.deepcopy(scorer.networks).eval()
    with torch.no_grad():
        before = networks(frames)
        fold_batch_norm(networks)
        after = networks(frames)
    for wanted, got in zip(before, after, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-4)
    norms = [module for module in networks.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms
    assert all(bool((norm.weight == 1).all()) and bool((norm.running_mean == 0).all()) for norm in norms)


def test_weights_with_float16_values_are_stored_as_float16(scorer: ReferenceScorer, single: bytes) -> None:
    """Half the size, with the same results."""
    rounded = copy.deepcopy(scorer)
    fold_batch_norm(rounded.networks)
    round_to_half(rounded.networks)
    graph = export_onnx(rounded, GRAY_16)
    assert len(graph) < 0.65 * len(single)
    assert agreement(graph, reference_answers(rounded, frames_of(GRAY_16, 6))) < 1e-4
