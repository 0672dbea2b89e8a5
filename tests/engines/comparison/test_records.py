"""Results of a comparison: times relative to GANomaly, means over the seeds."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch", reason="the comparison needs the train extra")

from engines.bundles.bundle import Geometry
from engines.comparison.records import Comparison, SeedResult, SystemResult


def system(name: str, milliseconds: float, *aurocs: float) -> SystemResult:
    runs = tuple(SeedResult(seed, auroc, None, None, train_seconds=2.0) for seed, auroc in enumerate(aurocs))
    return SystemResult(name, name.title(), "paper", runs, milliseconds)


def comparison(*systems: SystemResult) -> Comparison:
    return Comparison(systems, Geometry(32, 32, 1), 10, 5, 5, None, 3, 0, ())


@pytest.mark.parametrize(
    ("names", "ratio"),
    [(["ganomaly", "pca"], 0.25), (["ganomaly", "ganomaly-reference", "pca"], 0.1), (["pca"], None)],
    ids=["ours", "the paper's", "neither"],
)
def test_time_is_relative_to_the_paper_s_ganomaly_or_else_to_ours(names: list[str], ratio: float | None) -> None:
    milliseconds = {"ganomaly": 4.0, "ganomaly-reference": 10.0, "pca": 1.0}
    result = comparison(*(system(name, milliseconds[name], 0.9) for name in names))
    assert result.times_ganomaly(result.systems[-1]) == ratio


def test_figures_are_means_over_the_seeds() -> None:
    result = comparison(system("pca", 1.0, 0.90, 0.94))
    assert str(result.systems[0].auroc) == "0.920 ± 0.028"
    assert result.systems[0].pixel_auroc is None
    (row,) = json.loads(result.to_json())["systems"]
    assert row["auroc"] == {"mean": pytest.approx(0.92), "deviation": pytest.approx(0.02828427)}
    assert (row["pro"], row["train_seconds"]) == (None, 2.0)
