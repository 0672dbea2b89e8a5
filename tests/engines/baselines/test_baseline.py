"""The contract of every system of the comparison."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("torch", reason="baselines need the train extra")

import torch

from engines.baselines import baseline_names, find_baseline
from engines.baselines.anogan import AnoGan
from engines.baselines.baseline import Baseline
from engines.bundles.bundle import Frames
from engines.errors import EngineError, TrainingError
from engines.evaluation.metrics import auroc
from tests.engines.baselines.conftest import parts

# Enough for a scratch to stand out, on the 32 px frames of this suite.
STEPS = {
    "pca": 1,
    "ocsvm": 1,
    "patchcore": 1,
    "padim": 1,
    "stfpm": 12,
    "autoencoder": 12,
    "rapp-sap": 12,
    "rapp-nap": 12,
    "anogan": 8,
    "egbad": 10,
}


def new(name: str) -> Baseline:
    """A system; AnoGAN narrow and with a short search, since five hundred steps take long."""
    return AnoGan(filters=16, search_steps=40) if name == "anogan" else find_baseline(name)()


@pytest.fixture(scope="module", params=list(STEPS))
def system(request: pytest.FixtureRequest, good: Frames) -> Iterator[Baseline]:
    """Each system in turn, trained."""
    made = new(request.param)
    made.fit(good, seed=0, steps=STEPS[request.param])
    yield made
    made.close()


def test_scores_and_heatmaps_have_the_shapes_of_the_contract(system: Baseline, fresh: Frames) -> None:
    scores = system.score(fresh)
    assert scores.score.shape == (len(fresh),)
    assert scores.heatmap.shape == fresh.shape[:3]
    for values in (scores.score, scores.heatmap):
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        assert (values >= 0).all()


def test_scratch_is_hotter_than_its_surroundings(system: Baseline, scratched: Frames) -> None:
    """Pixels above 220 are the scratch: the disc is at 170, give or take noise of 4."""
    if system.name == "rapp-nap":
        pytest.skip("with fewer frames than values, whitening mixes all places; see test_rapp.py for its score")
    if system.name in ("patchcore", "padim"):
        pytest.skip("their features are eight pixels apart, the scratch is two wide; see their own tests")
    heatmap, on_scratch = system.score(scratched).heatmap, scratched[..., 0] > 220
    assert auroc(heatmap[~on_scratch], heatmap[on_scratch]) > 0.8


def test_scratched_parts_score_above_good_ones(system: Baseline, fresh: Frames, scratched: Frames) -> None:
    assert auroc(system.score(fresh).score, system.score(scratched).score) > 0.8


def test_score_does_not_depend_on_the_batch(system: Baseline, fresh: Frames) -> None:
    """A production line sends frames one by one."""
    together, alone = system.score(fresh[:3]), system.score(fresh[1:2])
    np.testing.assert_allclose(together.score[1], alone.score[0], rtol=1e-2)
    assert np.abs(together.heatmap[1] - alone.heatmap[0]).max() < 0.02 * together.heatmap[1].max()


@pytest.mark.parametrize("name", ["egbad", "autoencoder"])
def test_same_seed_gives_the_same_scores_and_another_one_others(name: str, good: Frames, fresh: Frames) -> None:
    scores = []
    for seed in (3, 3, 4):
        torch.rand(seed)  # earlier random numbers of the process must not matter
        system = new(name)
        system.fit(good[:16], seed=seed, steps=2)
        scores.append(system.score(fresh[:4]).score)
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


def test_fitting_does_not_change_the_random_state(good: Frames) -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    new("autoencoder").fit(good[:8], seed=5, steps=1)
    assert torch.equal(torch.rand(3), expected)


def test_sixteen_bits_are_normalised_by_their_own_range() -> None:
    """The parts in 16 bits use 4,000 to 29,500 of 65,536 levels; a scratch must stand out all the same."""
    system = new("pca")
    system.fit(parts(64, seed=0, depth=16), steps=1)
    assert system.normalisation.low > 4000
    assert system.normalisation.high < 30_000
    fresh, scratched = parts(20, seed=1, depth=16), parts(20, seed=2, scratch=True, depth=16)
    assert auroc(system.score(fresh).score, system.score(scratched).score) > 0.9


def test_scoring_before_fitting_is_rejected(fresh: Frames) -> None:
    with pytest.raises(EngineError, match=r"score\(\) was called before fit\(\)"):
        new("pca").score(fresh)


def test_frames_of_another_size_are_rejected(system: Baseline, fresh: Frames) -> None:
    with pytest.raises(EngineError, match="wanted uint8"):
        system.score(np.ascontiguousarray(fresh[:, :16]))


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [({}, "at least one"), ({"minutes": 0.0}, "more than 0"), ({"steps": 0}, "at least 1")],
)
def test_impossible_limits_are_rejected(good: Frames, limits: dict[str, float], wanted: str) -> None:
    with pytest.raises(TrainingError, match=wanted):
        new("pca").fit(good, **limits)  # type: ignore[arg-type]


def test_unknown_system_is_rejected_with_the_known_names() -> None:
    with pytest.raises(
        EngineError, match="'deep' is unknown, wanted one of ganomaly, ganomaly-scratch, ganomaly-reference"
    ):
        find_baseline("deep")


def test_every_system_is_found_by_its_name() -> None:
    assert {find_baseline(name).name for name in baseline_names()} == set(baseline_names())
