"""The default recipe, exported once: an export takes seconds."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

torch = pytest.importorskip("torch", reason="export needs the train extra")
fabric_module = pytest.importorskip("lightning_fabric", reason="training needs the train extra")

from engines.bundles.bundle import Geometry, Normalisation  # noqa: E402
from engines.export.to_onnx import export_onnx, fold_batch_norm, round_to_half  # noqa: E402
from engines.networks.latent_maps import MapGenerator  # noqa: E402
from engines.recipes.map_learner import MapLearner  # noqa: E402
from engines.recipes.map_scorer import MapScorer  # noqa: E402


@dataclass(frozen=True)
class ExportedRecipe:
    """A scoring module and both of its graphs."""

    scorer: MapScorer
    geometry: Geometry
    fp32: bytes
    fp16: bytes


@pytest.fixture(scope="session")
def default_export() -> ExportedRecipe:
    """The default recipe at 64×64 gray, 8 bit, after a few steps, folded and rounded as for a bundle."""
    torch.set_num_threads(1)
    fabric = fabric_module.Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    fabric.seed_everything(0, verbose=False)
    geometry = Geometry(64, 64, 1)
    frames = torch.rand(32, 1, 64, 64, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8
    learner = MapLearner(MapGenerator(1), geometry)
    learner.setup(fabric)
    for step in range(6):
        learner.step(frames[:8], progress=step / 6)
    fold_batch_norm(learner.networks)
    round_to_half(learner.networks)
    scorer = MapScorer(learner.networks, Normalisation(low=0, high=255)).eval()
    scorer.fit([frames[:24]], [frames[24:]])
    fp32, fp16 = (export_onnx(scorer, geometry, half=half) for half in (False, True))
    return ExportedRecipe(scorer, geometry, fp32, fp16)
