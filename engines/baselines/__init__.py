"""The other systems of the literature, for `inspectd compare`: one file each, all behind `Baseline`.

To add one, write a `Baseline` and name it in `_BASELINES`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from engines.errors import EngineError

if TYPE_CHECKING:
    from engines.baselines.baseline import Baseline

_BASELINES = {
    "ganomaly": ("engines.baselines.ganomaly", "GanomalyDefault"),
    "ganomaly-reference": ("engines.baselines.ganomaly", "GanomalyReference"),
    "anogan": ("engines.baselines.anogan", "AnoGan"),
    "egbad": ("engines.baselines.egbad", "Egbad"),
    "autoencoder": ("engines.baselines.autoencoder", "Autoencoder"),
    "rapp-sap": ("engines.baselines.rapp", "RappSap"),
    "rapp-nap": ("engines.baselines.rapp", "RappNap"),
    "pca": ("engines.baselines.pca", "Pca"),
    "ocsvm": ("engines.baselines.ocsvm", "OneClassSvm"),
}
"""Name → module and class; imported when asked for, since each brings its own libraries."""


def find_baseline(name: str) -> type[Baseline]:
    """Return the system of this name; EngineError where there is none, or where its library is not installed."""
    if name not in _BASELINES:
        raise EngineError(f"system {name!r} is unknown, wanted one of {', '.join(baseline_names())}")
    module, kind = _BASELINES[name]
    try:
        found: type[Baseline] = getattr(import_module(module), kind)
    except ImportError as error:
        raise EngineError(f"{name} needs {error.name}: pip install 'inspectd[train]'") from None
    return found


def baseline_names() -> list[str]:
    """Names of all systems, in the order of the table."""
    return list(_BASELINES)
