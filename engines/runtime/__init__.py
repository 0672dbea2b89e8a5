"""Engines: one file or folder for each backend, behind `Engine`; a backend is loaded only when it is opened."""

from engines.runtime.choice import Choice, remember
from engines.runtime.engine import Engine, Scores
from engines.runtime.measuring import choose
from engines.runtime.onnxruntime import OnnxRuntimeEngine, open_session, waiting
from engines.runtime.opening import open_engine
from engines.runtime.reference_check import reference_errors, relative_error
from engines.runtime.torch import load_scorer

__all__ = [
    "Choice",
    "Engine",
    "OnnxRuntimeEngine",
    "Scores",
    "choose",
    "load_scorer",
    "open_engine",
    "open_session",
    "reference_errors",
    "relative_error",
    "remember",
    "waiting",
]
