"""Other methods of the literature, for `inspectd compare`: one file each, all with the interface `Baseline`.

To add one, write a `Baseline` and add it to `_BASELINES`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from engines.errors import EngineError

if TYPE_CHECKING:
    from engines.baselines.baseline import Baseline

# Name → module and class, imported on demand, since each needs libraries of its own.
_BASELINES = {
    "ganomaly": ("engines.baselines.ganomaly", "GanomalyDefault"),
    "ganomaly-scratch": ("engines.baselines.ganomaly", "GanomalyScratch"),
    "ganomaly-reference": ("engines.baselines.ganomaly", "GanomalyReference"),
    "anogan": ("engines.baselines.anogan", "AnoGan"),
    "egbad": ("engines.baselines.egbad", "Egbad"),
    "autoencoder": ("engines.baselines.autoencoder", "Autoencoder"),
    "rapp-sap": ("engines.baselines.rapp", "RappSap"),
    "rapp-nap": ("engines.baselines.rapp", "RappNap"),
    "patchcore": ("engines.baselines.patchcore", "PatchCore"),
    "padim": ("engines.baselines.padim", "Padim"),
    "stfpm": ("engines.baselines.stfpm", "Stfpm"),
    "pca": ("engines.baselines.pca", "Pca"),
    "ocsvm": ("engines.baselines.ocsvm", "OneClassSvm"),
}


def find_baseline(name: str) -> type[Baseline]:
    """Return the class of this name; EngineError if it is unknown, or a library that it needs is not installed."""
    if name not in _BASELINES:
        raise EngineError(f"system {name!r} is unknown, wanted one of {', '.join(baseline_names())}")
    module, kind = _BASELINES[name]
    try:
        found: type[Baseline] = getattr(import_module(module), kind)
    except ImportError as error:
        raise EngineError(f"{name} needs {error.name}: pip install 'inspectd[train]'") from None
    return found


def baseline_names() -> list[str]:
    """Return the names of all systems, in the order of the table."""
    return list(_BASELINES)
