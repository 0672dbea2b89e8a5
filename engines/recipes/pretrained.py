"""The recipe `pretrained`, the default: GANomaly on features of a network that was trained on natural images.

Training is that of `engines.recipes.scratch`, with features in place of frames: the decoder restores the features that
the frame has without its synthetic anomalies. The score also counts how unfamiliar the frame's features are
(`engines.recipes.feature_scorer`). The pretrained weights come from a package of the `train` extra and become part of
the bundle, or from a file that a person has (`--backbone`); `--recipe scratch` needs none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from engines.bundles import ForeignWeights, Geometry, Normalisation
from engines.errors import EngineError, TrainingError
from engines.networks.backbone import Backbone
from engines.networks.feature_maps import DEFAULT_BACKBONE, FeatureGenerator
from engines.networks.resnet import KINDS, ResNet, recognise
from engines.networks.weights_file import read_weights
from engines.recipes.feature_scorer import FeatureScorer, most_turned
from engines.recipes.imagenet_weights import imagenet_weights
from engines.recipes.map_learner import MapLearner
from engines.recipes.recipe import Option
from engines.recipes.scratch import ScratchRecipe

if TYPE_CHECKING:
    from engines.recipes.scorer import Scorer

# SPDX's name for a licence that is not known: the file does not state it.
_UNKNOWN_LICENCE = "NOASSERTION"


# Frames up to this side, pixels, are seen at twice their size: at stride 16 they have but four places a side.
_ENLARGED_SIDE = 64


@dataclass(frozen=True, slots=True)
class OwnBackbone:
    """Weights that a person has, recognised and checked."""

    kind: str
    """One of `engines.networks.resnet.KINDS`."""
    tensors: dict[str, Tensor]
    record: ForeignWeights

    @classmethod
    def read(cls, file: Path) -> OwnBackbone:
        """Read a file of weights; TrainingError, one line, if they are those of no known network."""
        weights = read_weights(file)
        try:
            kind = recognise(weights.tensors)
            ResNet(kind).load_published(weights.tensors)
        except ValueError as error:
            raise TrainingError(f"{file}: {error}") from None
        record = ForeignWeights(source=f"{file.name} ({kind})", licence=_UNKNOWN_LICENCE, sha256=weights.sha256)
        return cls(kind, weights.tensors, record)


def _enlargement(geometry: Geometry) -> int:
    """How many times as large the backbone sees frames of this geometry."""
    return 2 if max(geometry.height, geometry.width) <= _ENLARGED_SIDE else 1


class PretrainedRecipe(ScratchRecipe):
    """GANomaly with latent maps and synthetic anomalies, on pretrained features."""

    name: ClassVar[str] = "pretrained"
    export_seconds: ClassVar[float] = 36.0
    score_kind: ClassVar[str] = "latent distance of pretrained features, or distance to the nearest good ones"

    def __init__(self, own: OwnBackbone | None = None) -> None:
        """Args: own: a backbone that a person has; None: the published weights of the package."""
        self._own = own

    def with_backbone(self, file: Path) -> PretrainedRecipe:
        return PretrainedRecipe(OwnBackbone.read(file))

    def options_for(self, geometry: Geometry) -> dict[str, Option]:
        options: dict[str, Option] = {} if self._own is None else {"backbone": self._own.kind}
        return options | {"enlarged": _enlargement(geometry)}

    def batch_size(self, geometry: Geometry) -> int:
        times = _enlargement(geometry)
        return super().batch_size(replace(geometry, height=times * geometry.height, width=times * geometry.width))

    def foreign_weights(self) -> list[ForeignWeights]:
        return [imagenet_weights().record if self._own is None else self._own.record]

    def networks(self, geometry: Geometry, **options: Option) -> FeatureGenerator:
        backbone = str(options.get("backbone", DEFAULT_BACKBONE))
        if backbone not in (DEFAULT_BACKBONE, *KINDS):
            raise EngineError(f"backbone {backbone!r} is unknown, wanted one of {DEFAULT_BACKBONE}, {', '.join(KINDS)}")
        return FeatureGenerator(backbone, enlarged=int(options.get("enlarged", 1)))

    def learner(self, networks: nn.Module, geometry: Geometry) -> MapLearner:
        assert isinstance(networks, FeatureGenerator)
        backbone = networks.backbone
        if isinstance(backbone, Backbone):
            backbone.load_imagenet_weights(imagenet_weights().load())
        else:
            assert self._own is not None, "networks with this option come from this recipe"
            backbone.load_published(self._own.tensors)
        return MapLearner(networks, geometry)

    def scorer(self, networks: nn.Module, normalisation: Normalisation) -> FeatureScorer:
        assert isinstance(networks, FeatureGenerator)
        return FeatureScorer(networks, normalisation)

    def fit_scorer(self, scorer: Scorer, trained_on: Iterable[Tensor], held_out: Iterable[Tensor]) -> None:
        assert isinstance(scorer, FeatureScorer)
        scorer.fit(trained_on, held_out)

    def frames_to_fit(self, geometry: Geometry, trained_on: int, held_out: int) -> int:
        return super().frames_to_fit(geometry, trained_on, held_out) + most_turned(geometry, trained_on, held_out)
