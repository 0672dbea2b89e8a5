"""One-class SVM on PCA features, through scikit-learn.

Schölkopf et al., "Estimating the support of a high-dimensional distribution", Neural Computation 13 (2001). Set up as
the baseline of Ruff et al. ("Deep one-class classification", ICML 2018): Gaussian kernel, pixels reduced by PCA to 95 %
of their variance, ν = 0.1.

Departures:

- γ is one over the number of features and their variance (scikit-learn's "scale"); Ruff et al. choose γ and ν by the
  labels of a test set, which nobody has at a line;
- the score is −log(Σ αᵢ k(x, xᵢ) / Σ αᵢ) / γ, a soft minimum of the squared distances to the support vectors. It ranks
  frames exactly as the decision function does and does not run into zero far away (Kauffmann et al., "Towards
  explaining anomalies: a deep Taylor decomposition of one-class models", Pattern Recognition 101, 2020);
- the paper has no heatmap. Here it is the squared gradient of that score, drawn back into the pixels: the difference
  between the frame and the mean of its support vectors, weighted by how near they are;
- of more than 2,000 frames, 2,000 are learned from.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn.svm import OneClassSVM

from engines.baselines.baseline import Baseline, Limits, Progress
from engines.baselines.pca import MOST_FRAMES, SHARE, spread
from engines.baselines.principal import Axes, principal_axes
from engines.bundle import Frames
from engines.errors import EngineError

_NU = 0.1


class OneClassSvm(Baseline):
    """Gaussian one-class SVM."""

    name: ClassVar[str] = "ocsvm"
    title: ClassVar[str] = "One-class SVM"
    paper: ClassVar[str] = "Schölkopf et al. 2001"
    seeded: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self._axes: Axes | None = None
        self.machine: Any = None
        """The fitted `OneClassSVM`."""

    def features(self, frames: Frames) -> NDArray[np.float64]:
        """What the machine sees of frames [N, H, W, C]: coordinates along the principal axes [N, r]."""
        if self._axes is None:
            raise EngineError(f"{self.name}: asked for features before it has learned")
        return self._axes.coordinates(self.normalised(frames).flatten(1).numpy()).astype(np.float64)

    def _fit(self, frames: Frames, seed: int, limits: Limits, progress: Progress) -> None:
        chosen = spread(frames, MOST_FRAMES)
        self._axes = principal_axes(self.normalised(chosen).flatten(1).numpy(), SHARE)
        features = self.features(chosen)
        variance = max(float(features.var()), float(np.finfo(np.float32).tiny))
        self.machine = OneClassSVM(kernel="rbf", gamma=1.0 / (features.shape[1] * variance), nu=_NU).fit(features)

    def _score(self, frames: Frames) -> tuple[Any, Any]:
        assert self._axes is not None
        features, vectors, gamma = self.features(frames), self.machine.support_vectors_, self.machine.gamma
        share = np.log(self.machine.dual_coef_[0] / self.machine.dual_coef_.sum())
        squares = np.square(features).sum(1)[:, None] + np.square(vectors).sum(1) - 2 * features @ vectors.T
        exponents = share - gamma * squares.clip(min=0.0)
        logarithm = logsumexp(exponents, axis=1)
        nearness = np.exp(exponents - logarithm[:, None])
        gradient = (features - nearness @ vectors).astype(np.float32) @ self._axes.axes
        height, width, channels = frames.shape[1:]
        heat = np.square(gradient).reshape(-1, channels, height, width).mean(axis=1)
        return -logarithm / gamma, heat
