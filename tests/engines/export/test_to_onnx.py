"""The exported graph says what the module says: in FP32, in FP16, for 8 and 16 bits, for any batch."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="export needs the train extra")

from engines.bundles.bundle import Geometry, Normalisation  # noqa: E402
from engines.bundles.external_data import external_data  # noqa: E402
from engines.export.to_onnx import (  # noqa: E402
    absorb_normalisation,
    agreement,
    export_onnx,
    reference_answers,
    round_to_half,
)
from engines.networks.ganomaly import Generator, refresh_statistics  # noqa: E402
from engines.recipes.scorer import Normalise, ReferenceScorer, gaussian_kernel, normalisation_of, smooth  # noqa: E402
from engines.runtime.onnxruntime import open_session  # noqa: E402

GRAY_16 = Geometry(32, 48, 1, 16)
RANGE_16 = Normalisation(low=5000, high=40000)


def scorer_of(geometry: Geometry, normalisation: Normalisation) -> ReferenceScorer:
    """The published networks, narrow, with weights and statistics as after some training."""
    torch.manual_seed(3)
    networks = Generator(geometry.height, geometry.width, geometry.channels, latent=16, filters=8)
    for parameter in networks.parameters():
        parameter.data *= 3
    refresh_statistics(networks, [torch.rand(32, geometry.channels, geometry.height, geometry.width) * 2 - 1])
    return ReferenceScorer(networks, normalisation).eval()


def frames_of(geometry: Geometry, count: int) -> np.ndarray:
    top = np.iinfo(geometry.dtype).max
    return np.random.default_rng(0).integers(0, top, (count, *geometry.shape)).astype(geometry.dtype)


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


def test_fp16_graph_is_half_the_size_and_typed(single: bytes, half: bytes) -> None:
    onnx = pytest.importorskip("onnx")
    assert len(half) < 0.6 * len(single)
    weights = [tensor for tensor in onnx.load_from_string(half).graph.initializer if np.prod(tensor.dims) > 1000]
    assert weights
    assert {tensor.data_type for tensor in weights} == {onnx.TensorProto.FLOAT16}


@pytest.mark.parametrize("name", ["single", "half"])
def test_graph_has_the_promised_inputs_and_outputs(name: str, request: pytest.FixtureRequest) -> None:
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


def test_graph_keeps_its_weights_inside_and_no_notes(single: bytes) -> None:
    onnx = pytest.importorskip("onnx")
    assert external_data(single) is None
    model = onnx.load_from_string(single)
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
    assert b"site-packages" not in single
    assert __file__.encode() not in single


def test_graph_stays_finite_on_frames_far_outside_the_range(scorer: ReferenceScorer, half: bytes) -> None:
    """A narrow window on a wide detector: 65,535 counts must not become infinite in half precision."""
    narrow = scorer_of(GRAY_16, Normalisation(low=100, high=101))
    score, heatmap = narrow(torch.full((1, *GRAY_16.shape), 65535, dtype=torch.uint16))
    assert torch.isfinite(score).all()
    assert torch.isfinite(heatmap).all()
    score, _ = open_session(half).run(None, {"frames": np.full((1, *GRAY_16.shape), 65535, np.uint16)})
    assert np.isfinite(score).all()


def test_export_leaves_the_module_alone(scorer: ReferenceScorer, half: bytes) -> None:
    assert scorer.dtype == torch.float32


def test_normalise_maps_the_range_to_minus_one_and_one() -> None:
    frames = torch.tensor([5000, 22500, 40000], dtype=torch.uint16).reshape(1, 1, 3, 1)
    assert Normalise(RANGE_16)(frames).flatten().tolist() == pytest.approx([-1, 0, 1])


def test_normalise_cuts_off_what_is_far_outside() -> None:
    narrow = Normalise(Normalisation(low=30000, high=30100))
    frames = torch.tensor([0, 30000, 65535], dtype=torch.uint16).reshape(1, 1, 3, 1)
    assert narrow(frames).flatten().tolist() == pytest.approx([-16, -1, 16])


def test_normalisation_of_16_bits_ignores_dead_and_hot_pixels() -> None:
    frames = np.random.default_rng(0).normal(20000, 1000, (4, 100, 100, 1)).astype(np.uint16)
    frames[0, :2, :10] = 65535
    frames[1, :2, :10] = 0
    found = normalisation_of(frames)
    assert 16000 < found.low < 18000
    assert 22000 < found.high < 24500


def test_normalisation_of_constant_frames_is_still_a_range() -> None:
    found = normalisation_of(np.full((2, 8, 8, 1), 700, np.uint16))
    assert (found.low, found.high) == (700, 701)


def test_smoothing_keeps_the_sum_and_the_edges() -> None:
    kernel = gaussian_kernel(4, 2.0)
    assert float(kernel.sum()) == pytest.approx(1)
    flat = torch.full((1, 1, 16, 16), 3.0)
    assert torch.allclose(smooth(flat, kernel), flat)
    spot = torch.zeros(1, 1, 33, 33)
    spot[0, 0, 16, 16] = 1
    smoothed = smooth(spot, kernel)
    assert float(smoothed.sum()) == pytest.approx(1, abs=1e-5)
    assert int(smoothed.argmax()) == 16 * 33 + 16


def test_reference_score_is_the_mean_squared_difference_of_the_latent_vectors(scorer: ReferenceScorer) -> None:
    frames = torch.from_numpy(frames_of(GRAY_16, 2))
    with torch.no_grad():
        _, latent, again = scorer.networks(scorer.normalise(frames))
        by_hand = [float(((a - b) ** 2).mean()) for a, b in zip(latent, again, strict=True)]
        assert scorer(frames)[0].tolist() == pytest.approx(by_hand, rel=1e-5)


def test_reference_heatmap_is_hottest_where_the_frame_differs_from_its_reconstruction() -> None:
    scorer = scorer_of(Geometry(32, 32, 1), Normalisation(low=0, high=255))

    class Blank(torch.nn.Module):
        """Draws gray, whatever it sees."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, frames):
            return torch.zeros_like(frames), frames[:, :, :1, :1], frames[:, :, :1, :1]

    scorer.networks = Blank()
    frames = np.full((1, 32, 32, 1), 127, np.uint8)
    frames[0, 20:24, 4:8] = 255
    with torch.no_grad():
        heatmap = scorer(torch.from_numpy(frames))[1][0]
    assert divmod(int(heatmap.argmax()), 8) == (5, 1)


def test_absorbing_normalisation_changes_no_answer(scorer: ReferenceScorer) -> None:
    frames = torch.rand(4, 1, 32, 48) * 2 - 1
    networks = copy.deepcopy(scorer.networks).eval()
    with torch.no_grad():
        before = networks(frames)
        absorb_normalisation(networks)
        after = networks(frames)
    for wanted, got in zip(before, after, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-4)
    norms = [module for module in networks.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms
    assert all(bool((norm.weight == 1).all()) and bool((norm.running_mean == 0).all()) for norm in norms)


def test_weights_that_half_precision_holds_are_stored_as_such(scorer: ReferenceScorer, single: bytes) -> None:
    """Half the size, and not a bit of any answer is different."""
    rounded = copy.deepcopy(scorer)
    absorb_normalisation(rounded.networks)
    round_to_half(rounded.networks)
    graph = export_onnx(rounded, GRAY_16)
    assert len(graph) < 0.65 * len(single)
    assert agreement(graph, reference_answers(rounded, frames_of(GRAY_16, 6))) < 1e-4
