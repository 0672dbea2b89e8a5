"""The steps of a training for the page: gather images, train, compare. The state is in a file after each of them."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent.commands import ask
from agent.core.errors import InspectdError, Permanent
from agent.core.training_folder import TrainingFolder, read_json, write_json
from agent.tools.training_job.comparison import compare
from agent.tools.training_job.images import JobImages, gather
from engines.bundles import Alignment, Bundle, CropBox, SensitiveRegion, View, read_bundle
from engines.errors import EngineError
from engines.images import MaskChoice, SensitivityChoice
from engines.training.plan import TrainingPlan
from engines.training.train import train_model
from engines.training.view_choice import ViewChoice

# The page looks twice a second.
_WRITE_SECONDS = 0.4

# Shares of the bar.
_GATHERED, _TRAINED = 0.1, 0.92


class _Cancelled(Exception):
    """A person has cancelled."""


class _Progress:
    """Writes how far it is, and ends the training where a person has cancelled it."""

    def __init__(self, folder: TrainingFolder) -> None:
        self._folder = folder
        self._written = float("-inf")

    def part(self, step: str, start: float, end: float) -> Callable[[float, str], None]:
        """The progress of a step, which takes a part of the bar."""

        def report(fraction: float, message: str) -> None:
            if self._folder.cancel.exists():
                raise _Cancelled
            now = time.monotonic()
            if now - self._written >= _WRITE_SECONDS:
                self._written = now
                self.write("running", step=step, fraction=start + (end - start) * min(1.0, fraction), message=message)

        return report

    def write(self, state: str, **more: Any) -> None:
        write_json(self._folder.progress, {"state": state, **more})


def run(folder: TrainingFolder) -> int:
    """Train what the request says; the exit code is 0 if there is a bundle."""
    progress = _Progress(folder)
    try:
        _run(folder, read_json(folder.request), progress)
    except _Cancelled:
        progress.write("cancelled")
        return 1
    except (InspectdError, EngineError) as error:
        progress.write("failed", reason=str(error))
        return 1
    except OSError as error:
        progress.write("failed", reason=f"{error.filename or folder.path}: {error.strerror}")
        return 1
    except MemoryError:
        progress.write("failed", reason="not enough memory; wanted fewer or smaller images")
        return 1
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        progress.write("failed", reason=f"{type(error).__name__}: {error}; see {folder.log}")
        return 1
    return 0


def _run(folder: TrainingFolder, request: Mapping[str, Any], progress: _Progress) -> None:
    images = gather(folder, request, progress.part("gather", 0.0, _GATHERED))
    view = ask(Path(request["control_socket"]), "view", request["camera"])
    plan = TrainingPlan(
        images.trained_on,
        out=folder.bundle,
        name=request["name"],
        recipe=request["recipe"],
        view=_view(request["view"], view),
        minutes=request["minutes"],
        steps=request["steps"],
    )
    result = train_model(plan, progress.part("train", _GATHERED, _TRAINED))
    document = _compared(folder, images, Path(view["bundle"]), progress)
    write_json(folder.comparison, document)
    progress.write("done", **_summary(result.bundle, images))


def _compared(folder: TrainingFolder, images: JobImages, in_force: Path, progress: _Progress) -> dict[str, Any]:
    models = {"new": folder.bundle, "old": in_force}
    report = progress.part("compare", _TRAINED, 1.0)
    return compare(images, models, folder.compared, report) if images.held_out or images.defects else {"images": []}


def _view(wanted: str, view: Mapping[str, Any]) -> ViewChoice:
    """Crop, mask and sensitivity as `drawn`; everything as `in_force`; or the `whole` image.

    Alignment, correction and reading stay.
    """
    known, crop = read_bundle(Path(view["bundle"])).manifest.view, _box(view["crop"])
    if wanted == "in_force":
        return ViewChoice(crop) if known is None else ViewChoice(like=known.model_copy(update={"crop": crop}))
    drawn = view["drawn"] if wanted == "drawn" else {}
    if drawn is None:
        raise Permanent("no view is drawn any more; draw it again, or choose another one")
    polygons = tuple(tuple((x, y) for x, y in polygon) for polygon in drawn.get("exclude", ()))
    regions = tuple(SensitiveRegion.model_validate(region) for region in drawn.get("sensitivity", ()))
    choice = ViewChoice(
        _box(drawn.get("crop")),
        MaskChoice(None, polygons) if polygons else None,
        sensitivity=SensitivityChoice(regions) if regions else None,
        reading=None if known is None else known.reading,
        correction=None if known is None else known.correction_file,
    )
    return choice if known is None or known.alignment is None else _aligned(choice, known, known.alignment)


def _aligned(choice: ViewChoice, known: View, alignment: Alignment) -> ViewChoice:
    """The choice in the images that the alignment of a bundle makes."""
    height, width = alignment.height, alignment.width
    crop = choice.crop or CropBox(x=0, y=0, width=width, height=height)
    changes = {
        "crop": crop,
        "mask": None if choice.mask is None else choice.mask.for_size(height, width),
        "fill": (),  # the training takes it from its images
        "sensitivity": None if choice.sensitivity is None else choice.sensitivity.for_size(height, width, crop),
    }
    return ViewChoice(like=known.model_copy(update=changes))


def _box(crop: Mapping[str, int] | None) -> CropBox | None:
    return None if crop is None else CropBox(**crop)


def _summary(bundle: Bundle, images: JobImages) -> dict[str, Any]:
    record = bundle.manifest.training
    assert record is not None, "training writes it"
    return {
        "sha256": bundle.sha256,
        "name": bundle.manifest.name,
        "images": record.images_used,
        "held_out": record.images_held_out + len(images.held_out),
        "skipped": record.images_skipped,
        "steps": record.steps,
        "seconds": round(record.seconds, 1),
        "warnings": record.warnings,
        "learned": record.damage is None or record.damage.detected,
    }
