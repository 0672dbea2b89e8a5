"""One-class SVM on the pixels, through scikit-learn.

Schölkopf et al., "Estimating the support of a high-dimensional distribution", Neural Computation 13 (2001): Gaussian
kernel on the pixels themselves, as for the paper's digits (section 6), with ν = 0.1. Not on PCA features: they do not
contain the directions in which good frames never vary.

Differences from the paper:

- γ is one over the pixels' total variance around the mean frame, scikit-learn's "scale" for centred features. Much of
  the literature chooses γ and ν by the labels of a test set, which does not exist on a line.
- The score is −log(Σ αᵢ k(x, xᵢ) / Σ αᵢ) / γ, a soft minimum of the squared distances to the support vectors. It ranks
  frames exactly as the decision function does, and does not underflow to zero far away (Kauffmann et al., "Towards
  explaining anomalies: a deep Taylor decomposition of one-class models", Pattern Recognition 101, 2020).
- The paper has no heatmap. Here it is the squared gradient of that score: the difference between the frame and the
  mean of its support vectors, weighted by how near they are.
- Of more than 1,000 frames, it trains on 1,000.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn.svm import OneClassSVM

from engines.baselines.baseline import Baseline, Limits
from engines.baselines.pca import evenly_spaced_frames
from engines.bundles import Frames
from engines.errors import EngineError
from engines.progress import Progress

_NU = 0.1

# scikit-learn holds them in float64: 0.5 GB at 256×256.
_MOST_FRAMES = 1000


class OneClassSvm(Baseline):
    """Gaussian one-class SVM."""

    name: ClassVar[str] = "ocsvm"
    title: ClassVar[str] = "One-class SVM"
    paper: ClassVar[str] = "Schölkopf et al. 2001"
    seeded: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self._mean: NDArray[np.float32] | None = None
        self.svm: Any = None
        """The fitted `OneClassSVM`; None before `fit`."""

    def features(self, frames: Frames) -> NDArray[np.float64]:
        """Compute the features of frames [N, H, W, C]: pixels minus the mean frame, [N, C·H·W]."""
        if self._mean is None:
            raise EngineError(f"{self.name}: features() was called before fit()")
        return np.asarray(self.normalised(frames).flatten(1).numpy() - self._mean, dtype=np.float64)

    def _fit(self, frames: Frames, seed: int, limits: Limits, progress: Progress) -> None:
        chosen = evenly_spaced_frames(frames, _MOST_FRAMES)
        self._mean = self.normalised(chosen).flatten(1).mean(0).numpy()
        features = self.features(chosen)
        variance = max(float(features.var()), float(np.finfo(np.float32).tiny))
        self.svm = OneClassSVM(kernel="rbf", gamma=1.0 / (features.shape[1] * variance), nu=_NU).fit(features)

    def _score(self, frames: Frames) -> tuple[Any, Any]:
        features, vectors, gamma = self.features(frames), self.svm.support_vectors_, self.svm.gamma
        share = np.log(self.svm.dual_coef_[0] / self.svm.dual_coef_.sum())
        squares = np.square(features).sum(1)[:, None] + np.square(vectors).sum(1) - 2 * features @ vectors.T
        exponents = share - gamma * squares.clip(min=0.0)
        logarithm = logsumexp(exponents, axis=1)
        nearness = np.exp(exponents - logarithm[:, None])
        gradient = features - nearness @ vectors
        height, width, channels = frames.shape[1:]
        heatmap = np.square(gradient).reshape(-1, channels, height, width).mean(axis=1)
        return -logarithm / gamma, heatmap
