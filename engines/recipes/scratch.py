"""The recipe `scratch`: GANomaly with latent maps, trained on good frames and on synthetic anomalies in them.

Differences from the paper's training (Akcay et al. 2018, section 3.2), beyond those of `engines.networks.latent_maps`:

- Synthetic anomalies (`engines.recipes.synthetic_anomalies`) are added to three frames of four. The decoder restores
  the frame without them (the contextual loss, L1, as in the paper). The paper's encoder loss, the distance between the
  two encoders' maps, becomes `engines.networks.losses.anomaly_loss`: small at normal places, large at anomalous ones.
- Three steps of four train the first encoder alone: normal places at the origin of its maps, anomalous ones far from
  it. The second encoder, which sees restored frames, puts them near the origin as well.
- There is no discriminator. Its task, distinguishing frames from reconstructions, is replaced by a contrastive one:
  of two augmented views of a frame (`engines.recipes.augmentation`), one goes to the first encoder, the other through
  all three networks, and both encoders must recognise the frame among those of the batch
  (`engines.networks.losses.identity_loss`).
- AdamW with a cosine learning-rate schedule, averaged weights, and slightly jittered good frames.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from engines.bundles import Geometry, Normalisation
from engines.networks.latent_maps import MapGenerator
from engines.recipes.anomaly_batch import PIXELS_PER_STEP
from engines.recipes.map_learner import MapLearner
from engines.recipes.map_scorer import MapScorer
from engines.recipes.recipe import Option, Recipe

if TYPE_CHECKING:
    from engines.recipes.scorer import Scorer

_MIN_BATCH, _MAX_BATCH = 8, 64


class ScratchRecipe(Recipe):
    """GANomaly with latent maps and synthetic anomalies, and no weights but its own."""

    name: ClassVar[str] = "scratch"
    score_kind: ClassVar[str] = "latent distance: hottest place of the two encoders' maps, or nearest good frame"

    def batch_size(self, geometry: Geometry) -> int:
        return min(_MAX_BATCH, max(_MIN_BATCH, PIXELS_PER_STEP // (geometry.height * geometry.width)))

    def networks(self, geometry: Geometry, **options: Option) -> MapGenerator:
        return MapGenerator(geometry.channels)

    def learner(self, networks: nn.Module, geometry: Geometry) -> MapLearner:
        assert isinstance(networks, MapGenerator)
        return MapLearner(networks, geometry)

    def scorer(self, networks: nn.Module, normalisation: Normalisation) -> MapScorer:
        assert isinstance(networks, MapGenerator)
        return MapScorer(networks, normalisation)

    def fit_scorer(self, scorer: Scorer, trained_on: Iterable[Tensor], held_out: Iterable[Tensor]) -> None:
        assert isinstance(scorer, MapScorer)
        scorer.fit(trained_on, held_out)
