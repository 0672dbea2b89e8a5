"""The recipe `pretrained`, the default: GANomaly on features of a network that was trained on natural images.

Training is that of `engines.recipes.scratch`, with features in place of frames: the decoder restores the features that
the frame has without its synthetic anomalies. The score also counts how unfamiliar the frame's features are
(`engines.recipes.feature_scorer`). The pretrained weights come from a package of the `train` extra and become part of
the bundle; `--recipe scratch` needs none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from engines.bundles import ForeignWeights, Geometry, Normalisation
from engines.networks.feature_maps import FeatureGenerator
from engines.recipes.feature_scorer import FeatureScorer
from engines.recipes.imagenet_weights import imagenet_weights
from engines.recipes.map_learner import MapLearner
from engines.recipes.recipe import Option
from engines.recipes.scratch import ScratchRecipe

if TYPE_CHECKING:
    from engines.recipes.scorer import Scorer


class PretrainedRecipe(ScratchRecipe):
    """GANomaly with latent maps and synthetic anomalies, on pretrained features."""

    name: ClassVar[str] = "pretrained"
    export_seconds: ClassVar[float] = 36.0
    score_kind: ClassVar[str] = "latent distance of pretrained features, or distance to the nearest good ones"

    def foreign_weights(self) -> list[ForeignWeights]:
        return [imagenet_weights().record]

    def networks(self, geometry: Geometry, **options: Option) -> FeatureGenerator:
        return FeatureGenerator()

    def learner(self, networks: nn.Module, geometry: Geometry) -> MapLearner:
        assert isinstance(networks, FeatureGenerator)
        networks.backbone.load_imagenet_weights(imagenet_weights().load())
        return MapLearner(networks, geometry)

    def scorer(self, networks: nn.Module, normalisation: Normalisation) -> FeatureScorer:
        assert isinstance(networks, FeatureGenerator)
        return FeatureScorer(networks, normalisation)

    def fit_scorer(self, scorer: Scorer, trained_on: Iterable[Tensor], held_out: Iterable[Tensor]) -> None:
        assert isinstance(scorer, FeatureScorer)
        scorer.fit(trained_on, held_out)
