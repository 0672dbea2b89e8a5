"""The recipe on pretrained features: trained, fitted, restored, and better than chance before any training."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")

from torch import Tensor  # noqa: E402

from engines.bundles.bundle import Geometry, Normalisation  # noqa: E402
from engines.export.to_onnx import reference_answers  # noqa: E402
from engines.networks.feature_maps import FeatureGenerator  # noqa: E402
from engines.recipes.augmentation import Turn  # noqa: E402
from engines.recipes.content import relative_to_itself  # noqa: E402
from engines.recipes.feature_branches import BRANCHES, averaged  # noqa: E402
from engines.recipes.feature_scorer import FeatureScorer  # noqa: E402
from engines.recipes.imagenet_weights import imagenet_weights  # noqa: E402
from engines.recipes.pretrained import PretrainedRecipe  # noqa: E402

NORMALISATION = Normalisation(low=0.0, high=255.0)


def texture(count: int, seed: int, *, height: int = 64, width: int = 80) -> Tensor:
    """Good frames: smooth noise on gray, [N, 1, H, W] in −1 … 1."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn((count, 1, height // 8, width // 8), generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")
    return 0.2 * smooth + 0.02 * torch.randn(smooth.shape, generator=generator)


def networks() -> FeatureGenerator:
    torch.manual_seed(0)
    built = PretrainedRecipe().networks(Geometry(64, 80, 1))
    built.backbone.load_imagenet_weights(imagenet_weights().load())
    built.set_scale(built.measure(texture(16, seed=9)))
    return built.eval()


@pytest.fixture(scope="module")
def fitted() -> FeatureScorer:
    scorer = FeatureScorer(networks(), NORMALISATION).eval()
    scorer.fit([texture(30, seed=0), texture(30, seed=1)], [texture(20, seed=2)])
    return scorer


def test_usual_good_frames_score_about_one(fitted: FeatureScorer) -> None:
    with torch.no_grad():
        score, heatmap = fitted.distances(texture(40, seed=3))
    assert 0.5 < float(score.median()) < 3.0
    assert heatmap.shape == (40, 16, 20)


def test_defects_score_higher_before_any_training(fitted: FeatureScorer) -> None:
    """Features of natural images alone tell a scratch from the texture; nobody tuned them to it."""
    good, bad = texture(40, seed=3), texture(40, seed=4)
    bad[:, :, 30:33, 20:60] = 0.6
    with torch.no_grad():
        good_scores, (bad_scores, heatmap) = fitted.distances(good)[0], fitted.distances(bad)
    assert float((bad_scores[:, None] > good_scores).float().mean()) > 0.95
    hottest = heatmap.flatten(1).argmax(1)
    on_defect = ((hottest // 20 - 7.75).abs() <= 3).float().mean()
    assert float(on_defect) > 0.8


def test_branches_add_up_to_the_score(fitted: FeatureScorer) -> None:
    frames = texture(6, seed=3)
    with torch.no_grad():
        branches, (score, _) = fitted.branches(frames), fitted.distances(frames)
    assert branches.shape == (6, len(BRANCHES))
    torch.testing.assert_close(branches.sum(1), score)


def test_identities_count_only_where_good_frames_fall_into_classes(fitted: FeatureScorer) -> None:
    """Textures that are all different have no classes, so an unusual embedding says nothing."""
    usual = fitted.medians.repeat(2, 1)
    unusual = usual.clone()
    unusual[1, 1] = 2.0
    frames = texture(2, seed=3)
    with torch.no_grad():
        low, high = fitted._shares(unusual, frames).sum(1)
    assert float(high - low) < 0.5


def resized(maps: Tensor, like: Tensor) -> Tensor:
    return torch.nn.functional.interpolate(maps, size=like.shape[-2:], mode="bilinear", align_corners=False)


def turns_of(scorer: FeatureScorer, trained_on: Tensor, held_out: Tensor) -> list[Turn]:
    found: list[Turn] = []
    original = scorer._harmless_turns
    scorer._harmless_turns = lambda frames: found.extend(original(frames)) or found  # type: ignore[func-returns-value, method-assign]
    scorer.fit([trained_on], [held_out])
    return found


def test_frames_pass_the_networks_no_more_often_than_needed(fitted: FeatureScorer) -> None:
    """Frames trained on once, and once for each turn; held-out ones once to compare turns with, and once for units."""
    scorer, passes = FeatureScorer(fitted.networks, NORMALISATION).eval(), []
    original = scorer._deep_features
    scorer._deep_features = lambda frames, content: passes.append(len(frames)) or original(frames, content)  # type: ignore[method-assign]
    turns = turns_of(scorer, texture(10, seed=0), texture(8, seed=1))
    assert passes == [10, 8, *3 * [8], *len(turns) * [10], 8]
    assert len(turns) > 0


def wedges(count: int, seed: int, *, side: int = 64) -> Tensor:
    """Good frames that have a right way up: brighter to the right, in a texture, [N, 1, H, W]."""
    return texture(count, seed, height=side, width=side) + torch.linspace(-0.5, 0.5, side)


def test_frames_that_have_no_right_way_up_are_remembered_turned(fitted: FeatureScorer) -> None:
    scorer = FeatureScorer(fitted.networks, NORMALISATION).eval()
    square = {"height": 64, "width": 64}
    assert turns_of(scorer, texture(40, seed=0, **square), texture(20, seed=1, **square)) == list(Turn)
    oblong = FeatureScorer(fitted.networks, NORMALISATION).eval()
    assert turns_of(oblong, texture(100, seed=0), texture(60, seed=1)) == [Turn.MIRRORED, Turn.UPSIDE_DOWN, Turn.HALF]


def test_frames_are_not_turned_where_that_shows(fitted: FeatureScorer) -> None:
    """What is bright on the right stays so upside down, but not mirrored and not on its side."""
    scorer = FeatureScorer(fitted.networks, NORMALISATION).eval()
    assert turns_of(scorer, wedges(40, seed=0), wedges(20, seed=1)) == [Turn.UPSIDE_DOWN]


def test_a_handful_of_held_out_frames_does_not_decide_about_turns(fitted: FeatureScorer) -> None:
    scorer = FeatureScorer(fitted.networks, NORMALISATION).eval()
    assert turns_of(scorer, texture(10, seed=0), texture(4, seed=1)) == []


def test_turned_good_frames_become_familiar(fitted: FeatureScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A memory of turned frames is nearer to good frames than one without, where few were trained on."""
    with_turns, without = (FeatureScorer(fitted.networks, NORMALISATION).eval() for _ in range(2))
    with_turns.fit([texture(6, seed=0)], [texture(12, seed=1)])
    monkeypatch.setattr(without, "_harmless_turns", lambda _: [])
    without.fit([texture(6, seed=0)], [texture(12, seed=1)])
    with torch.no_grad():
        near, far = (
            torch.stack([maps.mean() for maps in each._seen(texture(30, seed=2)).deep.distances])
            for each in (with_turns, without)
        )
    assert bool((near < far).all())


def test_fitted_scorer_is_restored_from_its_state_dict(fitted: FeatureScorer) -> None:
    recipe = PretrainedRecipe()
    restored = recipe.scorer(recipe.networks(Geometry(64, 80, 1)), NORMALISATION).eval()
    restored.load_state_dict(fitted.state_dict())
    given = np.random.default_rng(0).integers(0, 255, (3, 64, 80, 1)).astype(np.uint8)
    first, second = reference_answers(fitted, given), reference_answers(restored, given)
    np.testing.assert_array_equal(first.score, second.score)
    np.testing.assert_array_equal(first.heatmap, second.heatmap)


def test_place_counts_more_where_both_maps_are_hot(fitted: FeatureScorer) -> None:
    """Two frames are as hot in the heatmap, and as unfamiliar; only in one of them at the same place."""
    frames = texture(2, seed=3)
    with torch.no_grad():
        seen = fitted._seen(frames)
        heat, odds = torch.ones_like(seen.squares[0]), torch.zeros_like(seen.deep.odds)
        heat[:, :, 20:40, 20:40] = 400.0
        distances = [torch.ones_like(maps) for maps in seen.deep.distances]
        for maps in distances:
            side = maps.shape[-1] // 5
            maps[0, :, side : 3 * side, side : 3 * side] = maps[1, :, 3 * side :, 3 * side :] = 20.0
        levels = seen.deep._replace(distances=distances, odds=odds)
        together, apart = fitted._evidence(seen._replace(squares=(heat, heat), deep=levels)).branches[:, 0]
    assert float(together) > 1.1 * float(apart)


def test_bundle_from_before_the_maps_were_joined_scores_as_it_did(fitted: FeatureScorer) -> None:
    """It has a branch for the hottest place of the heatmap, and one for the most unfamiliar places."""
    recipe = PretrainedRecipe()
    before = recipe.scorer(recipe.networks(Geometry(64, 80, 1)), NORMALISATION).eval()
    added = ("usual_hottest", "place_weights", "weights")
    earlier = {name: value for name, value in fitted.state_dict().items() if name not in added}
    before.load_state_dict(earlier | {"medians": torch.tensor([1.0, 2.0, 3.0, 4.0]), "excesses": torch.ones(4)})
    with torch.no_grad():
        seen = before._seen(texture(5, seed=3))
        evidence, (_, whole, unfamiliar) = before._evidence(seen), before._unfamiliar(seen.deep)
        heatmap = before._joint_heatmap(evidence)
    most = unfamiliar.flatten(1).topk(3, dim=1).values.mean(1)
    expected = torch.stack([evidence.heatmap.amax((1, 2, 3)), before.identity_distance(seen.identity), most, whole], 1)
    torch.testing.assert_close(evidence.branches, expected)
    units = expected - torch.tensor([1.0, 2.0, 3.0, 4.0])
    weights = torch.tensor([0.5, 1.0, 1.0, 1.0]) / 3.5
    torch.testing.assert_close(
        before._shares(evidence.branches, texture(1, seed=3)), weights * (units + (units**2 + 4).sqrt()) / 2
    )
    usual = heatmap - resized(unfamiliar, heatmap) / 3.0 - evidence.heatmap / 1.0
    fine = resized(evidence.fine, heatmap) * before.fine_weight
    torch.testing.assert_close(usual, fine, rtol=1e-3, atol=1e-3)


def test_bundle_from_before_it_had_its_weights_keeps_those_of_then(fitted: FeatureScorer) -> None:
    recipe = PretrainedRecipe()
    before = recipe.scorer(recipe.networks(Geometry(64, 80, 1)), NORMALISATION).eval()
    before.load_state_dict({name: value for name, value in fitted.state_dict().items() if name != "weights"})
    frames = texture(5, seed=3)
    with torch.no_grad():
        ours, theirs = fitted.branches(frames), before.branches(frames)
    torch.testing.assert_close(theirs, ours / fitted.weights / 3)
    again = recipe.scorer(recipe.networks(Geometry(64, 80, 1)), NORMALISATION).eval()
    again.load_state_dict(before.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(again.branches(frames), theirs, msg="written anew, as by `inspectd sensitivity`")


def test_scorer_without_discriminators_scores_as_it_was_fitted(fitted: FeatureScorer) -> None:
    """Weights of a bundle from before they existed: its memories alone say what is unfamiliar."""
    recipe = PretrainedRecipe()
    before = recipe.scorer(recipe.networks(Geometry(64, 80, 1)), NORMALISATION).eval()
    added = ("noise", "scatter", "fine_weight", "usual_hottest", "place_weights", "medians", "excesses", "weights")
    earlier = {name: value for name, value in fitted.state_dict().items() if not name.startswith(added)}
    before.load_state_dict(earlier | {"medians": torch.zeros(4), "excesses": torch.ones(4)})
    assert float(before.fine_weight) == 0.0
    with torch.no_grad():
        seen = before._seen(texture(5, seed=3)).deep
        local, whole, unfamiliar = before._unfamiliar(seen)
        everywhere, deep = averaged(seen.distances, before.familiar)
    torch.testing.assert_close(unfamiliar, everywhere)
    torch.testing.assert_close(whole, deep.mean((1, 2, 3)))
    assert bool((local >= whole).all())


def test_light_and_contrast_are_taken_out_of_relative_frames() -> None:
    frames = texture(3, seed=5)
    torch.testing.assert_close(relative_to_itself(0.7 * frames + 0.2), relative_to_itself(frames), rtol=0.1, atol=0.02)


def test_gradients_reach_all_networks_but_the_backbone() -> None:
    generator = networks().train()
    latents = generator(texture(4, seed=6))
    total = sum(
        maps.square().mean() for maps in [*latents.of_frame, *latents.of_reconstruction, *latents.reconstruction]
    )
    (total + latents.identity.sum() + latents.reconstruction_identity.sum()).backward()
    without = {name.split(".")[0] for name, weight in generator.named_parameters() if weight.grad is None}
    assert without == {"backbone"}


def test_half_precision_keeps_identities_and_scale_in_full() -> None:
    half = networks().half()
    assert half.backbone.stem[0].weight.dtype == torch.float16
    assert half.centre.dtype == torch.float32
    assert half.encoder1.identity[0].weight.dtype == torch.float32


def test_small_frames_are_seen_at_twice_their_size() -> None:
    recipe = PretrainedRecipe()
    assert recipe.options_for(Geometry(64, 64, 1)) == {"enlarged": 2}
    assert recipe.options_for(Geometry(80, 64, 1)) == {"enlarged": 1}
    small = recipe.networks(Geometry(64, 64, 1), **recipe.options_for(Geometry(64, 64, 1)))
    assert small.features(texture(2, seed=0, width=64)).stride16.shape[2:] == (8, 8)
    # Bundles from before do not say.
    assert recipe.networks(Geometry(64, 64, 1)).features(texture(2, seed=0, width=64)).stride16.shape[2:] == (4, 4)
