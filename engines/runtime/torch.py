"""PyTorch on the CPU: slow; the other engines are compared with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engines.bundles import WEIGHTS, Bundle, Frames, read_archive
from engines.errors import BundleError, EngineError
from engines.images import factors_of_pixels, inspected_pixels
from engines.runtime.cores import allowed_threads
from engines.runtime.engine import DEFAULT_OPTIONS, Engine, EngineOptions

if TYPE_CHECKING:
    from engines.recipes.scorer import Scorer


class TorchEngine(Engine):
    """Runs the networks themselves, built by the bundle's recipe, with the weights of `weights.npz`.

    PyTorch has one thread limit for the whole process, so `options.threads` applies to everything else in it, too.
    """

    name = "torch"

    def __init__(self, bundle: Bundle, options: EngineOptions = DEFAULT_OPTIONS) -> None:
        """Load the weights; BundleError if the bundle has none."""
        super().__init__(bundle, options)
        import torch

        threads = options.threads or allowed_threads()
        if threads is not None:
            torch.set_num_threads(threads)
        self._scorer: Scorer | None = load_scorer(bundle)
        self.detail = f"PyTorch {torch.__version__}, CPU"

    def _score(self, frames: Frames) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        import torch

        scorer = self._scorer
        if scorer is None:
            raise EngineError(f"{self.name} engine: already closed")
        with torch.inference_mode():
            score, heatmap = scorer(torch.from_numpy(frames.copy()))
        return score.numpy(), heatmap.numpy()

    def _close(self) -> None:
        self._scorer = None


def load_scorer(bundle: Bundle) -> Scorer:
    """Build the bundle's scoring module and load its weights; BundleError if they do not fit together."""
    import torch

    from engines.recipes.recipe import find_recipe

    manifest = bundle.manifest
    if manifest.recipe is None:
        raise BundleError(f"{bundle.path}: no recipe in its manifest, so PyTorch cannot build its networks")
    recipe = find_recipe(manifest.recipe.name)
    networks = recipe.networks(manifest.geometry, **manifest.recipe.options)
    scorer = recipe.scorer(networks, manifest.normalisation)
    view = manifest.view
    if view is not None and view.mask is not None:
        inspected = inspected_pixels(view, manifest.geometry)
        scorer.mask.use(inspected, view.fill, manifest.normalisation)
    if view is not None and view.sensitivity is not None:
        scorer.factors.use(factors_of_pixels(view, manifest.geometry))
    scorer.padding = None if view is None else view.padding
    content = bundle.read(WEIGHTS)
    try:
        arrays = read_archive(content, lambda heads: None)
        state = {name: torch.from_numpy(values) for name, values in arrays.items()}
        scorer.load_state_dict(state)
    except (OSError, ValueError, RuntimeError) as error:
        raise BundleError(f"{bundle.path / WEIGHTS}: {' '.join(str(error).split())[:200]}") from None
    return scorer.eval()
