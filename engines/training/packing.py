"""From a trained model to a bundle: fit the score, export both graphs, draw the report, write the files.

And from a bundle to one whose regions count differently, for which nothing has to be learned again.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engines.bundles import (
    CORRECTION,
    MODEL,
    MODEL_FP16,
    REFERENCE,
    REPORT,
    WEIGHTS,
    Bundle,
    DamageCheck,
    Frames,
    FrameTime,
    Geometry,
    Manifest,
    RecipeRecord,
    Reference,
    ScoreSummary,
    Sensitivity,
    TrainingRecord,
    reference_archive,
    write_bundle,
)
from engines.export.to_onnx import (
    agreement,
    export_onnx,
    fold_batch_norm,
    reference_answers,
    round_to_half,
    weights_archive,
)
from engines.images import factors_of_pixels, inspected_pixels
from engines.progress import Progress
from engines.recipes.recipe import Recipe
from engines.recipes.scorer import Scorer
from engines.runtime import Scores, describe_processor, load_scorer
from engines.training.good_frames import NormalisedFrames, in_batches
from engines.training.self_check import damage_check, damaged
from engines.training.sizing import THREADS, frame_milliseconds
from engines.training.trained import TrainedModel

# Enough to detect a wrong engine at low and at high scores, and small next to the model: eight of 256×256 are 0.5 MB.
_REFERENCE_FRAMES = 8

# Largest expected relative difference between each graph and PyTorch; a bundle that exceeds it gets a warning.
EXPECTED_AGREEMENT = {MODEL: 1e-4, MODEL_FP16: 1e-2}

# Most good frames that the score's statistics are fitted to, and that the report selects the strangest from.
_FIT_FRAMES, _REPORT_FRAMES = 8192, 512
# Most pixels of the former: statistics of places are computed from all of them at once, in about 1 GB.
_FIT_PIXELS = 1024 * 256 * 256

_BATCH = 32


def pack(out: Path, trained: TrainedModel, progress: Progress) -> Bundle:
    """Write the bundle of a trained model to `out` and verify it; BundleError if it cannot be written."""
    from engines.training.report import draw_training_report

    progress(0.0, "scoring the good images")
    scorer = _fitted_scorer(trained)
    held_out = score_all(scorer, trained.held_out_frames)
    hurt = damaged(trained.held_out_frames, inspected=_inspected(trained))
    damage = damage_check(held_out.score, score_all(scorer, hurt).score)
    reference = reference_answers(scorer, _reference_frames(trained, held_out.score))
    progress(0.2, "exporting FP32")
    models = {MODEL: export_onnx(scorer, trained.geometry)}
    progress(0.5, "exporting FP16")
    models[MODEL_FP16] = export_onnx(scorer, trained.geometry, half=True)
    agreements = {name: agreement(model, reference) for name, model in models.items()}
    milliseconds = frame_milliseconds(models[MODEL], reference.frames)
    progress(0.8, "drawing the report")
    every = -(-len(trained.train_frames) // _REPORT_FRAMES)
    report = draw_training_report(trained, scorer, held_out, score_all(scorer, trained.train_frames[::every]), every)
    files = {
        **models,
        REFERENCE: reference_archive(reference),
        WEIGHTS: weights_archive(scorer),
        REPORT: report,
    }
    correction = trained.view.correction_file
    if correction is not None:
        files[CORRECTION] = correction.read_bytes()
    bundle = write_bundle(out, _manifest(trained, reference, held_out, damage, agreements, milliseconds), files)
    progress(1.0, "done")
    return bundle


def reweigh(
    bundle: Bundle, sensitivity: Sensitivity | None, out: Path, good: Frames | None, progress: Progress
) -> Bundle:
    """Write a copy of a bundle in which places count as this sensitivity says; None: all the same.

    Networks and units of the score are those of the bundle: neither depends on the factors. The report of the training,
    which shows scores of the old ones, is left out.

    Args:
        bundle: with `weights.npz`.
        sensitivity: for source images of the size that the bundle knows.
        out: bundle to write, and to verify.
        good: model inputs of good parts that were not trained on [N, H, W, C]; None: no scores of good parts are known,
            so that windows are not compared with them.
        progress: of the export.

    Raises BundleError where the bundle cannot be rebuilt or written.
    """
    manifest = bundle.manifest
    assert manifest.view is not None
    changed = manifest.model_copy(update={"view": manifest.view.model_copy(update={"sensitivity": sensitivity})})
    scorer = load_scorer(Bundle(bundle.path, changed, bundle.sha256))
    reference = reference_answers(scorer, bundle.reference().frames)
    progress(0.1, "exporting FP32")
    models = {MODEL: export_onnx(scorer, manifest.geometry)}
    progress(0.5, "exporting FP16")
    models[MODEL_FP16] = export_onnx(scorer, manifest.geometry, half=True)
    kept = [name for name in manifest.files if name not in (MODEL, MODEL_FP16, REFERENCE, REPORT)]
    files = {**models, REFERENCE: reference_archive(reference), **{name: bundle.read(name) for name in kept}}
    progress(0.9, "scoring the good images")
    if manifest.training is not None:
        record = _reweighed(manifest.training, scorer, manifest, good)
        agreements = {name: agreement(model, reference) for name, model in models.items()}
        update = {"agreement": agreements, "warnings": [*manifest.training.warnings, *_disagreements(agreements)]}
        changed = changed.model_copy(update={"training": record.model_copy(update=update)})
    written = write_bundle(out, changed, files)
    progress(1.0, "done")
    return written


def _reweighed(record: TrainingRecord, scorer: Scorer, manifest: Manifest, good: Frames | None) -> TrainingRecord:
    """The record of a training with the scores of these good frames instead of those that it held out."""
    if good is None:
        none = ScoreSummary(count=0, minimum=0.0, median=0.0, p95=0.0, maximum=0.0)
        return record.model_copy(update={"held_out": none, "images_held_out": 0, "damage": None})
    scores = score_all(scorer, good).score
    view = manifest.view
    inspected = None if view is None or view.mask is None else inspected_pixels(view, manifest.geometry)
    damage = damage_check(scores, score_all(scorer, damaged(good, inspected=inspected)).score)
    return record.model_copy(update={"held_out": _summary(scores), "images_held_out": len(good), "damage": damage})


def frames_to_score(recipe: Recipe, geometry: Geometry, trained_on: int, held_out: int) -> int:
    """Estimate how many frames `pack` sends through the networks, which its duration is proportional to."""
    fitted = recipe.frames_to_fit(geometry, min(trained_on, _FIT_FRAMES), held_out)
    return fitted + min(trained_on, _REPORT_FRAMES) + 2 * held_out


def score_all(scorer: Scorer, frames: Frames) -> Scores:
    """Score frames [N, H, W, C] with the PyTorch module."""
    parts = [reference_answers(scorer, frames[start : start + _BATCH]) for start in range(0, len(frames), _BATCH)]
    return Scores(np.concatenate([part.score for part in parts]), np.concatenate([part.heatmap for part in parts]))


def _fitted_scorer(trained: TrainedModel) -> Scorer:
    """The fitted scoring module, with weights rounded to half precision so that both graphs have the same ones."""
    fold_batch_norm(trained.networks)
    round_to_half(trained.networks)
    scorer = trained.recipe.scorer(trained.networks, trained.normalisation).cpu().eval()
    scorer.padding = trained.view.padding
    inspected = _inspected(trained)
    if inspected is not None:
        scorer.mask.use(inspected, trained.view.fill, trained.normalisation)
    count, pixels = len(trained.train_frames), trained.geometry.height * trained.geometry.width
    frames = trained.train_frames[:: max(-(-count // _FIT_FRAMES), -(-count * pixels // _FIT_PIXELS))]
    trained_on, held_out = (NormalisedFrames(each, trained.normalisation) for each in (frames, trained.held_out_frames))
    with torch.no_grad():
        trained.recipe.fit_scorer(scorer, in_batches(trained_on, _BATCH), in_batches(held_out, _BATCH))
    if trained.view.sensitivity is not None:
        scorer.factors.use(factors_of_pixels(trained.view, trained.geometry))
    return scorer


def _inspected(trained: TrainedModel) -> NDArray[np.bool_] | None:
    """Which pixels of a frame count, [H, W]; None without a mask."""
    view = trained.view
    return None if view.mask is None else inspected_pixels(view, trained.geometry)


def _reference_frames(trained: TrainedModel, scores: NDArray[np.float32]) -> Frames:
    """Held-out frames from the lowest to the highest score, supplemented by training frames if few were held out."""
    count = min(_REFERENCE_FRAMES, len(scores))
    chosen = np.argsort(scores)[np.linspace(0, len(scores) - 1, count).round().astype(int)]
    frames = trained.held_out_frames[chosen], trained.train_frames[: _REFERENCE_FRAMES - count]
    return np.concatenate(frames)


def _manifest(
    trained: TrainedModel,
    reference: Reference,
    held_out: Scores,
    damage: DamageCheck,
    agreements: dict[str, float],
    milliseconds: float,
) -> Manifest:
    return Manifest(
        name=trained.name,
        geometry=trained.geometry,
        view=trained.view,
        normalisation=trained.normalisation,
        heatmap_shape=reference.heatmap.shape[1:],
        score_kind=trained.recipe.score_kind,
        recipe=RecipeRecord(name=trained.recipe.name, options=trained.options),
        training=_record(trained, held_out.score, damage, agreements, milliseconds),
    )


def _record(
    trained: TrainedModel,
    scores: NDArray[np.float32],
    damage: DamageCheck,
    agreements: dict[str, float],
    milliseconds: float,
) -> TrainingRecord:
    return TrainingRecord(
        date=trained.date,
        seed=trained.seed,
        seconds=round(trained.elapsed(), 1),
        steps=trained.steps,
        kept_step=trained.kept_step,
        epochs=round(trained.epochs, 2),
        images_used=len(trained.train_frames),
        images_held_out=len(trained.held_out_frames),
        images_skipped=trained.skipped,
        stopped=trained.stopped,
        held_out=_summary(scores),
        damage=damage,
        warnings=[*trained.warnings, *_disagreements(agreements)],
        agreement=agreements,
        versions=_versions(),
        foreign_weights=trained.recipe.foreign_weights(),
        frame_time=FrameTime(
            milliseconds=milliseconds,
            threads=THREADS,
            machine=describe_processor(),
            budget_milliseconds=trained.budget_milliseconds,
        ),
    )


def _disagreements(agreements: Mapping[str, float]) -> list[str]:
    return [
        f"{name} differs from PyTorch by {value:.2g}, wanted at most {EXPECTED_AGREEMENT[name]:g}"
        for name, value in agreements.items()
        if not value <= EXPECTED_AGREEMENT[name]
    ]


def _summary(scores: NDArray[np.float32]) -> ScoreSummary:
    return ScoreSummary(
        count=len(scores),
        minimum=float(scores.min()),
        median=float(np.median(scores)),
        p95=float(np.quantile(scores, 0.95)),
        maximum=float(scores.max()),
        quantiles=[float(f"{score:.6g}") for score in np.sort(scores)],
    )


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in ("inspectd", "torch", "lightning-fabric", "onnx", "onnxruntime", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
